"""The kit finds what is wrong with a searcher, and nothing where all is right."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit_failures import complaint, run_file

from nas.search import SearcherFactory, SearcherSetup, TrialResult, TrialState
from nas.spaces import Architecture, Space
from nas.testing import SearcherConformance

KIT = SearcherConformance()


class Good:
    """Random search that keeps every promise."""

    def __init__(self, setup: SearcherSetup) -> None:
        self.setup = setup
        self.seen: set[str] = set()

    def ask(self, n: int) -> list[Architecture]:
        rng = np.random.default_rng([self.setup.seed, len(self.seen)])
        every = [self.setup.space.decode(vector) for vector in self.setup.space.enumerate()]
        found: list[Architecture] = []
        for place in rng.permutation(len(every)):
            if len(found) < n and self.may_suggest(every[place]):
                found.append(every[place])
        self.seen.update(architecture.hash for architecture in found)
        return found

    def may_suggest(self, architecture: Architecture) -> bool:
        return architecture.hash not in self.seen and self.is_allowed(architecture)

    def is_allowed(self, architecture: Architecture) -> bool:
        known = self.setup.known
        return all(
            constraint.allows(known[constraint.name]([architecture])[0])
            for constraint in self.setup.constraints
            if constraint.name in known
        )

    def tell(self, results: Sequence[TrialResult]) -> None:
        self.seen.update(result.architecture.hash for result in results)


class Repeats(Good):
    """Always the same architecture."""

    def ask(self, n: int) -> list[Architecture]:
        return [self.setup.space.sample(np.random.default_rng(0))] * min(n, 1)


class RepeatsInOneAnswer(Good):
    def ask(self, n: int) -> list[Architecture]:
        return super().ask(1) * n


class SuggestsWhatItWasTold(Good):
    """Forgets what it was told, and remembers what it asked."""

    def tell(self, results: Sequence[TrialResult]) -> None:
        self.seen.clear()


class Foreign(Good):
    def ask(self, n: int) -> list[Architecture]:
        other = Space.flat({"other": list(range(1_000))})
        return [other.decode([len(self.seen) + place]) for place in range(n)]


class Misfit(Good):
    """A network of the space with choices that lead to another one."""

    def ask(self, n: int) -> list[Architecture]:
        found = super().ask(n)
        if found and found[0].network is not None:
            return [Architecture(found[0].network, super().ask(1)[0].choices)]
        return found


class TooMany(Good):
    def ask(self, n: int) -> list[Architecture]:
        return super().ask(n + 1)


class Nothing(Good):
    def ask(self, n: int) -> list[Architecture]:
        return []


class Lazy(Good):
    def ask(self, n: int) -> Iterator[Architecture]:  # type: ignore[override]
        return iter(super().ask(n))


class Unseeded(Good):
    def __init__(self, setup: SearcherSetup) -> None:
        super().__init__(
            SearcherSetup(setup.space, setup.objectives, seed=int(np.random.default_rng().integers(9**9)))
        )


class Deaf(Good):
    """The same sequence whatever the seed."""

    def __init__(self, setup: SearcherSetup) -> None:
        super().__init__(SearcherSetup(setup.space, setup.objectives, setup.known, setup.constraints, seed=0))


class Global(Good):
    def tell(self, results: Sequence[TrialResult]) -> None:
        super().tell(results)
        random.random()


class Stateful(Good):
    """One generator for its whole life: a resumed one begins it again."""

    def __init__(self, setup: SearcherSetup) -> None:
        super().__init__(setup)
        self.rng = np.random.default_rng(setup.seed)

    def ask(self, n: int) -> list[Architecture]:
        every = [self.setup.space.decode(vector) for vector in self.setup.space.enumerate()]
        fresh = [every[place] for place in self.rng.permutation(len(every)) if self.may_suggest(every[place])]
        return fresh[:n]


class OfThisProcess(Good):
    """Ordered by Python's own hashes of texts, which differ between processes."""

    def ask(self, n: int) -> list[Architecture]:
        found = {a.hash: a for a in super().ask(50)}
        self.seen -= set(found)
        chosen = sorted(found.values(), key=lambda architecture: hash(architecture.hash))[:n]
        self.seen.update(architecture.hash for architecture in chosen)
        return chosen


class Fragile(Good):
    """Takes for granted that every trial has values."""

    def tell(self, results: Sequence[TrialResult]) -> None:
        super().tell(results)
        for result in results:
            result.values[self.setup.objectives[0].name]


class GivesUp(Good):
    def tell(self, results: Sequence[TrialResult]) -> None:
        super().tell(results)
        self.failed = any(result.state is not TrialState.FINISHED for result in results)

    def ask(self, n: int) -> list[Architecture]:
        return [] if getattr(self, "failed", False) else super().ask(n)


class Lavish(Good):
    def is_allowed(self, architecture: Architecture) -> bool:
        return True


class Endless(Good):
    def ask(self, n: int) -> list[Architecture]:
        return super().ask(n) or [self.setup.space.sample(np.random.default_rng(0))]


class Meddler(Good):
    def tell(self, results: Sequence[TrialResult]) -> None:
        super().tell(results)
        for result in results:
            result.values.clear()  # type: ignore[attr-defined]


def factory(build: Callable[[SearcherSetup], Any]) -> SearcherFactory:
    return SearcherFactory("toy", build, "a searcher of these tests")


BROKEN = [
    (Repeats, "test_never_suggests_what_it_was_told", "whose result it was told"),
    (RepeatsInOneAnswer, "test_never_suggests_what_it_was_told", "twice in one answer"),
    (SuggestsWhatItWasTold, "test_ends_with_the_space", "all of the space was told"),
    (Foreign, "test_suggests_valid_architectures", "no architecture of the space"),
    (Misfit, "test_suggests_valid_architectures", "the problem 'tree'"),
    (TooMany, "test_gives_at_most_what_is_asked_for", "ask(0) gives 1"),
    (Nothing, "test_gives_at_most_what_is_asked_for", "gives nothing in a space it has not seen"),
    (Nothing, "test_suggests_valid_architectures", "suggests nothing after 0 of"),
    (Lazy, "test_gives_at_most_what_is_asked_for", "not a list"),
    (Unseeded, "test_one_seed_gives_one_sequence", "something else the second time"),
    (Deaf, "test_one_seed_gives_one_sequence", "the same with another seed"),
    (Global, "test_no_global_randomness_is_touched", "the global random state of random"),
    (Stateful, "test_goes_on_from_told_results", "a resumed study is another one"),
    (Lavish, "test_keeps_known_constraints", "the limit is 7"),
    (Endless, "test_ends_with_the_space", "all of the space was told"),
    (Meddler, "test_leaves_what_it_is_given_alone", "changes the results"),
]


@pytest.mark.parametrize(
    ("build", "check", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_what_is_broken_is_found(build: Any, check: str, message: str) -> None:
    assert message in complaint(getattr(KIT, check), factory(build)).replace("\n", " ")


def test_one_that_depends_on_the_process_is_found() -> None:
    message = complaint(KIT.test_suggests_the_same_in_a_fresh_process, factory(OfThisProcess))
    assert "suggests something else in another process" in message


def test_one_that_cannot_be_replayed_is_found(tmp_path: Path) -> None:
    assert "runs other trials" in complaint(KIT.test_replays_from_a_store, factory(Stateful), tmp_path)


def test_one_that_gives_up_is_found() -> None:
    check = KIT.test_survives_trials_without_a_result
    assert "suggests nothing any more" in complaint(check, factory(GivesUp), TrialState.FAILED)


def test_one_that_breaks_on_a_failed_trial_is_found() -> None:
    with pytest.raises(KeyError) as caught:
        KIT.test_survives_trials_without_a_result(factory(Fragile), TrialState.STOPPED)
    assert "some trials stopped" in str(caught.value.__notes__)


def test_one_without_a_description_is_found() -> None:
    assert "description" in complaint(KIT.test_is_described, SearcherFactory("toy", Good))


USE = """
import pytest
from nas.search import SearcherFactory
from nas.testing import SearcherConformance
from test_kit_searcher import {name}

class TestIt(SearcherConformance):
    trials = 8

    @pytest.fixture
    def searcher(self):
        return SearcherFactory("toy", {name}, "a toy")
"""


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(name="Good"))
    assert outcome.failed == {}
    assert not outcome.skipped
    assert len(outcome.passed) == 17


def test_a_repeating_searcher_fails_as_a_whole(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(name="Repeats"))
    assert {"test_never_suggests_what_it_was_told", "test_ends_with_the_space"} <= set(outcome.failed)
    assert "test_gives_at_most_what_is_asked_for" in outcome.passed


def test_without_a_fixture_it_says_what_to_do(tmp_path: Path) -> None:
    source = "from nas.testing import SearcherConformance\nclass TestIt(SearcherConformance):\n    pass\n"
    outcome = run_file(tmp_path, source, "-k", "described")
    assert "give the searcher to test by a fixture named 'searcher'" in outcome.failed["test_is_described"]
