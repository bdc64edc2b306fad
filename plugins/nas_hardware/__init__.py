"""First-party hardware: target files of datasheet figures, and the cost models utilisation and roofline."""

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
    """The utilisation of kernels, which is the default, and the roofline of datasheet figures."""
    yield CostModel(
        name="utilisation",
        predict="nas_hardware.utilisation:predict",
        finish="nas_hardware.utilisation:finish",
        version="6",
        description="kernels at the share of the datasheet's speed that measured ones reach (tier T0)",
    )
    yield CostModel(
        name="roofline",
        predict="nas_hardware.roofline:predict",
        finish="nas_hardware.roofline:finish",
        version="5",
        description="per-operator roofline of datasheet figures with launch floors (tier T0)",
    )
