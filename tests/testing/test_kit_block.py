"""The kit finds what is wrong with a block, and nothing where all is right."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kit_failures import complaint, run_file
from torch import Tensor, nn

from nas import Block, Choice, Signature
from nas.plugins import default_registry
from nas.testing import BlockConformance
from nas.testing.cases import SIZES, Case, Sampler
from nas.testing.workloads import Workload, unknown_workload

KIT = BlockConformance()


class Good(nn.Module):
    """y = act(norm(conv(x))) with a kernel of `kernel`."""

    def __init__(self, signature: Signature, *, width: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(signature.channels, width, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y.relu()


class WrongShape(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :-1]


class NotANumber(Good):
    """Divides by zero."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / torch.zeros_like(x[:, :1, :1, :1])


class SeesTheBatch(Good):
    """Subtracts the mean of the batch, in eval too."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(dim=0, keepdim=True))


class Draws(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(())


class DrawsOfPython(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 if random.random() > -1 else 0)


class BuildsAtRandom(Good):
    def __init__(self, signature: Signature, **knobs: Any) -> None:
        super().__init__(signature, **knobs)
        with torch.no_grad():
            values = torch.rand(self.conv.weight.shape, generator=torch.Generator().manual_seed(COUNT[0]))
            self.conv.weight.copy_(values)
        COUNT[0] += 1


COUNT = [0]


class Unused(Good):
    """Has a parameter that nothing reads."""

    def __init__(self, signature: Signature, **knobs: Any) -> None:
        super().__init__(signature, **knobs)
        self.forgotten = nn.Parameter(torch.ones(3))


class EndlessGradient(Good):
    """A root of exactly 0 has no finite slope."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y + (0 * self.conv.weight.sum()).sqrt()


class HiddenState(Good):
    """A tensor that the state does not hold."""

    def __init__(self, signature: Signature, **knobs: Any) -> None:
        super().__init__(signature, **knobs)
        self.hidden = torch.rand(())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.hidden


class Locked(Good):
    """Cannot be pickled."""

    def __init__(self, signature: Signature, **knobs: Any) -> None:
        super().__init__(signature, **knobs)
        self.lock = threading.Lock()


class OnTheCpu(Good):
    def __init__(self, signature: Signature, **knobs: Any) -> None:
        super().__init__(signature, **knobs)
        self.scale = nn.Parameter(torch.ones((), device="cpu"))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale.to(x.device)


class OneTypeOnly(Good):
    """Multiplies matrices of two types under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return y @ torch.eye(y.shape[-1], dtype=x.dtype, device=y.device)


class NeedsItsLayout(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y.view(-1).view(y.shape)


class WrongFusion(Good):
    """Forgets the norm when it is deployed."""

    def fused(self) -> nn.Module:
        return nn.Sequential(self.conv, nn.ReLU())


class Mysterious(Good):
    """Runs an operator that no rule prices."""

    def __init__(self, signature: Signature, **knobs: Any) -> None:
        super().__init__(signature, **knobs)
        workload: Workload = unknown_workload()
        self.mystery = workload.build(1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mystery(super().forward(x))
        return y


class Branches(Good):
    """Looks at values: no program can be exported."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if x.is_meta or float(y.sum()) > 0 else -y


def block(build: Any, **fields: Any) -> Block:
    knobs = {"knobs": {"kernel": Choice(3, 5)}, "description": "a block of these tests", **fields}
    return Block("toy", "block", "image", build, **knobs)


def params(signature: Signature, width: int, stride: int, *, kernel: int) -> int:
    return signature.channels * width * kernel**2 + 2 * width


def macs(signature: Signature, width: int, stride: int, *, kernel: int) -> int:
    height, breadth = (-(-extent // stride) for extent in signature.size)
    return signature.channels * width * kernel**2 * height * breadth


def places(offered: Block) -> tuple[list[Case], Mapping[str, Block]]:
    """The cases of a block, as the fixtures of the kit give them."""
    torch.set_num_threads(1)
    blocks = {**default_registry().blocks.unique(), offered.name: offered}
    return Sampler(offered, offered.name, blocks, SIZES[2][:2], (8, 16)).cases(4), blocks


SEED = "test_a_seed_makes_it_and_no_global_randomness_is_touched"
GRADIENT = "test_every_parameter_gets_a_finite_gradient"
STATE = "test_state_and_pickle_round_trip"
DEPLOYED = "test_the_deployed_form_agrees"
BROKEN: list[tuple[Any, str, str]] = [
    (WrongShape, "test_gives_the_declared_signature", "block 'toy' gives an output of shape"),
    (NotANumber, "test_gives_the_declared_signature", "gives NaN or infinity"),
    (SeesTheBatch, "test_a_sample_does_not_see_the_others_in_eval", "with other samples beside it"),
    (Draws, SEED, "running it in eval draws from the global random state of torch"),
    (DrawsOfPython, SEED, "the global random state of random"),
    (BuildsAtRandom, SEED, "conv.weight differs between two builds with one seed"),
    (Unused, GRADIENT, "forgotten gets no gradient"),
    (EndlessGradient, GRADIENT, "conv.weight gets a gradient that is not finite"),
    (HiddenState, STATE, "with its state loaded into another"),
    (OnTheCpu, "test_runs_on_the_meta_device", "makes ['scale'] on another device"),
    (WrongFusion, DEPLOYED, "deployed: they differ"),
    (Mysterious, "test_every_operator_is_priced", "no rule prices ('nas_testing::mystery',)"),
]


@pytest.mark.parametrize(
    ("build", "check", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_what_is_broken_is_found(build: Any, check: str, message: str) -> None:
    assert message in complaint(getattr(KIT, check), *places(block(build)))


def test_the_complaint_says_on_what() -> None:
    message = complaint(KIT.test_gives_the_declared_signature, *places(block(NotANumber)))
    assert "found on: toy(kernel=3) on image" in message


def test_one_that_does_not_pickle_is_found() -> None:
    with pytest.raises(TypeError, match=r"cannot pickle '_thread.lock'"):
        KIT.test_state_and_pickle_round_trip(*places(block(Locked)))


@pytest.mark.parametrize(
    ("build", "message"),
    [(NeedsItsLayout, "view size is not compatible"), (OneTypeOnly, "to have the same dtype")],
)
def test_one_that_needs_its_memory_format_or_type_is_found(build: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        KIT.test_works_channels_last_and_under_autocast(*places(block(build)))


@pytest.mark.parametrize(("formula", "message"), [("params", "`params` is not"), ("macs", "`macs` is not")])
def test_a_wrong_formula_is_found(formula: str, message: str) -> None:
    offered = block(Good, **{formula: lambda signature, width, stride, **knobs: 7})
    assert message in complaint(KIT.test_costs_are_those_declared, offered, *places(offered))


def test_one_that_cannot_be_exported_has_to_say_so(tmp_path: Path) -> None:
    offered = block(Branches)
    message = complaint(KIT.test_can_be_exported, offered, *places(offered), tmp_path)
    assert "or say exportable=False" in message
    with pytest.raises(pytest.skip.Exception, match="declared as not exportable"):
        KIT.test_can_be_exported(replace(offered, exportable=False), *places(offered), tmp_path)


def undocumented(signature: Signature, *, width: int, stride: int = 1, kernel: int = 3) -> nn.Module:
    return Good(signature, width=width, stride=stride, kernel=kernel)


def test_what_is_not_described_is_found() -> None:
    assert "no docstring" in complaint(KIT.test_is_described, block(undocumented))
    assert "a `description`" in complaint(KIT.test_is_described, block(Good, description=""))
    unnamed = block(Good, knobs={"depth": Choice(1)})
    assert "does not name ['depth']" in complaint(KIT.test_is_described, unnamed)


def test_a_value_that_fits_nowhere_is_found() -> None:
    offered = block(Good, valid=lambda signature, width, stride, **knobs: knobs["kernel"] < 5)
    blocks = {offered.name: offered}
    sampler = Sampler(offered, offered.name, blocks, SIZES[2], (8, 16))
    assert "['kernel=5'] fit none" in complaint(KIT.test_every_knob_value_fits_somewhere, sampler)


GOOD = block(Good, params=params, macs=macs)
USE = """
import pytest
from nas.testing import BlockConformance
from test_kit_block import {names}

class TestIt(BlockConformance):
    sizes = ((8, 8), (5, 7))
    channels = (8, 16)
    samples = 4

    @pytest.fixture
    def block(self):
        return {block}
"""


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(names="GOOD", block="GOOD"))
    assert (outcome.failed, outcome.skipped) == ({}, set())
    assert len(outcome.passed) == 13


def test_a_block_that_gives_nan_fails_as_a_whole(tmp_path: Path) -> None:
    source = USE.format(names="NotANumber, block as make", block="make(NotANumber)")
    outcome = run_file(tmp_path, source, "-k", "signature or meta")
    assert set(outcome.failed) == {"test_gives_the_declared_signature"}
    assert outcome.passed == {"test_runs_on_the_meta_device"}


def test_a_block_that_fits_nowhere_is_told_so(tmp_path: Path) -> None:
    build = "make(Good, valid=lambda *place, **knobs: False)"
    outcome = run_file(tmp_path, USE.format(names="Good, block as make", block=build), "-k", "signature")
    message = outcome.failed["test_gives_the_declared_signature"]
    assert "its `valid` rule refuses every place that was tried" in message
