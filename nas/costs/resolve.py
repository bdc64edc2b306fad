"""Target references: a name, an alias, a file, with a profile of the user's choice."""

from __future__ import annotations

import operator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.costs.target import Target
from nas.costs.target_file import LARGEST_BATCH, check_target, read_target
from nas.costs.this import NAMES, this_target
from nas.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from nas.plugins import Registry


def resolve_target(
    reference: str | Path | Target,
    registry: Registry | None = None,
    *,
    precision: str | None = None,
    batch_size: int | None = None,
    runtime: str | None = None,
    layout: str | None = None,
) -> Target:
    """The target of a name (``a100-sxm4-80gb``), an alias (``a100``), ``this`` (machine), a target file or a
    Target.

    What is not None replaces that part of the target's default profile; a calibration was measured in one
    precision, runtime and layout and is left out in others. Raises UnknownNameError with the nearest name,
    and TargetError where the device has no figures for the profile.
    """
    target = _find(reference, registry, runtime, precision)
    given = {"precision": precision, "batch_size": batch_size, "runtime": runtime, "layout": layout}
    changes = {key: value for key, value in given.items() if value is not None}
    if batch_size is not None:
        changes["batch_size"] = _batch_size(batch_size)
    changed = replace(target, **changes)  # type: ignore[arg-type]
    if any(getattr(changed, part) != getattr(target, part) for part in ("precision", "runtime", "layout")):
        changed = replace(changed, calibration=None)
    return check_target(changed)


def _batch_size(given: object) -> int:
    """A batch size as a plain integer; numpy's are taken too, fractions and text are not."""
    try:
        size = 0 if isinstance(given, bool) else operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        size = 0
    if not 1 <= size <= LARGEST_BATCH:
        raise UsageError(f"the batch size must be an integer from 1 to {LARGEST_BATCH:,}, not {given!r:.100}")
    return int(size)


def _find(
    reference: str | Path | Target, registry: Registry | None, runtime: str | None, precision: str | None
) -> Target:
    if isinstance(reference, Target):
        return reference
    if not isinstance(reference, str | Path):
        raise UsageError(f"a target is a name, a path or a Target, not {reference!r:.100}")
    if isinstance(reference, Path) or reference.endswith(".toml"):
        return read_target(Path(reference))
    if registry is None:
        from nas.plugins import default_registry

        registry = default_registry()
    if reference in NAMES:
        return this_target(reference, registry, runtime, precision)
    names = {alias: name for name in registry.targets for alias in registry.targets[name].device.aliases}
    if reference not in registry.targets and reference not in names:
        raise UnknownNameError("target", reference, [*registry.targets, *names, *NAMES])
    return replace(registry.targets[names.get(reference, reference)], name=reference)
