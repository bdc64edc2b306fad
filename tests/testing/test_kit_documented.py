"""The page of the kit cannot rot: its examples run; classes, fixtures, attributes and checks are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, get_origin, get_type_hints

import pytest
from kit_failures import run_file

from nas import testing
from nas.testing.document import checks, renew

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
TEXT = PAGE.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def row(name: str) -> str:
    """The row of a class in the first table."""
    (found,) = re.findall(rf"^\| `{name}` .*$", TEXT, re.MULTILINE)
    return str(found)


def attributes(kit: Any) -> set[str]:
    """What a subclass may set."""
    hints = get_type_hints(kit, vars(__import__(kit.__module__, fromlist=["*"])))
    return {name for name, hint in hints.items() if get_origin(hint) is ClassVar and not name.startswith("_")}


def test_the_checks_are_those_of_the_classes(tmp_path: Path) -> None:
    assert TEXT.endswith(checks()), "run: python -m nas.testing.document docs/testing.md"
    copy = tmp_path / "testing.md"
    copy.write_text(TEXT.replace("### BlockConformance", "### Nothing"), encoding="utf-8")
    renew(copy)
    assert copy.read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize("name", testing.__all__)
def test_every_class_has_its_row_with_every_attribute(name: str) -> None:
    kit = getattr(testing, name)
    missing = [attribute for attribute in attributes(kit) if f"`{attribute}`" not in row(name)]
    assert missing == []
    fixture = re.sub("(?<!^)(?=[A-Z])", "_", name.removesuffix("Conformance")).lower()
    assert f"| `{fixture}`" in row(name)


@pytest.mark.parametrize("name", testing.__all__)
def test_every_check_says_what_it_means(name: str) -> None:
    kit = getattr(testing, name)
    tests = [getattr(kit, test) for test in dir(kit) if test.startswith("test_")]
    assert len(tests) > 5
    assert [test.__name__ for test in tests if not test.__doc__] == []


def test_every_class_has_its_example() -> None:
    assert [name for name in testing.__all__ if not any(f"({name})" in snippet for snippet in SNIPPETS)] == []


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: re.findall(r"\((\w+)\)", text)[0])
def test_every_example_passes(tmp_path: Path, snippet: str) -> None:
    outcome = run_file(tmp_path, snippet)
    assert outcome.failed == {}
    assert outcome.passed


def test_nothing_is_exported_that_is_not_there() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    with pytest.raises(AttributeError, match="NothingConformance"):
        testing.NothingConformance  # noqa: B018
