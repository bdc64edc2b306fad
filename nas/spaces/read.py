"""Reads spaces: from a name, from a file, from text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import SpaceError
from nas.spaces.document import read_document
from nas.spaces.problems import Problems
from nas.spaces.resolve import Resolver
from nas.spaces.space import Space
from nas.spaces.tree import BlockNode, Chain, Fixed, GraphNode, OneOf

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.plugins.registry import Registry

MAX_BYTES = 1_000_000

# tomllib takes quadratic time and memory for a key of many parts; no key here has more than three.
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{16}}")


def load_space(reference: str | Path, registry: Registry) -> Space:
    """The space of a registered name, or of a path to a ``.toml`` file.

    Raises UnknownNameError for a name that no plugin provides, and SpaceError for a file that cannot be read
    or holds no space; the message names the file, the key and what was expected.
    """
    is_path = isinstance(reference, Path) or reference.endswith(".toml")
    path = Path(reference) if is_path else registry.spaces[str(reference)].path
    return parse_space(_text_of(path), registry.blocks, origin=str(path))


def parse_space(text: str, blocks: Mapping[str, Block], origin: str = "<text>") -> Space:
    """The space that a TOML text describes; `origin` is what error messages call it.

    Raises SpaceError with all that is wrong, not just the first.
    """
    problems = Problems(origin)
    content = _toml(text, origin)
    try:
        document = read_document(content, problems)
        problems.check()
        assert document is not None
        tree = Resolver(blocks, problems).chain(document)
        problems.check()
    except RecursionError:
        raise SpaceError(f"{origin}: tables are nested too deeply") from None
    try:
        return Space.of_tree(
            tree, _blocks_of(tree), name=document.name, text=text, description=document.description
        )
    except SpaceError as error:
        raise SpaceError(f"{origin}: {error}") from None


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            raise SpaceError(
                f"{path}: is a folder, not a space file" if path.is_dir() else f"{path}: no such file"
            )
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SpaceError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_BYTES:
        raise SpaceError(f"{path}: larger than {MAX_BYTES:,} bytes; a space file is a few kilobytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpaceError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def _toml(text: str, origin: str) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise SpaceError(f"{origin}: larger than {MAX_BYTES:,} characters; a space file is a few kilobytes")
    if _LONG_KEY.search(text):
        raise SpaceError(f"{origin}: a key of more than 16 parts: tables are nested too deeply")
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise SpaceError(f"{origin}: tables are nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{origin}: not TOML: {error}") from None
    except ValueError:  # more digits than Python turns into a number
        raise SpaceError(f"{origin}: a number of thousands of digits") from None


def _blocks_of(tree: Chain) -> dict[str, Block]:
    """Every block of a tree under the name its nodes use."""
    found: dict[str, Block] = {}
    for part in tree.parts:
        _gather(part.body.operations if isinstance(part.body, GraphNode) else part.body, found)
    return found


def _gather(node: Fixed | OneOf, found: dict[str, Block]) -> None:
    for option in node.options:
        if isinstance(option, BlockNode):
            found[option.use] = option.block
            for _, value in option.knobs:
                _gather(value, found)
