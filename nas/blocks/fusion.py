"""The deployed form of a module: what is merged for inference, merged."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fuse(module: nn.Module) -> nn.Module:
    """A copy of a module in its deployed form: in eval mode, merged, with the same output.

    Every submodule that has a method ``fused()`` is replaced by what that returns. In what is left, each
    batch norm that follows a convolution, and nothing else does, is folded into it. The module that is given
    stays as it is.
    """
    deployed = copy.deepcopy(module).eval()
    deployed = _replaced(deployed, {}).eval()
    if any(isinstance(part, NORMS) for part in deployed.modules()):
        _fold_norms(deployed)
    return deployed


def fold_batch_norm(convolution: nn.Module, norm: nn.Module) -> nn.Module:
    """A convolution with bias that does in eval what this one and a batch norm behind it do."""
    assert isinstance(convolution, CONVOLUTIONS)
    assert isinstance(norm, NORMS)
    merged = copy.copy(convolution)
    merged._parameters = dict(convolution._parameters)
    weight = convolution.weight.detach()
    if weight.is_meta:  # arithmetic on nothing takes time too
        merged.bias = nn.Parameter(torch.empty(len(weight), dtype=weight.dtype, device="meta"))
        return merged
    scale, shift = _affine(norm)
    merged.weight = nn.Parameter(
        (weight * scale.reshape(-1, *(1 for _ in weight.shape[1:]))).to(weight.dtype).contiguous()
    )
    bias = shift if convolution.bias is None else convolution.bias.detach() * scale + shift
    merged.bias = nn.Parameter(bias.to(weight.dtype))
    return merged


def _affine(norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """What a batch norm is in eval: x → scale · x + shift, per channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias.detach()


def _replaced(module: nn.Module, done: dict[int, nn.Module]) -> nn.Module:
    """The module with every part that offers ``fused()`` replaced; a part that is shared stays shared."""
    key = id(module)
    if key not in done:
        fused = getattr(module, "fused", None)
        result = fused() if callable(fused) else module
        done[key] = done[id(result)] = result
        for name, child in list(result._modules.items()):
            if child is not None:
                setattr(result, name, _replaced(child, done))
        done[-key] = module  # kept alive, so that its id is not given away
    return done[key]


def _fold_norms(module: nn.Module) -> None:
    """Folds what can be told by tracing; where a module cannot be traced, each of its children is tried."""
    try:
        pairs = list(_pairs(module))
    except Exception:  # a forward may do anything when it is traced
        for child in module.children():
            if any(isinstance(part, NORMS) for part in child.modules()):
                _fold_norms(child)
        return
    for convolution, norm in pairs:
        _exchange(module, convolution, fold_batch_norm(convolution, norm))
        _exchange(module, norm, nn.Identity())


def _pairs(module: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Convolutions and batch norms that are called only one behind the other, with nothing else reading."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    graph = fx.Tracer().trace(copy.deepcopy(module, tensors))  # tracing may leave its marks on a module
    calls: dict[str, list[fx.Node]] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls.setdefault(str(node.target), []).append(node)
    for name, nodes in calls.items():
        readers = {_target(user) for node in nodes for user in node.users}
        norm = readers.pop() if len(readers) == 1 else None
        if norm is None or any(_target(node.args[0] if node.args else None) != name for node in calls[norm]):
            continue
        pair = module.get_submodule(name), module.get_submodule(norm)
        if _is_foldable(*pair):
            yield pair


def _target(node: object) -> str | None:
    """The path of the module that a node calls; None for any other node."""
    return str(node.target) if isinstance(node, fx.Node) and node.op == "call_module" else None


def _is_foldable(convolution: nn.Module, norm: nn.Module) -> bool:
    return (
        type(convolution) in CONVOLUTIONS
        and type(norm) in NORMS
        and norm.running_mean is not None
        and not any((part._forward_hooks or part._forward_pre_hooks) for part in (convolution, norm))
        and not any(hasattr(part, "parametrizations") for part in (convolution, norm))
    )


def _exchange(module: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts one part in the place of another wherever that stands."""
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, name, new)
