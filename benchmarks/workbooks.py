"""Reads the cells of a workbook (.xlsx): no more of the format than tables of numbers need."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

Cells: TypeAlias = Mapping[int, str]
"""A row: column → text, where there is any."""


def sheets(path: Path) -> Iterator[tuple[str, list[Cells]]]:
    """The title of each sheet, and its rows."""
    with zipfile.ZipFile(path) as book:
        shared = ["".join(each.itertext()) for each in _parts(book, "xl/sharedStrings.xml", "si")]
        for number, sheet in enumerate(_parts(book, "xl/workbook.xml", "sheet"), start=1):
            rows = _parts(book, f"xl/worksheets/sheet{number}.xml", "row")
            yield sheet.get("name", ""), [_cells(row, shared) for row in rows]


def number(text: str) -> float:
    """The number of a cell, 0 for what is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def _parts(book: zipfile.ZipFile, name: str, tag: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.fromstring(book.read(name)).iter() if each.tag.endswith(f"}}{tag}")]


def _cells(row: ElementTree.Element, shared: Sequence[str]) -> Cells:
    found = {}
    for cell in row:
        value = next((each.text or "" for each in cell if each.tag.endswith("}v")), "")
        letters = re.sub(r"\d", "", cell.get("r", ""))
        column = sum(26**place * (ord(letter) - 64) for place, letter in enumerate(reversed(letters))) - 1
        if text := shared[int(value)] if cell.get("t") == "s" and value else value:
            found[column] = text
    return found
