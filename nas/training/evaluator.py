"""The evaluator of a search: trains one architecture and yields its metrics after each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import TrialError
from nas.plugins import PluginNeeds
from nas.training.build import MINIMUM_MAP, training_module
from nas.training.checkpoint import Header, recipe_hash
from nas.training.loop import Training
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.search.trial import TrialRequest
    from nas.training.task import TaskData


@dataclass(frozen=True)
class TrainingEvaluator:
    """Trains an architecture on a data set; its result depends on the request, the recipe and the data alone.

    `data` is a task reference (``digits``, ``cifar10:PATH``), opened once in each process. `minimum_map` is
    the rule for small pictures: early strides are relaxed until the last map is at least that high and
    wide. `split_seed` chooses the validation part. `plugins` is what this process must have loaded to build
    the study's networks: it is looked at before the first trial, on a worker too.

    >>> TrainingEvaluator("digits", Recipe()).minimum_map
    4
    """

    data: str
    recipe: Recipe
    minimum_map: int = MINIMUM_MAP
    split_seed: int = 0
    plugins: PluginNeeds = field(default_factory=PluginNeeds)

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        """Yields ``accuracy``, ``loss``, ``train_loss`` and ``step`` after each of the request's epochs.

        Raises TrialError where the architecture holds no network for this data or where the training fails,
        MissingPluginError where this host lacks a plugin.
        """
        from nas.plugins import default_registry

        self.plugins.meet()
        data = cached_task(self.data, self.split_seed)
        network = request.architecture.network
        if network is None:
            raise TrialError(
                "an architecture of a flat space holds no network to train: give your own evaluator"
            )
        if network.input.domain != data.input.domain:
            raise TrialError(
                f"the network takes {network.input.domain!r}, but {self.data!r} is {data.input.domain!r}"
            )
        module = training_module(
            network,
            data.input,
            data.classes,
            default_registry().blocks,
            minimum_map=self.minimum_map,
            seed=request.seed,
        )
        folder = None if request.directory is None else Path(request.directory)
        yield from Training(module, data, self.recipe, self._header(request, data), folder).run()

    def _header(self, request: TrialRequest, data: TaskData) -> Header:
        return Header(
            architecture=request.architecture.hash,
            recipe=recipe_hash(self.recipe),
            data=data.fingerprint,
            epochs=request.fidelity,
            seed=request.seed,
            minimum_map=self.minimum_map,
        )


@lru_cache(maxsize=2)
def cached_task(reference: str, split_seed: int) -> TaskData:
    """The data of a task reference, opened once in this process."""
    from nas.plugins import default_registry
    from nas.training.open import open_task

    return open_task(reference, default_registry(), split_seed)
