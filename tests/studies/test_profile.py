"""The profile of a space: against a space listed whole, under limits that can and cannot be kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from nas.costs import CostTable, resolve_target
from nas.errors import InputError, UnknownNameError, UsageError
from nas.plugins import default_registry
from nas.search.objective import Constraint
from nas.spaces import Space, load_space
from nas.studies.profile import ProfileOptions, SpaceProfile, profile_of, profile_space

Profiled = Callable[..., SpaceProfile]


@pytest.fixture(scope="module")
def space() -> Space:
    return load_space("tiny", default_registry())


@pytest.fixture(scope="module")
def table(space: Space) -> CostTable:
    registry = default_registry()
    return CostTable(space, [resolve_target(name, registry) for name in ("a100", "pixel6")], registry)


@pytest.fixture(scope="module")
def every(space: Space, table: CostTable) -> CostTable:
    return table.costs(np.array(list(space.enumerate())))


@pytest.fixture
def profiled(space: Space, table: CostTable) -> Profiled:
    def profiled(*constraints: str, samples: int = 200, seed: int = 0) -> SpaceProfile:
        limits = tuple(Constraint.parse(text) for text in constraints)
        return profile_of(space, table, limits, ProfileOptions("tiny", samples=samples, seed=seed))

    return profiled


# -- the whole space ---------------------------------------------------------------------------------------


def test_a_space_no_larger_than_the_samples_is_listed_whole(profiled: Profiled, every: CostTable) -> None:
    profile = profiled("latency@pixel6<=0.1ms", samples=1_056)
    assert profile.is_whole
    assert (profile.size, profile.samples, profile.decisions) == (1_056, 1_056, 14)
    assert profile.together == profile.limits[0].fit == int((every.column("latency@pixel6") <= 0.1).sum())
    assert (profile.downhill, profile.downhill_together) == (0, 0)


def test_the_ranges_are_those_of_every_cost_on_every_target(profiled: Profiled, every: CostTable) -> None:
    spreads = profiled(samples=2_000).spreads
    found = {(spread.cost, spread.target): spread for spread in spreads}
    assert len(found) == len(spreads) == 2 * 5 + 2
    for cost, target in (("latency", "pixel6"), ("peak_memory", "a100"), ("params", None)):
        column = every.column(f"{cost}@{target}" if target else cost)
        spread = found[cost, target]
        assert (spread.minimum, spread.maximum) == (column.min(), column.max())
        assert spread.median == np.median(column)


def test_the_nearest_limit_of_a_whole_space_is_exact(profiled: Profiled, every: CostTable) -> None:
    latency, params = every.column("latency"), every.column("params")
    limit = float(np.quantile(params, 0.3))
    profile = profiled("latency<=0.001ms", f"params>={limit}", samples=2_000)
    assert profile.together == 0
    assert profile.limits[0].tightest == latency[params >= limit].min() > latency.min()
    assert profile.limits[0].extreme == latency.min()
    assert profile.loosened == (profile.limits[0],)


# -- samples -----------------------------------------------------------------------------------------------


def test_without_constraints_there_are_ranges_alone(profiled: Profiled) -> None:
    profile = profiled()
    assert (profile.together, profile.samples, profile.share) == (200, 200, 1.0)
    assert (profile.limits, profile.binding, profile.loosened, profile.downhill) == ((), None, (), 0)
    assert not profile.is_scarce


def test_a_seed_fixes_the_samples(profiled: Profiled) -> None:
    assert profiled("latency<=100us") == profiled("latency<=100us")
    assert profiled("latency<=100us").spreads != profiled("latency<=100us", seed=1).spreads


def test_shares_come_near_those_of_many_samples(profiled: Profiled, every: CostTable) -> None:
    limit = f"latency<={float(np.median(every.column('latency')))}"
    few, many = profiled(limit, samples=400), profiled(limit, samples=1_000, seed=5)
    assert 0.1 < many.share < 0.9
    assert few.share == pytest.approx(many.share, abs=0.1)


def test_downhill_comes_to_the_cheapest_of_the_space(profiled: Profiled, every: CostTable) -> None:
    profile = profiled("latency<=1us", samples=20)
    smallest = min(s.minimum for s in profile.spreads if (s.cost, s.target) == ("latency", "a100"))
    assert profile.limits[0].tightest == pytest.approx(every.column("latency").min(), rel=0.05)
    assert profile.limits[0].tightest <= smallest
    assert profile.limits[0].fit == profile.together == 0
    assert profile.is_scarce
    assert profile.loosened == profile.limits


def test_few_samples_but_a_network_downhill_loosens_nothing(profiled: Profiled, every: CostTable) -> None:
    limit = float(np.quantile(every.column("latency"), 0.002))
    profile = profiled(f"latency<={limit}", samples=10)
    assert profile.together == 0
    assert profile.downhill_together > 0
    assert profile.is_scarce
    assert profile.loosened == ()


def test_the_binding_constraint(profiled: Profiled) -> None:
    profile = profiled("latency<=100us", "params<=1G")
    assert profile.binding is profile.limits[0]
    assert profile.limits[0].others == 200
    assert profiled("latency<=1s", "params<=1G").binding is None


def test_a_name_without_a_target_is_that_of_the_first(profiled: Profiled) -> None:
    bare, named = profiled("latency<=100us"), profiled("latency@a100<=100us")
    assert bare.limits[0].fit == named.limits[0].fit
    assert profiled("latency@pixel6<=100us").limits[0].fit != named.limits[0].fit


def test_all_targets_are_looked_at_together(profiled: Profiled, every: CostTable) -> None:
    one, other = (float(np.median(every.column(f"latency@{name}"))) for name in ("a100", "pixel6"))
    profile = profiled(f"latency@a100<={one}", f"latency@pixel6<={other}", samples=2_000)
    both = (every.column("latency@a100") <= one) & (every.column("latency@pixel6") <= other)
    assert profile.together == int(both.sum())
    assert min(limit.fit for limit in profile.limits) >= profile.together


# -- options -----------------------------------------------------------------------------------------------


def test_the_options_lead_to_the_targets() -> None:
    options = ProfileOptions("tiny", ("t4", "pixel6"), ("latency@t4<=1s",), samples=5, batch_size=4)
    profile = profile_space(options, default_registry())
    assert list(profile.targets) == ["t4", "pixel6"]
    assert all("/b4/" in label for label in profile.targets.values())
    assert (profile.samples, profile.together, profile.cost_model) == (5, 5, "utilisation")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": "tinny"}, "'tiny'"),
        ({"targets": ("a1000",)}, "a100"),
        ({"targets": ("a100", "a100")}, "given twice"),
        ({"cost_model": "rooflin"}, "'roofline'"),
        ({"constraints": ("latncy<=3",)}, "unknown cost 'latncy'. Did you mean 'latency'"),
        ({"constraints": ("latency@pixel6<=3",)}, "unknown cost 'latency@pixel6'"),
        ({"constraints": ("latency_low<=3",)}, "unknown cost 'latency_low'"),
        ({"constraints": ("latency<3",)}, "is not of the form"),
        ({"precision": "fp13"}, "fp13"),
    ],
)
def test_wrong_options(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        profile_space(replace(ProfileOptions("tiny"), **change), default_registry())  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["accuracy>=90%", "top5_accuracy>=0.9", "loss<=0.3"])
def test_a_metric_is_known_to_no_profile(text: str) -> None:
    with pytest.raises(UsageError, match="is on a metric, which only training tells") as caught:
        profile_space(ProfileOptions("tiny", constraints=(text,)), default_registry())
    assert not isinstance(caught.value, UnknownNameError)
    assert "a profile takes latency, peak_memory" in str(caught.value)
