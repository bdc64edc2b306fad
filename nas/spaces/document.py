"""The file form of a space: which keys there are and of what type, checked by pydantic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from nas.spaces.problems import Problems
from nas.spaces.values import shown

MAX_OPTIONS = 64
MAX_STAGES = 64
NAME = r"^[a-z0-9][a-z0-9._/-]{0,63}$"  # the regex engine of pydantic: $ is the very end

T = TypeVar("T")


def _listed(value: object) -> object:
    """A scalar is a list of one."""
    return value if isinstance(value, list) else [value]


Options = Annotated[list[T], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_OPTIONS)]
Depth = Annotated[int, Field(ge=1, le=256)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Stride = Annotated[int, Field(ge=1, le=64)]
Extent = Annotated[int, Field(ge=1, le=1_048_576)]
Group = Annotated[str, StringConstraints(pattern=NAME)]


class Document(BaseModel):
    """Every table: no unknown keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class InputDocument(Document):
    """``input = { domain = "image", channels = 3, size = [224, 224] }``"""

    domain: str
    channels: Width
    size: list[Extent] = Field(max_length=3)


class BlockDocument(Document):
    """A block by name; every further key is a knob, checked once the block is known."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    use: str

    def knobs(self) -> Mapping[str, Any]:
        """The knobs as the file has them."""
        return self.__pydantic_extra__ or {}


class StemDocument(BlockDocument):
    """A block in front of the stages."""

    width: Options[Width]
    stride: Stride = 1


class CellDocument(Document):
    """A cell: a graph with an operation on every edge."""

    nodes: Annotated[int, Field(ge=2, le=10)]
    operations: Options[BlockDocument]
    share: Group | None = None


Pattern = Annotated[list[Options[BlockDocument]], Field(min_length=1, max_length=MAX_OPTIONS)]
"""What takes turns in the layers of a stage, each a block or a list of alternatives."""


class StageDocument(Document):
    """Layers one behind the other: each a block out of `blocks`, or as `pattern` says, or the same cell."""

    depth: Options[Depth] = [1]
    width: Options[Width] | None = None
    stride: Stride = 1
    share: bool = False
    downsample: BlockDocument | None = None
    blocks: Options[BlockDocument] | None = None
    pattern: Pattern | None = None
    cell: CellDocument | None = None


class SpaceDocument(Document):
    """A whole space file."""

    name: Annotated[str, StringConstraints(pattern=NAME)]
    description: str = ""
    input: InputDocument
    classes: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    stem: StemDocument | None = None
    stages: list[StageDocument] = Field(min_length=1, max_length=MAX_STAGES)
    head: BlockDocument


_TABLES: dict[tuple[str, ...], type[Document]] = {
    (): SpaceDocument,
    ("input",): InputDocument,
    ("stages",): StageDocument,
    ("stages", "cell"): CellDocument,
}

_EXPECTED = {
    "int_type": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
}


def read_document(content: Mapping[str, Any], problems: Problems) -> SpaceDocument | None:
    """The checked document, or None with what is wrong added to `problems`."""
    try:
        return SpaceDocument.model_validate(content)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            _note(item, content, problems)
        return None


def _note(item: Any, content: Mapping[str, Any], problems: Problems) -> None:
    key = _existing(item["loc"], content)
    if item["type"] == "extra_forbidden":
        table = _TABLES.get(tuple(part for part in key[:-1] if isinstance(part, str)), SpaceDocument)
        problems.add_unknown(key, table.model_fields)
    elif item["type"] == "missing":
        problems.add(item["loc"], "is missing")
    else:
        problems.add(key, _text(item))


def _existing(location: Sequence[str | int], content: Any) -> tuple[str | int, ...]:
    """The part of a location that the file really has: a scalar that was read as a list has no index."""
    key: list[str | int] = []
    for part in location:
        is_there = part in content if isinstance(content, dict) else isinstance(content, list)
        if not is_there:
            break
        content = content[part]
        key.append(part)
    return tuple(key)


def _text(item: Any) -> str:
    kind, limits, value = item["type"], item.get("ctx", {}), item["input"]
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, not {shown(value)}"
    if kind == "greater_than_equal":
        return f"must be at least {limits['ge']}, not {shown(value)}"
    if kind == "less_than_equal":
        return f"must be at most {limits['le']:,}, not {shown(value)}"
    if kind == "too_short":
        return "an empty list; give at least one"
    if kind == "too_long":
        return f"a list of {limits['actual_length']:,}; at most {limits['max_length']:,} are possible"
    if kind == "string_pattern_mismatch":
        return f"{shown(value)} must be 1 to 64 of a-z 0-9 . _ / - and begin with a letter or a digit"
    return f"{item['msg']}, not {shown(value)}"
