"""Networks of the shipped spaces, in their deployed form, survive the trip into Python source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nas.blocks import build, fuse
from nas.errors import BlockError, ExportError
from nas.export import Exporter, ExportReport, ExportRequest, export_module
from nas.export.program import export_program
from nas.export.python_source import network_source
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import Architecture
from nas.spaces.signature import Signature

SIZE = Signature("image", 3, (32, 32))


def sampled(space: str, seed: int) -> Architecture:
    return load_space(space, default_registry()).sample(np.random.default_rng(seed))


def trained(architecture: Architecture) -> nn.Module:
    """A network whose norms and scales are not at their start, as after training."""
    assert architecture.network is not None
    module = build(architecture.network, default_registry().blocks, input=SIZE, classes=10, seed=3)
    generator = torch.Generator().manual_seed(4)
    for name, value in module.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2.0, generator=generator)
    return module.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("space", "seed"),
    [("mobile", 0), ("mobile", 8), ("cell", 1), ("tiny", 0), ("tiny", 3), ("hybrid", 0), ("hybrid", 5)],
)
def test_sampled_networks_keep_their_scores(space: str, seed: int) -> None:
    module = trained(sampled(space, seed))
    deployed = fuse(module).requires_grad_(False)
    program = export_program(deployed, torch.zeros(1, *SIZE.shape))
    assert len(program.batches) > 1
    source, state = network_source(program.exported, deployed)
    made: dict[str, object] = {"torch": torch, "nn": nn, "F": F}
    exec(source, made)
    network = made["Network"]().eval()  # type: ignore[operator]
    network.load_state_dict(state)
    x = torch.rand((2, *SIZE.shape), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(x), deployed(x), atol=1e-5, rtol=0)
    torch.testing.assert_close(network(x), module(x), atol=1e-4, rtol=1e-4)
    assert "torch.ops" not in source or space == "hybrid"


def test_a_trained_module_is_fused_and_left_as_it_was(tmp_path: Path) -> None:
    architecture = sampled("tiny", 0)
    assert architecture.network is not None
    module = trained(architecture)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    report = export_module(
        module, architecture.network, SIZE.shape, "weights", tmp_path / "w.safetensors", default_registry()
    )
    assert report.path.is_file()
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


class Offering:
    """A registry that offers one exporter."""

    def __init__(self, write: object) -> None:
        self.exporters = {"mine": Exporter("mine", ".bin", write)}  # type: ignore[arg-type]


def test_an_exporter_of_a_plugin_receives_the_deployed_network(tmp_path: Path) -> None:
    received: list[ExportRequest] = []

    def write(request: ExportRequest) -> ExportReport:
        received.append(request)
        return ExportReport(request.path, None, ("hello",))

    architecture = sampled("tiny", 0)
    assert architecture.network is not None
    report = export_module(
        trained(architecture),
        architecture.network,
        SIZE.shape,
        "mine",
        tmp_path / "x.bin",
        Offering(write),  # type: ignore[arg-type]
        preparation="as it comes",
    )
    assert report.notes == ("hello",)
    (request,) = received
    assert request.preparation == "as it comes"
    assert tuple(request.example.shape) == (1, *SIZE.shape)
    assert not request.module.training
    assert request.module(request.example).shape == (1, 10)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in request.module.modules())


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (
            RuntimeError("first line\nsecond"),
            ExportError,
            r"export format 'mine' failed: RuntimeError: first line$",
        ),
        (BlockError("mine"), BlockError, "^mine$"),
    ],
)
def test_an_exporter_that_raises_costs_one_line(
    raised: Exception, expected: type[Exception], message: str, tmp_path: Path
) -> None:
    def write(request: ExportRequest) -> ExportReport:
        raise raised

    architecture = sampled("tiny", 0)
    assert architecture.network is not None
    with pytest.raises(expected, match=message):
        export_module(
            trained(architecture),
            architecture.network,
            SIZE.shape,
            "mine",
            tmp_path / "x.bin",
            Offering(write),  # type: ignore[arg-type]
        )
