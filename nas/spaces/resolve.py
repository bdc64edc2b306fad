"""From the file form to the tree: finds the blocks and checks their roles and knobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.errors import PluginError
from nas.spaces.document import BlockDocument, CellDocument, SpaceDocument, StageDocument
from nas.spaces.problems import Problems
from nas.spaces.signature import Signature
from nas.spaces.tree import BlockNode, Chain, Fixed, GraphNode, OneOf, Repeat, Scalar, Value, choice
from nas.spaces.values import option_problem, shown

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.spaces.knobs import Choice

STAGE_ROLES = ("block", "downsample", "stem")
SIZES = {"image": 2, "sequence": 1, "series": 1, "vector": 0}
MAX_NESTING = 8
MAX_KEY = 4 + 2 * MAX_NESTING  # each block held by a knob adds the name of the knob and a number

Key = tuple[str | int, ...]


class Resolver:
    """Makes the tree of a document; what is wrong goes to `problems`, and a stand-in to the tree."""

    def __init__(self, blocks: Mapping[str, Block], problems: Problems) -> None:
        self._blocks = blocks
        self._problems = problems
        self._domains = set(SIZES)

    def chain(self, document: SpaceDocument) -> Chain:
        """The tree of a whole space."""
        given = document.input
        expected = SIZES.get(given.domain)
        if expected is not None and len(given.size) != expected:
            self._problems.add(
                ("input", "size"), f"domain {given.domain!r} has {expected} of them, not {len(given.size)}"
            )
        parts = [part for number, stage in enumerate(document.stages) for part in self._stage(stage, number)]
        if document.stem is not None:
            stem = document.stem
            body = self._layer(stem, ("stem",), STAGE_ROLES)
            width = self._distinct(stem.width, ("stem", "width"))
            parts.insert(0, Repeat("stem", body, None, width, stem.stride))
        parts.append(Repeat("head", self._layer(document.head, ("head",), ("head",))))
        if given.domain not in self._domains:
            self._problems.add_unknown(("input", "domain", given.domain), self._domains, "domain")
        return Chain(
            Signature(given.domain, given.channels, tuple(given.size)), tuple(parts), document.classes
        )

    def _stage(self, stage: StageDocument, number: int) -> list[Repeat]:
        """The parts of one stage: its layers, behind a layer for downsampling where it has one."""
        key: Key = ("stages", number)
        depth = self._distinct(stage.depth, (*key, "depth"))
        if sum(body is not None for body in (stage.blocks, stage.cell, stage.pattern)) != 1:
            self._problems.add(key, "needs one of 'blocks', 'pattern' and 'cell'")
        if stage.cell is not None:
            return [self._cells(stage, stage.cell, depth, number)]
        if stage.width is None:
            self._problems.add((*key, "width"), "is missing")
        width, stride, name = self._distinct(stage.width or [1], (*key, "width")), stage.stride, key_name(key)
        front = []
        if stage.downsample is not None:
            body = self._layer(stage.downsample, (*key, "downsample"), STAGE_ROLES)
            front.append(Repeat(f"{name}.downsample", body, None, width, stride, stage=name))
            width, stride = (), 1
        if stage.pattern is not None:
            return [*front, *self._pattern(stage, stage.pattern, (width, stride), number)]
        body = self._alternatives(stage.blocks or [], (*key, "blocks"), STAGE_ROLES)
        return [*front, Repeat(name, body, depth, width, stride, stage.share)]

    def _pattern(
        self,
        stage: StageDocument,
        pattern: Sequence[Sequence[BlockDocument]],
        first: tuple[tuple[int, ...], int],
        number: int,
    ) -> Iterator[Repeat]:
        """The layers of a stage whose blocks take turns; `first` is the width and stride of the first one."""
        key: Key = ("stages", number)
        if len(stage.depth) > 1 or stage.share:
            self._problems.add((*key, "pattern"), "needs one fixed 'depth' and goes without 'share'")
        name = key_name(key)
        bodies = [
            self._alternatives(documents, (*key, "pattern", turn), STAGE_ROLES)
            for turn, documents in enumerate(pattern)
        ]
        for layer in range(stage.depth[0]):
            width, stride = first if layer == 0 else ((), 1)
            body = bodies[layer % len(bodies)]
            yield Repeat(f"{name}.layers.{layer}", body, None, width, stride, stage=name)

    def _cells(self, stage: StageDocument, cell: CellDocument, depth: tuple[int, ...], number: int) -> Repeat:
        key: Key = ("stages", number)
        if {"width", "stride", "share", "downsample"} & stage.model_fields_set:
            self._problems.add(
                key, "a cell keeps width and size and has its own 'share'; put a stage of blocks in front"
            )
        return Repeat(key_name(key), self._cell(cell, number), depth)

    def _cell(self, cell: CellDocument, number: int) -> GraphNode:
        operations = self._alternatives(
            cell.operations, ("stages", number, "cell", "operations"), ("operation",)
        )
        return GraphNode(cell.nodes, operations, cell.share or f"stages.{number}")

    def _distinct(self, values: Sequence[int], key: Key) -> tuple[int, ...]:
        problem = option_problem(values)
        if problem:
            self._problems.add(key, problem)
        return tuple(values)

    def _alternatives(
        self, documents: Sequence[BlockDocument], key: Key, roles: Sequence[str]
    ) -> Fixed | OneOf:
        nodes: list[BlockNode] = []
        for number, document in enumerate(documents):
            node = self._block(document.use, document.knobs(), (*key, number), roles)
            if node is not None and node in nodes:
                self._problems.add((*key, number), f"the same {document.use!r} stands in the list twice")
            elif node is not None:
                nodes.append(node)
        return choice(nodes) if nodes else Fixed(0)

    def _layer(self, document: BlockDocument, key: Key, roles: Sequence[str]) -> Fixed | OneOf:
        node = self._block(document.use, document.knobs(), key, roles)
        return Fixed(node) if node is not None else Fixed(0)

    def _block(self, use: str, knobs: Mapping[str, Any], key: Key, roles: Sequence[str]) -> BlockNode | None:
        block = self._find(use, (*key, "use"))
        if block is None:
            return None
        self._domains.add(block.domain)
        if block.role not in roles:
            wanted = " or ".join(repr(role) for role in roles)
            self._problems.add(
                (*key, "use"), f"{use!r} is of role {block.role!r}; here stands one of role {wanted}"
            )
            return None
        for name in knobs:
            if name not in block.knobs:
                self._problems.add_unknown((*key, name), block.knobs, f"knob of {use!r}")
        if len(key) > MAX_KEY:
            self._problems.add(key, f"blocks are nested more than {MAX_NESTING} deep")
            return None
        values = []
        for name, knob in sorted(block.knobs.items()):
            given = knobs.get(name)
            if name in knobs:
                values.append((name, self._knob(knob, given, (*key, name))))
            else:
                values.append((name, self._default(knob, block, (*key, name))))
        return BlockNode(self._canonical_name(use, block), block, tuple(values))

    def _find(self, use: str, key: Key) -> Block | None:
        if use not in self._blocks:
            self._problems.add_unknown((*key[:-1], use), self._blocks, "block")
            return None
        try:
            return self._blocks[use]
        except PluginError as error:
            self._problems.add(key, str(error))
            return None

    def _canonical_name(self, use: str, block: Block) -> str:
        """The bare name where it means the same block, so that ``base/conv`` and ``conv`` are one."""
        if block.name == use or block.name not in self._blocks:
            return use
        try:
            return block.name if self._blocks[block.name] is block else use
        except PluginError:
            return use

    def _knob(self, knob: Choice, given: Any, key: Key) -> Fixed | OneOf:
        values = given if isinstance(given, list) else [given]
        if not values:
            self._problems.add(key, "an empty list; give at least one")
            return Fixed(0)
        if knob.role is not None:
            return self._held_blocks(knob.role, values, key)
        problem = option_problem(values)
        if problem:
            self._problems.add(key, problem)
            return Fixed(0)
        return choice([self._allowed(knob, value, key) for value in values])

    def _held_blocks(self, role: str, values: Sequence[Any], key: Key) -> Fixed | OneOf:
        nodes: list[Value] = []
        for number, value in enumerate(values):
            place = (*key, number)
            table = {"use": value} if isinstance(value, str) else value
            if not isinstance(table, dict) or not isinstance(table.get("use"), str):
                self._problems.add(place, f"expected a block such as {{ use = NAME }}, not {shown(value)}")
                continue
            knobs = {name: knob for name, knob in table.items() if name != "use"}
            node = self._block(table["use"], knobs, place, (role,))
            if node is not None and node in nodes:
                self._problems.add(place, f"the same {table['use']!r} stands in the list twice")
            elif node is not None:
                nodes.append(node)
        return choice(nodes) if nodes else Fixed(0)

    def _allowed(self, knob: Choice, value: Scalar, key: Key) -> Scalar:
        """The value as the knob spells it, 0 as 0.0 where it is a ratio: one value has one hash."""
        alike = [known for known in knob.values if isinstance(known, bool) == isinstance(value, bool)]
        same = next((known for known in alike if known == value), None)
        if same is not None:
            return same  # type: ignore[no-any-return]
        if isinstance(value, bool) or not alike or not knob.allows(value):
            self._problems.add(key, f"{shown(value)} is not possible; {_possible(knob)}")
            return value
        if all(isinstance(known, float) for known in knob.values):
            return float(value)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _default(self, knob: Choice, block: Block, key: Key) -> Fixed | OneOf:
        default = knob.default
        if knob.role is None:
            return Fixed(default)
        if default is None:
            self._problems.add(key, f"is missing: {block.name!r} needs a block of role {knob.role!r} here")
            return Fixed(0)
        return self._held_blocks(knob.role, [default], key)


def key_name(key: Key) -> str:
    """A key as the name of a part: ``("stages", 0)`` is ``stages.0``."""
    return ".".join(map(str, key))


def _possible(knob: Choice) -> str:
    numbers = [v for v in knob.values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(knob.values) > 1:
        return f"the knob takes {min(numbers)} to {max(numbers)}"
    return f"the knob takes {', '.join(str(value) for value in knob.values)}"
