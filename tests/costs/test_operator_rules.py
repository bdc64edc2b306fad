"""Plugins describe the operators of other libraries."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from costs_modules import Function

from nas.costs import OperatorRule
from nas.costs import plans as plans_module
from nas.costs.call import Call
from nas.costs.rules_of_plugins import rule_of_plugin, working
from nas.costs.trace import trace
from nas.errors import PluginError
from nas.plugins import default_registry
from nas.plugins.plugin import Plugin
from nas.plugins.registry import Names

LIBRARY = torch.library.Library("rules_test", "DEF")
LIBRARY.define("scan(Tensor x, Tensor decay) -> Tensor")
LIBRARY.impl("scan", lambda x, decay: torch.empty_like(x), "Meta")
LIBRARY.define("composite(Tensor x) -> Tensor")
LIBRARY.impl("composite", lambda x: x.exp().neg(), "CompositeImplicitAutograd")
SCAN = OperatorRule(
    "rules_test::scan",
    "rnn",
    macs=lambda call: call["x"].numel() * call["decay"].shape[-1],
    dims=lambda call: {"steps": call["x"].shape[1]},
)


@pytest.fixture
def offer(monkeypatch):
    """Has a plugin offer rules for one test."""

    def offered(*rules):
        owner = Plugin("test_rules", "test-rules", "1", "test_rules")
        names = Names("operator rule", [(owner, rule) for rule in rules])
        monkeypatch.setitem(vars(default_registry()), "operator_rules", names)
        monkeypatch.setattr(plans_module, "_plans", {})

    return offered


def scan(precision="fp32"):
    module = Function(lambda x: torch.ops.rules_test.scan(x, x.new_zeros(6, 16)))
    return trace(module, (5, 6), precision=precision).operators[-1]


def test_the_work_is_what_the_rule_says(offer):
    offer(SCAN)
    found = scan()
    assert (found.name, found.kind, found.known) == ("rules_test::scan", "rnn", True)
    assert (found.macs, found.flops) == (30 * 16, 2 * 30 * 16)
    assert found.dim("steps") == 5
    assert (found.bytes_read, found.bytes_written) == (4 * (30 + 96), 4 * 30)


def test_without_the_rule_it_is_named_and_priced():
    found = scan()
    assert (found.kind, found.known, found.flops) == ("custom", False, 30 + 96 + 30)


@pytest.mark.parametrize(("precision", "width"), [("fp32", 4), ("fp16", 2), ("int8", 1)])
def test_bytes_are_those_of_the_rule_in_the_traced_precision(offer, precision, width):
    offer(replace(SCAN, bytes=lambda call: (call.bytes(call["x"]), 7)))
    found = scan(precision)
    assert (found.bytes_read, found.bytes_written) == (30 * width, 7)


def test_arithmetic_may_be_more_than_products(offer):
    offer(replace(SCAN, macs=None, flops=lambda call: 5))
    assert (scan().macs, scan().flops) == (0, 5)


def test_functions_may_be_named(offer):
    offer(replace(SCAN, macs="test_operator_rules:seven"))
    assert scan().macs == 7


def seven(call: Call) -> int:
    return 7


def test_an_operator_with_a_rule_is_not_taken_apart(offer):
    module = Function(torch.ops.rules_test.composite)
    assert [operator.name for operator in trace(module, (4,)).operators] == ["exp", "neg"]
    offer(OperatorRule("rules_test::composite", "pointwise", flops=lambda call: call["x"].numel()))
    (found,) = trace(module, (4,)).operators
    assert (found.name, found.kind, found.flops) == ("rules_test::composite", "pointwise", 4)


@pytest.mark.parametrize(
    "change",
    [
        {"macs": lambda call: call["no_such_argument"]},
        {"macs": lambda call: -1},
        {"macs": "no_such_module_anywhere:name"},
        {"bytes": lambda call: 5},
        {"bytes": lambda call: (1, -1)},
    ],
)
def test_what_is_wrong_is_said_with_the_plugin(offer, change):
    offer(replace(SCAN, **change))
    with pytest.raises(PluginError, match=r"^operator rule 'rules_test::scan' of plugin test[_-]rules"):
        scan()


def test_an_unknown_kind():
    with pytest.raises(PluginError, match=r"plugin mine has the kind 'magic'. The kinds are conv,"):
        working(replace(SCAN, kind="magic"), "mine")


def test_the_operators_of_our_own_plugins_are_described():
    for name, _, rule in default_registry().operator_rules.entries():
        assert name == rule.name
        assert rule_of_plugin(name) is not None
    assert rule_of_plugin("nobody::knows") is None
