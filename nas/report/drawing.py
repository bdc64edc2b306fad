"""A network drawn as stages of blocks: what each box says and where it stands."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from nas.errors import NasError
from nas.report.describe import held_blocks, knob_words, stage_of
from nas.report.text import clean
from nas.spaces.architecture import BlockUse, Graph, Layer, Network
from nas.spaces.signature import Signature

if TYPE_CHECKING:
    from nas.blocks.block import Block

WIDTH, LINE, PAD = 165, 14, 7
WRAP, NAME = 24, 24
"""Characters that fit into a line of a box, and into its bold first one."""

COLOURS = 7
MAX_EDGES = 12


@dataclass(frozen=True)
class Box:
    """One block, or `repeats` equal ones in a row: its lines, its colour and its place in pixels."""

    name: str
    lines: tuple[str, ...]
    colour: int
    repeats: int = 1
    top: int = 0
    height: int = 0
    hint: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage: what it is called, the map it gives, and its boxes from top to bottom."""

    title: str
    subtitle: str
    boxes: tuple[Box, ...]
    height: int
    width: int = WIDTH


def draw(network: Network, blocks: Mapping[str, Block], colours: Mapping[str, int]) -> tuple[Stage, ...]:
    """The stages of a network; maps are sizes at the deployment input where all blocks are known."""
    signatures = _outputs(network, blocks)
    numbered = list(enumerate(network.layers))
    stages = []
    for title, group in groupby(numbered, key=lambda pair: stage_of(pair[1]) or f"layer {pair[0]}"):
        members = list(group)
        last = signatures[members[-1][0]]
        boxes = _placed(_merged(_box(element, colours) for _, element in members))
        stages.append(Stage(_title(title), _map(last), boxes, boxes[-1].top + boxes[-1].height + 2))
    return tuple(stages)


def block_colours(networks: Iterable[Network]) -> dict[str, int]:
    """Block name → one of `COLOURS` colours, in the order the blocks first appear."""
    names: dict[str, None] = {}
    for network in networks:
        for element in network.layers:
            names.setdefault(_name(element))
    return {name: index % COLOURS for index, name in enumerate(names)}


def _outputs(network: Network, blocks: Mapping[str, Block]) -> list[Signature | None]:
    """What leaves each element; None where a block is not installed any more."""
    from nas.spaces import element_signatures, output_signature

    try:
        inputs = [signature for _, signature in element_signatures(network, blocks)]
        return [*inputs[1:], output_signature(network, blocks)]
    except NasError:
        return [None] * len(network.layers)


def _box(element: Layer | Graph, colours: Mapping[str, int]) -> Box:
    name = _name(element)
    lines = _edge_lines(element) if isinstance(element, Graph) else _layer_lines(element)
    wrapped = tuple(part for line in lines for part in textwrap.wrap(clean(line, 90), WRAP))
    return Box(clean(name, NAME), wrapped, colours.get(name, 0), hint=_hint(element))


def _layer_lines(layer: Layer) -> list[str]:
    stride = f"s{layer.stride}" if layer.stride != 1 else ""
    width = f"w{layer.width}" if layer.width is not None else ""
    words = [knob_words(layer.block), width, stride]
    own = " ".join(word for word in words if word)
    held = [f"{name}: {_short(use)}" for name, use in held_blocks(layer.block)]
    return [line for line in (own, *held) if line]


def _short(use: BlockUse) -> str:
    return f"{use.use} {knob_words(use)}".strip()


def _edge_lines(cell: Graph) -> list[str]:
    """The edges of a cell: ``0→1 conv_operation k3``."""
    lines = [f"{edge.source}→{edge.target} {_short(edge.layer.block)}" for edge in cell.edges]
    if len(lines) > MAX_EDGES:
        lines = [*lines[: MAX_EDGES - 1], f"and {len(lines) - MAX_EDGES + 1} more edges"]
    return lines or ["no edges, gives zeros"]


def _hint(element: Layer | Graph) -> str:
    """Every knob of a layer, for the hover."""
    if isinstance(element, Graph):
        return f"cell of {element.nodes} nodes"
    return clean(f"{_whole(element.block)}, width {element.width}, stride {element.stride}", 400)


def _whole(use: BlockUse) -> str:
    knobs = ", ".join(f"{k}={_whole(v) if isinstance(v, BlockUse) else v}" for k, v in use.knobs)
    return f"{use.use}({knobs})"


def _merged(boxes: Iterable[Box]) -> list[Box]:
    """Equal neighbours as one box that says how many."""
    return [replace(box, repeats=len(list(group))) for box, group in groupby(boxes)]


def _placed(boxes: Iterable[Box]) -> tuple[Box, ...]:
    top, placed = 0, []
    for box in boxes:
        height = LINE * (1 + len(box.lines)) + 2 * PAD
        placed.append(replace(box, top=top, height=height))
        top += height + 6
    return tuple(placed)


def _name(element: Layer | Graph) -> str:
    return "cell" if isinstance(element, Graph) else element.block.use


def _title(stage: str) -> str:
    kind, _, number = stage.partition(".")
    return f"stage {int(number) + 1}" if kind == "stages" and number.isdecimal() else clean(stage, 24)


def _map(signature: Signature | None) -> str:
    if signature is None:
        return ""
    size = " × ".join(str(extent) for extent in signature.size)
    return f"{size} × {signature.channels}" if size else f"{signature.channels} scores"
