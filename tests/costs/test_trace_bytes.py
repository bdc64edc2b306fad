"""What operators read and write, byte by byte, and what is free."""

from __future__ import annotations

import pytest
import torch
from costs_modules import Function, conv_norm, on_meta, resnet50
from torch import nn

from nas.costs.precision import AUTOCAST, WIDTHS
from nas.costs.trace import Trace, trace
from nas.errors import UnknownNameError


def moved(function, shape=(4, 6), batch=1, precision="fp32") -> list[tuple[str, int, int]]:
    """(name, bytes read, bytes written) of each operator of a function."""
    found = trace(Function(function), shape, batch, precision)
    return [(operator.name, operator.bytes_read, operator.bytes_written) for operator in found.operators]


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.reshape(-1),
        lambda x: x.flatten(1),
        lambda x: x.transpose(1, 2),
        lambda x: x.permute(0, 2, 1).unsqueeze(0),
        lambda x: x[:, 1:3, ::2],
        lambda x: x.expand(5, 1, 4, 6)[0],
        lambda x: x.chunk(2, 1)[0],
        lambda x: x.detach(),
        lambda x: x.contiguous(),
        lambda x: x.float(),
        lambda x: x.unbind(0)[0],
        lambda x: nn.functional.dropout(x, training=False),
        lambda x: torch.diagonal(x, dim1=1, dim2=2),
    ],
)
def test_views_are_free(view):
    assert trace(Function(view), (4, 6)).operators == ()


def test_a_view_does_not_hide_who_made_the_memory():
    first, second = trace(Function(lambda x: (x * 2).transpose(1, 2).reshape(-1) + 1), (4, 6)).operators[::2]
    assert (first.name, second.name) == ("mul", "add")
    copied = trace(Function(lambda x: (x * 2).flatten() + 1), (4, 6)).operators[-1]
    assert copied.sources == ((0, 96),)


def test_the_input_is_made_by_nobody():
    (operator,) = trace(Function(lambda x: x + 1), (4, 6)).operators
    assert operator.sources == ((-1, 96),)


def test_a_copy_reads_and_writes():
    assert moved(lambda x: x.transpose(1, 2).contiguous()) == [("clone", 96, 96)]


def test_what_is_expanded_is_read_once():
    assert moved(lambda x: x[:, :1].expand(1, 4, 6).contiguous()) == [("clone", 24, 96)]
    assert moved(lambda x: x + x[:, :1]) == [("add", 96 + 24, 96)]


def test_a_part_of_a_tensor_counts_as_a_part():
    assert moved(lambda x: x[:, 1:2] * 2) == [("mul", 24, 24)]


def test_a_tensor_given_twice_is_read_once():
    assert moved(lambda x: x * x) == [("mul", 96, 96)]


def test_in_place_operators():
    assert moved(lambda x: x.add_(1)) == [("add_", 96, 96)]
    assert moved(lambda x: x.fill_(1)) == [("fill_", 0, 96)]
    assert moved(lambda x: x.new_empty(4, 6).copy_(x[0])) == [("copy_", 96, 96)]


def test_filling_a_part_of_a_buffer_writes_that_part():
    def assemble(x):
        buffer = x.new_empty(1, 8, 6)
        buffer[:, :4] = x
        return buffer

    assert moved(assemble) == [("copy_", 96, 96)]


def test_new_tensors_are_written_only():
    assert moved(lambda x: x.new_zeros(5, 5)) == [("new_zeros", 0, 100)]
    assert moved(lambda x: torch.arange(10)) == [("arange", 0, 80)]
    assert moved(lambda x: torch.empty(100)) == []


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda x: x.new_zeros(5, 5), 25),
        (lambda x: x.new_full((), 1.0), 1),
        (lambda x: torch.ones_like(x), 24),
        (lambda x: x.clone().fill_(2.0), 24),
    ],
    ids=["new_zeros", "new_full", "ones_like", "fill_"],
)
def test_what_is_filled_has_a_thread_for_each_number_written(make, count):
    """Whatever the size of the tensor that lent its type."""
    *_, filled = trace(Function(make), (1, 4, 6), 1, "fp32").operators
    assert filled.elements == count


@pytest.mark.parametrize(
    ("function", "read", "written"),
    [
        (lambda x: x[:, [0, 2, 2]], 3 * 6 * 4 + 3 * 8, 3 * 6 * 4),
        (lambda x: x.index_select(1, torch.tensor([1])), 6 * 4 + 8, 6 * 4),
        (lambda x: x.gather(2, torch.zeros(1, 4, 2, dtype=torch.int64)), 8 * 4 + 8 * 8, 8 * 4),
        (lambda x: x.index_add_(1, torch.tensor([1]), x[:, :1].clone()), 6 * 4 + 8, 6 * 4),
    ],
)
def test_gathers_read_no_more_than_they_return(function, read, written):
    assert moved(function)[-1][1:] == (read, written)


def test_an_embedding_reads_the_rows_it_looks_up():
    (operator,) = trace(nn.Embedding(1000, 8), (7,), batch_size=2).operators
    assert operator.kind == "gather"
    assert operator.bytes_read == 14 * 8 + 14 * 8 * 4
    assert operator.weight_bytes == 14 * 8 * 4


@pytest.mark.parametrize("precision", [name for name in WIDTHS if name not in AUTOCAST])
def test_the_precision_says_how_large_numbers_are(precision):
    found = trace(nn.Conv2d(3, 8, 3, bias=False), (3, 10, 10), precision=precision)
    activation, weight = WIDTHS[precision].activation, WIDTHS[precision].weight
    (operator,) = found.operators
    assert operator.weight_bytes == found.weight_bytes == 216 * weight
    assert operator.bytes_read == 300 * activation + 216 * weight
    assert operator.bytes_written == found.activation_bytes == 512 * activation
    assert found.precision == precision


def test_integers_and_booleans_keep_their_size():
    compare, where = trace(
        Function(lambda x: torch.where(x > 0, x, 0.0)), (4, 6), precision="fp16"
    ).operators[::2]
    assert compare.bytes_written == 24
    assert where.bytes_read == 24 + 48 + 2


def test_an_unknown_precision_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="fp16"):
        trace(nn.Identity(), (1,), precision="fp15")


def test_the_batch_multiplies_activations_and_no_weights():
    one, eight = (trace(conv_norm(3, 8, 3), (3, 10, 10), batch) for batch in (1, 8))
    assert eight.activation_bytes == 8 * one.activation_bytes
    assert eight.peak_activation_bytes == 8 * one.peak_activation_bytes
    assert (eight.weight_bytes, eight.params, eight.macs) == (one.weight_bytes, one.params, one.macs)
    for a, b in zip(one.operators, eight.operators, strict=True):
        assert b.flops == 8 * a.flops
        assert b.bytes_written == 8 * a.bytes_written
        assert b.weight_bytes == a.weight_bytes


def test_weights_buffers_and_constants():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(6))
            self.register_buffer("shift", torch.zeros(6))
            self.scale = torch.zeros(6)  # neither parameter nor buffer
            self.never = nn.Parameter(torch.zeros(100))

        def forward(self, x):
            return x * self.weight + self.shift * self.scale

    found = trace(Constant(), (4, 6))
    assert found.params == 106
    assert found.weight_bytes == 4 * (106 + 6 + 6)
    assert [operator.weight_bytes for operator in found.operators] == [24, 48, 0]
    assert found.operators[2].sources == ((0, 96), (1, 24))


def test_shared_weights_count_once():
    layer = nn.Linear(8, 8)
    found = trace(nn.Sequential(layer, layer, nn.Linear(8, 8)), (8,))
    assert (found.params, found.weight_bytes) == (2 * 72, 2 * 72 * 4)
    assert [operator.module for operator in found.operators] == ["0", "0", "2"]


def test_tied_weights_count_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(10, 4)
            self.out = nn.Linear(4, 10, bias=False)
            self.out.weight = self.table.weight

        def forward(self, x):
            return self.out(self.table(x))

    assert (trace(Tied(), (3,)).params, trace(Tied(), (3,)).weight_bytes) == (40, 160)


def test_sums_of_a_trace():
    found: Trace = trace(on_meta(resnet50), (3, 64, 64), batch_size=2)
    assert found.macs == sum(operator.macs for operator in found.operators) // 2
    assert found.flops == sum(operator.flops for operator in found.operators) // 2
    assert found.bytes_moved == sum(op.bytes_read + op.bytes_written for op in found.operators)
    assert found.peak_memory_bytes == found.weight_bytes + found.peak_activation_bytes
    for index, operator in enumerate(found.operators):
        assert operator.bytes_read == operator.weight_bytes + sum(size for _, size in operator.sources)
        assert all(source < index for source, _ in operator.sources)
