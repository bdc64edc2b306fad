"""One layer: the contract of its block is checked where it is built."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import nn
from toy_blocks import BLOCKS, MAP, Dense, layer

from nas.blocks import Block, InnerBlock
from nas.blocks.layer import build_layer
from nas.errors import BlockError, SpaceError
from nas.plugins.plugin import Plugin
from nas.plugins.registry import Names
from nas.spaces.architecture import BlockUse
from nas.spaces.knobs import Choice
from nas.spaces.signature import Signature


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raising", "'raising' raised ZeroDivisionError: no channels to divide by"),
        ("not_a_module", "'not_a_module' built a int, not a torch.nn.Module"),
        ("cropped", r"'cropped' gives an output of shape \(1, 3, 8, 5\); declared is \(1, 3, 8, 6\)"),
        ("pair", "'pair' gives a tuple, not a tensor"),
        ("processor", "'processor' raised .* on the meta device"),
    ],
)
def test_a_broken_block_is_named(name: str, words: str) -> None:
    with pytest.raises(BlockError, match=words):
        build_layer(layer(name), MAP, BLOCKS)


def test_the_error_tells_knobs_input_and_place() -> None:
    knobs = {"mixer": BlockUse("scale", (("factor", 3.0),)), "text": "x"}
    with pytest.raises(BlockError) as caught:
        build_layer(layer("holder", 8, 2, **knobs), MAP, BLOCKS)
    message = str(caught.value)
    assert "raised TypeError" in message
    assert "knobs (mixer=scale(factor=3.0), text='x')" in message
    assert "input image (3, 8, 6), width 8, stride 2" in message
    assert "\n" not in message


def test_the_error_names_the_plugin_where_it_is_known() -> None:
    plugin = Plugin("toys", "toys", "toy-box", "1.2")
    names = Names("block", [(plugin, block) for block in BLOCKS.values()])
    with pytest.raises(BlockError, match=r"block 'cropped' of plugin toys \(toy-box 1\.2\) gives"):
        build_layer(layer("cropped"), MAP, names)
    with pytest.raises(BlockError, match=r"block 'toys/cropped' of plugin toys \(toy-box 1\.2\) gives"):
        build_layer(layer("toys/cropped"), MAP, names)


def test_a_broken_block_inside_another_is_the_one_that_is_named() -> None:
    with pytest.raises(BlockError, match="block 'cropped' gives an output"):
        build_layer(layer("holder", 4, mixer=BlockUse("cropped")), MAP, BLOCKS)


def test_an_error_of_ours_is_passed_on() -> None:
    def refusing(signature: Signature) -> nn.Module:
        raise SpaceError("not here")

    with pytest.raises(SpaceError, match="not here"):
        build_layer(layer("refusing"), MAP, {"refusing": Block("refusing", "mixer", "image", refusing)})


def test_each_combination_is_checked_once() -> None:
    calls = []

    def counted(signature: Signature, *, width: int | None, stride: int) -> nn.Module:
        calls.append(torch.get_default_device().type)
        return Dense(signature, width=width, stride=stride)

    blocks: Mapping[str, Block] = {"counted": Block("counted", "block", "image", counted)}
    for _ in range(3):
        build_layer(layer("counted", 4), MAP, blocks)
    assert calls == ["cpu", "meta", "cpu", "cpu"]
    build_layer(layer("counted", 5), MAP, blocks)
    assert calls[4:] == ["cpu", "meta"]


def test_on_the_meta_device_the_module_itself_is_checked_and_stays_in_training_mode() -> None:
    calls = []

    class Frozen(nn.Module):
        def __init__(self, signature: Signature) -> None:
            super().__init__()
            calls.append(signature)
            self.norm = nn.BatchNorm2d(signature.channels)
            self.norm.training = False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(x)

    with torch.device("meta"):
        module = build_layer(layer("frozen"), MAP, {"frozen": Block("frozen", "mixer", "image", Frozen)})
    assert len(calls) == 1
    assert module.training
    assert not module.norm.training  # type: ignore[union-attr]


def test_a_knob_that_holds_a_mixer_builds_it_behind_the_change_of_width() -> None:
    module = build_layer(layer("holder", 8, 2, mixer=BlockUse("scale", (("factor", 3.0),))), MAP, BLOCKS)
    assert module.mixer.signature == Signature("image", 8, (4, 3))  # type: ignore[union-attr]
    assert module.mixer.factor == 3.0  # type: ignore[union-attr]


def test_a_knob_that_holds_a_block_may_give_it_width_and_stride() -> None:
    module = build_layer(layer("wrapper", 8, 2, inner=BlockUse("dense")), MAP, BLOCKS)
    assert module(torch.randn(1, *MAP.shape)).shape == (1, 8, 4, 3)


def test_a_block_in_a_knob_may_be_given_by_its_name() -> None:
    module = build_layer(layer("holder", mixer="scale"), MAP, BLOCKS)
    assert module.mixer.factor == 2.0  # type: ignore[union-attr]


def test_a_name_in_a_knob_of_words_stays_a_word() -> None:
    class Named(nn.Identity):
        def __init__(self, signature: Signature, *, word: str) -> None:
            super().__init__()
            self.word = word

    blocks = {"named": Block("named", "mixer", "image", Named, {"word": Choice("scale", "other")}), **BLOCKS}
    assert build_layer(layer("named", word="scale"), MAP, blocks).word == "scale"


def test_an_inner_block_is_called_with_a_signature() -> None:
    inner = InnerBlock(BlockUse("dense", (("bias", False),)), BLOCKS)
    module = inner(MAP, width=7, stride=2)
    assert module.conv.bias is None  # type: ignore[union-attr]
    assert module(torch.randn(2, *MAP.shape)).shape == (2, 7, 4, 3)
