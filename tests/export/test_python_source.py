"""The source a network becomes: equal scores, readable lines, nothing but torch."""

from __future__ import annotations

import ast
import re

import pytest
import torch
from export_toys import SHAPE, TOYS, Fixed, make
from torch import Tensor, nn
from torch.nn import functional as F

from nas.errors import ExportError
from nas.export.program import export_program
from nas.export.python_source import network_source
from nas.export.python_tensors import attribute_name, constructor

EXAMPLE = torch.zeros((1, *SHAPE))


def rebuilt(module: nn.Module) -> tuple[nn.Module, str]:
    """The module that the generated source makes, with its weights, and the source."""
    program = export_program(module, EXAMPLE)
    source, state = network_source(program.exported, module)
    space: dict[str, object] = {"torch": torch, "nn": nn, "F": F}
    exec(compile(source, "network.py", "exec"), space)
    network = space["Network"]()  # type: ignore[operator]
    network.load_state_dict(state)
    return network.eval(), source


@pytest.mark.parametrize("name", TOYS)
def test_the_source_computes_the_same_for_any_batch(name: str) -> None:
    module = make(name)
    network, _ = rebuilt(module)
    for batch in (1, 2, 5):
        x = torch.randn((batch, *SHAPE), generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            torch.testing.assert_close(network(x.clone()), module(x.clone()), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", TOYS)
def test_the_source_is_plain_python_with_every_tensor_in_use(name: str) -> None:
    _, source = rebuilt(make(name))
    tree = ast.parse(source)
    assert [node.name for node in tree.body if isinstance(node, ast.ClassDef)] == ["Network"]
    made = set(re.findall(r"self\.(\w+) = nn", source)) | set(re.findall(r'register_buffer\("(\w+)"', source))
    forward = source.partition("def forward")[2]
    assert made == set(re.findall(r"self\.(\w+)", forward))


def test_layers_are_named_and_written_as_layers() -> None:
    _, source = rebuilt(make("conv"))
    assert "self.m_0 = nn.Conv2d(3, 8, 3, stride=2, padding=1)" in source
    assert "self.m_1 = nn.BatchNorm2d(8, eps=1e-05)" in source
    assert "self.m_6 = nn.Linear(8, 5)" in source
    assert "x = F.hardswish(x)" in source
    assert "aten" not in source


def test_dropout_leaves_no_trace_and_outputs_are_unpacked() -> None:
    _, source = rebuilt(make("metaformer"))
    assert "dropout" not in source
    assert re.search(r"\w, \w, \w = \w\.unbind\(1\)", source)
    assert "nn.GroupNorm(1, 8, eps=1e-06)" in source


def test_an_operator_without_a_short_form_is_still_written() -> None:
    _, source = rebuilt(make("chunked"))
    assert "torch.ops.aten.fft_rfft2.default(" in source
    assert "pad" in source  # circular padding is no plain convolution


def test_one_module_called_twice_is_one_layer() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(F.relu(self.conv(x))) + self.conv.weight.sum()

    module = Twice().eval()
    network, source = rebuilt(module)
    assert source.count("nn.Conv2d(") == 1
    assert "self.conv.weight.sum(" in source
    x = torch.randn(2, *SHAPE)
    torch.testing.assert_close(network(x), module(x))


def test_a_layer_used_in_another_way_than_its_own_keeps_its_numbers() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.conv.weight, self.conv.bias, stride=2, dilation=2)

    module = Odd().eval()
    network, source = rebuilt(module)
    assert "nn.Conv2d" not in source
    x = torch.randn(1, *SHAPE)
    torch.testing.assert_close(network(x), module(x))


def test_names_that_python_or_torch_keep_for_themselves_are_avoided() -> None:
    class Awkward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.children_of = nn.ModuleDict({"class": nn.Conv2d(3, 3, 1), "0-é": nn.Conv2d(3, 3, 1)})
            self.lambda_ = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.children_of.values():
                x = layer(x) * self.lambda_
            return x

    module = Awkward().eval()
    network, _ = rebuilt(module)
    x = torch.randn(1, *SHAPE)
    torch.testing.assert_close(network(x), module(x))
    taken: set[str] = set()
    for path in ("forward", "class", "a.b", "a_b", "", "1", "__init__", "π"):
        name = attribute_name(path, taken)
        assert name.isidentifier()
        assert not hasattr(nn.Module(), name)
        assert name not in taken
        taken.add(name)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 8, (3, 5), stride=(1, 2), padding=(1, 2), dilation=2, groups=4, bias=False),
        nn.Conv1d(2, 2, 3),
        nn.Linear(3, 2, bias=False),
        nn.LayerNorm((4, 4), eps=1e-3),
        nn.GroupNorm(2, 4),
        nn.BatchNorm2d(3, eps=1e-3),
    ],
)
def test_a_constructor_makes_the_same_layer(layer: nn.Module) -> None:
    made = eval(constructor(layer), {"nn": nn})
    assert repr(made) == repr(layer)


def test_special_numbers_survive() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, x, float("-inf")).amax((2, 3)).clamp(-1e30, float("inf"))

    module = Masked().eval()
    network, _ = rebuilt(module)
    x = torch.randn(2, *SHAPE)
    torch.testing.assert_close(network(x), module(x))


def test_a_network_with_two_outputs_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x + 1

    module = Two().eval()
    with pytest.raises(ExportError, match="one input and one output"):
        network_source(export_program(module, EXAMPLE).exported, module)


def test_a_network_for_one_sample_is_exported_for_one_sample() -> None:
    program = export_program(Fixed().eval(), EXAMPLE)
    assert program.batches == (1,)
    assert "fixed at 1" in program.notes[0]
    assert export_program(make("conv"), EXAMPLE).notes == ()


def test_a_network_that_cannot_be_exported_says_so_in_one_line() -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1 if x.sum().item() > 0 else x - 1

    with pytest.raises(ExportError, match=r"cannot be written as a torch\.export program") as raised:
        export_program(Deciding().eval(), EXAMPLE)
    assert "\n" not in str(raised.value)
