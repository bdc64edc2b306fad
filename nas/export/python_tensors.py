"""The parameters of a `torch.export` program as attributes of a module: layers where they belong to one."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from nas.export.python_calls import operator_name


@dataclass
class Attributes:
    """The attributes of the generated module.

    `lines` holds (attribute, code that makes it) in the order of first use, `state` the tensors by the keys
    of the generated module's state dict, `layers` the attribute of each call that is a layer, `tensors` the
    expression of each placeholder.
    """

    lines: list[tuple[str, str]] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    layers: dict[fx.Node, str] = field(default_factory=dict)
    tensors: dict[fx.Node, str] = field(default_factory=dict)


def attributes(program: ExportedProgram, module: nn.Module) -> Attributes:
    """Finds the layers of the program, then everything that is a tensor of its own."""
    found = Attributes()
    values = _values(program)
    homes = {node: path for node, (path, _) in values.items()}
    made: dict[str, str] = {}
    for node in program.graph.nodes:
        layer = _layer(node, homes, module)
        if layer is None:
            continue
        path, code = layer
        if path not in made:
            made[path] = attribute_name(path, {name for name, _ in found.lines})
            found.lines.append((made[path], code))
        found.layers[node] = made[path]
    _tensors(found, values, made)
    return found


def attribute_name(path: str, taken: set[str]) -> str:
    """A Python name for a module path: ``layers.0_conv_stem.conv`` → ``layers_0_conv_stem_conv``.

    >>> attribute_name("0.conv", set()), attribute_name("training", set())
    ('m_0_conv', 'training_')
    """
    name = re.sub(r"\W", "_", path, flags=re.ASCII) or "m"
    name = name if name.isidentifier() and not name.startswith("__") else f"m_{name}"
    while name in taken or keyword.iskeyword(name) or hasattr(nn.Module(), name):
        name += "_"
    return name


def _values(program: ExportedProgram) -> dict[fx.Node, tuple[str, Tensor]]:
    """Placeholder → its path in the module, and the tensor it stands for; the user's inputs are left out."""
    signature = program.graph_signature
    paths = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    paths |= signature.inputs_to_lifted_tensor_constants
    found = {}
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in paths:
            path = paths[node.name]
            value = program.state_dict[path] if path in program.state_dict else program.constants[path]
            found[node] = (path, value.detach())
    return found


def _layer(node: fx.Node, homes: dict[fx.Node, str], module: nn.Module) -> tuple[str, str] | None:
    """(path, constructor) of the layer that a call is, where it is one of torch's plain layers."""
    check = _CHECKS.get(operator_name(node))
    if check is None or len(node.args) < 2 or node.kwargs:
        return None
    paths = {homes[a] for a in node.args[1:] if isinstance(a, fx.Node) and a in homes}
    parents = {path.rpartition(".")[0] for path in paths}
    if len(parents) != 1 or any(isinstance(a, fx.Node) and a not in homes for a in node.args[1:]):
        return None
    parent = parents.pop()
    try:
        layer = module.get_submodule(parent)
    except AttributeError:
        return None
    if parent and check(node, layer, homes) and all(t.dtype == torch.float32 for t in layer.parameters()):
        return parent, constructor(layer)
    return None


def constructor(layer: nn.Module) -> str:
    """The call that makes a layer like this one in any version of torch.

    >>> constructor(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False))
    'nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)'
    """
    words: list[str] = []
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        words = [f"{layer.in_channels}", f"{layer.out_channels}", _one(layer.kernel_size)]
        defaults = {"stride": "1", "padding": "0", "dilation": "1"}
        given = {name: _one(getattr(layer, name)) for name in defaults}
        words += [f"{name}={value}" for name, value in given.items() if value != defaults[name]]
        words += [f"groups={layer.groups}"] if layer.groups != 1 else []
        words += ["bias=False"] if layer.bias is None else []
    elif isinstance(layer, nn.Linear):
        words = [f"{layer.in_features}", f"{layer.out_features}"]
        words += ["bias=False"] if layer.bias is None else []
    elif isinstance(layer, nn.LayerNorm):
        words = [f"{tuple(layer.normalized_shape)}", f"eps={layer.eps}"]
    elif isinstance(layer, nn.GroupNorm):
        words = [f"{layer.num_groups}", f"{layer.num_channels}", f"eps={layer.eps}"]
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        words = [f"{layer.num_features}", f"eps={layer.eps}"]
    return f"nn.{type(layer).__name__}({', '.join(words)})"


def _one(values: Any) -> str:
    """A size of equal extents as one number."""
    return str(values[0]) if len(set(values)) == 1 else str(tuple(values))


def _is_convolution(node: fx.Node, layer: nn.Module, homes: dict[fx.Node, str]) -> bool:
    if type(layer) not in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        return False
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return False
    ones, zeros = [1] * len(layer.stride), [0] * len(layer.stride)
    given = [None, ones, zeros, ones, 1]
    given[: len(node.args) - 2] = node.args[2:]  # type: ignore[assignment]
    same = [list(layer.stride), list(layer.padding), list(layer.dilation), layer.groups]
    plain = [list(v) if isinstance(v, list | tuple) else v for v in given[1:]]
    return plain == same and _names(node.args[1], given[0], homes, layer.bias)


def _is_linear(node: fx.Node, layer: nn.Module, homes: dict[fx.Node, str]) -> bool:
    bias = node.args[2] if len(node.args) > 2 else None
    return type(layer) is nn.Linear and _names(node.args[1], bias, homes, layer.bias)


def _is_layer_norm(node: fx.Node, layer: nn.Module, homes: dict[fx.Node, str]) -> bool:
    if type(layer) is not nn.LayerNorm or len(node.args) < 5:
        return False
    same = list(layer.normalized_shape) == list(node.args[1]) and layer.eps == node.args[4]  # type: ignore[arg-type]
    return same and layer.bias is not None and _names(node.args[2], node.args[3], homes, layer.bias)


def _is_group_norm(node: fx.Node, layer: nn.Module, homes: dict[fx.Node, str]) -> bool:
    if type(layer) is not nn.GroupNorm or len(node.args) < 5:
        return False
    same = layer.num_groups == node.args[1] and layer.eps == node.args[4]
    return same and _names(node.args[2], node.args[3], homes, layer.bias)


def _is_batch_norm(node: fx.Node, layer: nn.Module, homes: dict[fx.Node, str]) -> bool:
    if type(layer) not in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d) or len(node.args) < 8:
        return False
    ends = [homes.get(a, "").rpartition(".")[2] for a in node.args[1:5] if isinstance(a, fx.Node)]
    return (
        ends == ["weight", "bias", "running_mean", "running_var"]
        and node.args[5] is False
        and layer.eps == node.args[7]
    )


def _names(weight: Any, bias: Any, homes: dict[fx.Node, str], has_bias: Tensor | None) -> bool:
    """Whether the tensors of a call are the weight and the bias of its layer."""
    if homes.get(weight, "").rpartition(".")[2] != "weight":
        return False
    return (bias is None and has_bias is None) or homes.get(bias, "").rpartition(".")[2] == "bias"


_CHECKS = {
    "conv1d": _is_convolution,
    "conv2d": _is_convolution,
    "conv3d": _is_convolution,
    "linear": _is_linear,
    "layer_norm": _is_layer_norm,
    "group_norm": _is_group_norm,
    "batch_norm": _is_batch_norm,
}


def _tensors(found: Attributes, values: dict[fx.Node, tuple[str, Tensor]], made: dict[str, str]) -> None:
    """Names every tensor that is used: inside its layer where that was made, else as one of the module."""
    for node, (path, value) in values.items():
        users = [user for user in node.users if user not in found.layers]
        parent, _, last = path.rpartition(".")
        if parent in made:
            key = f"{made[parent]}.{last}"
        elif users:
            key = attribute_name(path, {name for name, _ in found.lines})
            dtype = "" if value.dtype == torch.float32 else f", dtype={value.dtype}"
            found.lines.append((key, f"torch.empty({list(value.shape)}{dtype})"))
        else:
            continue
        found.tensors[node] = f"self.{key}"
        found.state[key] = value
