"""What every target promises."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from nas.costs import Target, read_target, resolve_target
from nas.costs.target import LAYOUTS, PRECISIONS, RUNTIMES
from nas.costs.target_file import FIGURES, PEAKS
from nas.costs.target_text import target_text
from nas.errors import NasError
from nas.plugins import default_registry
from nas.testing.cost_model import check_numbers
from nas.testing.modules import told
from nas.testing.pricing import judging_models, predicted
from nas.testing.workloads import workloads

TRUSTS = ("measured", "high", "medium", "low", "assumed")
SHORTEST_SOURCE = 3


class TargetConformance:
    """Tests of one target; a subclass gives it by the fixture `target`: a registered name, the path of a
    target file, or a `Target`.

    It is priced with the cost models that come with nas, or those of `cost_models`.

    >>> class TestMyBoard(TargetConformance):
    ...     @pytest.fixture
    ...     def target(self):
    ...         return "my-board"
    """

    cost_models: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def target(self) -> str | Path | Target:
        """The target to test."""
        raise NotImplementedError("give the target to test by a fixture named 'target'")

    @pytest.fixture
    def found(self, target: str | Path | Target) -> Target:
        """The target itself."""
        return found_target(target)

    def test_resolves(self, target: str | Path | Target, found: Target) -> None:
        """Its name, its aliases and its own profile lead to it."""
        again = resolve_target(found)
        assert again == found, "resolving it changes it"
        if isinstance(target, str) and not target.endswith(".toml"):
            for reference in (target, *found.device.aliases):
                try:
                    other = resolve_target(reference)
                except NasError as error:
                    raise AssertionError(f"{reference!r} does not lead to it: {error}") from None
                assert other.label == found.label, f"{reference!r} is the name of another target"

    def test_is_described(self, found: Target) -> None:
        """A user can see what it is."""
        device = found.device
        for what, value in (
            ("name", device.name),
            ("class", device.device_class),
            ("vendor", device.vendor),
        ):
            assert isinstance(value, str) and value.strip(), f"the device has no {what}"
        assert found.name, "the target has no name"

    def test_its_label_names_the_whole_profile(self, found: Target) -> None:
        """Device, runtime, precision, batch size and layout, each one that is known."""
        for value, known, what in (
            (found.precision, PRECISIONS, "precision"),
            (found.runtime, RUNTIMES, "runtime"),
            (found.layout, LAYOUTS, "layout"),
        ):
            assert value in known, f"{what} {value!r} is not one of {', '.join(known)}"
        assert isinstance(found.batch_size, int), f"the batch size is {found.batch_size!r}"
        assert found.batch_size >= 1, f"the batch size is {found.batch_size}"
        parts = (found.device.name, found.runtime, found.precision, f"b{found.batch_size}", found.layout)
        assert found.label == "/".join(parts), f"its label {found.label!r} does not name the profile"
        assert not any("/" in part for part in parts), "no part of a label holds a '/'"

    def test_every_figure_is_sourced(self, found: Target) -> None:
        """Figures are positive finite numbers, each with its source and how far to trust it."""
        figures = found.device.figures
        assert figures, "the device has no figures"
        for name, figure in figures.items():
            with told(f"the figure {name!r}"):
                assert name in FIGURES, f"nobody reads it: the figures are {', '.join(sorted(FIGURES))}"
                value = figure.value
                assert isinstance(value, int | float) and not isinstance(value, bool), f"it is {value!r}"
                assert math.isfinite(value), f"it is {value}"
                assert value > 0, f"it is {value:g}: leave out what the device has not"
                assert len(figure.source.strip()) >= SHORTEST_SOURCE, "it has no source"
                assert figure.trust in TRUSTS, f"trust {figure.trust!r} is not one of {', '.join(TRUSTS)}"

    def test_figures_fit_together(self, found: Target) -> None:
        """What its profile needs is there, and it does not draw more at rest than at work."""
        figures = {name: figure.value for name, figure in found.device.figures.items()}
        for needed in ("memory_bandwidth_gbs", PEAKS[found.precision]):
            assert needed in figures, f"the figure {needed!r} is missing: the profile needs it"
        if {"idle_w", "tdp_w"} <= set(figures):
            assert figures["idle_w"] <= figures["tdp_w"], "idle_w is above tdp_w"

    def test_networks_are_priced_on_it(self, found: Target) -> None:
        """The cost models that come with nas price small modules on it, at another batch size too."""
        models = judging_models(self.cost_models, default_registry())
        if not models:
            pytest.skip("no cost model is installed")
        for model in models:
            for target in (found, replace(found, batch_size=2 * found.batch_size)):
                for workload in workloads():
                    with told(f"{workload.name} on {target.label} by {model.name}"):
                        cost = predicted(model, workload.trace(target), target)
                        check_numbers(cost)
                        assert cost.latency_ms > 0, "latency_ms is 0"

    def test_travels_to_workers(self, found: Target) -> None:
        """It pickles."""
        assert pickle.loads(pickle.dumps(found)) == found, "is another target after pickling"

    def test_its_file_says_all_of_it(self, found: Target, tmp_path: Path) -> None:
        """Written as a target file and read again it is the same target."""
        path = tmp_path / "target.toml"
        path.write_text(target_text(found), encoding="utf-8")
        try:
            again = read_target(path)
        except NasError as error:
            raise AssertionError(f"no target file can describe it: {error}") from None
        assert replace(again, name=found.name) == plain(found), (
            "a target file that says the same leads to another target"
        )

    def test_its_names_are_its_own(self, found: Target) -> None:
        """No alias is the name or an alias of another target."""
        aliases = found.device.aliases
        assert len(set(aliases)) == len(aliases), "an alias stands there twice"
        assert found.device.name not in aliases, "its own name is among its aliases"
        registered = default_registry().targets.unique()
        mine = {found.device.name, *aliases}
        for name, other in registered.items():
            if other.device.name == found.device.name:
                continue
            shared = mine & {name, other.device.name, *other.device.aliases}
            assert not shared, f"{', '.join(sorted(shared))} leads to target {name!r} too"


def found_target(target: str | Path | Target) -> Target:
    """The target of a name, a path or itself, with a plain message where it cannot be had."""
    try:
        return resolve_target(target)
    except NasError as error:
        raise AssertionError(f"does not resolve: {error}") from None


def plain(target: Target) -> Target:
    """The target with its figures as a plain dictionary."""
    return replace(target, device=replace(target.device, figures=dict(target.device.figures)))
