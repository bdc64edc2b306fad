"""What a report says of the proxies that a search was given."""

from __future__ import annotations

import numpy as np
import pytest

from nas.plugins.registry import default_registry
from nas.report.page import report_html
from nas.report.proxies import proxy_lines
from nas.search.objective import Objective
from nas.search.study import StudySpec
from nas.spaces import load_space
from nas.store import Store, StudyRecord

OBJECTIVES = (Objective.parse("accuracy"), Objective.parse("latency"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Twelve trials of the space tiny; naswot is right about them, synflow wrong, params scored three."""
    registry = default_registry()
    store = Store.open(tmp_path_factory.mktemp("proxies") / "nas.db")
    space = load_space("tiny", registry)
    spec = StudySpec(
        "s", "tiny", space.text, ("a100",), OBJECTIVES, target_names=("a100",), proxies=("naswot", "synflow")
    )
    store.create_study(StudyRecord("s", spec.to_json()))
    rng = np.random.default_rng(0)
    hashes = []
    while len(hashes) < 12:
        architecture = space.sample(rng)
        if architecture.hash in hashes:
            continue
        number, accuracy = len(hashes), 0.5 + len(hashes) / 100
        hashes.append(architecture.hash)
        store.add_trial("s", architecture, fidelity=1, seed=0, known={"latency": 1.0 + number})
        store.start_trial("s", number, attempt=1, host="here")
        store.record_step("s", number, attempt=1, step=1, metrics={"accuracy": accuracy})
        store.finish_trial("s", number, attempt=1, seconds=1.0)
    plugin = registry.proxies.provider("naswot")
    provider, task = f"{plugin.distribution} {plugin.version}", "/4"
    ranks = {key: float(number) for number, key in enumerate(hashes)}
    store.record_proxy("naswot", provider, task, ranks)
    store.record_proxy("synflow", provider, task, {key: -value for key, value in ranks.items()})
    store.record_proxy("params", provider, task, dict(list(ranks.items())[:3]))
    return store


def spec_of(store: Store, *proxies: str, objectives: tuple[Objective, ...] = OBJECTIVES) -> StudySpec:
    from dataclasses import replace

    return replace(StudySpec.from_json(store.study("s").spec), proxies=proxies, objectives=objectives)


def test_a_proxy_that_was_right_was_followed(store: Store) -> None:
    [line] = proxy_lines(store, spec_of(store, "naswot"), default_registry())
    assert line.name == "naswot"
    assert not line.is_dropped
    assert line.verdict.startswith("was followed with weight ")
    assert line.verdict.endswith("rank correlation +1.00 with accuracy over 12 trials")


def test_a_harmful_one_was_dropped(store: Store) -> None:
    [line] = proxy_lines(store, spec_of(store, "synflow"), default_registry())
    assert line.is_dropped
    assert line.verdict == ("was dropped as harmful: rank correlation -1.00 with accuracy over 12 trials")


def test_few_scores_say_nothing(store: Store) -> None:
    [line] = proxy_lines(store, spec_of(store, "params"), default_registry())
    assert line.verdict == "was not followed: 3 scored trials, and 8 are needed to judge it"


def test_one_that_is_gone_is_named(store: Store) -> None:
    [line] = proxy_lines(store, spec_of(store, "ghost"), default_registry())
    assert "no longer provided" in line.verdict


def test_without_proxies_or_something_to_learn_there_are_no_lines(store: Store) -> None:
    assert proxy_lines(store, spec_of(store), default_registry()) == ()
    known = (Objective.parse("latency"), Objective("params", "max"))
    assert proxy_lines(store, spec_of(store, "naswot", objectives=known), default_registry()) == ()


def test_the_page_has_the_section(store: Store) -> None:
    page = report_html(store, "s", default_registry())
    assert "<h2>Zero-cost proxies</h2>" in page
    assert "<strong>synflow</strong> was dropped as harmful" in page
