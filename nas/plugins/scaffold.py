"""Writes a new plugin package that works at once: entry point, module, tests, README."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import UsageError
from nas.plugins.hookspecs import API_VERSION

TEMPLATES = Path(__file__).parent / "templates"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_LENGTH = 60


@dataclass(frozen=True)
class Kind:
    """One kind of plugin: what it is, how to search with it, and what its author does next."""

    name: str
    description: str
    search: str
    advice: str


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "block",
            "A building block for nas: a gated depthwise mixer.",
            "nas search --space try.toml --trials 2 --epochs 1",
            "Change the formula in `{module}/__init__.py`, and `valid`, `params` and `macs` with it. A knob "
            "that is listed is searched at once: see `try.toml`.",
        ),
        Kind(
            "cost-model",
            "A cost model for nas: arithmetic or memory traffic at a fixed share of the peaks.",
            "nas search --space tiny --cost-model {item} --trials 2 --epochs 1",
            "Replace `_priced` in `{module}/__init__.py` by what you know of your hardware. Latency must "
            "stay a sum over operators, so that a whole space can be priced from its layers.",
        ),
        Kind(
            "target",
            "A hardware target for nas.",
            "nas search --space tiny --target {plugin} --trials 2 --epochs 1",
            "Replace every figure in `{module}/{plugin}.toml` by that of your device, and say where it "
            "stands. Further devices are further files.",
        ),
        Kind(
            "task",
            "A task for nas: upright or level stripes.",
            "nas search --space tiny --data {item} --trials 2 --epochs 1",
            "Replace `_examples` in `{module}/__init__.py` by your own data.",
        ),
        Kind(
            "searcher",
            "A searcher for nas: hill climbing.",
            "nas search --space tiny --searcher {item} --trials 2 --epochs 1",
            "Change `ask` in `{module}/__init__.py`. What it proposes may depend on the seed and on what it "
            "was told, and on nothing else.",
        ),
        Kind(
            "proxy",
            "A zero-cost proxy for nas: how far apart an untrained network keeps its inputs.",
            "nas search --space tiny --proxy {item} --trials 2 --epochs 1",
            "Replace `score` in `{module}/__init__.py` by your own. `nas proxies STUDY` shows how well it "
            "foretold what training found.",
        ),
        Kind(
            "space",
            "A search space for nas.",
            "nas search --space {plugin} --trials 2 --epochs 1",
            "Change `{module}/{plugin}.toml`; `nas spaces {plugin}` shows its decisions.",
        ),
    )
}


def write_plugin(name: str, kind: str, folder: Path) -> list[Path]:
    """Writes the package `name` into ``folder/name`` and returns the files, README first.

    Raises UsageError where the name is no package name, or where something of that name is there already.
    """
    if not NAME.fullmatch(name) or len(name) > MAX_LENGTH:
        raise UsageError(
            f"{name[:80]!r} is no package name: small letters, digits and single '-' between them, "
            "such as nas-my-blocks"
        )
    root = folder / name
    if root.exists():
        raise UsageError(f"{root} exists already; choose another name, or --into another folder")
    written = []
    try:
        for path, text in _files(name, KINDS[kind]):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
            written.append(root / path)
    except OSError as error:
        raise UsageError(f"{root} cannot be written: {error.strerror or error}") from None
    return written


def _files(name: str, kind: Kind) -> Iterator[tuple[str, str]]:
    words = _words(name, kind)
    module = words["module"]
    yield "README.md", _rendered("common/README.md", words)
    yield "pyproject.toml", _rendered("common/pyproject.toml", words)
    yield f"{module}/__init__.py", _rendered(f"{kind.name}/module.py", words)
    yield f"tests/test_{module}.py", _rendered(f"{kind.name}/test.py", words)
    if (TEMPLATES / kind.name / "data.toml.jinja").is_file():
        yield f"{module}/{words['plugin']}.toml", _rendered(f"{kind.name}/data.toml", words)
    if (TEMPLATES / kind.name / "try.toml.jinja").is_file():
        yield "try.toml", _rendered(f"{kind.name}/try.toml", words)


def _words(name: str, kind: Kind) -> dict[str, Any]:
    """Every name of the package: ``nas-my-blocks`` has the module nas_my_blocks and the plugin my-blocks."""
    plugin = name.removeprefix("nas-") or name
    module = name.replace("-", "_")
    if module == plugin.replace("-", "_"):
        module = f"nas_{module}"
    words = {
        "project": name,
        "module": module,
        "plugin": plugin,
        "item": plugin.replace("-", "_"),
        "title": "".join(part.capitalize() for part in plugin.split("-")),
        "api_version": API_VERSION,
        "description": kind.description,
    }
    texts = {"search": kind.search, "advice": kind.advice}
    return {**words, **{key: text.format_map(words) for key, text in texts.items()}}


def _rendered(template: str, words: Mapping[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - it is Python
    text = (TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")
    return environment.from_string(text).render(words)
