"""The inline runner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from nas.runners import InlineRunner
from nas.search.trial import Progress, Report, Started, TrialRequest
from nas.testing import RunnerConformance
from nas.testing.evaluators import ToyEvaluator, make_request
from nas.testing.runner import ScriptedSource


class TestInlineRunner(RunnerConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls) -> InlineRunner:
        return InlineRunner()

    def test_runs_trials_in_their_order(self, runner: InlineRunner) -> None:
        source = ScriptedSource([make_request(number) for number in (3, 1, 2)])
        runner.run(source, ToyEvaluator())
        assert [report.number for report in source.reports if isinstance(report, Started)] == [3, 1, 2]


class TestInterrupt:
    def test_from_the_evaluator_passes_through_and_closes_it(self) -> None:
        closed = []

        def interrupted(request: TrialRequest) -> Iterator[Mapping[str, float]]:
            try:
                yield {"loss": 1.0}
                raise KeyboardInterrupt
            finally:
                closed.append(request.number)

        source = ScriptedSource([make_request(0), make_request(1)])
        with pytest.raises(KeyboardInterrupt):
            InlineRunner().run(source, interrupted)
        assert closed == [0]
        assert [type(report) for report in source.reports] == [Started, Progress]

    def test_from_the_source_passes_through_and_closes_the_evaluator(self) -> None:
        closed = []

        def noting(request: TrialRequest) -> Iterator[Mapping[str, float]]:
            try:
                yield {"loss": 1.0}
            finally:
                closed.append(request.number)
                raise RuntimeError("closing fails too")

        def hear(report: Report) -> None:
            if isinstance(report, Progress):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            InlineRunner().run(ScriptedSource([make_request(0)], hear=hear), noting)
        assert closed == [0]

    def test_an_error_while_closing_a_stopped_trial_does_not_count(self) -> None:
        def stubborn(request: TrialRequest) -> Iterator[Mapping[str, float]]:
            try:
                yield {"loss": 1.0}
                yield {"loss": 0.5}
            finally:
                raise RuntimeError("closing fails")

        source = ScriptedSource([make_request(0, 2)], stop={0: 1})
        InlineRunner().run(source, stubborn)
        assert [type(report).__name__ for report in source.reports] == ["Started", "Progress", "Finished"]

    def test_an_iterator_that_is_no_generator_will_do(self) -> None:
        source = ScriptedSource([make_request(0, 2)])
        InlineRunner().run(source, lambda request: iter([{"loss": 2.0}, {"loss": 1.0}]))
        assert source.metrics(0) == {"loss": 1.0}
