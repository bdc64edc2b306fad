"""What a trace depends on, as one key: equal keys, equal traces, on any machine."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from nas.costs.memory_order import ANY
from nas.spaces.architecture import BlockUse, Graph, Layer, Network, network_to_dict
from nas.spaces.signature import Signature

if TYPE_CHECKING:
    from nas.costs.operators import Trace
    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.plugins.plugin import Plugin

Key: TypeAlias = tuple[Layer | Graph, Signature, int]
"""A layer or cell, the signature of its input, the classes of the network."""
AUTOCAST = "amp-"
"""How the names of precisions begin that stand for autocast."""
ROOMS = ("blocks", "costs")
"""The rooms of nas whose code decides what is traced."""


class Border(NamedTuple):
    """How images pass from one layer to the next: in the lower precision of autocast, as they do behind a
    convolution, or in single precision; with the channels innermost, or map by map; and the kind of the
    operator that made them, on which no trace depends, but what a runtime makes of it."""

    is_lower: bool = False
    is_innermost: bool = False
    kind: str = ""

    @property
    def traced(self) -> Border:
        """What a trace depends on."""
        return self._replace(kind="")


class Profile(NamedTuple):
    """What a layer is traced for: batch size, precision, how its input comes, and the layout, as
    `nas.costs.trace` names it."""

    batch_size: int
    precision: str
    border: Border = Border()
    layout: str = "nchw"

    @classmethod
    def of(cls, target: Target) -> dict[Border, Profile]:
        """All profiles that a layer may be met in on a target."""
        layout = traced_layout(target)
        lower = (False, True) if target.precision.startswith(AUTOCAST) else (False,)
        innermost = (False, True) if layout != ANY else (False,)
        borders = [Border(*both) for both in product(lower, innermost)]
        return {border: cls(target.batch_size, target.precision, border, layout) for border in borders}


def first_border(target: Target) -> Border:
    """How the input of a network comes on a target."""
    return Border(False, traced_layout(target) == "nhwc")


def border_behind(trace: Trace, target: Target) -> Border:
    """How the output of a traced layer reaches the next one on a target."""
    is_innermost = trace.is_innermost and traced_layout(target) != ANY
    return Border(trace.is_lower, is_innermost, trace.output_kind)


def traced_layout(target: Target) -> str:
    """The layout that the trace for a target has: in eager mode kernels take tensors as they lie."""
    return target.layout if target.runtime == "eager" else ANY


class TraceKeys:
    """The keys of traces with the code of this installation.

    A key covers the resolved layer or cell, its input, the classes, batch size and precision, and all code
    that takes part: nas itself, every loaded plugin, torch. Layers of plugin files have none: what else such
    a file imports is not known.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @cached_property
    def code(self) -> str | None:
        """SHA-256 (hex) of the code that takes part; None for a registry that does not know its plugins."""
        manager = getattr(self._registry, "manager", None)
        if manager is None:
            return None
        plugins = sorted((plugin for plugin in manager.plugins if plugin.is_loaded), key=lambda p: p.key)
        return code_digest(tuple(plugins))

    def key(self, layer: Key, profile: Profile) -> str | None:
        """The key of the trace of a layer for a batch size and precision, SHA-256 (hex); None for no key."""
        element, signature, classes = layer
        if self.code is None or not self.is_installed(element):
            return None
        network = network_to_dict(Network(signature, (_without_slots(element),), classes))
        text = json.dumps([network, profile, self.code], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def is_installed(self, element: Layer | Graph) -> bool:
        """Whether all blocks of a layer or cell come from installed plugins."""
        return not any(self._is_of_file(name) for name in _names(element))

    def _is_of_file(self, name: str) -> bool:
        return self._registry.blocks.provider(name).is_file


@cache
def code_digest(plugins: tuple[Plugin, ...]) -> str:
    """SHA-256 (hex) of the code of nas that traces, of these plugins, and of the version of torch."""
    digest = hashlib.sha256(_version("torch").encode())
    for room in ROOMS:
        _add_sources(digest, Path(__file__).parents[1] / room)
    for plugin in plugins:
        digest.update(f"\0{plugin.key}\0{plugin.version}".encode())
        if not plugin.is_file:
            for folder in _folders(plugin.module):
                _add_sources(digest, folder)
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _folders(module: str) -> Iterable[Path]:
    """Where the package lies that a module belongs to, or its only file; none for nas itself."""
    name = module.partition(".")[0]
    if name == __name__.partition(".")[0]:
        return []
    package = sys.modules.get(name)
    folders = [Path(path) for path in getattr(package, "__path__", ())]
    file = getattr(package, "__file__", None)
    return folders or ([Path(file)] if file else [])


def _add_sources(digest: hashlib._Hash, folder: Path) -> None:
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
        digest.update(f"\0{path.relative_to(folder.parent)}\0".encode())
        digest.update(path.read_bytes())


def _without_slots(element: Layer | Graph) -> Layer | Graph:
    if isinstance(element, Layer):
        return replace(element, slot="")
    edges = tuple(replace(edge, layer=replace(edge.layer, slot="")) for edge in element.edges)
    return Graph(element.nodes, edges)


def _names(element: Layer | Graph) -> Iterator[str]:
    """The names of all blocks in a layer or cell."""
    layers = [element] if isinstance(element, Layer) else [edge.layer for edge in element.edges]
    for layer in layers:
        yield from _uses(layer.block)


def _uses(use: BlockUse) -> Iterator[str]:
    yield use.use
    for _, value in use.knobs:
        if isinstance(value, BlockUse):
            yield from _uses(value)
