"""Where the numbers come from: settings, data, versions, and the command that repeats the study."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.report.text import clean
from nas.search.feasibility import limit_text
from nas.search.objective import MAXIMISED

if TYPE_CHECKING:
    from nas.plugins import Plugin
    from nas.report.content import StudyContent
    from nas.search.study import StudySpec


@dataclass(frozen=True)
class Fact:
    """One line of provenance; `is_code` for what is to be copied."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True)
class Installed:
    """One plugin that was installed when the study ran."""

    name: str
    distribution: str
    version: str
    module: str


def facts(content: StudyContent) -> tuple[Fact, ...]:
    """All that a reader needs to judge or to repeat the study."""
    from nas import __version__

    spec, record = content.spec, content.record
    fingerprint = f" (SHA-256 {spec.data_fingerprint[:16]}…)" if spec.data_fingerprint else ""
    versions = f"nas {record.version or 'unknown'}" + (
        f"; report by nas {__version__}" if record.version != __version__ else ""
    )
    pairs = [
        ("Objectives", ", ".join(f"{o.direction} {o.name}" for o in spec.objectives)),
        ("Constraints", ", ".join(map(limit_text, spec.constraints)) or "none"),
        ("Targets", "; ".join(spec.target_labels or spec.targets) or "none"),
        ("Cost model", spec.cost_model),
        ("Searcher", f"{spec.searcher}, seed {spec.seed}"),
        ("Budget", f"{spec.trials:,} trials of {spec.epochs:,} epochs"),
        ("Data", f"{spec.data}{fingerprint}"),
        ("Recipe", ", ".join(f"{name}={value}" for name, value in spec.recipe) or "the defaults"),
        ("Small pictures", _relaxation(spec)),
        ("Versions", versions),
        ("Store", content.location),
        ("Dates", _dates(content)),
    ]
    found = [Fact(name, clean(value, 600)) for name, value in pairs]
    return (*found, Fact("Repeat it with", clean(command(spec, content.location), 1500), is_code=True))


def _relaxation(spec: StudySpec) -> str:
    """The rule by which networks for large pictures are trained on small ones."""
    side = spec.minimum_map
    return (
        f"while training, the earliest strides are set to 1 until the last map is at least {side}×{side}; "
        "costs are those of the network as it is deployed"
    )


def _dates(content: StudyContent) -> str:
    finished = [trial.finished for trial in content.records.values() if trial.finished]
    return f"made {content.record.created}" + (f", last trial ended {max(finished)}" if finished else "")


def command(spec: StudySpec, location: str) -> str:
    """The command line that runs this study again, quoted for a shell."""
    words = ["nas", "search", "--space", spec.space]
    for target in spec.targets:
        words += ["--target", target]
    words += ["--data", spec.data]
    for objective in spec.objectives:
        plain = objective.direction == ("max" if objective.name in MAXIMISED else "min")
        words += ["--objective", objective.name if plain else f"{objective.direction}:{objective.name}"]
    for constraint in spec.constraints:
        words += ["--constraint", str(constraint)]
    for name, value in spec.target_overrides:
        words += [f"--{name.replace('_', '-')}", str(value)]
    for name, value in spec.recipe:
        words += ["--recipe", f"{name}={json.dumps(value) if isinstance(value, bool | list) else value}"]
    words += [
        "--cost-model",
        spec.cost_model,
        "--searcher",
        spec.searcher,
        "--trials",
        str(spec.trials),
        "--epochs",
        str(spec.epochs),
    ]
    words += ["--baseline", spec.baseline] if spec.baseline else []
    words += ["--seed", str(spec.seed), "--study", spec.name, "--store", location]
    return shlex.join(words)


def installed(plugins: Sequence[Plugin]) -> tuple[Installed, ...]:
    """The plugins on record, cleaned."""
    return tuple(
        Installed(clean(p.name, 80), clean(p.distribution, 80), clean(p.version, 40), clean(p.module, 120))
        for p in plugins
    )
