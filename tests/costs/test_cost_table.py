"""The cost table finds what pricing the built network finds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.blocks import build
from nas.costs import CostModel, CostTable, Target, estimate, estimate_architecture, resolve_target
from nas.costs.calibration import Calibration, Warmth
from nas.costs.columns import COLUMN_NAMES
from nas.costs.cost import DEFAULT_MODEL, Cost
from nas.costs.operators import Trace
from nas.errors import CostError, SpaceError, UnknownNameError
from nas.plugins import Names, Plugin, Registry, default_registry
from nas.spaces import Architecture, Space, load_space

NAMES = ("a100", "pixel6", "coral")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return default_registry()


@pytest.fixture(scope="module")
def targets(registry) -> list[Target]:
    return [
        resolve_target("a100", registry, batch_size=4),
        resolve_target("pixel6", registry),
        resolve_target("coral", registry),
    ]


@pytest.fixture(scope="module")
def tiny(registry) -> Space:
    return load_space("tiny", registry)


@pytest.fixture(scope="module")
def table(tiny, targets, registry) -> CostTable:
    return CostTable(tiny, targets, registry)


def figures(cost: Cost) -> dict[str, float]:
    return {
        "latency": cost.latency_ms,
        "latency_low": cost.low_ms,
        "latency_high": cost.high_ms,
        "energy": cost.energy_mj,
        "params": cost.params,
        "macs": cost.macs,
        "bytes_moved": cost.bytes_moved,
        "activation_bytes": cost.activation_bytes,
        "peak_memory": cost.peak_memory_bytes,
    }


@pytest.mark.parametrize(("name", "count"), [("tiny", 8), ("mobile", 2), ("cell", 3), ("mixnet", 2)])
def test_it_equals_the_estimate_of_the_architecture_and_of_the_built_network(registry, name, count):
    profiles = {"a100": "fp16", "t4": "amp-fp16", "coral": None}
    targets = [
        resolve_target(target, registry, precision=precision) for target, precision in profiles.items()
    ]
    space = load_space(name, registry)
    table = CostTable(space, targets, registry)
    vectors = space.sample_vectors(count, np.random.default_rng(7))
    columns = table.costs(vectors)
    for place, vector in enumerate(vectors):
        architecture = space.decode(vector)
        with torch.device("meta"):
            module = build(architecture.network, registry.blocks)
        for target in targets:
            one = figures(estimate_architecture(architecture, target, registry))
            whole = figures(estimate(module, space.input.shape, target, registry=registry))
            looked_up = figures(table.cost(architecture, target.name))
            for cost in COLUMN_NAMES:
                in_column = columns.column(f"{cost}@{target.name}")[place]
                assert in_column == pytest.approx(one[cost], rel=1e-9), (cost, target.name)
                assert looked_up[cost] == pytest.approx(one[cost], rel=1e-9), (cost, target.name)
                assert whole[cost] == pytest.approx(one[cost], rel=1e-9), (cost, target.name)


@pytest.mark.parametrize("runtime", ["compiled", "onnxruntime", "tensorrt"])
def test_a_layer_joins_the_kernel_in_front_of_it(registry, runtime):
    """Cells begin with an activation, and end with a sum: the runtime makes one kernel of both."""
    target = resolve_target("a100", registry, runtime=runtime)
    space = load_space("cell", registry)
    table = CostTable(space, [target], registry)
    architecture = space.decode(space.sample_vectors(1, np.random.default_rng(3))[0])
    with torch.device("meta"):
        module = build(architecture.network, registry.blocks)
    whole = estimate(module, space.input.shape, target, registry=registry)
    assert figures(table.cost(architecture, target.name)) == pytest.approx(figures(whole), rel=1e-9)


def test_a_space_without_decisions(registry):
    target = resolve_target("a100", registry)
    space = load_space("published/resnet50", registry)
    vectors = space.sample_vectors(2, np.random.default_rng(0))
    assert vectors.shape == (2, 0)
    found = CostTable(space, [target], registry).costs(vectors).column("latency")
    one = estimate_architecture(space.decode(vectors[0]), target, registry)
    assert found == pytest.approx([one.latency_ms] * 2, rel=1e-9)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_in_eager_mode_a_layer_takes_images_as_the_one_before_leaves_them(registry, layout):
    """Some layers of `mobile` leave the channels innermost, and what follows has other kernels."""
    target = resolve_target("rtx3090", registry, precision="amp-fp16", runtime="eager", layout=layout)
    space = load_space("mobile", registry)
    table = CostTable(space, [target], registry)
    found = []
    for vector in space.sample_vectors(3, np.random.default_rng(7)):
        architecture = space.decode(vector)
        with torch.device("meta"):
            module = build(architecture.network, registry.blocks)
        whole = estimate(module, space.input.shape, target, registry=registry, fused=True).latency_ms
        assert table.cost(architecture, target.name).latency_ms == pytest.approx(whole, rel=1e-9)
        assert estimate_architecture(architecture, target, registry).latency_ms == pytest.approx(whole)
        found.append(whole)
    assert len(set(found)) == 3


@pytest.mark.parametrize(("name", "precision"), [("cell", "fp32"), ("mobile", "amp-fp16")])
def test_in_eager_mode_the_input_of_a_network_is_held_to_its_end(registry, name, precision):
    """The most demanding layer of `cell` runs behind the first one; figures are whole bytes."""
    target = resolve_target("rtx3090", registry, precision=precision, runtime="eager", batch_size=8)
    space = load_space(name, registry)
    vectors = space.sample_vectors(3, np.random.default_rng(11))
    found = CostTable(space, [target], registry).costs(vectors).peak_memory
    for vector, peak in zip(vectors, found, strict=True):
        architecture = space.decode(vector)
        with torch.device("meta"):
            module = build(architecture.network, registry.blocks)
        whole = estimate(module, space.input.shape, target, registry=registry, fused=True).peak_memory_bytes
        assert estimate_architecture(architecture, target, registry).peak_memory_bytes == whole
        assert peak == pytest.approx(whole, abs=1)


def test_the_layout_matters_in_eager_mode_alone(registry):
    def latency(runtime: str, layout: str) -> float:
        target = resolve_target("rtx3090", registry, batch_size=64, runtime=runtime, layout=layout)
        module = torch.nn.Sequential(torch.nn.Conv2d(64, 64, 3), torch.nn.Conv2d(64, 64, 7, groups=64))
        return estimate(module, (64, 56, 56), target, registry=registry).latency_ms

    assert latency("eager", "nchw") > 1.1 * latency("eager", "nhwc")
    assert latency("compiled", "nchw") == latency("compiled", "nhwc")


def test_under_autocast_a_layer_costs_what_its_input_makes_it(registry):
    """The first convolution casts its input, weight and bias; the next one is given what is cast."""
    space = load_space("mobile", registry)
    target = resolve_target("a100", registry, precision="amp-fp16")
    vectors = space.sample_vectors(2, np.random.default_rng(1))
    operators = estimate_architecture(space.decode(vectors[0]), target, registry).operators
    casts = Counter(operator.module for operator in operators if operator.name == "_to_copy")
    assert list(casts.values())[:2] == [3, 2]
    table = CostTable(space, [target, replace(target, name="plain", precision="fp16")], registry)
    columns = table.costs(vectors)
    assert (columns.column("bytes_moved") > columns.column("bytes_moved@plain")).all()


def test_the_order_of_a_population_does_not_matter(table, tiny):
    vectors = tiny.sample_vectors(200, np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(200)
    shuffled = np.ascontiguousarray(vectors[order])
    for name in COLUMN_NAMES:
        assert (table.costs(vectors).column(name)[order] == table.costs(shuffled).column(name)).all()


def test_what_is_priced_is_kept(table, tiny):
    vectors = tiny.sample_vectors(300, np.random.default_rng(3))
    first = table.costs(vectors)
    size = len(table)
    assert 0 < size < 300 * len(tiny.slots)
    again = table.costs(np.concatenate([vectors, vectors]))
    assert len(table) == size
    assert (again.values == np.concatenate([first.values, first.values])).all()


def test_a_population_longer_than_a_chunk(table, tiny, monkeypatch):
    vectors = tiny.sample_vectors(50, np.random.default_rng(4))
    whole = table.costs(vectors).values
    monkeypatch.setattr("nas.costs.table.CHUNK", 7)
    assert (table.costs(vectors).values == whole).all()


def test_prices_of_architectures(table, tiny):
    rng = np.random.default_rng(5)
    architectures = [tiny.sample(rng) for _ in range(20)]
    vectors = np.stack([tiny.encode(architecture) for architecture in architectures])
    columns = table.costs(vectors)
    for name in ("latency", "latency@pixel6", "params", "peak_memory@coral", "energy", "latency_high"):
        assert table.price(name)(architectures) == pytest.approx(columns.column(name).tolist(), rel=1e-12)
    assert table.price("macs")([]) == []


def test_an_architecture_of_another_space_has_a_price(table, registry):
    architecture = load_space("mobile", registry).sample(np.random.default_rng(0))
    expected = estimate_architecture(architecture, table.targets[1], registry)
    assert table.cost(architecture, "pixel6").latency_ms == pytest.approx(expected.latency_ms, rel=1e-9)


def test_costs_say_where_they_come_from(table, tiny):
    cost = table.cost(tiny.sample(np.random.default_rng(6)), "pixel6")
    assert cost.target == "google-tensor-g1-cpu/tflite/fp32/b1/nhwc"
    assert (cost.kind, cost.tier, cost.operators) == ("predicted", "T0", ())
    assert cost.model.startswith(DEFAULT_MODEL)
    assert 0 < cost.low_ms < cost.latency_ms < cost.high_ms
    assert all(isinstance(value, int) for value in (cost.params, cost.macs, cost.peak_memory_bytes))


def test_a_population_of_none(table, tiny):
    columns = table.costs(np.empty((0, len(tiny.decisions)), dtype=np.int64))
    assert len(columns) == 0
    assert columns.column("latency").shape == (0,)


def test_vectors_that_are_none_of_the_space(table, tiny):
    good = tiny.sample_vectors(2, np.random.default_rng(0))
    with pytest.raises(SpaceError, match="array of integers"):
        table.costs(good[0])
    with pytest.raises(SpaceError, match="array of integers"):
        table.costs(good[:, 1:])
    with pytest.raises(SpaceError, match="array of integers"):
        table.costs(good.astype(float))
    for wrong in (-1, 1000):
        bad = good.copy()
        bad[1, 0] = wrong
        with pytest.raises(SpaceError, match="not of space 'tiny'"):
            table.costs(bad)


def test_names_that_are_none(table, tiny):
    with pytest.raises(UnknownNameError, match="latency"):
        table.price("latncy")
    with pytest.raises(UnknownNameError, match="pixel6"):
        table.cost(tiny.sample(np.random.default_rng(0)), "pixel5")


def test_tables_that_cannot_be(tiny, targets, registry):
    with pytest.raises(CostError, match="at least one target"):
        CostTable(tiny, [], registry)
    with pytest.raises(CostError, match="different names"):
        CostTable(tiny, [targets[0], targets[0]], registry)
    with pytest.raises(UnknownNameError, match="roofline"):
        CostTable(tiny, targets, registry, model="rooflin")


def test_a_flat_space_has_no_networks(targets, registry):
    space = Space.flat({"lr": [0.1, 0.2]})
    table = CostTable(space, targets, registry)
    with pytest.raises(CostError, match="flat"):
        table.costs(np.array([[0]]))
    with pytest.raises(CostError, match="no network"):
        table.price("latency")([Architecture(None, (("lr", 0.1),))])


def constant_model(trace: Trace, target: Target) -> Cost:
    """One millisecond for each network and one for each operator; a megabyte of context."""
    count = len(trace.operators)
    return Cost(
        target=target.label,
        kind="predicted",
        tier="T9",
        model="constant 1",
        latency_ms=1.0 + count,
        low_ms=0.5 + count,
        high_ms=2.0 + 2 * count,
        peak_memory_bytes=trace.peak_memory_bytes + 1_000_000,
        energy_mj=3.0 + trace.flops,
        params=trace.params,
        macs=trace.macs,
        bytes_moved=trace.bytes_moved,
        activation_bytes=trace.activation_bytes,
        unknown_operators=trace.unknown_operators,
    )


class OneModel:
    """A registry with a single cost model."""

    def __init__(self, registry: Registry, model: CostModel) -> None:
        self.blocks = registry.blocks
        self.targets = registry.targets
        self.cost_models = Names("cost model", [(Plugin("mine", "mine", "nas-mine", "1"), model)])


def test_a_model_of_a_plugin_may_charge_for_each_network(tiny, targets, registry):
    ours = OneModel(registry, CostModel("constant", constant_model, "1"))
    table = CostTable(tiny, targets, ours, model="constant")
    architecture = tiny.sample(np.random.default_rng(8))
    for target in targets:
        expected = estimate_architecture(architecture, target, ours, model="constant")
        assert expected.latency_ms > 2
        assert table.cost(architecture, target.name) == replace(expected, operators=())


def overlapping_model(trace: Trace, target: Target) -> Cost:
    """Kernels or their dispatch, whichever is longer: no sum over layers."""
    amounts = (1e-7 * trace.flops * trace.batch_size, float(len(trace.operators)))
    latency, low, high, energy = overlapped(np.array([amounts]), target)[0].tolist()
    cost = constant_model(trace, target)
    return replace(cost, latency_ms=latency, low_ms=low, high_ms=high, energy_mj=energy, amounts=amounts)


def overlapped(amounts, target: Target):
    latency = 0.25 + np.maximum(amounts[:, 0], 0.01 * amounts[:, 1])
    return np.stack([latency, latency / 2, 2 * latency, np.sqrt(latency)], axis=1)


def test_a_model_may_finish_each_network(tiny, targets, registry):
    ours = OneModel(registry, CostModel("overlap", overlapping_model, "1", finish=overlapped))
    table = CostTable(tiny, targets, ours, model="overlap")
    vectors = tiny.sample_vectors(20, np.random.default_rng(8))
    columns = table.costs(vectors)
    dispatched = set()
    for place, vector in enumerate(vectors):
        for target in targets:
            one = estimate_architecture(tiny.decode(vector), target, ours, model="overlap")
            dispatched.add(one.amounts[0] < 0.01 * one.amounts[1])
            for name, expected in figures(one).items():
                found = columns.column(f"{name}@{target.name}")[place]
                assert found == pytest.approx(expected, rel=1e-12), (name, target.name)
    assert dispatched == {True, False}
    assert table.price("energy@coral")([tiny.decode(vectors[0])]) == pytest.approx(
        [columns.column("energy@coral")[0]], rel=1e-12
    )


def test_the_amounts_of_targets_may_differ_in_number(tiny, targets, registry):
    def predict(trace: Trace, target: Target) -> Cost:
        cost = overlapping_model(trace, target)
        return replace(cost, amounts=(*cost.amounts, 0.0)) if target.name == "coral" else cost

    ours = OneModel(registry, CostModel("overlap", predict, "1", finish=overlapped))
    vectors = tiny.sample_vectors(5, np.random.default_rng(8))
    columns = CostTable(tiny, targets, ours, model="overlap").costs(vectors)
    one = estimate_architecture(tiny.decode(vectors[3]), targets[2], ours, model="overlap")
    assert len(one.amounts) == 3
    assert columns.column("latency@coral")[3] == pytest.approx(one.latency_ms, rel=1e-12)


def test_a_model_that_finishes_wrongly_is_named(tiny, targets, registry):
    vectors = tiny.sample_vectors(2, np.random.default_rng(8))

    def costs_of(predict=overlapping_model, finish=overlapped):
        ours = OneModel(registry, CostModel("overlap", predict, "1", finish=finish))
        return CostTable(tiny, targets, ours, model="overlap").costs(vectors)

    def raising(amounts, target):
        raise ZeroDivisionError("by zero")

    def without(trace: Trace, target: Target) -> Cost:
        return constant_model(trace, target)

    def growing(trace: Trace, target: Target) -> Cost:
        cost = overlapping_model(trace, target)
        return replace(cost, amounts=(*cost.amounts, 1.0)) if trace.operators else cost

    problems = {
        "raised ZeroDivisionError": {"finish": raising},
        "latency_ms = nan": {"finish": lambda amounts, target: overlapped(amounts, target) * np.nan},
        "figures of shape": {"finish": lambda amounts, target: amounts},
        "where its `finish` gives": {"finish": lambda amounts, target: 2 * overlapped(amounts, target)},
        "outside low_ms": {"finish": lambda amounts, target: overlapped(amounts, target)[:, [0, 2, 1, 3]]},
        "without the amounts": {"predict": without},
        "3 amounts for one module and 2 for another": {"predict": growing},
    }
    for message, broken in problems.items():
        with pytest.raises(CostError, match=f"'overlap' .*{message}.*defect of the model"):
            costs_of(**broken)


def test_short_networks_of_a_calibrated_processor_are_quicker(tiny, registry):
    """By what the whole of a network takes, which no layer knows."""
    plain = resolve_target("epyc-7742", registry)
    calibration = Calibration("T2", DEFAULT_MODEL, "me", low=0.9, high=1.2, warmth=Warmth(50.0, 0.25))
    warm = replace(plain, calibration=calibration)
    cold = replace(plain, calibration=replace(calibration, warmth=None))
    tables = [CostTable(tiny, [target], registry) for target in (warm, cold)]
    rng = np.random.default_rng(1)
    for architecture in (tiny.sample(rng) for _ in range(3)):
        quick, slow = (table.cost(architecture, plain.name) for table in tables)
        for cost, target in ((quick, warm), (slow, cold)):
            estimated = estimate_architecture(architecture, target, registry)
            assert figures(cost) == pytest.approx(figures(estimated))
        assert quick.latency_ms == pytest.approx(slow.latency_ms * (slow.latency_ms / 50.0) ** 0.25)
        assert quick.high_ms == pytest.approx(1.2 * quick.latency_ms)


def test_two_batches_of_one_device(tiny, registry):
    pair = [
        resolve_target("a100", registry),
        replace(resolve_target("a100", registry, batch_size=8), name="many"),
    ]
    columns = CostTable(tiny, pair, registry).costs(tiny.sample_vectors(20, np.random.default_rng(9)))
    assert (columns.column("macs@many") == columns.column("macs@a100")).all()
    assert (columns.column("activation_bytes@many") == 8 * columns.column("activation_bytes@a100")).all()
    assert (columns.column("latency@many") > columns.column("latency@a100")).all()
    assert (columns.column("latency@many") < 8 * columns.column("latency@a100")).all()
