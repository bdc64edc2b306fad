"""The deployed form of a module: what is merged for inference, merged."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CONTAINERS = (dict, list, set)


def fuse(module: nn.Module, *, in_place: bool = False) -> nn.Module:
    """A copy of a module in its deployed form: in eval mode, merged, with the same output.

    Every submodule that has a method ``fused()`` is replaced by what that returns. In what is left, a batch
    norm is folded into the convolution behind which it stands, or into the unpadded one before which it
    stands, where nothing else reads what is between them. The module that is given stays as it is, unless it
    is used up `in_place`.
    """
    deployed = _replaced((module if in_place else copy.deepcopy(module)).eval(), {})
    if _has_norms(deployed):
        _fold_norms(deployed)
    return deployed.eval()


def fold_batch_norm(convolution: nn.Module, norm: nn.Module) -> nn.Module:
    """A convolution with bias that does in eval what this one and a batch norm behind it do."""
    weight, bias = _values(convolution)
    if weight.is_meta:  # arithmetic on nothing takes time too
        return _with_values(convolution, weight, bias)
    scale, shift = _affine(norm)
    spread = scale.reshape(-1, *(1 for _ in weight.shape[1:]))
    return _with_values(convolution, weight * spread, bias * scale + shift)


def fold_batch_norm_in_front(norm: nn.Module, convolution: nn.Module) -> nn.Module:
    """A convolution with bias that does in eval what a batch norm and this one behind it do.

    The convolution must not be padded: the padding would be shifted too.
    """
    assert isinstance(convolution, CONVOLUTIONS)
    weight, bias = _values(convolution)
    if weight.is_meta:
        return _with_values(convolution, weight, bias)
    outputs, inputs = weight.shape[:2]
    per_group = (convolution.groups, 1, inputs)
    scale, shift = (
        value.reshape(per_group).expand(-1, outputs // convolution.groups, -1).reshape(outputs, inputs)
        for value in _affine(norm)
    )
    taps = (outputs, inputs, *(1 for _ in weight.shape[2:]))
    moved = (weight * shift.reshape(taps)).flatten(1).sum(1)
    return _with_values(convolution, weight * scale.reshape(taps), bias + moved)


def _values(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """The weight and the bias of a convolution, a bias of zeros where it has none."""
    assert isinstance(convolution, CONVOLUTIONS)
    weight = convolution.weight.detach()
    if convolution.bias is not None:
        return weight, convolution.bias.detach()
    return weight, torch.zeros(len(weight), dtype=weight.dtype, device=weight.device)


def _with_values(convolution: nn.Module, weight: Tensor, bias: Tensor) -> nn.Module:
    """A copy of a convolution with another weight and bias."""
    assert isinstance(convolution, CONVOLUTIONS)
    dtype = convolution.weight.dtype
    merged = copy.copy(convolution)
    merged._parameters = dict(convolution._parameters)
    merged.weight = nn.Parameter(weight.to(dtype).contiguous())
    merged.bias = nn.Parameter(bias.to(dtype))
    return merged


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """What a batch norm is in eval: x → scale · x + shift, per channel."""
    assert isinstance(norm, NORMS)
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
            if child is not None and (put := _replaced(child, done)) is not child:
                setattr(result, name, put)
        done[-key] = module  # kept alive, so that its id is not given away
    return done[key]


def _fold_norms(module: nn.Module) -> None:
    """Folds what can be told by tracing; a part that cannot be traced is folded by itself."""
    try:
        pairs = _neighbours(module, ())
    except Exception:  # a forward may do anything when it is traced
        pairs = _neighbours_of_the_rest(module)
    folded: set[nn.Module] = set()
    for first, second in pairs:
        if _is_convolution(first) and _is_norm(second):
            _exchange(module, first, fold_batch_norm(first, second))
            _exchange(module, second, nn.Identity())
            folded |= {first, second}
    for first, second in pairs:
        if _is_norm(first) and _is_unpadded(second) and not folded & {first, second}:
            _exchange(module, first, nn.Identity())
            _exchange(module, second, fold_batch_norm_in_front(first, second))
            folded |= {first, second}
    if folded and _has_norms(module):  # what was in between may be gone now
        _fold_norms(module)


def _has_norms(module: nn.Module) -> bool:
    return any(isinstance(part, NORMS) for part in module.modules())


class _Tracer(fx.Tracer):
    """Looks into every module but those of torch and the closed ones."""

    def __init__(self, closed: Collection[str]) -> None:
        super().__init__()
        self._closed = closed

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module stays one call in the graph."""
        return module_qualified_name in self._closed or super().is_leaf_module(m, module_qualified_name)


def _neighbours_of_the_rest(module: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Those of a module that cannot be traced: around the children that cannot, which are folded here.

    Where the module's own forward cannot be traced there are none, and every child is folded here.
    """
    closed = [name for name, child in module.named_children() if not _is_traceable(child)]
    try:
        pairs = _neighbours(module, closed)
    except Exception:
        pairs, closed = [], [name for name, _ in module.named_children()]
    for name in closed:
        part = module.get_submodule(name)
        if _has_norms(part):
            _fold_norms(part)
    return pairs


def _is_traceable(module: nn.Module) -> bool:
    try:
        _graph(module, ())
    except Exception:
        return False
    return True


def _graph(module: nn.Module, closed: Collection[str]) -> fx.Graph:
    with _as_it_was(module):
        return _Tracer(closed).trace(module)


@contextmanager
def _as_it_was(module: nn.Module) -> Iterator[None]:
    """Takes back what tracing leaves on a module: attributes that its forward sets, or adds to."""
    before = [(part, {name: _own(value) for name, value in vars(part).items()}) for part in module.modules()]
    try:
        yield
    finally:
        for part, attributes in before:
            vars(part).clear()
            vars(part).update(attributes)


def _own(value: object) -> object:
    return copy.copy(value) if type(value) in CONTAINERS else value


def _neighbours(module: nn.Module, closed: Collection[str]) -> list[tuple[nn.Module, nn.Module]]:
    """Pairs of modules that are called only one behind the other, with nothing else reading in between."""
    graph = _graph(module, closed)
    calls: dict[str, list[fx.Node]] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls.setdefault(str(node.target), []).append(node)
    looked_into = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    pairs = []
    for name, nodes in calls.items():
        readers = {_target(user) for node in nodes for user in node.users if not _asks_form(user)}
        reader = readers.pop() if len(readers) == 1 else None
        if reader is None or {name, reader} & looked_into:
            continue
        if all(_target(node.args[0] if node.args else None) == name for node in calls[reader]):
            pairs.append((module.get_submodule(name), module.get_submodule(reader)))
    return pairs


def _asks_form(node: fx.Node) -> bool:
    """Whether a node reads the shape or type of a tensor, which folding keeps, and not its values."""
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in ("shape", "ndim", "dtype", "device")
    return node.op == "call_method" and node.target in ("size", "dim")


def _target(node: object) -> str | None:
    """The path of the module that a node calls; None for any other node."""
    return str(node.target) if isinstance(node, fx.Node) and node.op == "call_module" else None


def _is_convolution(module: nn.Module) -> bool:
    return type(module) in CONVOLUTIONS and _is_plain(module)


def _is_unpadded(module: nn.Module) -> bool:
    if not _is_convolution(module):  # whose padding may be anything
        return False
    padding = module.padding
    return padding == "valid" if isinstance(padding, str) else not any(padding)  # type: ignore[arg-type]


def _is_norm(module: nn.Module) -> bool:
    return type(module) in NORMS and module.running_mean is not None and _is_plain(module)


def _is_plain(module: nn.Module) -> bool:
    """Whether a call of the module does what its class says and no more."""
    has_hooks = module._forward_hooks or module._forward_pre_hooks
    return not has_hooks and not hasattr(module, "parametrizations")


def _exchange(module: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts one part in the place of another wherever that stands."""
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, name, new)
