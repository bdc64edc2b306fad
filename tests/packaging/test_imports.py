"""`import nas` and `nas --help` stay light: the heavy libraries come at their first use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "optuna", "sqlalchemy", "numpy", "pydantic", "rich", "sklearn", "pandas")


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HELP = "from nas.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"


@pytest.mark.parametrize("code", ["import nas", "import nas.search.api", HELP])
def test_nothing_heavy_is_imported(code: str) -> None:
    assert loaded_after(code) == set()


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        (["spaces"], {"torch", "ray"}),
        (["spaces", "mobile"], {"torch", "ray"}),
        (["targets"], {"torch", "ray"}),
        (["blocks"], {"torch", "ray"}),
        (["plugins"], {"torch", "ray"}),
        (["search", "--help"], {"torch", "ray", "optuna"}),
    ],
)
def test_listing_needs_neither_torch_nor_ray(words: list[str], forbidden: set[str]) -> None:
    code = f"from nas.cli.main import main\ntry: main({words!r})\nexcept SystemExit: pass"
    assert loaded_after(code) & forbidden == set()


def test_the_public_names_are_exactly_these() -> None:
    import nas

    assert nas.__all__ == sorted(nas.__all__)
    for name in nas.__all__:
        assert getattr(nas, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nas.nothing  # noqa: B018
