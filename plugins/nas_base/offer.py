"""What the offers of `nas_base` share: knobs, rules and papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas.blocks.block import Block
from nas.spaces.knobs import Choice
from nas.spaces.signature import Signature

ACTIVATIONS = (
    "relu",
    "relu6",
    "hard_swish",
    "silu",
    "gelu",
    "star_relu",
    "squared_relu",
    "identity",
)


def activation(default: str) -> Choice:
    """The knob of an activation, its default first."""
    return Choice(default, *(name for name in ACTIVATIONS if name != default))


def _fits_kernel(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> bool:
    """Kernels are odd, so that padding keeps the size."""
    return kernel % 2 == 1


def _keeps(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    """An operation without weights changes neither channels nor size."""
    return stride == 1 and width in (None, signature.channels)


def _fits_average_pool(signature: Signature, width: int | None, stride: int, *, kernel: int) -> bool:
    return kernel % 2 == 1 and width in (None, signature.channels)


def _fits_attention(signature: Signature, width: int | None, stride: int, *, head_dim: int) -> bool:
    """The heads split the channels evenly."""
    return signature.channels % head_dim == 0


def _fits_head(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    """The norm of a hidden layer asks for one."""
    return bool(knobs["norm"] != "hidden_layer" or knobs["hidden"])


def block(name: str, role: str, build: str, description: str, source: str = "", **knobs: Choice) -> Block:
    """A block for images; one with a kernel asks for an odd one."""
    valid: Callable[..., bool] | None = _RULES.get(name, _fits_kernel if "kernel" in knobs else None)
    return Block(
        name, role, "image", f"nas_base.{build}", knobs, valid, source=source, description=description
    )


_RULES: dict[str, Callable[..., bool]] = {
    "attention": _fits_attention,
    "average_pool": _fits_average_pool,
    "identity": _keeps,
    "pool_linear": _fits_head,
}

NORMS = ("layer_bias", "layer", "group", "batch", "none")
METAFORMER = "arXiv:2210.13452"
MOBILEDETS = "arXiv:2004.14525"
RESNET = "arXiv:1512.03385"
NAS_BENCH_201 = "arXiv:2001.00326"


def kernels(default: int = 3) -> Choice:
    """The knob of a small kernel."""
    return Choice(default, *(size for size in (1, 3, 5, 7) if size != default))


def expansions() -> Choice:
    """The knob of inner channels as a multiple of the input's."""
    return Choice(6, 1, 1.5, 2, 3, 4, 8)


def squeezes() -> Choice:
    """The knob of squeezed channels as a share of the input's; 0 for no gate."""
    return Choice(0.0, 0.0625, 0.125, 0.25, 0.5, 1.0)
