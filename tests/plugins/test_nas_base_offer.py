"""What the plugin offers: names, knobs and rules, readable without torch."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from nas_base_cases import BLOCKS, NAMES, WIDE

import nas_base
from nas.blocks import ROLES
from nas.spaces.signature import Signature
from nas_base.activations import BUILDERS, activation

EXPECTED = {
    "stem": {"conv_stem"},
    "block": {
        "conv",
        "inverted_residual",
        "fused_inverted_residual",
        "mixed_inverted_residual",
        "conv_first",
        "tucker",
        "bottleneck",
        "basic",
        "metaformer",
        "metanext",
    },
    "downsample": {"downsample"},
    "mixer": {"identity_mixer", "pool_mixer", "separable_conv", "depthwise_conv", "attention"},
    "ffn": {"mlp"},
    "head": {"pool_linear"},
    "operation": {"zero", "identity", "conv_operation", "average_pool"},
}


def test_every_block_of_every_role_is_offered() -> None:
    offered: dict[str, set[str]] = {}
    for block in nas_base.nas_blocks():
        offered.setdefault(block.role, set()).add(block.name)
    assert offered == EXPECTED


def test_the_offer_needs_no_torch() -> None:
    code = "import nas_base, sys; n = len(nas_base.nas_blocks()); sys.exit('torch' in sys.modules or n < 18)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_activations_that_are_offered_are_those_that_exist() -> None:
    assert set(nas_base.ACTIVATIONS) == set(BUILDERS)
    assert type(activation("star_relu")).__name__ == "StarReLU"


@pytest.mark.parametrize("name", NAMES)
def test_a_block_is_described(name: str) -> None:
    block = BLOCKS[name]
    assert block.role in ROLES
    assert block.domain == "image"
    assert len(block.description) > 10
    assert "\n" not in block.description
    assert isinstance(block.build, str)


@pytest.mark.parametrize("name", NAMES)
def test_the_builder_takes_the_knobs_with_the_defaults_that_are_offered(name: str) -> None:
    block = BLOCKS[name]
    parameters = dict(inspect.signature(block.builder()).parameters)
    parameters.pop("signature")
    given = {"width", "stride"} if block.role in WIDE else {"classes"} if block.role == "head" else set()
    assert set(parameters) == set(block.knobs) | given
    for knob, choice in block.knobs.items():
        if choice.role is None:
            assert parameters[knob].default == choice.default, knob


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_tells_shape_and_knobs(name: str) -> None:
    text = inspect.getdoc(BLOCKS[name].builder()) or ""
    assert "(N, C, H, W)" in text
    if name == "fused_inverted_residual":
        text += inspect.getdoc(BLOCKS["inverted_residual"].builder()) or ""
    for knob in set(BLOCKS[name].knobs) - {"activation"}:
        assert f"`{knob}`" in text, knob


@pytest.mark.parametrize("name", [name for name in NAMES if "kernel" in BLOCKS[name].knobs])
def test_even_kernels_do_not_fit(name: str) -> None:
    block = BLOCKS[name]
    knobs = {knob: choice.default for knob, choice in block.knobs.items()}
    signature = Signature("image", 8, (8, 8))
    assert block.accepts(signature, None, 1, {**knobs, "kernel": 3})
    assert not block.accepts(signature, None, 1, {**knobs, "kernel": 4})


@pytest.mark.parametrize(("channels", "head_dim", "fits"), [(32, 16, True), (24, 16, False), (8, 16, False)])
def test_attention_fits_where_heads_divide_the_channels(channels: int, head_dim: int, fits: bool) -> None:
    signature = Signature("image", channels, (8, 8))
    assert BLOCKS["attention"].accepts(signature, None, 1, {"head_dim": head_dim}) is fits


@pytest.mark.parametrize(
    ("name", "width", "stride", "fits"),
    [
        ("identity", 8, 1, True),
        ("identity", None, 1, True),
        ("identity", 16, 1, False),
        ("identity", 8, 2, False),
        ("average_pool", 8, 2, True),
        ("average_pool", 16, 1, False),
        ("zero", 16, 2, True),
    ],
)
def test_operations_without_weights_keep_the_channels(
    name: str, width: int | None, stride: int, fits: bool
) -> None:
    block = BLOCKS[name]
    knobs = {knob: choice.default for knob, choice in block.knobs.items()}
    assert block.accepts(Signature("image", 8, (8, 8)), width, stride, knobs) is fits
