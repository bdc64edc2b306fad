"""What a cost says at a glance."""

from __future__ import annotations

from nas.costs import Cost, Device, Figure, OperatorCost, Target
from nas.costs.summary import largest_operators, module_times, warnings

FIGURES = {"memory_gb": Figure(0.001, "datasheet"), "memory_bandwidth_gbs": Figure(10.0, "datasheet")}
TARGET = Target("board", Device("board", "mcu", "me", FIGURES), "fp32")


def operator(module: str, latency: float, name: str = "convolution", known: bool = True) -> OperatorCost:
    return OperatorCost(name, "conv", module, 10, 20, 30, latency, "memory", known)


def cost(*operators: OperatorCost, memory: int = 10, unknown: tuple[str, ...] = ()) -> Cost:
    total = sum(op.latency_ms for op in operators)
    return Cost(
        "board", "predicted", "T0", "m", total, total, total, memory, 1.0, 5, 5, 5, 5, operators, unknown
    )


NETWORK = cost(
    operator("stages.0.blocks.0.conv", 1.0),
    operator("stages.0.blocks.0.act", 2.0),
    operator("stages.0.blocks.1.conv", 4.0),
    operator("head.fc", 0.5),
)
OTHER = cost(operator("stages.0.blocks.0.conv", 30.0), operator("head.fc", 70.0))


def test_the_slowest_operators_come_first() -> None:
    assert [op.latency_ms for op in largest_operators(NETWORK, 2)] == [4.0, 2.0]
    assert largest_operators(NETWORK, 0) == []
    assert len(largest_operators(NETWORK, 99)) == 4


def test_the_time_of_a_block_is_that_of_its_operators() -> None:
    rows = module_times([NETWORK], 10)
    assert [(row.module, row.latencies) for row in rows] == [
        ("stages.0.blocks.1", (4.0,)),
        ("stages.0.blocks.0", (3.0,)),
        ("head.fc", (0.5,)),
    ]


def test_a_block_counts_by_its_largest_share_on_any_target() -> None:
    rows = module_times([NETWORK, OTHER], 2)
    assert [(row.module, row.latencies) for row in rows] == [
        ("head.fc", (0.5, 70.0)),
        ("stages.0.blocks.1", (4.0, 0.0)),
    ]


def test_a_network_without_operators_has_no_blocks() -> None:
    assert module_times([cost()], 5) == ()
    assert warnings(cost(), TARGET) == ()


def test_operators_without_a_rule_are_named_with_their_share() -> None:
    found = cost(operator("a", 3.0), operator("b", 1.0, "mine::scan", known=False), unknown=("mine::scan",))
    assert warnings(found, TARGET) == (
        "operator mine::scan has no rule: priced by its bytes (25 % of the time), and the interval is wider",
    )


def test_a_network_that_does_not_fit_is_told() -> None:
    (note,) = warnings(cost(memory=2_000_000), TARGET)
    assert note.startswith("needs 0.002 GB at its peak, and the device has 0.001 GB: it does not fit")
    assert warnings(cost(memory=999_999), TARGET) == ()
