"""Traces of many layers, each found once: in a cache, by worker processes, or here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from nas.costs.trace_codec import decode, encode
from nas.costs.trace_keys import Key, Profile, TraceKeys
from nas.costs.tracing_pool import TracingPool, worker_count

if TYPE_CHECKING:
    from nas.costs.operators import Trace
    from nas.plugins import Registry

BATCH = 1024
"""Layers that are traced between two writes to the cache."""


class TraceCache(Protocol):
    """Where traces are kept between commands, by keys that say all that a trace depends on.

    Neither method raises: a cache that fails is one that holds nothing.
    """

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """What is kept under these keys; those without are left out."""

    def write(self, traces: Mapping[str, bytes]) -> None:
        """Keeps traces; one whose key is there already may be replaced or not."""


class Tracing:
    """Finds the traces of layers, for each (batch size, precision) of `profiles`.

    What `cache` holds is not traced; what is traced is given to it. A row of the cache that cannot be read
    counts as none. Many layers at once are shared with worker processes where there are cores for them.
    """

    def __init__(
        self, registry: Registry, profiles: Sequence[Profile], cache: TraceCache | None = None
    ) -> None:
        self._registry = registry
        self._profiles = tuple(profiles)
        self._keys = TraceKeys(registry)
        self.cache = cache

    def traces(self, layers: Sequence[Key]) -> Iterator[list[Trace]]:
        """The traces of each layer, in the order of the profiles.

        Raises BlockError or CostError where one cannot be traced.
        """
        rows = self._rows(layers)
        missing = [layer for layer in layers if layer not in rows]
        with self._pool(len(missing)) as pool:
            for start in range(0, len(layers), BATCH):
                batch = layers[start : start + BATCH]
                found = {layer: traces for layer in batch if (traces := _decoded(rows.get(layer, ())))}
                new = pool.traces([layer for layer in batch if layer not in found], self._trace)
                self._keep(new)
                found |= new
                yield from (found[layer] for layer in batch)

    def _rows(self, layers: Sequence[Key]) -> dict[Key, list[bytes]]:
        """The layers of which the cache holds every trace, with these."""
        if self.cache is None or not layers:
            return {}
        names = {layer: [self._keys.key(layer, profile) for profile in self._profiles] for layer in layers}
        held = self.cache.read([key for keys in names.values() for key in keys if key is not None])
        found = {layer: [held[key] for key in keys if key and key in held] for layer, keys in names.items()}
        return {layer: rows for layer, rows in found.items() if len(rows) == len(self._profiles)}

    def _pool(self, layers: int) -> TracingPool:
        """Workers for so many layers: none where they could not be told what to trace."""
        workers = worker_count(layers)
        code = self._keys.code if workers else None
        return TracingPool(workers if code else 0, self._profiles, code or "")

    def _trace(self, layer: Key) -> list[Trace]:
        from nas.costs import deployed

        element, signature, classes = layer
        return deployed.trace_element(element, signature, self._registry.blocks, classes, self._profiles)

    def _keep(self, found: Mapping[Key, Sequence[Trace]]) -> None:
        if self.cache is None or not found:
            return
        rows = {}
        for layer, traces in found.items():
            for profile, trace in zip(self._profiles, traces, strict=True):
                key = self._keys.key(layer, profile)
                if key is not None:
                    rows[key] = encode(trace)
        self.cache.write(rows)


def _decoded(rows: Sequence[bytes]) -> list[Trace]:
    """The traces of a layer; none where one cannot be read."""
    traces = [trace for trace in map(decode, rows) if trace is not None]
    return traces if len(traces) == len(rows) else []
