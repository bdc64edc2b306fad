"""First-party hardware: target files of datasheet figures, and the roofline cost model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nas.costs.model import CostModel
from nas.costs.target import Target
from nas.plugins.hookspecs import hookimpl

FOLDER = Path(__file__).parent / "targets"


@hookimpl
def nas_targets() -> Iterator[Target]:
    """Every target file of this package."""
    from nas.costs.target_file import read_target

    for path in sorted(FOLDER.glob("*.toml")):
        yield read_target(path)


@hookimpl
def nas_cost_models() -> Iterator[CostModel]:
    """The roofline of datasheet figures."""
    yield CostModel(
        name="roofline",
        predict="nas_hardware.roofline:predict",
        version="1",
        description="per-operator datasheet roofline with launch floors; tier T0, no measurement of the device needed",
    )
