"""What every searcher promises."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import ClassVar

import pytest

from nas.search import Searcher, SearcherFactory, TrialResult, TrialState
from nas.store import Store, StudyRecord
from nas.testing.driving import (
    STUDY,
    asked,
    check_member,
    drive,
    found_searcher,
    hashes,
    run_study,
    suggested_hashes,
)
from nas.testing.fresh import in_fresh_process
from nas.testing.modules import no_random_numbers, one_thread, told
from nas.testing.problems import Problem, constrained_problems, flat_space, problems

FAILURES = (TrialState.FAILED, TrialState.STOPPED, TrialState.INFEASIBLE)


class SearcherConformance:
    """Tests of one searcher; a subclass gives it by the fixture `searcher`, a registered name or a
    `SearcherFactory`.

    It searches small flat spaces and a small tree of stages and blocks, with one to three objectives,
    `trials` suggestions each. A searcher that draws nothing, such as a grid, sets `seeded` to False.

    >>> class TestEvolution(SearcherConformance):
    ...     @pytest.fixture
    ...     def searcher(self):
    ...         return "evolution"
    """

    trials: ClassVar[int] = 12
    seeded: ClassVar[bool] = True

    @pytest.fixture
    def searcher(self) -> str | SearcherFactory:
        """The searcher to test."""
        raise NotImplementedError("give the searcher to test by a fixture named 'searcher'")

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """Torch on one thread: these problems are too small for more."""
        with one_thread():
            yield

    @pytest.fixture
    def factory(self, searcher: str | SearcherFactory) -> SearcherFactory:
        """What makes searchers."""
        return found_searcher(searcher)

    def test_is_described(self, factory: SearcherFactory) -> None:
        """A user can find out what it is."""
        assert factory.description, "give the SearcherFactory a `description` of one line"

    def test_suggests_valid_architectures(self, factory: SearcherFactory) -> None:
        """Everything it suggests is an architecture of the space."""
        for problem in problems():
            with told(problem):
                for architecture in drive(factory, problem, self.trials):
                    check_member(architecture, problem)

    def test_never_suggests_what_it_was_told(self, factory: SearcherFactory) -> None:
        """Nothing is evaluated twice: neither results nor the other suggestions of one answer return."""
        for problem in problems():
            with told(problem):
                searcher, seen = factory.create(problem.setup()), set[str]()
                number = 0
                while number < self.trials:
                    suggestions = asked(searcher, 3)
                    hashes = [architecture.hash for architecture in suggestions]
                    assert hashes, f"suggests nothing after {number} of {problem.space.size()} architectures"
                    assert len(set(hashes)) == len(hashes), "suggests one architecture twice in one answer"
                    assert not seen & set(hashes), "suggests an architecture whose result it was told"
                    seen.update(hashes)
                    for architecture in suggestions:
                        searcher.tell([problem.result(architecture, number)])
                        number += 1

    def test_gives_at_most_what_is_asked_for(self, factory: SearcherFactory) -> None:
        """`ask(n)` is a list of at most n."""
        problem = problems()[0]
        searcher = factory.create(problem.setup())
        for count in (0, 1, 2, 5):
            found = asked(searcher, count)
            assert len(found) <= count, f"ask({count}) gives {len(found)}"
            assert found or not count, f"ask({count}) gives nothing in a space it has not seen"
            searcher.tell([problem.result(architecture, place) for place, architecture in enumerate(found)])

    def test_one_seed_gives_one_sequence(self, factory: SearcherFactory) -> None:
        """Equal seeds suggest the same, other seeds something else."""
        for problem in (problems()[1], problems()[3]):
            with told(problem):
                one, same, other = (hashes(drive(factory, problem, self.trials, seed)) for seed in (3, 3, 4))
                assert one == same, "suggests something else the second time, with the same seed"
                assert one != other or not self.seeded, "suggests the same with another seed"

    def test_no_global_randomness_is_touched(self, factory: SearcherFactory) -> None:
        """It draws from generators of its own."""
        with no_random_numbers("asking and telling"):
            drive(factory, problems()[1], self.trials)

    def test_suggests_the_same_in_a_fresh_process(self, searcher: str | SearcherFactory) -> None:
        """A study goes on elsewhere: nothing depends on the process."""
        here = suggested_hashes(searcher, self.trials)
        assert in_fresh_process(suggested_hashes, searcher, self.trials) == here, (
            "suggests something else in another process: does the order of a set play a part?"
        )

    def test_goes_on_from_told_results(self, factory: SearcherFactory) -> None:
        """A searcher that is told the results of another one, in one go, goes on as that one does."""
        for problem in (problems()[1], problems()[3]):
            with told(problem):
                first, results = self._after_some(factory, problem)
                second = factory.create(problem.setup())
                second.tell(results)
                following = [hashes(asked(searcher, 1)) for searcher in (first, second)]
                assert following[0] == following[1], (
                    "what it suggests depends on more than the seed and the results, so that a resumed study "
                    "is another one"
                )
                assert not set(following[1]) & {result.architecture.hash for result in results}, (
                    "suggests an architecture whose result it was told on resuming"
                )

    def test_replays_from_a_store(self, factory: SearcherFactory, tmp_path: Path) -> None:
        """A study that is stopped, stored and resumed runs the trials that it would have run."""
        problem = problems()[1]
        straight = run_study(factory, problem, self.trials)
        with Store.open(tmp_path / "nas.db") as store:
            store.create_study(StudyRecord(STUDY, "{}"))
            run_study(factory, problem, self.trials // 2, store)
            resumed = run_study(factory, problem, self.trials, store)
        assert hashes(result.architecture for result in resumed) == hashes(
            result.architecture for result in straight
        ), "a resumed study runs other trials than one that was never stopped"

    @pytest.mark.parametrize("state", FAILURES, ids=lambda state: state.value)
    def test_survives_trials_without_a_result(self, factory: SearcherFactory, state: TrialState) -> None:
        """Failed, stopped and infeasible trials have no values; it goes on without them."""
        problem = problems()[1]
        for share, what in ((3, "some trials"), (1, "every trial")):
            searcher = factory.create(problem.setup())
            with told(f"{what} {state.value}"):
                for number in range(self.trials):
                    found = asked(searcher, 1)
                    assert found, f"suggests nothing any more after {number} trials, {what} {state.value}"
                    check_member(found[0], problem)
                    ended = TrialState.FINISHED if number % share else state
                    searcher.tell([problem.result(found[0], number, ended)])

    def test_takes_results_it_never_asked_for(self, factory: SearcherFactory) -> None:
        """The loop finds architectures too, and other studies may be told."""
        for problem in (problems()[1], problems()[3]):
            with told(problem):
                every = [problem.space.decode(vector) for vector in problem.space.enumerate()]
                strange = every[:: max(1, len(every) // 12)]
                searcher = factory.create(problem.setup())
                searcher.tell(
                    [problem.result(architecture, place) for place, architecture in enumerate(strange)]
                )
                found = asked(searcher, 2)
                assert found, "suggests nothing any more"
                assert not set(hashes(found)) & set(hashes(strange)), (
                    "suggests an architecture whose result it was told"
                )

    def test_keeps_known_constraints(self, factory: SearcherFactory) -> None:
        """What breaks a limit on a cost that is known beforehand is not suggested where something else is
        left."""
        for problem in constrained_problems():
            with told(problem):
                for architecture in drive(factory, problem, self.trials):
                    cost, limit = problem.values(architecture)["cost"], problem.limit
                    assert limit is not None
                    assert cost <= limit, f"suggests an architecture of cost {cost:g}, the limit is {limit:g}"

    def test_ends_with_the_space(self, factory: SearcherFactory) -> None:
        """Where every architecture was told there is nothing to suggest."""
        for space in (flat_space(1), flat_space(2, 3)):
            problem = Problem("small", space, ("error", "cost"))
            with told(problem):
                found = asked(factory.create(problem.setup()), 4 * space.size())
                assert 0 < len(set(hashes(found))) == len(found) <= space.size(), (
                    f"ask({4 * space.size()}) gives {len(found)} architectures, {len(set(hashes(found)))} of "
                    f"them different, in a space of {space.size()}"
                )
                searcher = factory.create(problem.setup())
                every = [space.decode(vector) for vector in space.enumerate()]
                searcher.tell([problem.result(architecture, n) for n, architecture in enumerate(every)])
                assert asked(searcher, 3) == [], "suggests something where all of the space was told"

    def test_leaves_what_it_is_given_alone(self, factory: SearcherFactory) -> None:
        """Results and settings are other people's too."""
        problem = problems()[1]
        setup = problem.setup()
        before = (dict(setup.known), tuple(setup.constraints))
        searcher = factory.create(setup)
        for number in range(self.trials):
            results = [problem.result(found, number) for found in asked(searcher, 1)]
            kept = deepcopy(results)
            searcher.tell(results)
            assert [_content(result) for result in results] == [_content(result) for result in kept], (
                "changes the results that it is told"
            )
        assert (dict(setup.known), tuple(setup.constraints)) == before, "changes its setup"

    def test_runs_a_study(self, factory: SearcherFactory) -> None:
        """The study loop spends its budget on different architectures that it suggested."""
        for problem in [*problems(), *constrained_problems()]:
            with told(problem):
                results = run_study(factory, problem, self.trials)
                found = {result.architecture.hash for result in results}
                assert len(results) == len(found) == self.trials, "does not spend the budget of a study"
                assert all(result.state is TrialState.FINISHED for result in results), "a trial failed"

    def _after_some(self, factory: SearcherFactory, problem: Problem) -> tuple[Searcher, list[TrialResult]]:
        """A searcher with the results that it was told so far, a failed one among them."""
        searcher = factory.create(problem.setup())
        results: list[TrialResult] = []
        for number in range(self.trials):
            state = TrialState.FAILED if number == self.trials // 2 else TrialState.FINISHED
            new = [problem.result(architecture, number, state) for architecture in asked(searcher, 1)]
            searcher.tell(new)
            results += new
        return searcher, results


def _content(result: TrialResult) -> tuple[object, ...]:
    return (result.architecture.to_json(), result.state, dict(result.values), result.fidelity, result.number)
