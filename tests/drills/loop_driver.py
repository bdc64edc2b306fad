"""A driver that calls `nas.search.search` on a toy evaluator and logs what it begins and ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping

import alembic.command  # noqa: F401  (imported before the fork, as all that follows)

from nas.plugins.manager import PluginManager
from nas.plugins.registry import Registry
from nas.search import call, loop  # noqa: F401
from nas.search.api import search
from nas.search.events import LoopEvent, TrialEnded
from nas.search.searchers import evolution, random_search  # noqa: F401
from nas.search.trial import TrialRequest
from nas.spaces import Space
from nas.store import Store  # noqa: F401

STEPS = 2
_manager = PluginManager(names=frozenset({"searchers"}))
_manager.load_entry_points()
REGISTRY = Registry(_manager)
assert REGISTRY.searchers


def main(store: str, log: str, trials: int, searcher: str) -> None:
    """Starts the study, or goes on with it, to its end."""
    lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(word: str, text: object) -> None:
        os.write(lines, f"{word} {text}\n".encode())

    def evaluate(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        note("begun", request.architecture.hash)
        values = request.architecture.values()
        for step in range(1, STEPS + 1):
            time.sleep(0.005)
            yield {"error": float((values["x"] - 7) ** 2 + values["y"]) / step}
        note("evaluated", request.architecture.hash)

    def listen(event: LoopEvent) -> None:
        if isinstance(event, TrialEnded):
            note("ended", event.result.number)

    search(
        Space.flat({"x": list(range(20)), "y": list(range(20))}, name="toy"),
        evaluate,
        {"error": "min", "size": "min"},
        known={"size": lambda architecture: float(architecture.values()["x"])},
        searcher=searcher,
        trials=trials,
        seed=3,
        fidelity=STEPS,
        store=store,
        study="drill",
        registry=REGISTRY,
        listener=listen,
    )
