"""Layers are priced by what is in front of them, as seldom as they must be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from torch import nn

from nas.costs import Target, resolve_target
from nas.costs.border_rows import EMPTY_ROW, BorderRows
from nas.costs.liveness import alive
from nas.costs.operators import Trace
from nas.costs.trace import trace
from nas.costs.trace_keys import Border, border_behind

SHAPE = (4, 8, 8)
RELU, CONV = nn.ReLU(), nn.Conv2d(4, 4, 1)
JOINED = 1.0
"""What our price takes for an activation that joins a sum or an activation, instead of ALONE."""
ALONE = 10.0


class Price:
    """Charges ALONE for an operator, JOINED for an activation behind one; the last figure is the largest."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def __call__(self, index: int, found: Trace) -> np.ndarray:
        self.asked.append((index, found.input_kind))
        kinds = [found.input_kind, *(operator.kind for operator in found.operators)]
        times = [JOINED if pair == ("pointwise", "pointwise") else ALONE for pair in pairwise(kinds)]
        return np.array([sum(times), max(times, default=0.0)])


@pytest.fixture
def price() -> Price:
    return Price()


@pytest.fixture
def target() -> Target:
    return resolve_target("a100")


def rows_of(price: Price, *targets: Target) -> BorderRows:
    return BorderRows(targets, price, 2)


def add(rows: BorderRows, *modules: nn.Module) -> int:
    module = nn.Sequential(*modules)
    traces = {
        profile: trace(module, SHAPE, profile.batch_size, profile.precision) for profile in rows.profiles
    }
    return rows.add(traces)


def total(rows: BorderRows, *layers: int) -> float:
    return float(rows.sums(np.array([layers]))[0, 0, 0])


def test_an_activation_joins_the_one_in_front(price, target):
    rows = rows_of(price, target)
    relu, conv = add(rows, RELU), add(rows, CONV)
    assert total(rows, relu) == ALONE
    assert total(rows, relu, relu, relu) == ALONE + 2 * JOINED
    assert total(rows, relu, conv, relu) == 3 * ALONE


@pytest.mark.parametrize("names", list(permutations(("relu", "both", "pool"))))
def test_the_order_in_which_layers_are_met_does_not_matter(price, target, names):
    rows = rows_of(price, target)
    modules = {"relu": [RELU], "both": [CONV, RELU], "pool": [nn.AvgPool2d(1)]}
    found = {name: add(rows, *modules[name]) for name in names}
    assert total(rows, found["both"], found["relu"]) == 2 * ALONE + JOINED
    assert total(rows, found["pool"], found["relu"]) == 2 * ALONE


@pytest.mark.parametrize("between", ["a layer without operators", "no layer"])
def test_what_passes_its_input_on_hides_nothing(price, target, between):
    rows = rows_of(price, target)
    relu, conv, identity = add(rows, RELU), add(rows, CONV), add(rows, nn.Identity())
    hidden = identity if between == "a layer without operators" else EMPTY_ROW
    assert total(rows, relu, hidden, relu) == ALONE + JOINED
    assert total(rows, conv, hidden, hidden, relu) == 2 * ALONE
    assert total(rows, hidden, relu) == ALONE


def test_what_cannot_join_is_priced_once(price, target):
    rows = rows_of(price, target)
    for module in (RELU, nn.AvgPool2d(1), CONV):
        add(rows, module)
    met = {kind for _, kind in price.asked}
    price.asked.clear()
    add(rows, CONV)
    assert price.asked == [(0, "")]
    price.asked.clear()
    add(rows, RELU)
    assert {kind for _, kind in price.asked} == met == {"", "pointwise", "pool", "conv"}


def test_the_largest_of_the_last_figure_counts(price, target):
    rows = rows_of(price, target)
    relu = add(rows, RELU)
    assert rows.sums(np.array([[relu, relu, relu]]))[0, 0].tolist() == [ALONE + 2 * JOINED, ALONE]


def test_many_networks_on_several_targets(price, target):
    """Under autocast a layer has figures for each precision of its input too."""
    rows = rows_of(price, target, replace(target, name="mixed", precision="amp-fp16"))
    relu, conv = add(rows, RELU), add(rows, CONV)
    networks = np.array([[relu, relu, EMPTY_ROW], [conv, relu, relu], [EMPTY_ROW] * 3])
    found = rows.sums(networks)[..., 0]
    assert found[:, 0].tolist() == [ALONE + JOINED, 2 * ALONE + JOINED, 0.0]
    assert found[0, 1] == found[0, 0]
    assert found[1, 1] > found[1, 0], "a convolution casts its input and its weights"
    for index, network in enumerate(networks):
        assert rows.sums(network[None])[0, :, 0].tolist() == found[index].tolist()


def test_more_layers_than_there_is_room_for(price, target):
    rows = rows_of(price, target)
    found = [add(rows, *[RELU] * (number % 3 + 1)) for number in range(70)]
    assert len(set(found)) == len(found)
    assert total(rows, found[69], found[68]) == ALONE + 3 * JOINED
    assert total(rows, found[0]) == ALONE


def most_alive(index: int, found: Trace) -> np.ndarray:
    """Charges nothing but the most bytes that are alive, as eager execution keeps them."""
    return np.array([0.0, max(alive(found.allocations, len(found.operators), until_released=True))])


INPUT = 4 * 4 * 8 * 8
"""The bytes of a tensor of SHAPE in single precision."""
WIDE = [nn.Conv2d(4, 4, 1), nn.Conv2d(4, 12, 1), nn.Conv2d(12, 4, 1)]


@pytest.fixture
def eager(target) -> Target:
    return replace(target, name="eager", runtime="eager", precision="fp32")


def test_eager_execution_holds_the_input_of_a_network(target, eager):
    rows = BorderRows((eager, target), most_alive, 2)
    wide, relu = add(rows, *WIDE), add(rows, RELU)
    largest = rows.sums(np.array([[wide, relu, EMPTY_ROW], [relu, wide, relu], [relu, relu, wide]]))[..., 1]
    alone = largest[0, 0]
    assert alone > 4 * INPUT
    assert largest[:, 0].tolist() == [alone, alone + INPUT, alone + INPUT]
    assert len(set(largest[:, 1])) == 1, "what plans the graph does not hold it"


def test_what_passes_the_input_on_does_not_hold_it_twice(eager):
    rows = BorderRows((eager,), most_alive, 2)
    wide, relu, identity = add(rows, *WIDE), add(rows, RELU), add(rows, nn.Identity())
    networks = [
        [EMPTY_ROW, wide, relu],
        [identity, wide, relu],
        [wide, identity, relu],
        [identity, relu, wide],
    ]
    largest = rows.sums(np.array(networks))[:, 0, 1]
    assert largest[0] == largest[1] == largest[2] == largest[3] - INPUT


def test_each_target_holds_its_own_input(eager):
    batch = replace(eager, name="batch", batch_size=3)
    rows = BorderRows((eager, batch), most_alive, 2)
    wide, relu = add(rows, *WIDE), add(rows, RELU)
    behind, alone = rows.sums(np.array([[relu, wide], [wide, relu]]))[..., 1]
    assert (behind - alone).tolist() == [INPUT, 3 * INPUT]


def test_a_network_priced_with_others_holds_what_it_holds_alone(eager):
    rows = BorderRows((eager,), most_alive, 2)
    found = [add(rows, *modules) for modules in ([RELU], WIDE, [nn.Identity()], [CONV, RELU])]
    networks = np.array([*permutations([EMPTY_ROW, *found], 3)])
    together = rows.sums(networks)
    assert together.tolist() == [rows.sums(network[None])[0].tolist() for network in networks]


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (RELU, "pointwise"),
        (CONV, "conv"),
        (nn.Identity(), "softmax"),
        (nn.Flatten(), "softmax"),
        (nn.Sequential(nn.ReLU(), nn.Flatten()), "pointwise"),
    ],
)
def test_the_border_behind_says_who_made_the_output(module, kind, target):
    found = replace(trace(module, SHAPE), input_kind="softmax")
    assert border_behind(found, target) == Border(kind=kind)


class Halves(nn.Module):
    def forward(self, x):
        return x.relu().chunk(2, 1)[0]


class Both(nn.Module):
    def forward(self, x):
        return x.relu(), x


class FirstHalf(nn.Module):
    def forward(self, x):
        return x[:, :2]


@pytest.mark.parametrize("module", [Halves(), Both(), FirstHalf()])
def test_a_part_of_an_output_is_no_whole_one(module, target):
    found = replace(trace(module, SHAPE), input_kind="softmax")
    assert found.output is None
    assert border_behind(found, target).kind == ""


def test_an_activation_in_place_made_what_is_returned():
    found = trace(nn.Sequential(CONV, nn.ReLU(inplace=True)), SHAPE)
    assert (found.output, found.output_kind) == (1, "pointwise")
    assert trace(nn.ReLU(inplace=True), SHAPE).output == 0
