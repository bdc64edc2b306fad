"""Study files: a search written down in TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.costs.cost import DEFAULT_MODEL
from nas.errors import UsageError, nearest
from nas.studies.options import SearchOptions

Text = Annotated[str, Field(min_length=1, max_length=4096)]
SIZE_LIMIT = 1_000_000


class StudyFile(BaseModel):
    """The keys of a study file; all but `space` have the defaults of the command line."""

    model_config = ConfigDict(extra="forbid", strict=True)

    space: Text
    targets: list[Text] = ["a100"]
    data: Text = "digits"
    objectives: list[Text] = []
    constraints: list[Text] = []
    searcher: Text = "pareto"
    baseline: str = ""
    cost_model: Text = DEFAULT_MODEL
    trials: int = 24
    epochs: int = 5
    rungs: int = 1
    stop_below: float = 0.0
    repeats: int = 1
    seed: int = 0
    study: Text | None = None
    precision: Text | None = None
    batch_size: int | None = None
    runtime: Text | None = None
    layout: Text | None = None
    recipe: dict[str, Any] = {}
    warm_start: list[Text] = Field(default=[], alias="from")
    proxies: list[Text] = []
    confidence: float = 0.5


def read_study_file(path: Path) -> SearchOptions:
    """The options a study file holds; UsageError names the file and the key of every mistake.

    A space or target given as a path is looked up from the folder of the study file.
    """
    content = _read_toml(path)
    try:
        checked = StudyFile.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{path}: {'; '.join(_explain(item) for item in error.errors()[:5])}") from None
    values = checked.model_dump()
    for key in ("targets", "objectives", "constraints", "warm_start", "proxies"):
        values[key] = tuple(values[key])
    values["space"] = _beside(path, values["space"])
    values["targets"] = tuple(_beside(path, target) for target in values["targets"])
    return SearchOptions(**values)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"{path}: larger than {SIZE_LIMIT:,} bytes; a study file is a page of TOML")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file: {error}") from None


def _beside(path: Path, reference: str) -> str:
    return str(path.parent / reference) if reference.endswith(".toml") else reference


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        match = nearest(key, StudyFile.model_fields)
        return f"unknown key {key!r}" + (f" (did you mean {match!r}?)" if match else "")
    return f"{key}: {item['msg']}"
