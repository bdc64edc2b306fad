"""Each operator that has a short form means the same in it, for every number of arguments it may carry."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from nas.errors import ExportError
from nas.export.python_calls import (
    FUNCTIONAL,
    INFIX,
    METHODS,
    TORCH,
    call,
    is_check,
    literal,
    operator_name,
    passes_through,
)

aten = torch.ops.aten
X = torch.rand((2, 4, 8, 8), generator=torch.Generator().manual_seed(0)) + 0.1
LINE = X.flatten(2)
CALLS: list[tuple[Callable[..., object], tuple[object, ...]]] = [
    (aten.adaptive_avg_pool2d.default, (X, [2, 3])),
    (aten.avg_pool2d.default, (X, [3, 3], [2, 2], [1, 1], True, False, 5)),
    (aten.conv1d.default, (LINE, torch.rand(6, 2, 3), torch.rand(6), [2], [1], [2], 2)),
    (aten.conv2d.default, (X, torch.rand(4, 2, 3, 3), torch.rand(4), [2, 1], [1, 0], [1, 2], 2)),
    (aten.conv3d.default, (X[None], torch.rand(2, 2, 1, 1, 1), None, [1, 1, 1], [0, 0, 0], [1, 1, 1], 1)),
    (aten.elu.default, (X - 1, 0.5)),
    (aten.gelu.default, (X,)),
    (aten.group_norm.default, (X, 2, torch.rand(4), torch.rand(4), 1e-3, False)),
    (aten.hardsigmoid.default, (X,)),
    (aten.hardswish.default, (X - 1,)),
    (aten.hardtanh.default, (X, 0.2, 0.5)),
    (aten.layer_norm.default, (X, [8, 8], torch.rand(8, 8), None, 1e-3, False)),
    (aten.leaky_relu.default, (X - 1, 0.3)),
    (aten.linear.default, (X, torch.rand(3, 8), torch.rand(3))),
    (aten.max_pool2d.default, (X, [3, 3], [2, 2], [1, 1], [1, 1], True)),
    (aten.mish.default, (X,)),
    (aten.pixel_shuffle.default, (X, 2)),
    (aten.relu.default, (X - 1,)),
    (aten.relu6.default, (9 * X,)),
    (aten.scaled_dot_product_attention.default, (X, X + 1, X - 1, None, 0.0, False)),
    (aten.silu.default, (X,)),
    (aten.softplus.default, (X, 2.0, 0.5)),
    (aten.abs.default, (-X,)),
    (aten.amax.default, (X, [1, 2], True)),
    (aten.amin.default, (X, [1], False)),
    (aten.chunk.default, (X, 2, 1)),
    (aten.clamp.default, (X, 0.2, 0.4)),
    (aten.contiguous.default, (X.transpose(1, 2),)),
    (aten.exp.default, (X,)),
    (aten.expand.default, (X[:, :1], [2, 4, 8, 8])),
    (aten.flatten.using_ints, (X, 1, 2)),
    (aten.gather.default, (X, 3, torch.tensor([0, 7, 3]).expand(2, 4, 8, 3))),
    (aten.log.default, (X,)),
    (aten.logical_not.default, (X > 0.5,)),
    (aten.masked_fill.Scalar, (X, X > 0.5, -1.0)),
    (aten.mean.dim, (X, [2, 3], True)),
    (aten.narrow.default, (X, 1, 1, 2)),
    (aten.neg.default, (X,)),
    (aten.permute.default, (X, [0, 2, 3, 1])),
    (aten.pow.Tensor_Scalar, (X, 3)),
    (aten.reciprocal.default, (X,)),
    (aten.reshape.default, (X, [2, -1])),
    (aten.rsqrt.default, (X,)),
    (aten.select.int, (X, 1, 2)),
    (aten.sigmoid.default, (X,)),
    (aten.softmax.int, (X, 1)),
    (aten.split.Tensor, (X, 3, 1)),
    (aten.sqrt.default, (X,)),
    (aten.square.default, (X,)),
    (aten.squeeze.dim, (X[:, :1], 1)),
    (aten.sum.dim_IntList, (X, [1, 3], True)),
    (aten.tanh.default, (X,)),
    (aten.transpose.int, (X, 1, 3)),
    (aten.unbind.int, (X, 1)),
    (aten.unflatten.int, (X, 1, [2, 2])),
    (aten.unsqueeze.default, (X, 2)),
    (aten.view.default, (X, [2, 4, 64])),
    (aten.cat.default, ([X, X], 1)),
    (aten.einsum.default, ("nchw,nchw->nc", [X, X])),
    (aten.maximum.default, (X, X.flip(0))),
    (aten.minimum.default, (X, X.flip(0))),
    (aten.stack.default, ([X, X], 1)),
    (aten.where.self, (X > 0.5, X, -X)),
    (aten.add.Tensor, (X, 2)),
    (aten.sub.Tensor, (X, X.flip(0))),
    (aten.mul.Tensor, (X, X)),
    (aten.div.Tensor, (X, 3)),
    (aten.matmul.default, (X, X)),
    # not the short form, and still the same
    (aten.sub.Tensor, (X, X.flip(0))),
    (aten.roll.default, (X, [1, 2], [2, 3])),
    (aten.batch_norm.default, (X, None, None, torch.zeros(4), torch.ones(4), False, 0.1, 1e-5, False)),
]


def written(target: Callable[..., object], args: tuple[object, ...], **kwargs: object) -> tuple[str, object]:
    """The source of one call, and what it gives."""
    graph = fx.Graph()
    values: dict[str, object] = {}

    def placed(value: object) -> object:
        if isinstance(value, Tensor):
            name = f"v{len(values)}"
            values[name] = value
            return graph.placeholder(name)
        return [placed(item) for item in value] if isinstance(value, list) else value

    node = graph.call_function(target, tuple(placed(a) for a in args), kwargs)  # type: ignore[arg-type]
    code = call(node, lambda value: value.name)
    return code, eval(code, {"torch": torch, "F": F, **values})


@pytest.mark.parametrize(("target", "args"), CALLS, ids=lambda value: str(value) if callable(value) else "")
def test_a_written_call_gives_what_the_operator_gives(
    target: Callable[..., object], args: tuple[object, ...]
) -> None:
    code, found = written(target, args)
    torch.testing.assert_close(found, target(*args), rtol=0, atol=0)
    name = str(target).split(".")[1]
    assert ("torch.ops" in code) == (name in ("roll", "batch_norm"))


def test_every_short_form_is_tried_above() -> None:
    tried = {str(target).split(".")[1] for target, _ in CALLS}
    assert tried >= {*FUNCTIONAL, *METHODS, *TORCH, *INFIX}


def test_keywords_are_kept() -> None:
    code, found = written(aten.add.Tensor, (X, X), alpha=3)
    assert code.startswith("torch.ops.aten.add.Tensor(")
    torch.testing.assert_close(found, 4 * X)
    code, found = written(aten.gelu.default, (X,), approximate="tanh")
    assert code == "F.gelu(v0, approximate='tanh')"
    torch.testing.assert_close(found, F.gelu(X, approximate="tanh"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        ([1, 2.5], "[1, 2.5]"),
        ((1,), "(1,)"),
        (float("inf"), 'float("inf")'),
        (float("-inf"), 'float("-inf")'),
        (float("nan"), 'float("nan")'),
        ("it's", '"it\'s"'),
        (torch.float16, "torch.float16"),
        (torch.channels_last, "torch.channels_last"),
        (torch.strided, "torch.strided"),
        (torch.device("cpu"), "torch.device('cpu')"),
    ],
)
def test_arguments_are_written_as_source(value: object, text: str) -> None:
    assert literal(value, lambda node: node.name) == text
    eval(text, {"torch": torch})


def test_what_has_no_source_is_refused() -> None:
    with pytest.raises(ExportError, match="a complex that plain Python code cannot hold"):
        literal(1j, lambda node: node.name)
    node = fx.Graph().call_function(torch.vmap)
    with pytest.raises(ExportError, match="'vmap', which plain Python code cannot hold"):
        call(node, lambda value: value.name)


def test_calls_that_do_nothing_are_known() -> None:
    graph = fx.Graph()
    x = graph.placeholder("x")
    off = graph.call_function(aten.dropout.default, (x, 0.5, False))
    on = graph.call_function(aten.dropout.default, (x, 0.5, True))
    check = graph.call_function(aten._assert_tensor_metadata.default, (x,))
    assert [passes_through(node) for node in (off, on, check)] == [True, False, False]
    assert [is_check(node) for node in (off, check)] == [False, True]
    assert [operator_name(node) for node in (x, off)] == ["", "dropout"]
