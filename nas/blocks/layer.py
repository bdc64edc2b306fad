"""One layer of a network as a torch module, with the contract of its block checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nas.blocks.block import Block
from nas.blocks.shapes import ShapesOnly
from nas.errors import BlockError, NasError
from nas.spaces.architecture import BlockUse, Layer, Network
from nas.spaces.fitting import WIDTH_ROLES, output_signature
from nas.spaces.signature import Signature

MAX_CHECKED = 50_000
_checked: set[tuple[Any, ...]] = set()
_checks = ContextVar("_checks", default=True)


@contextmanager
def unchecked() -> Iterator[None]:
    """Builds without a look at output shapes: for who runs the module anyway and sees them then."""
    token = _checks.set(False)
    try:
        yield
    finally:
        _checks.reset(token)


@dataclass(frozen=True)
class InnerBlock:
    """What a builder receives for a knob that holds a block: call it with a signature to get the module.

    ``mixer(signature)`` builds a mixer for that signature; ``inner(signature, width=..., stride=...)`` a
    block of a role that may change them. The output shape is checked as that of any layer.
    """

    use: BlockUse
    blocks: Mapping[str, Block]

    def __call__(self, signature: Signature, *, width: int | None = None, stride: int = 1) -> nn.Module:
        """The module for this signature; its shape is always checked: what is built around it may hide it."""
        token = _checks.set(True)
        try:
            return build_layer(Layer(self.use, width, stride), signature, self.blocks)
        finally:
            _checks.reset(token)


def build_layer(
    layer: Layer, signature: Signature, blocks: Mapping[str, Block], classes: int = 1000
) -> nn.Module:
    """The module of one layer whose input has this signature.

    Raises BlockError, which names the block and its plugin, where the builder raises, where it returns
    something else than a module, or where the output of the module has another shape than declared.
    """
    try:
        module = _built(layer, signature, blocks, classes)
    except NasError:
        raise
    except Exception as error:
        raise _error(layer, signature, blocks, f"raised {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise _error(layer, signature, blocks, f"built a {type(module).__name__}, not a torch.nn.Module")
    if _checks.get():
        _check_once(module, layer, signature, blocks, classes)
    return module


def _built(layer: Layer, signature: Signature, blocks: Mapping[str, Block], classes: int) -> nn.Module:
    """What the builder returns, not checked yet."""
    block = blocks[layer.block.use]
    module: nn.Module = block.builder()(signature, **_arguments(block, layer, blocks, classes))
    return module


def _arguments(block: Block, layer: Layer, blocks: Mapping[str, Block], classes: int) -> dict[str, Any]:
    knobs = {name: _knob(block, name, value, blocks) for name, value in layer.block.knobs}
    if block.role in WIDTH_ROLES:
        return {"width": layer.width, "stride": layer.stride, **knobs}
    if block.role == "head":
        return {"classes": classes, **knobs}
    return knobs


def _knob(block: Block, name: str, value: Any, blocks: Mapping[str, Block]) -> Any:
    """A knob as its builder takes it; a block may also be given by its name, with the defaults."""
    choice = block.knobs.get(name)
    if isinstance(value, str) and choice is not None and choice.role is not None:
        value = BlockUse(value)
    return InnerBlock(value, blocks) if isinstance(value, BlockUse) else value


def _check_once(
    module: nn.Module, layer: Layer, signature: Signature, blocks: Mapping[str, Block], classes: int
) -> None:
    """Checks the output shape of each combination of block, knobs and signature the first time it is met."""
    builds = tuple(blocks[use.use].build for use in _uses(layer.block, blocks))
    key = (builds, layer, signature, classes if blocks[layer.block.use].role == "head" else None)
    if key in _checked:
        return
    expected = output_signature(Network(signature, (layer,), classes), blocks)
    found = _output_shape(module, layer, signature, blocks, classes)
    if found != (1, *expected.shape):
        problem = f"gives an output of shape {found}; declared is {(1, *expected.shape)}"
        raise _error(layer, signature, blocks, problem)
    if len(_checked) >= MAX_CHECKED:
        _checked.clear()
    _checked.add(key)


def _uses(use: BlockUse, blocks: Mapping[str, Block]) -> list[BlockUse]:
    """A block and every block that its knobs hold."""
    inner = [value for _, value in use.knobs if isinstance(value, BlockUse)]
    return [use, *(deeper for value in inner for deeper in _uses(value, blocks))]


def _output_shape(
    module: nn.Module, layer: Layer, signature: Signature, blocks: Mapping[str, Block], classes: int
) -> tuple[int, ...]:
    """The shape that leaves the module, found on the meta device: of a twin, or its own there."""
    is_meta = torch.get_default_device().type == "meta"
    training = [part for part in module.modules() if part.training]
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]), torch.no_grad():
            twin = module if is_meta else _built(layer, signature, blocks, classes)
            with ShapesOnly():  # type: ignore[no-untyped-call]
                output = twin.to("meta").eval()(torch.empty((1, *signature.shape)))
    except NasError:
        raise
    except Exception as error:
        problem = f"raised {type(error).__name__} on the meta device: {error}"
        raise _error(layer, signature, blocks, problem) from error
    finally:
        for part in training:
            part.training = True
    if not isinstance(output, torch.Tensor):
        raise _error(layer, signature, blocks, f"gives a {type(output).__name__}, not a tensor")
    return tuple(output.shape)


def _error(layer: Layer, signature: Signature, blocks: Mapping[str, Block], problem: str) -> BlockError:
    name = layer.block.use
    provider = getattr(blocks, "provider", None)
    owner = f" of plugin {provider(name)}" if provider is not None else ""
    where = f"{signature.domain} {signature.shape}, width {layer.width}, stride {layer.stride}"
    return BlockError(
        f"block {name!r}{owner} {problem} (knobs {_shown(layer.block)}; input {where}). "
        "This is a defect of the block, or its `valid` rule is too wide."
    )


def _shown(use: BlockUse) -> str:
    parts = (f"{name}={_shown_value(value)}" for name, value in use.knobs)
    return f"({', '.join(parts)})" if use.knobs else "none"


def _shown_value(value: Any) -> str:
    return (
        f"{value.use}{_shown(value) if value.knobs else ''}" if isinstance(value, BlockUse) else repr(value)
    )
