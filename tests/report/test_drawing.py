"""Networks drawn as stages of blocks, and the costs beside them."""

from __future__ import annotations

import numpy as np
import pytest
from report_studies import LABEL, architectures, make_cost, make_spec

from nas.costs.cost import OperatorCost
from nas.plugins import default_registry
from nas.report.breakdown import Breakdown, breakdowns, study_targets, summarise
from nas.report.drawing import COLOURS, block_colours, draw
from nas.spaces import load_space
from nas.spaces.architecture import Architecture, BlockUse, Edge, Graph, Layer, Network
from nas.spaces.signature import Signature

BLOCKS = default_registry().blocks
IMAGE = Signature("image", 3, (224, 224))


def test_a_published_network_is_drawn_stage_by_stage() -> None:
    network = load_space("published/resnet50", default_registry()).sample(np.random.default_rng(0)).network
    assert network is not None
    stages = draw(network, BLOCKS, block_colours([network]))
    assert [stage.title for stage in stages] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    assert stages[0].subtitle == "56 × 56 × 64"
    assert stages[-1].subtitle == "1000 scores"
    assert [sum(box.repeats for box in stage.boxes) for stage in stages] == [1, 3, 4, 6, 3, 1]
    assert stages[2].boxes[0].lines[0] == "ratio 0.25 w512 s2"
    assert stages[2].boxes[1].repeats == 3


def test_boxes_stand_below_each_other() -> None:
    for architecture in architectures(5):
        assert architecture.network is not None
        for stage in draw(architecture.network, BLOCKS, {}):
            tops = [box.top for box in stage.boxes]
            assert tops == sorted(tops)
            for upper, lower in zip(stage.boxes, stage.boxes[1:], strict=False):
                assert upper.top + upper.height < lower.top
            assert stage.boxes[-1].top + stage.boxes[-1].height <= stage.height
            assert all(len(line) <= 24 for box in stage.boxes for line in box.lines)


def test_a_cell_lists_its_edges() -> None:
    conv = Layer(BlockUse("conv_operation", (("kernel", 3),)), 3)
    edges = tuple(Edge(i, 20, conv) for i in range(20))
    (stage,) = draw(Network(IMAGE, (Graph(21, edges),), 10), BLOCKS, {})
    assert stage.boxes[0].lines[0] == "0→20 conv_operation k3"
    assert stage.boxes[0].lines[-1] == "and 9 more edges"
    (empty,) = draw(Network(IMAGE, (Graph(2, ()),), 10), BLOCKS, {})
    assert empty.boxes[0].lines == ("no edges, gives zeros",)


def test_a_block_that_is_not_installed_is_drawn_without_sizes() -> None:
    network = Network(IMAGE, (Layer(BlockUse("gone_block"), 8, slot="stages.0.layers.0"),), 10)
    (stage,) = draw(network, BLOCKS, {})
    assert (stage.title, stage.subtitle) == ("stage 1", "")
    assert stage.boxes[0].name == "gone_block"


def test_colours_are_shared_and_few() -> None:
    networks = [a.network for a in architectures(5) if a.network is not None]
    colours = block_colours(networks)
    assert {"conv_stem", "pool_linear"} <= set(colours)
    assert set(colours.values()) <= set(range(COLOURS))


def operator(name: str, latency: float, bound: str) -> OperatorCost:
    return OperatorCost(name, "conv", "layers.0", 10, 20, 30, latency, bound)


def test_a_breakdown_begins_with_the_most_expensive_operator() -> None:
    from dataclasses import replace

    operators = tuple(operator(f"op{i}", float(i), ("memory", "launch")[i % 2]) for i in range(20))
    found = summarise("a100", replace(make_cost(0.2), operators=operators))
    assert [op.name for op in found.operators[:2]] == ["op19", "op18"]
    assert len(found.operators) == 12
    assert found.total_ms == sum(range(20))
    assert dict(found.shares) == {"memory": pytest.approx(90 / 190), "launch": pytest.approx(100 / 190)}
    assert found.shown_share == pytest.approx(sum(range(8, 20)) / 190)


def test_a_cost_without_operators_has_an_empty_breakdown() -> None:
    found = summarise("a100", make_cost(0.2))
    assert (found.operators, found.shares, found.shown_share) == ((), (), 0.0)


def test_the_targets_of_a_study_are_found_with_its_overrides() -> None:
    (target,) = study_targets(make_spec(target_overrides=(("batch_size", 4),)), default_registry())
    assert not isinstance(target, Breakdown)
    assert (target.name, target.batch_size) == ("a100", 4)


def test_a_target_that_is_gone_leaves_a_note() -> None:
    spec = make_spec(
        targets=("./gone-board.toml", "a1000"), target_names=("gone", "a1000"), target_labels=("x", "y")
    )
    found = study_targets(spec, default_registry())
    assert all(isinstance(item, Breakdown) and item.note and item.cost is None for item in found)
    notes = breakdowns(architectures(1, "tiny")[0], found, default_registry(), "roofline")
    assert [note.target for note in notes] == ["gone", "a1000"]


def test_operators_of_a_network_are_computed_for_its_target() -> None:
    targets = study_targets(make_spec(), default_registry())
    (found,) = breakdowns(architectures(1, "tiny")[0], targets, default_registry(), "roofline")
    assert found.cost is not None
    assert found.cost.target == LABEL
    assert sum(share for _, share in found.shares) == pytest.approx(1.0)
    assert found.operators[0].latency_ms == max(op.latency_ms for op in found.cost.operators)


def test_a_network_of_missing_blocks_has_a_note_for_its_cost() -> None:
    gone = Architecture(Network(IMAGE, (Layer(BlockUse("gone_block"), 8),), 10))
    (found,) = breakdowns(
        gone, study_targets(make_spec(), default_registry()), default_registry(), "roofline"
    )
    assert found.cost is None
    assert "gone_block" in found.note


def test_a_flat_point_has_no_breakdown() -> None:
    flat = Architecture(None, (("lr", 0.1),))
    assert (
        breakdowns(flat, study_targets(make_spec(), default_registry()), default_registry(), "roofline") == ()
    )
