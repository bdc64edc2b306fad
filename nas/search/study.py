"""A study: one search, all its settings checked and frozen."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from nas.costs.cost import DEFAULT_MODEL
from nas.errors import StoreError, UsageError
from nas.search.objective import Constraint, Objective
from nas.search.repeats import check_repeats
from nas.search.rungs import check_pacing

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
CHANGEABLE = frozenset({"trials", "baseline"})


def check_name(name: str, what: str = "study name") -> str:
    """The name itself where it is of the allowed form; names become folder names and table keys."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what} {name[:80]!r} is not allowed: 1 to 64 of a-z, 0-9, '.', '_', '-', "
            "beginning with a letter or digit"
        )
    return name


@dataclass(frozen=True)
class StudySpec:
    """What a study searches, on what, for how long.

    `space` is the name or path the user gave and `space_text` the TOML it held then, so that a study resumes
    after the file changed. `targets` are target references (``a100``, ``./board.toml``), `target_names` what
    their costs are called by, `target_labels` the full profiles they resolved to, and `target_overrides` the
    precision, batch size, runtime and layout given for all of them. `data` is a task
    reference (``digits``, ``cifar10:PATH``). `recipe` holds the recipe's values that differ from its
    defaults. `minimum_map` is the rule for small pictures: early strides are relaxed while training until the
    last map is at least this high and wide. `epochs` is the full fidelity of a trial;
    with several `rungs` it pauses on the way there, and only the best go on. A trial whose chance to join the
    front falls below `stop_below` is stopped. The best architectures are trained up to `repeats` times, each
    time with another seed, and count with their means. `warm_start` holds the
    earlier studies whose results are reused, each with the trials that count (``0-23;24@3``, see `numbers`).
    `proxies` are zero-cost proxies that the searcher may follow as far as they prove right.
    `baseline` is a searcher that gets the same budget, to compare with; none where it is empty.
    """

    name: str
    space: str
    space_text: str
    targets: tuple[str, ...]
    objectives: tuple[Objective, ...]
    target_names: tuple[str, ...] = ()
    target_labels: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    target_overrides: tuple[tuple[str, Any], ...] = ()
    cost_model: str = DEFAULT_MODEL
    data: str = "digits"
    data_fingerprint: str = ""
    recipe: tuple[tuple[str, Any], ...] = ()
    minimum_map: int = 4
    searcher: str = "pareto"
    trials: int = 24
    epochs: int = 5
    seed: int = 0
    rungs: int = 1
    stop_below: float = 0.0
    repeats: int = 1
    warm_start: tuple[tuple[str, str], ...] = ()
    baseline: str = ""
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.baseline:
            check_name(self.baseline_name, "name of the baseline study")
        for key in ("trials", "epochs"):
            if getattr(self, key) < 1:
                raise UsageError(f"--{key} must be at least 1, not {getattr(self, key)}")
        if not self.objectives:
            raise UsageError("a study needs at least one --objective")
        check_pacing(self.epochs, self.rungs, self.stop_below)
        check_repeats(self.repeats, self.rungs)

    @property
    def baseline_name(self) -> str:
        """The study that holds the trials of this one's baseline."""
        return f"{self.name}-baseline"

    def to_json(self) -> str:
        """JSON that `from_json` reads; kept in the store."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> StudySpec:
        """The settings a store holds; StoreError where they were written by something else."""
        try:
            content = json.loads(text)
            for key in ("target_overrides", "recipe"):
                content[key] = tuple((name, value) for name, value in content[key])
            content["proxies"] = tuple(content.get("proxies", ()))
            content["warm_start"] = tuple((name, numbers) for name, numbers in content.get("warm_start", ()))
            for key in ("targets", "target_names", "target_labels"):
                content[key] = tuple(content[key])
            content["objectives"] = tuple(Objective(**item) for item in content["objectives"])
            content["constraints"] = tuple(Constraint(**item) for item in content["constraints"])
            return cls(**content)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the study's settings cannot be read: {error}; was it written by another version?"
            ) from None

    def differences(self, other: StudySpec) -> list[str]:
        """One line for each setting in which two specs differ, those that may change left out."""
        lines = []
        for key in (field.name for field in fields(self) if field.name not in CHANGEABLE):
            mine, theirs = getattr(self, key), getattr(other, key)
            if mine != theirs:
                change = f"{shown_setting(mine)} → {shown_setting(theirs)}"
                lines.append(f"{key}: {'changed' if key == 'space_text' else change}")
        return lines


def shown_setting(value: Any) -> str:
    """A setting of a study as one reads it."""
    if isinstance(value, tuple):
        return ", ".join(
            f"{v[0]}={v[1]}" if isinstance(v, tuple) else str(getattr(v, "name", v)) for v in value
        )
    return str(value)
