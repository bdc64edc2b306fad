"""The checks as Markdown: ``python -m nas.testing.document docs/testing.md`` renews that page."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from nas import testing

HEAD = "## Checks\n"
PREFIX = "test_"


def checks() -> str:
    """The section "Checks": every check of every class with what it says."""
    names = sorted(testing.__all__, key=_place)
    return HEAD + "".join(_section(getattr(testing, name)) for name in names)


def _place(name: str) -> int:
    """Blocks first, then what plugins offer, then what nas itself is made of."""
    order = ("Block", "CostModel", "Target", "Space", "Task", "Searcher", "Proxy", "Runner", "Store")
    return order.index(name.removesuffix("Conformance"))


def _section(kit: type) -> str:
    rows = "".join(f"| {name} | {text} |\n" for name, text in _checks_of(kit))
    return f"\n### {kit.__name__}\n\n| check | what it means |\n|---|---|\n{rows}"


def _checks_of(kit: type) -> Iterator[tuple[str, str]]:
    """The words of each check, those of the first base class first."""
    for base in (*kit.__mro__[1:], kit):
        for name, check in vars(base).items():
            if name.startswith(PREFIX):
                text = " ".join((inspect.getdoc(check) or "").split())
                yield name.removeprefix(PREFIX).replace("_", " "), text.removesuffix(".").replace("|", "\\|")


def renew(page: Path) -> None:
    """Replaces the section of the page, which is its last."""
    prose = page.read_text(encoding="utf-8").partition(HEAD)[0]
    page.write_text(prose + checks(), encoding="utf-8")


if __name__ == "__main__":
    renew(Path(sys.argv[1]))
