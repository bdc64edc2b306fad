"""What one block takes at a stated size."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from nas.blocks import Block
from nas.costs.example import CLASSES, SIGNATURES, block_example
from nas.plugins import default_registry
from nas.spaces import Choice, Signature

BLOCKS = default_registry().blocks


class Wide(nn.Module):
    """One 1x1 convolution."""

    def __init__(self, signature: Signature, *, width: int | None = None, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(signature.channels, width or signature.channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def only(valid: object) -> dict[str, Block]:
    return {"wide": Block("wide", "block", "image", Wide, valid=valid)}  # type: ignore[arg-type]


def test_a_block_is_priced_at_64_channels_and_56_pixels() -> None:
    example = block_example("conv", BLOCKS)
    assert example is not None
    assert example.signature == Signature("image", 64, (56, 56))
    assert example.params == 64 * 64 * 9 + 2 * 64
    assert example.macs == 56 * 56 * 64 * 64 * 9


def test_a_head_has_a_thousand_classes() -> None:
    example = block_example("pool_linear", BLOCKS)
    assert example is not None
    assert example.params == CLASSES * 65
    assert example.macs == CLASSES * 64


@pytest.mark.parametrize(
    ("fits", "channels", "size"),
    [
        (lambda s, w, t: True, 64, (56, 56)),
        (lambda s, w, t: s.size[0] <= 14, 64, (14, 14)),
        (lambda s, w, t: s.channels >= 256, 256, (56, 56)),
        (lambda s, w, t: t == 2, 64, (56, 56)),
    ],
)
def test_a_block_that_fits_only_elsewhere_is_priced_there(
    fits: object, channels: int, size: tuple[int, int]
) -> None:
    example = block_example("wide", only(fits))
    assert example is not None
    assert (example.signature.channels, example.signature.size) == (channels, size)
    assert example.params == channels**2


def test_there_is_none_where_a_block_fits_nowhere() -> None:
    assert block_example("wide", only(lambda s, w, t: False)) is None


def test_there_is_none_for_a_domain_without_a_usual_size() -> None:
    assert "graph" not in SIGNATURES
    blocks = {"wide": Block("wide", "block", "graph", Wide)}
    assert block_example("wide", blocks) is None


def test_there_is_none_where_a_knob_finds_no_block() -> None:
    blocks = {"holder": Block("holder", "block", "image", Wide, {"mixer": Choice(role="mixer")})}
    assert block_example("holder", blocks) is None


def test_every_first_party_block_has_one() -> None:
    missing = [name for name in BLOCKS if block_example(name, BLOCKS) is None]
    assert missing == []
