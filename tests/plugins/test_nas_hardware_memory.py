"""Peak memory by hand: what is alive, workspaces, holes, what fusion saves, and what kernels refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.costs import Device, Figure, Operator, Target, Trace, resolve_target
from nas.costs.liveness import Allocation
from nas.costs.operators import join_traces
from nas.costs.trace import run_traced, trace
from nas_hardware import limits, memory

GPU = Device("gpu", "dc-gpu", "NVIDIA", {"memory_gb": Figure(10, "test")})
CPU = Device("cpu", "x86-cpu", "generic", {})
MIB = 1 << 20


def target(device=GPU, runtime="eager", precision="fp32", **changes) -> Target:
    return Target("t", device, precision=precision, runtime=runtime, **changes)


def operator(kind="copy", read=0, written=0, weights=0, **changes) -> Operator:
    return Operator(kind, kind, "", 0, 0, read, written, weights, **changes)


def passes(*allocations, operators, weights=0) -> Trace:
    sizes = [size for size, *_ in allocations]
    return Trace(
        tuple(operators),
        0,
        weights,
        sum(sizes),
        sum(sizes),
        allocations=tuple(Allocation(*a) for a in allocations),
    )


def with_holes(size: int) -> int:
    return round(size * (1 + memory.HOLES_SHARE))


def test_eager_frees_when_nothing_names_it_and_planned_runtimes_after_the_last_use():
    found = passes((MIB, 0, 0, 3), (MIB, 1, 1, 2), (MIB, 2, 2, 3), operators=[operator()] * 3, weights=7)
    assert memory.peak_memory(found, target(CPU)) == 7 + 2 * MIB
    assert memory.peak_memory(found, target(CPU, "compiled")) == 7 + MIB


def test_allocators_round_up():
    found = passes((1, 0, 0, 1), (513, 0, 0, 1), operators=[operator()])
    assert memory.working_memory(found, target(CPU)) == 64 + 576
    assert memory.working_memory(found, target()) == with_holes(512 + 1024)
    assert memory.working_memory(found, target(runtime="tensorrt")) == 512 + 1024


@pytest.mark.parametrize("kind", sorted(memory.CONVOLUTIONS))
def test_a_convolution_by_cudnn_needs_a_workspace(kind):
    convolution = operator(kind, read=3 * MIB, written=2 * MIB, weights=MIB)
    found = passes((2 * MIB, 0, 0, 1), (2 * MIB, 0, 0, 1), operators=[convolution])
    workspace = memory.WORKSPACE_SHARE * 4 * MIB
    assert memory.working_memory(found, target()) == with_holes(round(4 * MIB + workspace))
    assert memory.working_memory(found, target(CPU)) == 4 * MIB
    assert memory.working_memory(found, target(runtime="tensorrt")) == 4 * MIB


def test_the_workspace_counts_while_the_convolution_runs():
    small = operator("conv", read=MIB, written=MIB)
    found = passes((2 * MIB, 0, 0, 1), (9 * MIB, 1, 1, 2), operators=[small, operator()])
    assert memory.working_memory(found, target(runtime="compiled")) == 9 * MIB


def test_torch_copies_what_lies_in_another_order():
    norm = operator("norm", read=MIB, written=MIB, scratch_bytes=5 * MIB)
    found = passes((2 * MIB, 0, 0, 1), operators=[norm])
    assert memory.working_memory(found, target(CPU)) == 7 * MIB
    assert memory.working_memory(found, target(CPU, "compiled")) == 2 * MIB


def test_what_is_fused_writes_in_the_place_of_what_it_reads():
    produced = operator("conv", read=MIB, written=MIB)
    fused = operator("pointwise", read=MIB, written=MIB, sources=((0, MIB),))
    found = passes((MIB, 0, 1, 2), (MIB, 1, 1, 2), operators=[produced, fused])
    assert memory.working_memory(found, target(CPU, "tflite")) == MIB
    assert memory.working_memory(found, target(CPU)) == 2 * MIB
    kept = passes((MIB, 0, 5, 5), (MIB, 1, 1, 2), operators=[produced, fused])
    assert (
        memory.working_memory(
            replace(kept, operators=(*kept.operators, *[operator()] * 4)), target(CPU, "tflite")
        )
        > MIB
    )


def test_a_trace_without_times_has_its_peak():
    bare = Trace((operator(),), 0, 10, 30, 20)
    assert memory.peak_memory(bare, target()) == 30
    assert memory.peak_memory(Trace((), 0, 0, 0, 0), target()) == 0


def test_usable_memory_leaves_room_for_the_context():
    total = 10 << 30
    assert memory.usable_memory(target()) == round(total * memory.VISIBLE_SHARE) - memory.CONTEXT_BYTES
    assert memory.usable_memory(target(CPU)) is None
    phone = Device("p", "arm-cpu", "Google", {"memory_gb": Figure(4, "test")})
    assert memory.usable_memory(target(phone)) == 4 << 30


@pytest.mark.parametrize("runtime", ["eager", "compiled"])
@pytest.mark.parametrize("precision", ["fp32", "amp-fp16"])
def test_of_parts_the_most_demanding_counts(runtime, precision):
    on = resolve_target("a100", runtime=runtime, precision=precision)
    parts = [
        trace(module, (8, 16, 16), 4, precision)
        for module in (nn.Conv2d(8, 8, 3, padding=1), nn.Sequential(nn.Conv2d(8, 64, 1), nn.GELU()))
    ]
    whole = join_traces([(str(number), part) for number, part in enumerate(parts)])
    assert memory.working_memory(whole, on) == max(memory.working_memory(part, on) for part in parts)
    assert memory.peak_memory(whole, on) == sum(p.weight_bytes for p in parts) + memory.working_memory(
        whole, on
    )


@pytest.mark.parametrize("runtime", ["compiled", "onnxruntime", "tensorrt"])
def test_a_layer_that_joins_the_kernel_in_front_writes_in_the_place_of_its_input(runtime):
    on = resolve_target("a100", runtime=runtime)
    layers = [nn.Sequential(nn.ReLU(), nn.Sigmoid()), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 1))]
    first, second = (trace(layer, (8, 16, 16), precision="fp16") for layer in layers)
    behind = replace(second, input_kind=first.output_kind)
    assert memory.working_memory(behind, on) <= memory.working_memory(second, on)
    parts = max(memory.working_memory(one, on) for one in (first, behind))
    whole = trace(nn.Sequential(*layers), (8, 16, 16), precision="fp16")
    assert memory.working_memory(whole, on) == parts


def test_cast_weights_stay_for_the_whole_pass():
    module = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 8, 3, bias=False))
    numbers = sum(weight.numel() for weight in module.parameters())
    assert trace(module, (3, 8, 8), precision="amp-fp16").weight_bytes == (4 + 2) * numbers
    assert trace(module, (3, 8, 8), precision="fp16").weight_bytes == 2 * numbers


def depthwise(channels=64, extent=64, stride=2, kernel=3):
    module = nn.Conv2d(channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False)

    def refused(images: int, **changes) -> bool:
        on = resolve_target("rtx3090", precision="amp-fp16", **{"runtime": "eager", **changes})
        with torch.device("meta"):
            shapes = [(images, channels, extent, extent)]
            found = run_traced(module, shapes, on.precision, layout=on.layout)
        return bool(limits.refusals(found, on))

    return refused


def test_the_depthwise_kernel_of_torch_counts_in_32_bits():
    refused = depthwise()
    most = 2**31 // (64 * 64 * 64)
    assert refused(most)
    assert not refused(most - 1)
    assert not refused(most, layout="nhwc")
    assert not refused(most, runtime="tensorrt")


@pytest.mark.parametrize(
    ("shape", "by_torch"),
    [
        ({"stride": 1}, False),
        ({"channels": 256}, False),
        ({"channels": 16, "stride": 1}, True),
        ({"channels": 256, "extent": 24}, True),
        ({"channels": 512, "extent": 24}, False),
        ({"kernel": 7, "stride": 1}, True),
    ],
)
def test_cudnn_takes_the_depthwise_shapes_that_it_is_faster_at(shape, by_torch):
    given = {"channels": 64, "extent": 64, **shape}
    most = -(-(2**31) // (given["channels"] * given["extent"] ** 2))
    assert depthwise(**given)(most) is by_torch


def test_fused_attention_has_a_largest_batch():
    attention = operator("sdpa", dims=(("batch", 65_536), ("heads", 4)))
    on = target(precision="fp16")
    refused = limits.refusals(replace(passes(operators=[attention]), precision="fp16"), on)
    assert refused == ("sdpa of the module: 65,536 sequences, at most 65,535",)
    fewer = replace(attention, dims=(("batch", 65_535), ("heads", 4)))
    assert limits.refusals(passes(operators=[fewer]), on) == ()


def test_it_fits_where_memory_suffices_and_nothing_is_refused():
    usable = memory.usable_memory(target())
    assert limits.fits(passes(operators=[operator()], weights=usable), target())
    assert not limits.fits(passes(operators=[operator()], weights=usable + 1), target())
    assert limits.fits(passes(operators=[operator()], weights=usable + 1), target(CPU))
    attention = operator("sdpa", dims=(("batch", 70_000),))
    assert not limits.fits(passes(operators=[attention]), target())
