"""Zero-cost proxies of a study: the scores of its untrained networks, each computed once and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from nas.errors import DataError, TrialError, UsageError
from nas.search.contracts import Price

if TYPE_CHECKING:
    from torch import nn

    from nas.plugins import Registry
    from nas.search.study import StudySpec
    from nas.spaces.architecture import Architecture
    from nas.store import Store
    from nas.training import ProxyBatch, TaskData

CHUNK = 8
"""Architectures scored between two writes: what an interrupt may lose."""


class ProxyPrices(Mapping[str, Price]):
    """The proxies of a study by name, each as a function of architectures, of which more is always better.

    A value is computed once: looked up in memory, then in the `store` where one is given, else computed for
    all `names` at once, since building the network takes longest, and stored. Networks are built as they are
    trained (input and classes of the study's data, early strides relaxed), always from the same seed; the
    batch is a fixed one of 16 training samples. An architecture that a proxy cannot score counts as the worst
    one met so far; `problems` says why, by proxy and hash. Raises UnknownNameError for a proxy that nothing
    provides, DataError where the data changed since the study began.
    """

    def __init__(
        self, spec: StudySpec, names: Sequence[str], registry: Registry, store: Store | None = None
    ) -> None:
        self._spec, self._registry, self._store = spec, registry, store
        self._proxies = {name: registry.proxies[name] for name in dict.fromkeys(names)}
        self._values: dict[str, dict[str, float]] = {name: {} for name in self._proxies}
        self.problems: dict[str, dict[str, str]] = {name: {} for name in self._proxies}

    def __getitem__(self, name: str) -> Price:
        self._proxies[name]
        return partial(self._column, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._proxies)

    def __len__(self) -> int:
        return len(self._proxies)

    def _column(self, name: str, architectures: Sequence[Architecture]) -> list[float]:
        self.compute(architectures)
        known, sign = self._values[name], self._proxies[name].sign
        worst = min((sign * value for value in known.values()), default=0.0)
        return [
            sign * known[architecture.hash] if architecture.hash in known else worst
            for architecture in architectures
        ]

    def known(self, name: str) -> Mapping[str, float]:
        """Architecture hash → value, as the proxy gives it, of all that were scored so far."""
        return self._values[name]

    def compute(
        self, architectures: Sequence[Architecture], progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Scores those that are not known yet; `progress(done, all)` hears of every one that is computed."""
        by_hash = {architecture.hash: architecture for architecture in architectures}
        self._recall([key for key in by_hash if self._missing(key)])
        left = [key for key in by_hash if self._missing(key)]
        for first in range(0, len(left), CHUNK):
            chunk = left[first : first + CHUNK]
            before = {name: set(values) for name, values in self._values.items()}
            try:
                for done, key in enumerate(chunk, start=first + 1):
                    self._score(by_hash[key])
                    if progress is not None:
                        progress(done, len(left))
            finally:
                self._keep(before)

    def _missing(self, key: str) -> list[str]:
        """The proxies that an architecture was not yet scored by."""
        return [name for name in self if key not in self._values[name] and key not in self.problems[name]]

    def _score(self, architecture: Architecture) -> None:
        module = self._module(architecture)
        for name in self._missing(architecture.hash):
            try:
                self._values[name][architecture.hash] = self._proxies[name].value(module, self._batch)
            except TrialError as error:
                self.problems[name][architecture.hash] = str(error)

    def _module(self, architecture: Architecture) -> nn.Module:
        from nas.training import training_module

        network, data = architecture.network, self._data
        if network is None:
            raise UsageError("an architecture of a flat space holds no network that a proxy could score")
        blocks, smallest = self._registry.blocks, self._spec.minimum_map
        return training_module(network, data.input, data.classes, blocks, minimum_map=smallest, seed=0)

    # -- the store -----------------------------------------------------------------------------------------

    def _recall(self, keys: Sequence[str]) -> None:
        """Looks up in the store what is there already."""
        if self._store is None or not keys:
            return
        for name in self:
            self._values[name] |= self._store.proxy_values(*self._row(name), keys)

    def _keep(self, before: Mapping[str, set[str]]) -> None:
        """Stores what was not known before."""
        if self._store is None:
            return
        for name, values in self._values.items():
            new = {key: value for key, value in values.items() if key not in before[name]}
            if new:
                self._store.record_proxy(*self._row(name), new)

    def _row(self, name: str) -> tuple[str, str, str]:
        """What a stored value is known by: the proxy, who provides it, and the task."""
        plugin = self._registry.proxies.provider(name)
        provider = f"{plugin.distribution} {plugin.version}"
        return self._proxies[name].name, provider, f"{self._data.fingerprint}/{self._spec.minimum_map}"

    # -- the task ------------------------------------------------------------------------------------------

    @cached_property
    def _data(self) -> TaskData:
        from nas.training import open_task

        data = open_task(self._spec.data, self._registry)
        if self._spec.data_fingerprint not in ("", data.fingerprint):
            raise DataError(f"the data {self._spec.data!r} changed since study {self._spec.name!r} began")
        return data

    @cached_property
    def _batch(self) -> ProxyBatch:
        from nas.training import proxy_batch

        return proxy_batch(self._data)
