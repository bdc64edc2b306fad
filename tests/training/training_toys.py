"""Small data and small modules to train, for the tests of this folder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.training.assembly import assemble
from nas.training.checkpoint import Header
from nas.training.task import TaskData


def toy_data(samples: int = 48, classes: int = 3, size: int = 6, flip: bool = False) -> TaskData:
    """Pictures whose class is the brightest channel: learnt in a few steps."""
    generator = torch.Generator().manual_seed(7)
    labels = torch.arange(samples) % classes
    inputs = torch.randint(0, 100, (samples, classes, size, size), generator=generator)
    inputs[torch.arange(samples), labels] += 120
    names = [str(number) for number in range(classes)]
    return assemble((inputs.to(torch.uint8), labels), class_names=names, split_seed=0, flip=flip)


class ToyNetwork(nn.Module):
    """Convolution, batch norm, dropout and a linear layer."""

    def __init__(self, classes: int = 3, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(classes, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(torch.relu(self.norm(self.conv(x))).mean((2, 3))))


def toy_network(seed: int = 0, classes: int = 3, *, dropout: float = 0.2) -> ToyNetwork:
    """A toy network with weights of this seed; the global random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ToyNetwork(classes, dropout=dropout)


def toy_header(epochs: int = 4, seed: int = 3, architecture: str = "a" * 64) -> Header:
    """What the checkpoints of a toy training belong to."""
    return Header(architecture, "r" * 64, "d" * 64, epochs, seed, minimum_map=4)
