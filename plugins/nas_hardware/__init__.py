"""First-party hardware: target files of datasheet figures, and the roofline cost model."""

from __future__ import annotations

from collections.abc import Iterator

from nas.costs.model import CostModel
from nas.costs.target import Target
from nas.plugins.hookspecs import hookimpl


@hookimpl
def nas_targets() -> Iterator[Target]:
    """Every target file of this package."""
    from nas_hardware.catalogue import shipped_targets

    yield from shipped_targets()


@hookimpl
def nas_cost_models() -> Iterator[CostModel]:
    """The roofline of datasheet figures."""
    yield CostModel(
        name="roofline",
        predict="nas_hardware.roofline:predict",
        version="3",
        description="per-operator roofline of datasheet figures with launch floors (tier T0)",
    )
