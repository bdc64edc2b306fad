"""Each kind of operator counts what its formula says, and what torch counts where torch counts it."""

from __future__ import annotations

import math

import pytest
import torch
from costs_modules import Function, mobilenet_v2, on_meta, resnet50
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from nas.costs.operators import KINDS, Operator
from nas.costs.trace import trace


def only(module: nn.Module, shape: tuple[int, ...], batch: int = 1) -> Operator:
    """The one operator of a module."""
    (operator,) = trace(module, shape, batch).operators
    return operator


def counted_by_torch(module: nn.Module, *inputs: torch.Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module.eval()(*inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("groups", "outputs", "kind"),
    [(1, 8, "conv"), (2, 8, "conv_grouped"), (4, 4, "conv_depthwise"), (4, 8, "conv_depthwise")],
)
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (3, 2, 1), (3, 1, 2), ((1, 5), 1, 1)])
def test_convolutions(groups, outputs, kind, kernel, stride, dilation):
    module = nn.Conv2d(4, outputs, kernel, stride, padding=2, dilation=dilation, groups=groups)
    operator = only(module, (4, 9, 12), batch=3)
    output = module(torch.zeros(3, 4, 9, 12))
    taps = math.prod(module.kernel_size)
    assert operator.kind == kind
    assert operator.macs == output.numel() * (4 // groups) * taps
    assert operator.flops == 2 * operator.macs == counted_by_torch(module, torch.zeros(3, 4, 9, 12))
    assert operator.weight_bytes == 4 * (module.weight.numel() + outputs)
    assert operator.bytes_read == 4 * 3 * 4 * 9 * 12 + operator.weight_bytes
    assert operator.bytes_written == 4 * output.numel()
    assert (operator.dim("groups"), operator.dim("out_channels"), operator.dim("batch")) == (
        groups,
        outputs,
        3,
    )


@pytest.mark.parametrize("axes", [1, 3])
def test_convolutions_of_other_dimensions(axes):
    module = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](2, 6, 3)
    operator = only(module, (2, *[7] * axes))
    assert operator.macs == 5**axes * 6 * 2 * 3**axes
    assert [operator.dim(f"kernel_{axis}") for axis in range(axes)] == [3] * axes
    assert [operator.dim(f"out_{axis}") for axis in range(axes)] == [5] * axes


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_multiplies_for_each_input_position(groups):
    module = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=groups)
    operator = only(module, (4, 5, 5), batch=2)
    assert operator.macs == 2 * 25 * 4 * (6 // groups) * 9
    assert operator.flops == counted_by_torch(module, torch.zeros(2, 4, 5, 5))
    assert operator.dim("transposed") == 1


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(16,), (5, 16), (2, 3, 16)])
def test_linear(shape, bias):
    operator = only(nn.Linear(16, 7, bias=bias), shape, batch=2)
    rows = 2 * math.prod(shape[:-1])
    assert (operator.kind, operator.macs, operator.flops) == ("gemm", rows * 16 * 7, 2 * rows * 16 * 7)
    assert operator.bytes_read == 4 * (rows * 16 + 16 * 7 + 7 * bias)
    assert [operator.dim(name) for name in ("rows", "columns", "inner")] == [rows, 7, 16]


MATRIX_PRODUCTS = {
    "matmul": (lambda x: x @ x.transpose(-1, -2), 2 * 5 * 5 * 6),
    "bmm": (lambda x: torch.bmm(x, x.transpose(1, 2)), 2 * 5 * 5 * 6),
    "einsum": (lambda x: torch.einsum("bld,bmd->blm", x, x), 2 * 5 * 5 * 6),
    "einsum of a vector": (lambda x: torch.einsum("bld,d->bl", x, x[0, 0]), 2 * 5 * 6),
    "baddbmm": (lambda x: torch.baddbmm(x.new_zeros(1, 5, 5), x, x.transpose(1, 2)), 2 * 5 * 5 * 6),
    "mm": (lambda x: x[0] @ x[1].T, 5 * 5 * 6),
    "mv": (lambda x: x[0] @ x[1, 0], 5 * 6),
    "addmm": (lambda x: torch.addmm(x.new_zeros(5), x[0], x[1].T), 5 * 5 * 6),
    "tensordot": (lambda x: torch.tensordot(x, x, dims=([2], [2])), 10 * 10 * 6),
    "bilinear": (lambda x: F.bilinear(x, x, x.new_zeros(3, 6, 6)), 10 * 3 * 6 * 6),
}


@pytest.mark.parametrize("name", MATRIX_PRODUCTS)
def test_matrix_products(name):
    function, macs = MATRIX_PRODUCTS[name]
    found = trace(Function(function), (5, 6), batch_size=2)
    assert sum(operator.macs for operator in found.operators) == macs
    assert all(operator.flops == 2 * operator.macs for operator in found.operators if operator.macs)
    assert found.unknown_operators == ()


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"masked": True}])
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_is_one_operator(heads, options):
    def attend(x):
        query, key, value = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for _ in range(3))
        mask = x.new_zeros(7, 7) if options.get("masked") else None
        return F.scaled_dot_product_attention(query, key, value, mask, is_causal="is_causal" in options)

    found = trace(Function(attend), (7, 16), batch_size=2)
    (operator,) = (operator for operator in found.operators if operator.kind == "sdpa")
    assert sum(operator.macs for operator in found.operators) == operator.macs == 2 * 7 * 7 * 16 * 2
    assert operator.dim("heads") == heads
    assert operator.dim("causal") == int("is_causal" in options)
    assert operator.dim("mask") == int("masked" in options)
    read = 3 * 2 * 7 * 16 + (49 if "masked" in options else 0)
    assert (operator.bytes_read, operator.bytes_written) == (4 * read, 4 * 2 * 7 * 16)


def test_attention_with_fewer_key_heads_and_another_value_depth():
    def attend(x):
        query, key, value = x.new_zeros(2, 8, 5, 4), x.new_zeros(2, 2, 9, 4), x.new_zeros(2, 2, 9, 6)
        return F.scaled_dot_product_attention(query, key, value, enable_gqa=True)

    (operator,) = (op for op in trace(Function(attend), (1,)).operators if op.kind == "sdpa")
    assert operator.macs == 2 * 8 * 5 * 9 * (4 + 6)
    assert (operator.dim("queries"), operator.dim("keys"), operator.dim("value_depth")) == (5, 9, 6)


class SelfAttention(nn.Module):
    def __init__(self, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x):
        return self.attention(x, x, x, need_weights=self.need_weights)[0]


@pytest.mark.parametrize("need_weights", [True, False])
def test_multi_head_attention_in_eval_mode(need_weights):
    found = trace(SelfAttention(need_weights), (10, 16))
    projections = 10 * 16 * 48 + 10 * 16 * 16
    assert found.macs == projections + 2 * 10 * 10 * 16
    kinds = [operator.kind for operator in found.operators]
    assert kinds.count("sdpa") == (0 if need_weights else 1)
    assert kinds.count("softmax") == (1 if need_weights else 0)


def test_a_whole_encoder_layer_in_eval_mode():
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    found = trace(layer, (10, 16))
    assert found.macs == 10 * 16 * 64 + 2 * 10 * 10 * 16 + 2 * 10 * 16 * 32
    assert found.unknown_operators == ()
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(("build", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (2, 2)])
def test_recurrent_layers_use_every_matrix_at_every_step(build, gates, layers, directions):
    module = build(6, 5, layers, bidirectional=directions == 2, batch_first=True)
    found = trace(module, (9, 6), batch_size=2)
    inner = 5 * directions
    first, other = 6 * gates * 5 + 5 * gates * 5, inner * gates * 5 + 5 * gates * 5
    macs = 2 * 9 * directions * (first + (layers - 1) * other)
    (operator,) = (operator for operator in found.operators if operator.kind == "rnn")
    assert operator.macs == macs
    assert operator.weight_bytes == 4 * sum(parameter.numel() for parameter in module.parameters())
    expected = {"batch": 2, "steps": 9, "inputs": 6, "hidden": inner, "matrices": 2 * layers * directions}
    numbers = {"passes": layers * directions, "recurrent": layers * directions * gates * 5 * 5}
    assert dict(operator.dims) == expected | numbers


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_steps_of_a_recurrent_layer(batch_first, bias):
    """Where the batch does not come first, the first axis of what a module is given is that of steps."""
    module = nn.LSTM(6, 5, 2, bias=bias, proj_size=3, batch_first=batch_first)
    (operator,) = (one for one in trace(module, (9, 6), batch_size=2).operators if one.kind == "rnn")
    steps, batch = (9, 2) if batch_first else (2, 9)
    assert (operator.dim("steps"), operator.dim("batch"), operator.dim("passes")) == (steps, batch, 2)
    assert operator.dim("recurrent") == 2 * (20 * 3 + 3 * 5), "what projects the state waits for it too"
    assert operator.macs == 18 * sum(one.numel() for one in module.parameters() if one.ndim == 2)


def test_the_steps_of_packed_sequences():
    """Of lengths 5, 3 and 1: five steps, nine rows."""

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.GRU(6, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3, 1]), batch_first=True)
            return self.layer(packed)[0].data

    (operator,) = (one for one in trace(Packed(), (5, 6), batch_size=3).operators if one.kind == "rnn")
    assert (operator.dim("steps"), operator.dim("batch")) == (5, 1)
    assert operator.macs == 9 * (6 * 12 + 4 * 12)


@pytest.mark.parametrize(
    ("function", "points", "length", "share"),
    [
        (lambda x: torch.fft.rfft(x).real, 4 * 8 * 16, 16, 0.5),
        (lambda x: torch.fft.rfft2(x).real, 4 * 8 * 16, 8 * 16, 0.5),
        (lambda x: torch.fft.fft2(torch.complex(x, x)).real, 4 * 8 * 16, 8 * 16, 1.0),
        (lambda x: torch.fft.irfft2(torch.complex(x, x), s=(8, 16)), 4 * 8 * 16, 8 * 16, 0.5),
    ],
)
def test_fourier_transforms(function, points, length, share):
    found = trace(Function(function), (4, 8, 16))
    flops = sum(operator.flops for operator in found.operators if operator.kind == "fft")
    assert flops == round(share * 5 * points * math.log2(length))
    assert found.macs == flops // 2


def test_a_fourier_transform_moves_complex_numbers():
    first, _ = trace(Function(lambda x: torch.fft.rfft2(x).abs()), (4, 8, 16), precision="fp16").operators
    assert first.bytes_read == 2 * 4 * 8 * 16
    assert first.bytes_written == 2 * 2 * 4 * 8 * 9


@pytest.mark.parametrize(("mode", "taps"), [("bilinear", 4), ("nearest", 1)])
def test_grid_sample(mode, taps):
    def sample(x):
        return F.grid_sample(x, x.new_zeros(x.shape[0], 5, 6, 2), mode=mode, align_corners=False)

    operator = trace(Function(sample), (3, 8, 8), batch_size=2).operators[-1]
    assert (operator.kind, operator.macs, operator.flops) == ("resample", 0, 2 * taps * 2 * 3 * 30)
    assert operator.bytes_written == 4 * 2 * 3 * 30


@pytest.mark.parametrize(
    ("module", "kind", "flops"),
    [
        (nn.ReLU(), "pointwise", 256),
        (nn.ReLU6(), "pointwise", 512),
        (nn.Hardswish(), "pointwise", 1024),
        (nn.GELU(), "pointwise", 14 * 256),
        (Function(lambda x: x + 1), "pointwise", 256),
        (Function(torch.special.gammaln), "pointwise", 256),
        (nn.Softmax(1), "softmax", 5 * 256),
        (nn.LogSoftmax(1), "softmax", 5 * 256),
        (nn.AvgPool2d(2), "pool", 64 * 4),
        (nn.MaxPool2d(3, 1, 1), "pool", 256 * 9),
        (nn.AdaptiveAvgPool2d(1), "pool", 256),
        (nn.AdaptiveAvgPool2d(3), "pool", 256),
        (nn.AdaptiveMaxPool2d(2), "pool", 256),
        (nn.BatchNorm2d(4), "norm", 4 * 256),
        (nn.GroupNorm(2, 4), "norm", 8 * 256),
        (nn.InstanceNorm2d(4), "norm", 8 * 256),
        (nn.LayerNorm((4, 8, 8)), "norm", 8 * 256),
        (nn.RMSNorm(8), "norm", 6 * 256),
        (Function(lambda x: x.mean((2, 3))), "reduce", 256),
        (Function(lambda x: x.amax(1)), "reduce", 256),
        (Function(lambda x: x.cumsum(1)), "reduce", 256),
        (Function(lambda x: x.sort(-1).values), "sort", 256 * 3),
        (Function(lambda x: x.unique()), "sort", 256 * 8),
        (Function(lambda x: torch.linalg.cross(x[:, :3], x[:, 1:], dim=1)), "pointwise", 192),
        (Function(lambda x: torch.cdist(x, x)), "reduce", 4 * 8 * 8 * 8 * 3),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "resample", 8 * 1024),
        (nn.Upsample(scale_factor=2), "resample", 0),
        (nn.PixelShuffle(2), "copy", 0),
        (nn.ZeroPad2d(1), "copy", 0),
        (nn.ReflectionPad2d(1), "copy", 0),
        (Function(lambda x: x.permute(0, 2, 3, 1).contiguous()), "copy", 0),
        (Function(lambda x: torch.cat((x, x))), "copy", 0),
        (Function(lambda x: x.roll(1, 2)), "copy", 0),
        (Function(lambda x: F.unfold(x, 2)), "copy", 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_operators_without_multiply_adds(module, kind, flops):
    operator = only(module, (4, 8, 8))
    assert (operator.kind, operator.macs, operator.flops, operator.known) == (kind, 0, flops, True)
    assert operator.bytes_read > 0
    assert operator.bytes_written > 0
    assert kind in KINDS


def test_a_fractional_pool_looks_at_a_window_for_each_output():
    found = trace(nn.FractionalMaxPool2d(2, output_size=4), (4, 8, 8)).operators
    assert [(operator.kind, operator.flops) for operator in found] == [("pointwise", 8), ("pool", 64 * 4)]


def test_weights_that_are_normed_when_they_are_used():
    """They are written and read again, beside those that lie in memory."""
    plain, module = nn.Conv1d(4, 8, 3), nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 8, 3))
    normed, convolution = trace(module, (4, 16)).operators
    weights = plain.weight.numel()
    assert (normed.kind, normed.flops, normed.known) == ("norm", 4 * weights, True)
    assert normed.weight_bytes == 4 * (weights + 8)
    assert convolution.macs == only(plain, (4, 16)).macs
    assert convolution.sources[-1] == (0, 4 * weights)


def test_norms_and_pools_write_one_output():
    for module in (nn.LayerNorm(8), nn.GroupNorm(2, 4), nn.BatchNorm2d(4), nn.MaxPool2d(1)):
        assert only(module, (4, 8, 8)).bytes_written == 4 * 256


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_a_sparse_product_counts_the_stored_values(layout):
    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            dense = torch.zeros(8, 8)
            dense[0, :3] = 1
            dense[5, 5] = 1
            self.register_buffer("adjacency", dense.to_sparse() if layout == "coo" else dense.to_sparse_csr())

        def forward(self, x):
            return torch.sparse.mm(self.adjacency, x[0])

    found = trace(Graph(), (8, 6))
    (operator,) = (operator for operator in found.operators if operator.kind == "sparse")
    assert operator.macs == found.macs == 4 * 6
    assert operator.dim("nonzeros") == 4
    indices = 2 * 4 if layout == "coo" else 9 + 4
    assert operator.weight_bytes == found.weight_bytes == 8 * indices + 4 * 4


@pytest.mark.parametrize(
    ("build", "params", "macs"),
    [(resnet50, 25_557_032, 4_089_184_256), (mobilenet_v2, 3_504_872, 300_774_272)],
)
def test_published_networks(build, params, macs):
    module = on_meta(build)
    found = trace(module, (3, 224, 224))
    assert (found.params, found.macs) == (params, macs)
    assert found.unknown_operators == ()
    assert trace(module, (3, 224, 224), batch_size=4).macs == macs


def test_a_whole_network_agrees_with_torch():
    module = mobilenet_v2()
    found = trace(module, (3, 64, 64), batch_size=2)
    matrix = sum(operator.flops for operator in found.operators if operator.macs)
    assert matrix == counted_by_torch(module, torch.zeros(2, 3, 64, 64))


def test_whole_number_division_is_priced():
    operator = only(Function(lambda x: x // 3), (6,))
    assert (operator.known, operator.macs, operator.flops) == (True, 0, 6)
