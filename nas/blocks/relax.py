"""Networks made for large pictures stay trainable on small ones: early strides are taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nas.blocks.block import Block
from nas.spaces.architecture import Layer, Network
from nas.spaces.fitting import element_signatures, output_signature
from nas.spaces.signature import Signature


def relax_strides(
    network: Network, input: Signature, blocks: Mapping[str, Block], minimum: int = 4
) -> Network:
    """The network for this input with its earliest strides set to 1 until the last map is large enough.

    Strides go one by one, from the first layer on, until the map in front of the head is at least `minimum`
    positions in each direction. A layer whose block does not fit without its stride keeps it. An input that
    is itself smaller than `minimum` loses every stride it can; nothing is raised. The network that is given
    stays as it is.
    """
    relaxed = replace(network, input=input)
    for index, element in enumerate(network.layers):
        if _last_extent(relaxed, blocks) >= minimum:
            break
        if isinstance(element, Layer) and element.stride > 1:
            relaxed = _without_stride(relaxed, index, element, blocks)
    return relaxed


def _last_extent(network: Network, blocks: Mapping[str, Block]) -> int:
    """The smaller direction of the last map of the network."""
    signatures = [signature for _, signature in element_signatures(network, blocks)]
    maps = [signature for signature in (*signatures, output_signature(network, blocks)) if signature.size]
    return min(maps[-1].size) if maps else 0


def _without_stride(network: Network, index: int, layer: Layer, blocks: Mapping[str, Block]) -> Network:
    """The network with stride 1 in one layer, or as it is where the block does not fit so."""
    _, signature = element_signatures(network, blocks)[index]
    if not blocks[layer.block.use].accepts(signature, layer.width, 1, layer.block.knob_values()):
        return network
    layers = (*network.layers[:index], replace(layer, stride=1), *network.layers[index + 1 :])
    return replace(network, layers=layers)
