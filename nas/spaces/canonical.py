"""The canonical form of a network: what its hash is made of."""

from __future__ import annotations

from typing import Any

from nas.spaces.architecture import Graph, Layer, Network, block_use_to_dict
from nas.spaces.isomorphism import simplified


def canonical_network(network: Network) -> dict[str, Any]:
    """A network as JSON values that are equal where the networks are.

    Slots are left out. Cells are simplified and their nodes numbered in one way, so that cells which compute
    the same with the same number of parameters agree.
    """
    signature = network.input
    return {
        "input": [signature.domain, signature.channels, list(signature.size)],
        "classes": network.classes,
        "layers": [_element(element) for element in network.layers],
    }


def _element(element: Layer | Graph) -> dict[str, Any]:
    if isinstance(element, Layer):
        return _layer(element)
    graph = simplified(element)
    return {
        "nodes": graph.nodes,
        "edges": [[edge.source, edge.target, _layer(edge.layer)] for edge in graph.edges],
    }


def _layer(layer: Layer) -> dict[str, Any]:
    return {**block_use_to_dict(layer.block), "width": layer.width, "stride": layer.stride}
