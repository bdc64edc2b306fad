"""The kit run on what is installed, without a test file."""

from __future__ import annotations

import pytest

from nas.errors import UnknownNameError, UsageError
from nas.plugins import default_registry
from nas.testing.check import KITS, Outcome, find_items, run_checks

REGISTRY = default_registry()


def test_a_plugin_stands_for_all_that_it_offers() -> None:
    items = find_items("gated-convs", REGISTRY)
    names = {item.name for item in items}
    assert {"gnconv", "global_filter", "pde", "additive_mixer"} <= names
    assert {item.plugin.name for item in items} == {"gated-convs"}


def test_a_name_stands_for_the_item_bare_or_whole() -> None:
    for name in ("gnconv", "gated-convs/gnconv"):
        (item,) = find_items(name, REGISTRY)
        assert (item.kit.kind, item.name) == ("block", "gnconv")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a100-sxm4-80gb", "target"),
        ("a100", "target"),
        ("roofline", "cost model"),
        ("tiny", "space"),
        ("digits", "task"),
        ("naswot", "proxy"),
    ],
)
def test_every_kind_is_found_a_target_by_its_aliases_too(name: str, kind: str) -> None:
    assert [item.kit.kind for item in find_items(name, REGISTRY)] == [kind]


def test_what_has_no_kit_says_so() -> None:
    with pytest.raises(UsageError, match="offers nothing that the kit checks; its hooks are nas_exporters"):
        find_items("exporters", REGISTRY)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'gnconv'"):
        find_items("gnconf", REGISTRY)


def test_every_kit_is_there() -> None:
    from nas import testing

    for kit in KITS:
        assert hasattr(getattr(testing, kit.conformance), kit.fixture)
        assert len(getattr(REGISTRY, kit.collection))


def test_checks_run_more_than_once_in_a_process() -> None:
    heard: list[Outcome] = []
    items = [*find_items("identity_mixer", REGISTRY), *find_items("a100-sxm4-80gb", REGISTRY)]
    first = run_checks(items, heard.append)
    assert heard == first
    assert {outcome.item.name for outcome in first} == {"identity_mixer", "a100-sxm4-80gb"}
    assert {outcome.status for outcome in first} <= {"passed", "skipped"}
    assert all(outcome.reason for outcome in first if outcome.status == "skipped")
    again = run_checks(items[:1])
    assert [outcome.check for outcome in again] == [o.check for o in first if o.item == items[0]]
