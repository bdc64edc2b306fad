"""The worker side of the Ray runner, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from nas.runners.ray_worker import REPORT, REQUEST, TrialActor, reset_process
from nas.runners.wire import encode_request
from nas.search.trial import Finished, Progress, Started, TrialRequest
from nas.testing.evaluators import make_request

CLOSED: list[int] = []


def noting(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    try:
        for step in range(request.fidelity):
            yield {"loss": float(step)}
    finally:
        CLOSED.append(request.number)


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> TrialActor:
    """An actor outside Ray, with its evaluator in place and its first trial open."""
    CLOSED.clear()
    made = object.__new__(TrialActor)
    monkeypatch.setattr(TrialActor, "_find_evaluator", lambda self: noting)
    made.setup(config_of(make_request(0, 2)))
    return made


def config_of(request: TrialRequest) -> dict[str, Any]:
    return {REQUEST: encode_request(request)}


def test_each_step_is_one_report(actor: TrialActor) -> None:
    reports = [actor.step()[REPORT] for _ in range(4)]
    assert [type(report) for report in reports] == [Started, Progress, Progress, Finished]


def test_sends_its_configuration_back_with_no_result(actor: TrialActor) -> None:
    assert actor.config == {}


def test_a_new_trial_closes_the_one_before(actor: TrialActor) -> None:
    actor.step(), actor.step()
    assert actor.reset_config(config_of(make_request(1)))
    assert CLOSED == [0]
    assert [actor.step()[REPORT].number for _ in range(3)] == [1, 1, 1]


def test_the_end_of_the_actor_closes_its_trial(actor: TrialActor) -> None:
    actor.step(), actor.step()
    actor.cleanup()
    assert CLOSED == [0]


class TestReset:
    def test_gives_torch_its_threads_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        before = torch.get_num_threads()
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        try:
            torch.set_num_threads(2)
            reset_process()
            assert torch.get_num_threads() == 1
        finally:
            torch.set_num_threads(before)

    @pytest.mark.parametrize("value", ["", "2,1", "many"])
    def test_leaves_them_where_ray_said_nothing(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        import torch

        monkeypatch.setenv("OMP_NUM_THREADS", value)
        before = torch.get_num_threads()
        reset_process()
        assert torch.get_num_threads() == before

    def test_empties_the_cache_of_a_gpu_in_use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        emptied = []
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cache"))
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: emptied.append("peak"))
        reset_process()
        assert emptied == ["cache", "peak"]
