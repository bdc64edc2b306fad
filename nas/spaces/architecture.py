"""One point of a space: a resolved network, immutable, with a content hash that is its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from nas.errors import SpaceError
from nas.spaces.signature import Signature

FORMAT = 1


@dataclass(frozen=True)
class BlockUse:
    """A block by name with all its knobs, defaults filled in, sorted by name. A knob may hold a block."""

    use: str
    knobs: tuple[tuple[str, KnobValue], ...] = ()

    def knob_values(self) -> dict[str, KnobValue]:
        """The knobs as a dictionary."""
        return dict(self.knobs)


KnobValue: TypeAlias = str | bool | int | float | BlockUse


@dataclass(frozen=True)
class Layer:
    """One block instance of a network. `slot` says where in its space it stands; identity ignores it."""

    block: BlockUse
    width: int | None = None
    stride: int = 1
    slot: str = field(default="", compare=False)


@dataclass(frozen=True)
class Edge:
    """One operation of a graph: it reads node `source` and is added into node `target`."""

    source: int
    target: int
    layer: Layer


@dataclass(frozen=True)
class Graph:
    """A cell: node 0 is its input, the last node its output; every node is the sum of its incoming edges."""

    nodes: int
    edges: tuple[Edge, ...]
    slot: str = field(default="", compare=False)


@dataclass(frozen=True)
class Network:
    """A resolved network: input signature, a chain of layers and cells, and the outputs of its head."""

    input: Signature
    layers: tuple[Layer | Graph, ...]
    classes: int = 1000

    def __iter__(self) -> Iterator[Layer | Graph]:
        return iter(self.layers)


@dataclass(frozen=True)
class Architecture:
    """One point of a space: its network, and the choices that led to it.

    Two architectures are equal where their hashes are: the hash is of the resolved network, so the same
    network met in two spaces is one architecture. In a flat space there is no network and the hash is of the
    choices.

    >>> Architecture(None, (("lr", 0.1),)).values()
    {'lr': 0.1}
    """

    network: Network | None
    choices: tuple[tuple[str, Any], ...] = ()

    def values(self) -> dict[str, Any]:
        """Active decision → the choice taken, in the order of the space."""
        return dict(self.choices)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of the resolved network."""
        from nas.spaces.canonical import canonical_network  # it imports this module

        content = dict(self.choices) if self.network is None else canonical_network(self.network)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.hash)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.hash == other.hash

    def to_json(self) -> str:
        """Canonical JSON: the resolved network and the choices."""
        network = None if self.network is None else network_to_dict(self.network)
        content = {"format": FORMAT, "network": network, "choices": dict(self.choices)}
        return json.dumps(content, separators=(",", ":"), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """The architecture that `to_json` wrote; raises SpaceError where the text is something else."""
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise SpaceError(
                    f"architecture format {content['format']!r} is not known; this is format {FORMAT}"
                )
            network = None if content["network"] is None else network_from_dict(content["network"])
            return cls(network, tuple(content["choices"].items()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SpaceError(f"not an architecture: {type(error).__name__}: {error}") from None


def network_to_dict(network: Network) -> dict[str, Any]:
    """A network as plain JSON values."""
    signature = network.input
    return {
        "input": {"domain": signature.domain, "channels": signature.channels, "size": list(signature.size)},
        "classes": network.classes,
        "layers": [_element_to_dict(element) for element in network.layers],
    }


def network_from_dict(content: dict[str, Any]) -> Network:
    """The network that `network_to_dict` wrote."""
    given = content["input"]
    signature = Signature(given["domain"], given["channels"], tuple(given["size"]))
    return Network(signature, tuple(_element_from_dict(e) for e in content["layers"]), content["classes"])


def block_use_to_dict(block: BlockUse) -> dict[str, Any]:
    """A block use as plain JSON values."""
    knobs = {k: block_use_to_dict(v) if isinstance(v, BlockUse) else v for k, v in block.knobs}
    return {"use": block.use, "knobs": knobs}


def _block_use_from_dict(content: dict[str, Any]) -> BlockUse:
    knobs = {k: _block_use_from_dict(v) if isinstance(v, dict) else v for k, v in content["knobs"].items()}
    return BlockUse(content["use"], tuple(sorted(knobs.items())))


def _layer_to_dict(layer: Layer) -> dict[str, Any]:
    return {
        **block_use_to_dict(layer.block),
        "width": layer.width,
        "stride": layer.stride,
        "slot": layer.slot,
    }


def _layer_from_dict(content: dict[str, Any]) -> Layer:
    return Layer(_block_use_from_dict(content), content["width"], content["stride"], content.get("slot", ""))


def _element_to_dict(element: Layer | Graph) -> dict[str, Any]:
    if isinstance(element, Layer):
        return _layer_to_dict(element)
    edges = [[edge.source, edge.target, _layer_to_dict(edge.layer)] for edge in element.edges]
    return {"nodes": element.nodes, "edges": edges, "slot": element.slot}


def _element_from_dict(content: dict[str, Any]) -> Layer | Graph:
    if "nodes" not in content:
        return _layer_from_dict(content)
    edges = tuple(Edge(source, target, _layer_from_dict(layer)) for source, target, layer in content["edges"])
    return Graph(content["nodes"], edges, content.get("slot", ""))
