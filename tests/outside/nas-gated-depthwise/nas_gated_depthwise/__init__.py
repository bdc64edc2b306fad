"""A gated depthwise block for images, and a space that searches it."""

from __future__ import annotations

from pathlib import Path

from nas import Block, Choice, Signature, hookimpl
from nas.spaces import SpaceSource

NAS_API_VERSION = 1


def hidden_width(channels: int, expansion: float) -> int:
    """Channels of either half: `expansion` times C, at least one."""
    return max(1, round(channels * expansion))


def _valid(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: object) -> bool:
    """Even kernels would change the size."""
    return kernel % 2 == 1


def _params(
    signature: Signature, width: int | None, stride: int, *, kernel: int, expansion: float, **knobs: object
) -> int:
    hidden = hidden_width(signature.channels, expansion)
    leaving = signature.after(width, stride).channels
    convolutions = 2 * hidden * signature.channels + hidden * kernel**2 + leaving * hidden
    norms = 2 * (2 * hidden + hidden + leaving)
    return convolutions + norms


def _macs(
    signature: Signature, width: int | None, stride: int, *, kernel: int, expansion: float, **knobs: object
) -> int:
    """Of the deployed form: the gate is computed at the positions that the stride keeps."""
    hidden = hidden_width(signature.channels, expansion)
    after = signature.after(width, stride)
    entering, leaving = (rows * columns for rows, columns in (signature.size, after.size))
    gate = leaving if stride > 1 else entering
    return hidden * ((entering + gate) * signature.channels + leaving * (kernel**2 + after.channels))


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this package."""
    return [
        Block(
            name="gated_depthwise",
            role="block",
            domain="image",
            build="nas_gated_depthwise.block:GatedDepthwise",
            knobs={
                "kernel": Choice(3, 5, 7),
                "expansion": Choice(2, 1, 1.5, 3, 4),
                "gate": Choice("sigmoid", "gelu"),
            },
            valid=_valid,
            params=_params,
            macs=_macs,
            description="an expanded depthwise convolution gated by the other half of the expansion",
        )
    ]


@hookimpl
def nas_spaces() -> list[SpaceSource]:
    """The spaces of this package."""
    path = Path(__file__).with_name("gated-small.toml")
    return [SpaceSource("gated-small", path, "gated depthwise blocks beside first-party ones, two stages")]
