"""Runs a check of the conformance kit, for tests that it finds what is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.errors import NasError


def complaint(check: Callable[..., None], *arguments: Any) -> str:
    """What a check says of a broken item, with the place where it found it."""
    with pytest.raises((AssertionError, NasError)) as caught:
        check(*arguments)
    notes = getattr(caught.value, "__notes__", [])
    return "\n".join([str(caught.value), *notes])


class Collector:
    """A plugin of pytest that keeps how each test ended."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.failed: dict[str, str] = {}
        self.skipped: set[str] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid.rpartition("::")[2]
        if report.failed:
            self.failed[name] = str(report.longrepr)
        elif report.skipped:
            self.skipped.add(name)
        elif report.when == "call":
            self.passed.add(name)


def run_file(folder: Path, source: str, *options: str) -> Collector:
    """Runs a test file in this process, as a user of the kit would run it."""
    path = folder / f"test_{folder.name}.py"  # a module of its own each time
    path.write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    collector = Collector()
    settings = ["-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "-c", str(folder / "pytest.ini")]
    pytest.main([*settings, "--import-mode=importlib", *options, str(path)], plugins=[collector])
    return collector
