"""What every building block promises."""

from __future__ import annotations

import copy
import importlib.util
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from nas.blocks import Block, build_element, fuse, parameter_count
from nas.costs.trace import trace
from nas.plugins import default_registry
from nas.spaces.architecture import Network
from nas.spaces.fitting import output_signature
from nas.testing.cases import DIMENSIONS, SIZES, Case, Sampler
from nas.testing.modules import (
    CLASSES,
    built,
    close,
    first,
    no_random_numbers,
    randomised,
    sample_input,
    told,
    without_grad,
)

EXACT = 1e-9
EXPORTED = 2
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class BlockConformance:
    """Tests of one block; a subclass gives it by the fixture `block`, a registered name or a `Block`.

    The block is tried with every value of every knob, on the `sizes` (default: even, odd, a single position)
    and `channels`, at stride 1 and 2 where its role allows, `samples` cases or more. A subclass may fix
    `knobs`, name the `inner` blocks to try for a knob that takes one, list the parameters that get no
    gradient in `without_gradient`, and widen `tolerance` (relative, float64).

    >>> class TestConv(BlockConformance):
    ...     @pytest.fixture
    ...     def block(self):
    ...         return "conv"
    """

    sizes: ClassVar[Sequence[tuple[int, ...]]] = ()
    channels: ClassVar[Sequence[int]] = (16, 32)
    samples: ClassVar[int] = 8
    knobs: ClassVar[Mapping[str, Any]] = {}
    inner: ClassVar[Mapping[str, Sequence[str]]] = {}
    without_gradient: ClassVar[Sequence[str]] = ()
    tolerance: ClassVar[float] = EXACT

    @pytest.fixture
    def block(self) -> str | Block:
        """The block to test."""
        raise NotImplementedError("give the block to test by a fixture named 'block'")

    @pytest.fixture
    def blocks(self, block: str | Block) -> Mapping[str, Block]:
        """Every registered block, and the one to test."""
        registered = default_registry().blocks
        if isinstance(block, str):
            return registered
        return {**registered.unique(), block.name: block}

    @pytest.fixture
    def offered(self, block: str | Block, blocks: Mapping[str, Block]) -> Block:
        """The block itself."""
        return blocks[block] if isinstance(block, str) else block

    @pytest.fixture
    def sampler(self, block: str | Block, offered: Block, blocks: Mapping[str, Block]) -> Sampler:
        """Where cases come from."""
        if offered.role in ("merge", "neck"):
            pytest.skip(f"blocks of role {offered.role!r} take several tensors")
        name = block if isinstance(block, str) else block.name
        sizes = self.sizes or SIZES[DIMENSIONS.get(offered.domain, 2)]
        return Sampler(offered, name, blocks, sizes, self.channels, self.inner, self.knobs)

    @pytest.fixture
    def cases(self, sampler: Sampler) -> list[Case]:
        """The cases to try."""
        torch.set_num_threads(1)
        cases = sampler.cases(self.samples)
        assert cases, "its `valid` rule refuses every place that was tried: widen `sizes` or `channels`"
        return cases

    def test_is_described(self, offered: Block) -> None:
        """A user can find out what it is."""
        assert offered.description, "give the Block a `description` of one line"
        builder = offered.builder()
        assert builder.__doc__, (
            f"{builder.__name__} has no docstring: say what it does and what each knob means"
        )
        missing = [knob for knob in offered.knobs if f"`{knob}`" not in builder.__doc__]
        assert not missing, f"the docstring of {builder.__name__} does not name {missing}"

    def test_every_knob_value_fits_somewhere(self, sampler: Sampler) -> None:
        """No value is offered that no search can ever choose."""
        unfit = sampler.unfit()
        assert not unfit, f"{unfit} fit none of the places that were tried: widen `sizes` or `channels`"

    def test_gives_the_declared_signature(self, cases: list[Case], blocks: Mapping[str, Block]) -> None:
        """Shapes agree with what the space was told, in training and in eval, and values are finite."""
        for case in cases:
            with told(case):
                declared = output_signature(Network(case.signature, (case.layer,), CLASSES), blocks)
                module = randomised(built(case, blocks))
                for form in (module.train(), module.eval()):
                    y = without_grad(form, sample_input(case))
                    assert tuple(y.shape[1:]) == declared.shape, (
                        f"gives {tuple(y.shape[1:])}, declared is {declared.shape}"
                    )
                    assert torch.isfinite(y).all(), "gives NaN or infinity"

    def test_runs_on_the_meta_device(self, cases: list[Case], blocks: Mapping[str, Block]) -> None:
        """It can be built and priced without memory."""
        for case in cases:
            with told(case):
                built(case, blocks)  # the first build is checked, which would move a stray tensor to meta
                with torch.device("meta"):
                    module = build_element(case.layer, case.signature, blocks, classes=CLASSES)
                on_cpu = [n for n, t in module.named_parameters() if not t.is_meta]
                assert not on_cpu, f"makes {on_cpu} on another device than torch's default"

    def test_every_parameter_gets_a_finite_gradient(
        self, cases: list[Case], blocks: Mapping[str, Block]
    ) -> None:
        """Nothing is left out of training."""
        for case in cases:
            with told(case):
                module = randomised(built(case, blocks)).train()
                y = module(sample_input(case))
                if not y.requires_grad:
                    assert not list(module.parameters()), (
                        "has parameters, but its output does not depend on them"
                    )
                    continue
                (y * torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
                for name, parameter in module.named_parameters():
                    if parameter.requires_grad and name.rpartition(".")[2] not in self.without_gradient:
                        assert parameter.grad is not None, f"{name} gets no gradient"
                        assert torch.isfinite(parameter.grad).all(), (
                            f"{name} gets a gradient that is not finite"
                        )

    def test_a_seed_makes_it_and_no_global_randomness_is_touched(
        self, cases: list[Case], blocks: Mapping[str, Block]
    ) -> None:
        """Equal seeds give equal weights; running it in eval draws nothing, and training repeats."""
        for case in first(cases, self.samples, lambda case: case.layer.block):
            with told(case), no_random_numbers("building it"):
                one, other = built(case, blocks, seed=3), built(case, blocks, seed=3)
            with told(case):
                for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
                    assert torch.equal(a, b), f"{name} differs between two builds with one seed"
                x = sample_input(case)
                with torch.random.fork_rng(devices=[]):
                    outputs = []
                    for module in (one.train(), other.train()):
                        torch.manual_seed(5)
                        outputs.append(without_grad(module, x))
                assert torch.equal(*outputs), "training does not repeat under one seed"
                with no_random_numbers("running it in eval"):
                    repeated = [without_grad(one.eval(), x) for _ in range(2)]
                assert torch.equal(*repeated), "eval gives another output the second time"

    def test_a_sample_does_not_see_the_others_in_eval(
        self, cases: list[Case], blocks: Mapping[str, Block]
    ) -> None:
        """The output for one sample is the same in any batch."""
        for case in cases:
            with told(case):
                module = randomised(built(case, blocks)).eval()
                x = sample_input(case)
                others = torch.cat([x[:1], 7 * x[1:] + 3])
                together = without_grad(module, x)[0]
                close(
                    without_grad(module, others)[0], together, self.tolerance, "with other samples beside it"
                )
                close(without_grad(module, x[:1])[0], together, self.tolerance, "alone in its batch")

    def test_state_and_pickle_round_trip(self, cases: list[Case], blocks: Mapping[str, Block]) -> None:
        """Its state is all that it is."""
        for case in cases:
            with told(case):
                module = randomised(built(case, blocks)).eval()
                x = sample_input(case)
                expected = without_grad(module, x)
                other = built(case, blocks, seed=9).eval()
                other.load_state_dict(module.state_dict())
                close(without_grad(other, x), expected, self.tolerance, "with its state loaded into another")
                unpickled = pickle.loads(pickle.dumps(module))
                close(without_grad(unpickled, x), expected, self.tolerance, "after pickling")

    def test_works_channels_last_and_under_autocast(
        self, cases: list[Case], blocks: Mapping[str, Block]
    ) -> None:
        """Neither the memory format nor bfloat16 breaks it."""
        for case in cases:
            with told(case):
                module = randomised(built(case, blocks)).float().eval()
                x = sample_input(case).float()
                expected = without_grad(module, x)
                if x.ndim == 4:
                    last = copy.deepcopy(module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                    y = without_grad(last, x.to(memory_format=torch.channels_last))
                    close(y, expected, 1e-3, "channels last")
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    assert without_grad(module, x).shape == expected.shape

    def test_the_deployed_form_agrees(self, cases: list[Case], blocks: Mapping[str, Block]) -> None:
        """What is merged for inference computes the same, with norms and scales away from their start."""
        for case in cases:
            with told(case):
                module = randomised(built(case, blocks)).train()
                expected = without_grad(copy.deepcopy(module).eval(), sample_input(case))
                deployed = fuse(module)
                close(without_grad(deployed, sample_input(case)), expected, self.tolerance, "deployed")
                assert module.training, "fusing changes the module itself"
                assert not any(part.training for part in deployed.modules()), (
                    "a part is left in training mode"
                )

    def test_every_operator_is_priced(self, cases: list[Case], blocks: Mapping[str, Block]) -> None:
        """The operator trace knows everything it runs; nothing costs nothing."""
        for case in cases:
            with told(case):
                deployed = fuse(built(case, blocks).float())
                found = trace(deployed, case.signature.shape)
                assert not found.unknown_operators, f"no rule prices {found.unknown_operators}"
                free = [operator.name for operator in found.operators if not operator.bytes_moved]
                assert not free, f"{free} move no bytes"

    def test_costs_are_those_declared(
        self, offered: Block, cases: list[Case], blocks: Mapping[str, Block]
    ) -> None:
        """The hand formulas `params` and `macs`, where the block declares them, agree with the module."""
        for case in cases:
            with told(case):
                layer, knobs = case.layer, case.layer.block.knob_values()
                module = built(case, blocks).float()
                if offered.params is not None:
                    declared = offered.params(case.signature, layer.width, layer.stride, **knobs)
                    assert declared == parameter_count(module), "`params` is not what the module has"
                if offered.macs is not None:
                    declared = offered.macs(case.signature, layer.width, layer.stride, **knobs)
                    assert declared == trace(fuse(module), case.signature.shape).macs, (
                        "`macs` is not the trace's"
                    )

    def test_can_be_exported(
        self, offered: Block, cases: list[Case], blocks: Mapping[str, Block], tmp_path: Path
    ) -> None:
        """`torch.export` and, for one case, ONNX carry its deployed form, or the block says they cannot."""
        from nas.errors import ExportError
        from nas.export.exporter import ExportRequest

        if not offered.exportable:
            pytest.skip("declared as not exportable")
        has_onnx = all(importlib.util.find_spec(package) for package in ONNX_PACKAGES)
        for number, case in enumerate(first(cases, EXPORTED, lambda case: case.signature)):
            with told(case):
                module = fuse(randomised(built(case, blocks)).float())
                example = sample_input(case, 1).float()
                network = Network(case.signature, (case.layer,), CLASSES)
                request = ExportRequest(network, module, example, tmp_path / f"{number}.onnx")
                try:
                    _export(request, has_onnx and number == 0)
                except ExportError as error:
                    raise AssertionError(f"{error} Mend it, or say exportable=False.") from error


def _export(request: Any, has_onnx: bool) -> None:
    """As ONNX where its packages are there, which takes a `torch.export` program on the way."""
    from nas.export import onnx_file
    from nas.export.program import export_program

    if has_onnx:
        onnx_file.write(request)
    else:
        export_program(request.module, request.example)
