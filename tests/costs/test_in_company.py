"""Operators measured within networks: each has its share of what the whole takes, at the usual speed."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from made_up_measurements import board
from torch import nn

from nas.costs.measuring import in_company
from nas.costs.measuring.clocks import Run
from nas.costs.measuring.in_company import PASSES, ROUNDS, can_watch, measure_in_company
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.reference import TIMED, Reference
from nas.costs.reading import Reading

CPU = torch.device("cpu")


def network(name: str, width: int = 8) -> MicroKernel:
    return MicroKernel(name, lambda: nn.Sequential(nn.Linear(width, width), nn.ReLU()), ((1, width),))


class Machine:
    """A clock: a kernel of the reference takes 1 ms, an operator 2 ms, a network 30 ms."""

    name = "a made-up clock"

    def __init__(self) -> None:
        self.slower, self.references = 1.0, 0

    def seconds(self, run: Run, times: int) -> float:
        run()
        owner = getattr(run, "__self__", run)
        if isinstance(owner, Reference):
            self.references += 1
            return 1e-3 * self.slower
        return (0.03 if isinstance(owner, in_company.Ready) else 0.002) * self.slower * times


@pytest.fixture
def machine(monkeypatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(in_company, "clock_for", lambda device: found)
    monkeypatch.setattr(in_company, "PASS_SECONDS", 0.0)
    monkeypatch.setattr(in_company, "WARM_UP", (2, 0.0))
    return found


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def test_operators_have_their_share_of_the_whole(machine):
    """Two of them take 2 ms each while they are watched, and the network 30 ms."""
    found = measure_in_company([network("one"), network("two")], board(), 60.0)
    assert [one.name for one in found.networks] == ["one", "two"]
    for one in found.networks:
        assert [operator.name for operator in one.trace.operators] == ["linear", "relu"]
        assert one.operators_ms == pytest.approx((15.0, 15.0))
        assert one.rounds_ms == pytest.approx((30.0,) * ROUNDS)
    assert found.reference == Reading(1.0, 1.0) and found.drift == pytest.approx(0.0)
    assert machine.references == 2 * 2 * TIMED * ROUNDS * (PASSES[0] + 1)


def test_a_slow_round_is_told_at_the_usual_speed(machine):
    """Operators do not show it, the rounds do; the drift says how much slower it was."""
    slowness = iter((1.0, 2.0))

    def told(done: int, number: int) -> None:
        if done % 2 == 0 and done < number:
            machine.slower = next(slowness)

    machine.slower = next(slowness)
    found = measure_in_company([network("one"), network("two")], board(), 60.0, told)
    usual = 2**0.5
    assert found.reference.product_ms == found.reference.convolution_ms == pytest.approx(usual)
    for one in found.networks:
        assert sum(one.operators_ms) == pytest.approx(30.0 * usual)
        assert one.rounds_ms == pytest.approx((30.0, 60.0))
    assert found.drift == pytest.approx(1.0)


def test_the_usual_speed_is_that_of_most_rounds(machine):
    """Of three networks one is measured while all takes ten times as long."""

    def told(done: int, number: int) -> None:
        machine.slower = 10.0 if done % 3 == 1 else 1.0

    found = measure_in_company([network(name) for name in "abc"], board(), 60.0, told)
    assert found.reference == Reading(1.0, 1.0)
    assert [sum(one.operators_ms) for one in found.networks] == pytest.approx([30.0] * 3)
    assert [one.rounds_ms[0] for one in found.networks] == pytest.approx([30.0, 300.0, 30.0])


def test_a_network_is_warm_before_it_is_timed(monkeypatch):
    runs: list[int] = []
    end = iter(np.arange(0.0, 1.0, 0.01))
    monkeypatch.setattr(in_company.time, "monotonic", lambda: next(end))
    in_company._warm_up(lambda: runs.append(1))
    assert len(runs) == 3, "two, and then for 15 ms, of which each takes 10"
    runs.clear()
    monkeypatch.setattr(in_company.time, "monotonic", iter((0.0, 1.0, 2.0)).__next__)
    in_company._warm_up(lambda: runs.append(1))
    assert len(runs) == in_company.WARM_UP[0], "however long it takes"


def test_each_operator_is_told_by_what_slows_it_down():
    """Twice the usual for small kernels alone: a linear layer is hardly slower, a relu by as much."""
    passes = np.array([[4.0, 2.0, 9.0], [4.0, 2.0, 12.0]])
    told = in_company._at_usual_speed(passes, np.array([1.0, 2.0]))
    assert told[:, :2].tolist() == [[4.0, 1.0], [4.0, 1.0]]
    assert told[:, 2] == pytest.approx([9.0 * 5 / 6, 12.0 * 5 / 6])


def test_what_there_is_no_time_for_is_left_out(machine, monkeypatch):
    """One network is always measured, or nothing could be said."""
    found = measure_in_company([network("one"), network("two")], board(), -1.0)
    assert [one.name for one in found.networks] == ["one"]
    assert len(found.networks[0].rounds_ms) == 1


def test_rounds_share_the_time(monkeypatch, machine):
    """Each look at the clock is a second: the first of two rounds ends after four networks of six, and what
    they take longer later is at the expense of the last."""
    now = iter(np.arange(0.0, 1000.0))
    monkeypatch.setattr(in_company.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(in_company._Watched, "measure", lambda one, _: one.readings.append(Reading(1.0, 1.0)))
    monkeypatch.setattr(in_company._Watched, "found", lambda one, _: one)
    found = measure_in_company([network(name) for name in "abcdef"], board(), 8.0)
    assert [len(one.readings) for one in found.networks] == [2, 2, 2, 1]


def test_a_network_is_traced_once_and_made_anew_for_each_round(monkeypatch, machine):
    """Not all of them lie in memory: nothing keeps a module when its round is over."""
    made, traced = [], []
    recorded = in_company.TimedOperators.__init__

    def make() -> nn.Module:
        assert not [one for one in made if one() is not None], "the last one is still there"
        module = nn.ReLU()
        made.append(weakref.ref(module))
        return module

    def record(*given) -> None:
        traced.append(1)
        recorded(*given)

    monkeypatch.setattr(in_company.TimedOperators, "__init__", record)
    measure_in_company([MicroKernel("one", make, ((1, 8),))], board(), 60.0)
    assert (len(made), len(traced)) == (ROUNDS, 1)


def test_a_disturbed_pass_does_not_count():
    times = np.array([[1.0, 10.0], [1.2, 10.0], [1.1, 50.0], [9.0, 10.0]])
    assert in_company._undisturbed_mean(times) == pytest.approx([1.1, 10.0])


@pytest.mark.parametrize(("milliseconds", "times"), [(30.0, 1), (1.0, 2), (0.1, 20)])
def test_short_networks_run_several_times_in_a_row(milliseconds, times):
    class Clock:
        name = "made up"

        def seconds(self, run: Run, number: int) -> float:
            return 1e-3 * milliseconds * number

    assert in_company._times(in_company.Ready(nn.ReLU(), []), Clock()) == times


def test_they_are_watched_where_a_processor_runs_them_one_by_one():
    assert can_watch(board(device_class="x86-cpu"), CPU)
    assert not can_watch(board(runtime="compiled"), CPU)
    assert not can_watch(board(), torch.device("cuda"))


def test_real_networks_add_up():
    """Measured for a moment: the operators of each are what the whole takes."""
    networks = [network("narrow", 16), network("wide", 512)]
    found = measure_in_company(networks, board(device_class="x86-cpu"), 0.5)
    narrow, wide = found.networks[0], found.networks[-1]
    assert all(time > 0 for one in found.networks for time in (*one.operators_ms, *one.rounds_ms))
    if wide is not narrow:
        assert sum(wide.operators_ms) > sum(narrow.operators_ms)
    assert 0 < found.reference.mean_ms < 1e3
