"""The evaluator of a search: trains one architecture and yields its metrics after each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.search.trial import TrialRequest
    from nas.training.task import TaskData


@dataclass(frozen=True)
class TrainingEvaluator:
    """Trains an architecture on a data set; its result depends on the request, the recipe and the data alone.

    `data` is a task reference (``digits``, ``cifar10:PATH``); it is opened once in each process.
    `minimum_map` is the rule for small pictures: early strides are relaxed until the last map is at least that
    high and wide.
    """

    data: str
    recipe: Recipe
    minimum_map: int = 4
    split_seed: int = 0

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        """Yields ``accuracy``, ``loss``, ``train_loss`` and ``step`` for each epoch that is left."""
        from nas.plugins import default_registry
        from nas.training.build import training_module
        from nas.training.loop import Training

        data = cached_task(self.data, self.split_seed)
        assert request.architecture.network is not None
        module = training_module(
            request.architecture.network,
            data.input,
            data.classes,
            default_registry().blocks,
            minimum_map=self.minimum_map,
            seed=request.seed,
        )
        folder = None if request.directory is None else Path(request.directory)
        yield from Training(module, data, self.recipe, request, folder).run()


@lru_cache(maxsize=2)
def cached_task(reference: str, split_seed: int) -> TaskData:
    """The data of a task reference, opened once in this process."""
    from nas.plugins import default_registry
    from nas.training.open import open_task

    return open_task(reference, default_registry(), split_seed)
