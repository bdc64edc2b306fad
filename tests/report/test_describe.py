"""A network in one line."""

from __future__ import annotations

import doctest
import subprocess
import sys

import numpy as np
import pytest

from nas.plugins import default_registry
from nas.report import describe
from nas.report.describe import knob_words, short_names, stage_of
from nas.spaces import load_space
from nas.spaces.architecture import Architecture, BlockUse, Edge, Graph, Layer, Network
from nas.spaces.signature import Signature

IMAGE = Signature("image", 3, (32, 32))


def layer(use: str, stage: str, width: int | None = 16, **knobs: object) -> Layer:
    return Layer(BlockUse(use, tuple(sorted(knobs.items()))), width, slot=stage)  # type: ignore[arg-type]


def described(*layers: Layer | Graph) -> str:
    return describe(Architecture(Network(IMAGE, layers, 10)))


def test_kinds_are_counted_with_the_ranges_of_their_knobs() -> None:
    text = described(
        layer("conv_stem", "stem", 8),
        layer("inverted_residual", "stages.0.layers.0", 16, kernel=3, expansion=4),
        layer("inverted_residual", "stages.1.layers.0", 24, kernel=5, expansion=4),
        layer("tucker", "stages.1.layers.1", 24, kernel=3),
        layer("metaformer", "stages.1.layers.2", 32, mixer=BlockUse("pool_mixer", (("kernel", 3),))),
        layer("pool_linear", "head", None),
    )
    assert text == ("2 stages, 4 layers: inverted k3–5 e4 ×2, tucker k3 ×1, metaformer(pool) k3 ×1; w 16–32")


def test_cells_are_told_by_their_operations() -> None:
    def cell(width: int) -> Graph:
        conv = Layer(BlockUse("conv_operation", (("kernel", 3),)), width)
        skip = Layer(BlockUse("identity"), width)
        return Graph(3, (Edge(0, 1, conv), Edge(1, 2, conv), Edge(0, 2, skip)), slot="stages.0.layers.0")

    assert described(cell(16), cell(16), cell(32)) == (
        "1 stage, 3 layers: cell ×3 (conv k3 ×2, identity ×1); w 16–32"
    )
    assert "no edges" in described(Graph(2, (), slot="stages.0.layers.0"))


def test_a_network_without_stages_still_has_a_line() -> None:
    assert described(layer("conv", "", 4, kernel=3)) == "1 stage, 1 layer: conv k3 ×1; w 4"
    assert described(layer("conv_stem", "stem"), layer("pool_linear", "head", None)) == "2 layers"
    assert described() == "0 layers"


def test_names_that_would_be_confused_stay_whole() -> None:
    uses = [BlockUse("conv_norm"), BlockUse("conv_act"), BlockUse("mine/gate_unit")]
    assert short_names(uses) == {"conv_norm": "conv_norm", "conv_act": "conv_act", "mine/gate_unit": "gate"}


def test_knobs_that_are_off_and_held_blocks_are_left_out() -> None:
    knobs = {
        "kernel": 5,
        "expansion": 1.5,
        "se": 0.25,
        "pool": True,
        "hidden": 0,
        "norm": "batch",
        "order": "none",
    }
    use = BlockUse("block", tuple(sorted(knobs.items())))
    assert knob_words(use) == "k5 e1.5 pool se 0.25"


def test_the_stage_is_read_from_the_slot() -> None:
    assert [stage_of(layer("x", slot)) for slot in ("stages.2.layers.1", "stem", "")] == [
        "stages.2",
        "stem",
        "",
    ]


@pytest.mark.parametrize("space", ["mobile", "tiny", "cell", "published/resnet50", "published/mobilenet_v2"])
def test_every_shipped_network_has_a_short_line(space: str) -> None:
    opened = load_space(space, default_registry())
    for seed in range(5):
        text = describe(opened.sample(np.random.default_rng(seed)))
        assert 10 < len(text) < 240
        assert "\n" not in text
        assert text.startswith(tuple("123456789"))


def test_hostile_choices_are_cleaned_and_cut() -> None:
    text = describe(Architecture(None, (("a\u202eb", "x" * 5000), ("\x1b[31m", 1))))
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert len(text) == 200


def test_a_description_needs_no_torch() -> None:
    code = (
        "import sys, nas.report; nas.report.describe; print('torch' in sys.modules, 'jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", ["describe", "text", "units", "axis", "thinning", "scatter"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    module = __import__(f"nas.report.{name}", fromlist=["x"])
    if name == "describe":
        module = sys.modules["nas.report.describe"]
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
