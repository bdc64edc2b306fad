"""What the export tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from export_toys import SHAPE
from torch import nn

from nas.export import ExportRequest
from nas.spaces.architecture import BlockUse, Layer, Network
from nas.spaces.signature import Signature

NETWORK = Network(Signature("image", 3, (16, 16)), (Layer(BlockUse("conv")),), 5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[[nn.Module, str], ExportRequest]:
    """A request to write a module to a file of this name."""

    def make_request(module: nn.Module, name: str) -> ExportRequest:
        example = torch.randn((1, *SHAPE), generator=torch.Generator().manual_seed(1))
        return ExportRequest(NETWORK, module, example, tmp_path / name)

    return make_request
