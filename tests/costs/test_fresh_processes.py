"""Functions called in processes of their own: what comes back, and what happens when one ends."""

from __future__ import annotations

import os
import pickle
import sys

import pytest

from nas.costs.measuring.fresh import FreshProcesses, called_here, forked
from nas.errors import CostError

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")


@pytest.fixture(scope="module")
def processes():
    with FreshProcesses(sys.setrecursionlimit, 4321) as found:
        yield found


@needs_fork
def test_each_call_has_a_process_of_its_own(processes):
    numbers = [processes(os.getpid) for _ in range(3)]
    assert len({os.getpid(), *numbers}) == 4
    assert processes(divmod, 17, 5) == (3, 2)


@needs_fork
def test_all_of_them_begin_where_the_preparation_ended(processes):
    processes(sys.setrecursionlimit, 5000)
    assert processes(sys.getrecursionlimit) == 4321, "what another call did is gone"
    assert sys.getrecursionlimit() != 4321


@needs_fork
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("__import__('os').kill(__import__('os').getpid(), 9)", "ended from outside"),
        ("lambda: 0", "pickle"),
    ],
    ids=["it raises", "it is killed", "what it finds cannot be sent"],
)
def test_what_goes_wrong_is_said_and_the_next_call_works(processes, what, words):
    with pytest.raises(CostError, match=words) as raised:
        processes(eval, what)
    assert "\n" not in str(raised.value)
    assert processes(abs, -3) == 3


@needs_fork
def test_what_is_printed_does_not_come_between(processes, capfd):
    assert processes(print, "words") is None
    assert processes(abs, -3) == 3
    assert "words" not in capfd.readouterr().out


@needs_fork
def test_a_server_that_ended_is_named():
    with FreshProcesses(int) as processes:
        assert processes._server is not None
        processes._server.kill()
        processes._server.wait()
        with pytest.raises(CostError, match="measure again"):
            processes(abs, -3)


@needs_fork
def test_a_preparation_that_fails_ends_it_all():
    with pytest.raises(CostError, match="ZeroDivisionError"), FreshProcesses(divmod, 1, 0):
        pytest.fail("it was entered")


@needs_fork
def test_what_is_forked_needs_no_pickle():
    number = 41
    assert pickle.loads(forked(lambda more: number + more, (1,))) == (True, 42)


def test_where_nothing_is_forked_functions_are_called_here(monkeypatch):
    monkeypatch.delattr(os, "fork", raising=False)
    with FreshProcesses(divmod, 1, 0) as processes:
        assert processes(os.getpid) == os.getpid() == called_here(os.getpid)
