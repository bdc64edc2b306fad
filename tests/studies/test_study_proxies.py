"""Proxies of a study: scored once, stored, recalled, and held against the results."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from torch import nn

from nas.errors import DataError, TrialError, UnknownNameError, UsageError
from nas.plugins import PluginManager, Registry, hookimpl
from nas.search.objective import Objective
from nas.search.study import StudySpec
from nas.spaces import Architecture, load_space
from nas.store import Store, StudyRecord
from nas.studies.proxies import CHUNK, ProxyPrices
from nas.studies.proxy_report import ProxyWorth, learnt_objective, proxy_report, verdict
from nas.training import Proxy, ProxyBatch

ACCURACY = (Objective("accuracy", "max"), Objective("latency", "min"))


def width_of(module: nn.Module) -> float:
    return float(sum(parameter.numel() for parameter in module.parameters()))


class Proxies:
    """A plugin with proxies that count how often they are called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        manager = PluginManager(strict=True)
        manager.load_entry_points()
        module = ModuleType("counted")

        def nas_proxies() -> list[Proxy]:
            return [
                Proxy("wide", self._wide),
                Proxy("narrow", self._wide, higher_is_better=False),
                Proxy("failing", self._failing),
            ]

        module.nas_proxies = hookimpl(nas_proxies)  # type: ignore[attr-defined]
        manager.register(module, "counted", "nas-counted", "1")
        self.registry = Registry(manager)

    def _wide(self, module: nn.Module, batch: ProxyBatch) -> float:
        self.calls.append("wide")
        return width_of(module)

    def _failing(self, module: nn.Module, batch: ProxyBatch) -> float:
        self.calls.append("failing")
        raise TrialError("nothing to see")


@pytest.fixture
def proxies() -> Proxies:
    return Proxies()


@pytest.fixture
def spec(proxies: Proxies) -> StudySpec:
    text = load_space("tiny", proxies.registry).text
    return StudySpec("small", "tiny", text, ("a100",), ACCURACY, target_names=("a100",))


@pytest.fixture
def networks(proxies: Proxies) -> list[Architecture]:
    """Twelve different architectures of the space, by their number of parameters."""
    from nas.blocks import build, parameter_count

    registry = proxies.registry
    space, rng = load_space("tiny", registry), np.random.default_rng(0)
    sizes: dict[int, Architecture] = {}
    while len(sizes) < 12:
        found = space.sample(rng)
        assert found.network is not None
        sizes.setdefault(parameter_count(build(found.network, registry.blocks)), found)
    return [sizes[size] for size in sorted(sizes)]


@pytest.fixture
def store(tmp_path: Path, spec: StudySpec) -> Iterator[Store]:
    with Store.open(tmp_path / "nas.db") as opened:
        opened.create_study(StudyRecord(spec.name, spec.to_json()))
        yield opened


def finish(store: Store, network: Architecture, accuracy: float, seed: int = 0, **metrics: float) -> None:
    number = store.add_trial("small", network, fidelity=1, seed=seed)
    store.start_trial("small", number, attempt=1, host="here")
    store.record_step("small", number, attempt=1, step=1, metrics={"accuracy": accuracy, **metrics})
    store.finish_trial("small", number, attempt=1, seconds=1.0)


# -- prices ------------------------------------------------------------------------------------------------


def test_more_is_better_in_every_price(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture]
) -> None:
    prices = ProxyPrices(spec, ["wide", "narrow"], proxies.registry)
    assert list(prices) == ["wide", "narrow"]
    wide, narrow = (prices[name](networks) for name in prices)
    assert wide == sorted(wide)
    assert narrow == [-value for value in wide]
    assert prices["wide"](networks[3:5]) == wide[3:5]
    assert prices["wide"]([]) == []
    assert prices.known("narrow")[networks[0].hash] == wide[0]


def test_a_score_is_computed_once(proxies: Proxies, spec: StudySpec, networks: list[Architecture]) -> None:
    prices = ProxyPrices(spec, ["wide"], proxies.registry)
    prices["wide"]([networks[0], networks[1], networks[0]])
    prices["wide"](networks[:3])
    assert len(proxies.calls) == 3


def test_the_store_remembers_and_studies_share(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture], store: Store
) -> None:
    first = ProxyPrices(spec, ["wide"], proxies.registry, store)["wide"](networks)
    assert len(proxies.calls) == len(networks)
    other = replace(spec, name="other", seed=5)
    assert ProxyPrices(other, ["wide"], proxies.registry, store)["wide"](networks) == first
    assert len(proxies.calls) == len(networks)
    ProxyPrices(replace(spec, data="digits:16"), ["wide"], proxies.registry, store)["wide"](networks[:1])
    assert len(proxies.calls) == len(networks) + 1


def test_an_interrupt_keeps_what_was_scored(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture], store: Store
) -> None:
    def interrupt(done: int, count: int) -> None:
        assert count == len(networks)
        if done == CHUNK + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ProxyPrices(spec, ["wide"], proxies.registry, store).compute(networks, interrupt)
    heard: list[int] = []
    again = ProxyPrices(spec, ["wide"], proxies.registry, store)
    again.compute(networks, lambda done, count: heard.append(done))
    assert heard == list(range(1, len(networks) - CHUNK - 1))


def test_a_network_without_a_score_counts_as_the_worst(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture], store: Store
) -> None:
    prices = ProxyPrices(spec, ["failing", "wide"], proxies.registry, store)
    assert prices["failing"](networks[:2]) == [0.0, 0.0]
    assert prices["failing"](networks[:2]) == [0.0, 0.0]
    assert proxies.calls.count("failing") == 2
    assert prices.problems["failing"][networks[0].hash] == "proxy 'failing': nothing to see"
    assert prices.problems["wide"] == {}
    prices["wide"](networks[:4])
    prices.problems["wide"][networks[5].hash] = "made up"
    assert prices["wide"](networks[5:6]) == [min(prices["wide"](networks[:4]))]


def test_what_cannot_be_scored_says_so(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture]
) -> None:
    with pytest.raises(UnknownNameError, match="unknown proxy 'synflo'"):
        ProxyPrices(spec, ["synflo"], proxies.registry)
    with pytest.raises(UsageError, match="flat space"):
        ProxyPrices(spec, ["wide"], proxies.registry)["wide"]([Architecture(None, (("lr", 0.1),))])
    changed = replace(spec, data_fingerprint="0" * 64)
    with pytest.raises(DataError, match="changed since study 'small' began"):
        ProxyPrices(changed, ["wide"], proxies.registry)["wide"](networks[:1])


def test_first_party_proxies_price_a_study(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture]
) -> None:
    prices = ProxyPrices(spec, ["params", "naswot"], proxies.registry)
    assert all(map(math.isfinite, [*prices["params"](networks[:2]), *prices["naswot"](networks[:2])]))


# -- the report --------------------------------------------------------------------------------------------


def worths(report: Any) -> dict[str, ProxyWorth]:
    return {worth.name: worth for worth in report.proxies}


def test_a_right_and_a_wrong_order_are_told_apart(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture], store: Store
) -> None:
    for place, network in enumerate(networks):
        finish(store, network, 0.5 + place / 100)
    report = proxy_report(store, spec, proxies.registry, ["narrow", "failing", "wide"])
    assert (report.objective.name, report.count) == ("accuracy", 12)
    assert [worth.name for worth in report.proxies] == ["wide", "narrow", "failing"]
    wide, narrow, failing = report.proxies
    assert (wide.spearman, wide.kendall, wide.count, wide.verdict) == (1.0, 1.0, 12, "helps")
    assert (narrow.spearman, narrow.kendall, narrow.verdict, narrow.trust) == (-1.0, -1.0, "harmful", 0.0)
    assert wide.trust > 0.9
    assert (failing.count, failing.spearman, failing.verdict, failing.failed) == (0, None, "unclear", 12)
    assert failing.error == "proxy 'failing': nothing to see"
    calls = len(proxies.calls)
    assert worths(proxy_report(store, spec, proxies.registry, ["wide"]))["wide"] == wide
    assert len(proxies.calls) == calls


def test_an_objective_to_minimise_turns_the_order_round(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture], store: Store
) -> None:
    for place, network in enumerate(networks):
        finish(store, network, 0.5, loss=10.0 - place)
    spec = replace(spec, objectives=(Objective("latency", "min"), Objective("loss", "min")))
    found = worths(proxy_report(store, spec, proxies.registry, ["wide", "narrow"]))
    assert (found["wide"].verdict, found["narrow"].verdict) == ("helps", "harmful")


def test_repeats_count_once(
    proxies: Proxies, spec: StudySpec, networks: list[Architecture], store: Store
) -> None:
    for place, network in enumerate(networks[:5]):
        finish(store, network, 0.5 + place / 100)
    finish(store, networks[0], 0.9, seed=1)
    report = proxy_report(store, spec, proxies.registry, ["wide"])
    assert report.count == 5
    assert worths(report)["wide"].spearman == pytest.approx(0.0)  # its mean, 0.7, is now the best


def test_an_empty_study_has_no_correlation(proxies: Proxies, spec: StudySpec, store: Store) -> None:
    report = proxy_report(store, spec, proxies.registry, ["wide"])
    assert report.count == 0
    assert report.proxies[0].spearman is None


def test_a_study_of_costs_alone_is_refused(spec: StudySpec) -> None:
    with pytest.raises(UsageError, match="every objective of study 'small' is a cost"):
        learnt_objective(replace(spec, objectives=(Objective("latency@a100", "min"),)))


def test_the_verdict_is_that_of_the_interval() -> None:
    assert [verdict(*ends) for ends in ((0.1, 0.5), (-0.1, 0.5), (-0.5, -0.1))] == [
        "helps",
        "unclear",
        "harmful",
    ]
