"""Trials that another study ran are told again, and never reach the runner."""

from __future__ import annotations

from collections import deque

from nas.search.reuse import EarlierRun, Key, ReusingSource
from nas.search.trial import Decision, Finished, Progress, Report, Started, TrialRequest
from nas.spaces.architecture import Architecture


def request(number: int, choice: int, *, fidelity: int = 2, seed: int = 7, attempt: int = 1) -> TrialRequest:
    return TrialRequest(number, Architecture(None, (("x", choice),)), fidelity, seed, attempt)


def key(choice: int, *, fidelity: int = 2, seed: int = 7) -> Key:
    return Architecture(None, (("x", choice),)).hash, fidelity, seed


RUN = EarlierRun("main", 5, 1.5, ((1, {"error": 0.5}), (2, {"error": 0.25})))


class Source:
    """Gives requests one after another and keeps what it is told."""

    def __init__(self, *requests: TrialRequest, stop_at: int = 99) -> None:
        self.left = deque(requests)
        self.reports: list[Report] = []
        self.stop_at = stop_at

    def next(self) -> TrialRequest | None:
        return self.left.popleft() if self.left else None

    @property
    def exhausted(self) -> bool:
        return not self.left

    def report(self, report: Report) -> Decision:
        self.reports.append(report)
        late = isinstance(report, Progress) and report.step >= self.stop_at
        return Decision.STOP if late else Decision.CONTINUE


def test_a_known_trial_is_told_and_the_next_unknown_one_given() -> None:
    source = Source(request(0, 1), request(1, 2), request(2, 3))
    reusing = ReusingSource(source, {key(1): RUN, key(3): RUN})
    assert reusing.next() == request(1, 2)
    assert source.reports == [
        Started(0, 1, "as main#5"),
        Progress(0, 1, 1, {"error": 0.5}),
        Progress(0, 1, 2, {"error": 0.25}),
        Finished(0, 1, 1.5, False),
    ]
    assert not reusing.exhausted
    assert reusing.next() is None
    assert reusing.exhausted
    assert source.reports[-1] == Finished(2, 1, 1.5, False)


def test_another_seed_fidelity_or_architecture_is_run() -> None:
    wanted = [request(0, 1, seed=8), request(1, 1, fidelity=3), request(2, 9)]
    reusing = ReusingSource(Source(*wanted), {key(1): RUN})
    assert [reusing.next() for _ in wanted] == wanted


def test_a_later_attempt_is_told_as_such() -> None:
    source = Source(request(0, 1, attempt=3))
    assert ReusingSource(source, {key(1): RUN}).next() is None
    assert {report.attempt for report in source.reports} == {3}


def test_a_trial_that_is_stopped_is_told_no_further() -> None:
    source = Source(request(0, 1), stop_at=1)
    assert ReusingSource(source, {key(1): RUN}).next() is None
    assert source.reports[1:] == [Progress(0, 1, 1, {"error": 0.5}), Finished(0, 1, 1.5, True)]


def test_reports_of_the_runner_pass() -> None:
    source = Source(stop_at=1)
    report = Progress(4, 1, 1, {})
    assert ReusingSource(source, {}).report(report) is Decision.STOP
    assert source.reports == [report]
