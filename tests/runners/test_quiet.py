"""Settings that hold for a block and are gone after it."""

from __future__ import annotations

import logging
import os

import pytest

from nas.runners.quiet import environment, quiet_ray


def test_variables_are_set_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_TEST_OLD", "before")
    monkeypatch.delenv("NAS_TEST_NEW", raising=False)
    with environment({"NAS_TEST_OLD": "inside", "NAS_TEST_NEW": "inside"}):
        assert (os.environ["NAS_TEST_OLD"], os.environ["NAS_TEST_NEW"]) == ("inside", "inside")
    assert os.environ["NAS_TEST_OLD"] == "before"
    assert "NAS_TEST_NEW" not in os.environ


def test_variables_are_restored_after_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAS_TEST_NEW", raising=False)
    with pytest.raises(KeyboardInterrupt), environment({"NAS_TEST_NEW": "inside"}):
        raise KeyboardInterrupt
    assert "NAS_TEST_NEW" not in os.environ


def test_ray_is_silent_for_the_block_only() -> None:
    logger = logging.getLogger("ray.tune")
    before = logger.level
    with quiet_ray():
        assert not logger.isEnabledFor(logging.ERROR)
    assert logger.level == before


def test_ray_without_the_private_switch_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import worker

    monkeypatch.delattr(worker, "_worker_logs_enabled", raising=False)
    with quiet_ray():
        assert not hasattr(worker, "_worker_logs_enabled")
    assert not hasattr(worker, "_worker_logs_enabled")
