"""Evaluators to run trials with: importable on every worker, and told by an architecture what to do."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from zlib import crc32

from nas.plugins import Plugin, PluginNeeds
from nas.search.trial import TrialRequest
from nas.spaces.architecture import Architecture


def make_request(
    number: int, fidelity: int = 1, directory: Path | None = None, **choices: object
) -> TrialRequest:
    """A request over a flat architecture; `choices` tell `ToyEvaluator` what to do."""
    architecture = Architecture(None, (("number", number), *choices.items()))
    return TrialRequest(
        number, architecture, fidelity, seed=100 + number, directory=str(directory) if directory else None
    )


class ToyEvaluator:
    """Does what the architecture's choices say; counts its steps on disk and notes there its closing.

    Its metrics say where it ran: ``pid`` is the process, ``host`` the number of the machine's name.
    """

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        """Yields the metrics of the steps that are left."""
        choices = request.architecture.values()
        folder = Path(request.directory) if request.directory else None
        done = _steps_done(folder)
        try:
            for step in range(done + 1, request.fidelity + 1):
                if folder is not None:
                    (folder / "step").write_text(str(step))
                yield {"step": step, "seed": request.seed, **whereabouts(), **_metrics(choices)}
                _misbehave(choices)
        finally:
            if folder is not None:
                (folder / "closed").touch()


def whereabouts() -> dict[str, float]:
    """This process and this machine."""
    return {"pid": os.getpid(), "host": crc32(platform.node().encode())}


def _steps_done(folder: Path | None) -> int:
    if folder is None:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "step"
    return int(checkpoint.read_text()) if checkpoint.exists() else 0


def _metrics(choices: Mapping[str, object]) -> dict[str, float]:
    return {"accuracy": "high"} if "word" in choices else {"accuracy": choices["number"]}  # type: ignore[dict-item]


def _misbehave(choices: Mapping[str, object]) -> None:
    if "raises" in choices:
        raise ValueError(f"no such kernel: {choices['raises']}")
    if "exits" in choices:
        sys.exit(3)


def plain_metrics(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    """An evaluator that counts no steps itself."""
    for step in range(request.fidelity):
        yield {"loss": 1.0 / (step + 1)}


def lacks_a_plugin(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    """Needs a package that is installed nowhere."""
    PluginNeeds.of([Plugin("ghost", "nas_ghost", "nas-ghost", "1.4")]).meet()
    yield {"loss": 0.0}


def refuses(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    """Not a generator: it raises when it is called."""
    raise RuntimeError(f"trial {request.number} refused")
