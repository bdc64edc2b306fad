"""A network in one line, and a layer in a few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nas.report.text import clean
from nas.spaces.architecture import Architecture, BlockUse, Graph, Layer, Network

_HIDDEN = frozenset({"activation", "norm", "layer_scale", "residual_scale"})
_SYMBOLS = {"kernel": "k", "expansion": "e"}


def describe(architecture: Architecture) -> str:
    """One line about a network: its stages, how often each kind of block stands in it, its widths.

    A kind whose layers differ shows the range of its kernels (k, pixels) and expansions (e). Stem and head
    are left out. A point of a flat space is its choices.

    >>> describe(Architecture(None, (("lr", 0.1), ("depth", 3))))
    'lr=0.1, depth=3'
    """
    if architecture.network is None:
        return clean(", ".join(f"{name}={value}" for name, value in architecture.choices), 200)
    return clean(_describe_network(architecture.network), 300)


def _describe_network(network: Network) -> str:
    body = [e for e in network.layers if stage_of(e) not in ("stem", "head")]
    if not body:
        return f"{len(network.layers)} layers"
    stages = len(dict.fromkeys(stage_of(element) for element in body))
    parts = [
        *_cells([e for e in body if isinstance(e, Graph)]),
        *_kinds([e for e in body if isinstance(e, Layer)]),
    ]
    return f"{_number(stages, 'stage')}, {_number(len(body), 'layer')}: {', '.join(parts)}{_widths(body)}"


def stage_of(element: Layer | Graph) -> str:
    """The stage an element stands in: ``stages.2``, ``stem`` or ``head``; empty where it does not say.

    >>> stage_of(Layer(BlockUse("conv"), slot="stages.2.layers.1"))
    'stages.2'
    """
    return ".".join(element.slot.split(".")[:2])


def short_names(uses: Iterable[BlockUse]) -> dict[str, str]:
    """Block name → the shortest that tells it from the others: its first word, or the whole name.

    >>> short_names([BlockUse("inverted_residual"), BlockUse("conv"), BlockUse("conv_operation")])
    {'inverted_residual': 'inverted', 'conv': 'conv', 'conv_operation': 'conv_operation'}
    """
    names = list(dict.fromkeys(use.use for use in uses))
    words = [_bare(name).split("_")[0] for name in names]
    return {
        name: word if words.count(word) == 1 or _bare(name) == word else _bare(name)
        for name, word in zip(names, words, strict=True)
    }


def knob_words(use: BlockUse) -> str:
    """What a block's knobs say at a glance: ``k5 e4 se 0.25``; held blocks and what is off are left out.

    >>> knob_words(BlockUse("ir", (("expansion", 4), ("kernel", 5), ("se", 0.0))))
    'k5 e4'
    """
    knobs = use.knob_values()
    first = [f"{symbol}{_plain(knobs[name])}" for name, symbol in _SYMBOLS.items() if name in knobs]
    rest = [
        name.replace("_", " ") if value is True else f"{name.replace('_', ' ')} {_plain(value)}"
        for name, value in use.knobs
        if name not in _SYMBOLS
        and name not in _HIDDEN
        and not isinstance(value, BlockUse)
        and value not in (0, False, "none")
    ]
    return clean(" ".join([*first, *rest]), 80)


def held_blocks(use: BlockUse) -> list[tuple[str, BlockUse]]:
    """The blocks that a block's knobs hold, by knob; a mixer comes first."""
    held = [(name, value) for name, value in use.knobs if isinstance(value, BlockUse)]
    return sorted(held, key=lambda pair: pair[0] != "mixer")


def _bare(name: str) -> str:
    """A block name without the plugin it was qualified with."""
    return name.rpartition("/")[2]


def _cells(cells: Sequence[Graph]) -> list[str]:
    """The cells, by their operations: ``cell ×15 (conv k3 ×3, identity ×2)``."""
    parts = []
    for cell in dict.fromkeys(Graph(c.nodes, _wiring(c)) for c in cells):
        number = sum(_wiring(c) == cell.edges and c.nodes == cell.nodes for c in cells)
        parts.append(
            f"cell ×{number} ({', '.join(_kinds([edge.layer for edge in cell.edges])) or 'no edges'})"
        )
    return parts


def _wiring(cell: Graph) -> tuple:  # type: ignore[type-arg]
    """The edges of a cell without their widths, which differ between stages."""
    from dataclasses import replace

    return tuple(replace(edge, layer=replace(edge.layer, width=None)) for edge in cell.edges)


def _kinds(layers: Sequence[Layer]) -> list[str]:
    """One entry a kind of block, in the order they first appear: ``inverted k3–5 e4 ×5``."""
    uses = [layer.block for layer in layers]
    inner = [block for use in uses for _, block in held_blocks(use)[:1]]
    outer_names, inner_names = short_names(uses), short_names(inner)
    kinds: dict[str, list[BlockUse]] = {}
    for use in uses:
        held = held_blocks(use)
        name = outer_names[use.use] + (f"({inner_names[held[0][1].use]})" if held else "")
        kinds.setdefault(name, []).append(held[0][1] if held else use)
    return [f"{name}{_ranges(group)} ×{len(group)}" for name, group in kinds.items()]


def _ranges(uses: Sequence[BlockUse]) -> str:
    """The kernels and expansions of a kind: `` k3–7 e4``."""
    words = ""
    for name, symbol in _SYMBOLS.items():
        values = [v for use in uses for key, v in use.knobs if key == name and isinstance(v, int | float)]
        if values:
            words += f" {symbol}{_range(values)}"
    return words


def _widths(body: Sequence[Layer | Graph]) -> str:
    widths = [e.width for e in body if isinstance(e, Layer) and e.width is not None]
    widths += [
        edge.layer.width
        for e in body
        if isinstance(e, Graph)
        for edge in e.edges
        if edge.layer.width is not None
    ]
    return f"; w {_range(widths)}" if widths else ""


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return _plain(low) if low == high else f"{_plain(low)}–{_plain(high)}"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: int, what: str) -> str:
    return f"{value} {what}{'' if value == 1 else 's'}"
