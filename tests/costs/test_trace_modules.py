"""Any module of any user can be traced, and stays as it is."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading

import pytest
import torch
from costs_modules import Function, conv_norm, on_meta, resnet50
from torch import Tensor, nn

from nas.costs.trace import trace
from nas.costs.twin import cpu_twin, meta_twin
from nas.errors import CostError

LIBRARY = torch.library.Library("costs_test", "DEF")
LIBRARY.define("mystery(Tensor x, Tensor y) -> Tensor")
LIBRARY.impl("mystery", lambda x, y: x + y, "CPU")
LIBRARY.impl("mystery", lambda x, y: torch.empty_like(x), "Meta")
LIBRARY.define("described(Tensor x) -> Tensor")
LIBRARY.impl("described", lambda x: torch.empty_like(x), "Meta")
LIBRARY.define("cpu_only(Tensor x) -> Tensor")
LIBRARY.impl("cpu_only", lambda x: x.clone(), "CPU")


def test_an_operator_without_a_rule_is_named_and_priced_by_its_bytes():
    mystery = torch.ops.costs_test.mystery
    found = trace(Function(lambda x: mystery(x, x + 1).relu()), (4, 6))
    assert found.unknown_operators == ("costs_test::mystery",)
    operator = found.operators[1]
    assert (operator.kind, operator.known) == ("custom", False)
    assert (operator.bytes_read, operator.bytes_written) == (192, 96)
    assert operator.flops > 0
    assert all(other.known for other in found.operators if other is not operator)


def test_an_operator_that_registers_a_formula_is_known():
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    described = torch.ops.costs_test.described
    before = trace(Function(described), (4, 6))
    assert before.unknown_operators == ("costs_test::described",)

    @register_flop_formula(described)
    def formula(shape, *, out_shape=None, **_) -> int:
        assert shape == out_shape
        return 100 * shape[-1]

    try:
        after = trace(Function(described), (4, 6))
    finally:
        del flop_registry[described]
    assert after.unknown_operators == ()
    assert (after.operators[0].flops, after.operators[0].macs) == (600, 300)


def test_an_operator_that_does_not_run_on_meta_runs_on_the_cpu():
    found = trace(Function(torch.ops.costs_test.cpu_only), (4, 6))
    assert found.unknown_operators == ("costs_test::cpu_only",)


def test_a_module_that_makes_tensors_of_its_own():
    class Positions(nn.Module):
        def forward(self, x):
            steps = torch.arange(x.shape[1], dtype=torch.float32)
            on_cpu = torch.ones(x.shape[1], device="cpu") + torch.tensor([1.0])
            return x * steps.unsqueeze(-1) + on_cpu.to(x.device).unsqueeze(-1)

    found = trace(Positions(), (4, 6))
    assert [op.name for op in found.operators if op.kind == "pointwise"] == ["add", "mul", "add"]


def test_a_module_whose_path_depends_on_values():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.full((6,), 1000.0))
            self.often = nn.Linear(6, 7)

        def forward(self, x):
            return self.often(x) if (x + self.bias).mean().item() > 0 else x

    found = trace(Gate(), (6,))
    assert found.macs == 42
    assert found == trace(Gate(), (6,))


def test_the_cpu_is_not_tried_without_data():
    class Gate(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else x

    with pytest.raises(CostError, match="Gate cannot run"):
        trace(on_meta(lambda: Gate(4, 4)), (4,))


def test_values_that_matter_leave_the_random_state_alone():
    class Noise(nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x) if torch.rand(()).item() >= 0 else x

    module = nn.Sequential(nn.Dropout(), nn.Linear(4, 4), Noise())
    state = torch.random.get_rng_state()
    trace(module, (4,))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_module_stays_as_it_is():
    module = nn.Sequential(
        conv_norm(3, 8, 3), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.Linear(800, 4)
    )
    module.train()
    module[0].eval()
    weights = copy.deepcopy(module.state_dict())
    modes = [part.training for part in module.modules()]
    trace(module, (3, 10, 10))
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in module.parameters())
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())


def test_it_is_traced_in_eval_mode():
    found = trace(nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4), nn.Dropout1d(0.5)).train(), (4,))
    assert [operator.name for operator in found.operators] == ["linear"]


def test_operators_know_their_module():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

        def forward(self, x):
            return self.inner(x) + x

    found = trace(nn.Sequential(Block(), Block()), (4,))
    places = ["0.inner.0", "0.inner.1", "0", "1.inner.0", "1.inner.1", "1"]
    assert [operator.module for operator in found.operators] == places


def test_several_inputs():
    found = trace(nn.Bilinear(4, 5, 3), [(4,), (5,)], batch_size=2)
    assert found.macs == 3 * 4 * 5


def test_indices_as_input():
    module = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 2))
    assert trace(module, (5,)).macs == 5 * 16


def test_hooks_of_the_user_run_on_the_copy():
    module = nn.Sequential(nn.Linear(4, 4))
    module[0].register_forward_hook(lambda _module, _args, output: output * 2)
    assert [operator.name for operator in trace(module, (4,)).operators] == ["linear", "mul"]


def test_parametrized_weights_are_computed():
    module = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    found = trace(module, (4,))
    assert found.macs == 16
    assert found.params == sum(parameter.numel() for parameter in module.parameters())
    assert len(found.operators) > 1


def test_a_compiled_module_is_unwrapped():
    class Wrapped(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self._orig_mod = inner

        def forward(self, x):
            raise AssertionError("would compile")

    assert trace(Wrapped(nn.Linear(4, 5)), (4,)).macs == 20


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_part():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 5), nn.ReLU()))
    found = trace(nn.Sequential(scripted, nn.Linear(5, 2)), (4,))
    assert found.macs == 30


def test_autograd_functions_and_no_grad_blocks():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    class Module(nn.Module):
        def forward(self, x):
            with torch.no_grad():
                y = x + 1
            return Double.apply(y)

    assert [operator.name for operator in trace(Module(), (4,)).operators] == ["add", "mul"]


@pytest.mark.parametrize(
    "output", [lambda x: {"a": x * 2, "b": [x + 1, None, 3]}, lambda x: None, lambda x: 4]
)
def test_any_output(output):
    assert trace(Function(output), (4,)).peak_activation_bytes >= 16


@pytest.mark.parametrize(
    ("module", "shape", "reason"),
    [
        (
            nn.Linear(8, 4),
            (9,),
            "Linear cannot run on an input of shape \\(1, 9\\): RuntimeError: .*mat1 and mat2 shapes",
        ),
        (nn.Conv2d(3, 8, 3), (4, 10, 10), "Conv2d .*channels"),
        (Function(lambda x: x.no_such_thing), (4,), "AttributeError: .*no_such_thing"),
        (nn.Module(), (4,), "Module cannot run"),
    ],
)
def test_what_cannot_run_is_said_in_one_line(module, shape, reason):
    with pytest.raises(CostError, match=reason) as caught:
        trace(module, shape)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_copied_is_said_in_one_line():
    module = nn.Linear(4, 4)
    module.lock = threading.Lock()
    with pytest.raises(CostError, match=r"Linear .*pickle"):
        trace(module, (4,))


@pytest.mark.parametrize("shape", [(0,), (3, -1), "abc", 5, [(4,), "x"], None])
def test_shapes_that_are_none(shape):
    with pytest.raises(CostError, match=r"shape"):
        trace(nn.Identity(), shape)


def test_a_batch_of_nothing():
    with pytest.raises(CostError, match="batch size 0"):
        trace(nn.Identity(), (4,), batch_size=0)


def test_a_shape_may_be_empty():
    assert trace(Function(lambda x: x + 1), (), batch_size=3).operators[0].bytes_read == 12


def test_twins():
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).double()
    twin, copied = meta_twin(module), cpu_twin(module)
    assert all(tensor.is_meta for tensor in (*twin.parameters(), *twin.buffers()))
    assert [p.dtype for p in twin.parameters()] == [p.dtype for p in module.parameters()]
    assert not twin.training
    assert not copied.training
    assert module.training
    assert torch.equal(copied[0].weight, module[0].weight)
    assert copied[0].weight.data_ptr() != module[0].weight.data_ptr()
    with pytest.raises(ValueError, match="meta device"):
        cpu_twin(twin)


def test_a_twin_needs_no_memory():
    large = on_meta(lambda: nn.Linear(100_000, 100_000))
    found = trace(large, (100_000,))
    assert found.macs == 10**10
    with pytest.raises(ValueError):
        cpu_twin(large)


def test_the_precision_of_the_module_does_not_matter():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear.half()(x.half()).float()

    found = trace(Half(), (4,), precision="fp16")
    assert found.weight_bytes == 40
    assert found.macs == 16


def test_a_fresh_process_finds_the_same():
    """Also where torch has loaded its Python decompositions, which would take operators apart differently."""
    script = (
        "import torch\n"
        "{preload}\n"
        "from torch import nn; from nas.costs.trace import trace\n"
        "layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)\n"
        "first = nn.Conv1d(4, 8, 3, padding=1)\n"
        "module = nn.Sequential(first, nn.Upsample(scale_factor=2), nn.GroupNorm(2, 8), layer)\n"
        "print(trace(module, (4, 8)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script.format(preload=preload)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for preload in ("", "import torch._decomp, torch._refs")
    }
    assert len(outputs) == 1
    assert "Trace(" in outputs.pop()


def test_a_large_network_twice_is_the_same():
    module = on_meta(resnet50)
    assert trace(module, (3, 64, 64)) == trace(module, (3, 64, 64))
