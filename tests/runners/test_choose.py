"""Which runner `make_runner` chooses."""

from __future__ import annotations

import logging

import pytest

from nas.errors import UsageError
from nas.runners import InlineRunner, RayRunner, choose, make_runner
from nas.search.contracts import Runner


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "available_cpus", lambda: 4)
    monkeypatch.setattr(choose, "available_gpus", lambda: 0)


def shape(runner: Runner) -> tuple[str, int]:
    return type(runner).__name__, runner.slots


class TestAuto:
    @pytest.mark.parametrize(("cpus_per_trial", "slots"), [(1, 4), (2, 2), (0.5, 8), (1.5, 2), (0.1, 40)])
    def test_takes_what_the_cores_allow(self, cpus_per_trial: float, slots: int) -> None:
        assert shape(make_runner(cpus_per_trial=cpus_per_trial)) == ("RayRunner", slots)

    @pytest.mark.parametrize("cpus_per_trial", [3, 4, 9])
    def test_one_slot_is_inline(self, cpus_per_trial: float) -> None:
        assert shape(make_runner("auto", cpus_per_trial=cpus_per_trial)) == ("InlineRunner", 1)

    @pytest.mark.parametrize(
        ("gpus", "gpus_per_trial", "slots"),
        [(2, 1, 2), (2, 0.5, 4), (1, 0.4, 2), (2, 0.7, 2), (8, 1, 4), (8, 4, 2)],
    )
    def test_gpus_are_a_limit_too(
        self, monkeypatch: pytest.MonkeyPatch, gpus: int, gpus_per_trial: float, slots: int
    ) -> None:
        monkeypatch.setattr(choose, "available_gpus", lambda: gpus)
        assert shape(make_runner(gpus_per_trial=gpus_per_trial)) == ("RayRunner", slots)

    def test_hands_the_resources_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choose, "available_gpus", lambda: 2)
        runner = make_runner(cpus_per_trial=2, gpus_per_trial=0.5)
        assert isinstance(runner, RayRunner)
        assert (runner.cpus_per_trial, runner.gpus_per_trial, runner.address) == (2, 0.5, None)

    def test_a_cluster_decides_by_its_own_resources(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choose, "_cluster_resources", lambda address: (64.0, 8.0))
        runner = make_runner("auto", address="head:6379", gpus_per_trial=1)
        assert shape(runner) == ("RayRunner", 8)


class TestNumber:
    def test_one_is_inline(self) -> None:
        assert isinstance(make_runner(1), InlineRunner)

    def test_more_is_ray(self) -> None:
        assert shape(make_runner(3)) == ("RayRunner", 3)

    def test_one_on_a_cluster_is_ray(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choose, "_cluster_resources", lambda address: (64.0, 0.0))
        assert shape(make_runner(1, address="head:6379")) == ("RayRunner", 1)

    def test_more_than_there_is_room_for_uses_what_fits_and_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, logger="nas.runners"):
            assert shape(make_runner(9)) == ("RayRunner", 4)
        assert caplog.messages == ["9 workers asked for, but there is room for 4: 4 used"]

    def test_what_fits_is_used_silently(self, caplog: pytest.LogCaptureFixture) -> None:
        make_runner(4)
        assert caplog.messages == []


class TestCheap:
    @pytest.mark.parametrize("workers", ["auto", 1, 8])
    def test_is_always_inline(self, workers: str | int) -> None:
        assert isinstance(make_runner(workers, cheap=True), InlineRunner)

    def test_still_refuses_nonsense(self) -> None:
        with pytest.raises(UsageError):
            make_runner(0, cheap=True)


class TestRefusals:
    @pytest.mark.parametrize("workers", [0, -2])
    def test_fewer_than_one(self, workers: int) -> None:
        with pytest.raises(UsageError, match=f"at least 1, not {workers}"):
            make_runner(workers)

    @pytest.mark.parametrize("workers", ["many", "", "2", 1.5, True, None])
    def test_no_number(self, workers: object) -> None:
        with pytest.raises(UsageError, match="'auto' or a whole number"):
            make_runner(workers)  # type: ignore[arg-type]

    @pytest.mark.parametrize("cpus", [0, -1, float("nan"), float("inf")])
    def test_cpus_that_are_none(self, cpus: float) -> None:
        with pytest.raises(UsageError, match="CPUs per trial"):
            make_runner(2, cpus_per_trial=cpus)

    @pytest.mark.parametrize("gpus", [-1, 1.5, float("nan")])
    def test_gpus_that_cannot_be_shared_so(self, gpus: float) -> None:
        with pytest.raises(UsageError, match="GPUs per trial"):
            make_runner(2, gpus_per_trial=gpus)

    @pytest.mark.parametrize("workers", ["auto", 1, 2])
    def test_gpus_where_there_are_none(self, workers: str | int) -> None:
        with pytest.raises(UsageError, match="1 GPUs per trial asked for, but this machine has 0"):
            make_runner(workers, gpus_per_trial=1)

    def test_more_cpus_than_the_cluster_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choose, "_cluster_resources", lambda address: (4.0, 0.0))
        with pytest.raises(
            UsageError, match="8 CPUs per trial asked for, but the Ray cluster at head:1 has 4"
        ):
            make_runner("auto", address="head:1", cpus_per_trial=8)


def test_available_cpus_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert choose.available_cpus() >= 1
    monkeypatch.setattr(choose.os, "sched_getaffinity", lambda pid: {2, 5, 7}, raising=False)
    assert choose.available_cpus() == 3
