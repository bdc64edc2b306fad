"""Work that counters of floating-point operations miss or count as nothing is counted here."""

from __future__ import annotations

import pytest
import torch
from costs_modules import Function
from torch import nn
from torch.nn import functional as F

from nas.costs.trace import trace


class OnTheCpu(nn.Module):
    """Runs a function after asking for a value, which the meta device has not."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.often = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.function(x) if self.often.item() > 0 else x


class Scan(nn.Module):
    """A recurrence written as a loop over steps: state = decay * state + x."""

    def __init__(self, width):
        super().__init__()
        self.decay = nn.Parameter(torch.ones(width))

    def forward(self, x):
        state, states = torch.zeros_like(x[:, 0]), []
        for step in range(x.shape[1]):
            state = torch.addcmul(x[:, step], self.decay, state)
            states.append(state)
        return torch.stack(states, 1)


COUNTED = {
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x), 2 * 2 * 5 * 5 * 6),
    "einsum": (lambda x: torch.einsum("hld,hmd->hlm", x[0], x[0]), 2 * 5 * 5 * 6),
    "product": (lambda x: x @ x.transpose(-1, -2), 2 * 5 * 5 * 6),
    "recurrent": (nn.LSTM(6, 4), None),
    "Fourier transform": (lambda x: torch.fft.rfft(x).real, None),
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_cpu_counts_what_the_meta_device_counts(name):
    function, macs = COUNTED[name]

    def applied(x):
        return function(x[0]) if isinstance(function, nn.Module) else function(x)

    found = trace(OnTheCpu(applied), (2, 5, 6))
    expected = trace(Function(applied), (2, 5, 6))
    assert found.macs == expected.macs > 0
    assert macs in (None, found.macs)
    assert found.unknown_operators == ()


def test_multi_head_attention_in_eval_mode_on_the_cpu():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    found = trace(OnTheCpu(lambda x: layer(x, x, x, need_weights=False)[0]), (5, 8))
    assert found.macs == 5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8
    assert "sdpa" in {operator.kind for operator in found.operators}


def test_a_scan_counts_every_step():
    found = trace(Scan(6), (7, 6), batch_size=2)
    steps = [operator for operator in found.operators if operator.name == "addcmul"]
    assert len(steps) == 7
    assert sum(step.flops for step in steps) == 2 * 2 * 7 * 6
    assert [step.sources[-1][0] for step in steps] == list(range(7))


def test_a_gather_moves_bytes_and_computes_nothing():
    (operator,) = trace(
        Function(lambda x: x.gather(2, torch.zeros(1, 4, 2, dtype=torch.int64))), (4, 6)
    ).operators[-1:]
    assert (operator.kind, operator.flops) == ("gather", 0)
    assert operator.bytes_moved == 2 * 8 * 4 + 8 * 8


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("layout", ["csr", "coo"])
def test_a_sparse_product_counts_stored_values_under_every_precision(layout):
    dense = torch.eye(8)
    weight = dense.to_sparse_csr() if layout == "csr" else dense.to_sparse()
    module = Function(lambda x: torch.sparse.mm(weight, x[0]))
    for precision in ("fp32", "fp16", "amp-fp16"):
        found = trace(module, (8, 5), precision=precision)
        assert found.macs == 8 * 5
