"""What every task promises."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.errors import DataError, NasError
from nas.plugins import default_registry
from nas.testing.fresh import in_fresh_process
from nas.testing.modules import no_random_numbers, one_thread
from nas.training import Recipe, Task, TaskData
from nas.training.checkpoint import Header
from nas.training.loop import Training

SEED, OTHER_SEED = 0, 1
TRAINED_ON = 64
POOLED = 16
LONGEST_LINE = 400
FARTHEST_MEAN, LEAST_STD, MOST_STD = 3.0, 0.1, 10.0
"""Where normalised inputs lie: other statistics than the data's own are allowed, other units are not."""


class TaskConformance:
    """Tests of one task; a subclass gives it by the fixture `task`, a registered name or a `Task`, and what
    stands behind the colon of ``--data`` by the fixture `argument` (default: nothing).

    `repeats` is the share of the validation part that may stand in the training part too, since real data
    repeats itself. `own_split` says that the data comes split, whatever the seed.

    >>> class TestDigits(TaskConformance):
    ...     @pytest.fixture
    ...     def task(self):
    ...         return "digits"
    """

    repeats: ClassVar[float] = 0.02
    own_split: ClassVar[bool] = False

    @pytest.fixture
    def task(self) -> str | Task:
        """The task to test."""
        raise NotImplementedError("give the task to test by a fixture named 'task'")

    @pytest.fixture
    def argument(self) -> str:
        """What stands behind the colon of ``--data NAME:ARGUMENT``."""
        return ""

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """Torch on one thread."""
        with one_thread():
            yield

    @pytest.fixture
    def offered(self, task: str | Task) -> Task:
        """The task itself."""
        return found_task(task)

    @pytest.fixture
    def data(self, offered: Task, argument: str) -> TaskData:
        """Its data under one seed; without it there is nothing to test."""
        try:
            return offered.open(argument, SEED)
        except DataError as error:
            if argument:
                raise AssertionError(f"does not open {argument!r}: {error}") from None
            pytest.skip(f"needs an argument, see the fixture `argument`: {error}")

    @pytest.fixture
    def other(self, offered: Task, argument: str, data: TaskData) -> TaskData:
        """Its data under another seed."""
        return offered.open(argument, OTHER_SEED)

    def test_is_described(self, offered: Task) -> None:
        """A user can find out what it is."""
        assert offered.description, "give the Task a `description` of one line"
        assert offered.metrics, "name the `metrics` that its training reports"

    def test_is_whole(self, data: TaskData) -> None:
        """Inputs and labels are tensors of the promised types, as many of one as of the other."""
        assert isinstance(data, TaskData), f"gives {type(data).__name__}, not a TaskData"
        for name, inputs, labels in _parts(data):
            assert inputs.dtype in (torch.uint8, torch.float32), f"{name} inputs are {inputs.dtype}"
            assert inputs.device.type == labels.device.type == "cpu", f"the {name} part is not on the CPU"
            assert labels.dtype == torch.int64, f"{name} labels are {labels.dtype}, not int64"
            assert labels.ndim == 1, f"{name} labels have {labels.ndim} axes, not 1"
            assert len(inputs) == len(labels), (
                f"the {name} part has {len(inputs)} inputs and {len(labels)} labels"
            )
            assert len(labels), f"the {name} part is empty"
            assert torch.isfinite(inputs.float()).all(), f"{name} inputs hold NaN or infinity"
        assert data.train_inputs.dtype == data.validation_inputs.dtype, "the parts are of different types"

    def test_inputs_have_the_declared_signature(self, data: TaskData) -> None:
        """`input` says what one sample looks like."""
        for name, inputs, _ in _parts(data):
            assert tuple(inputs.shape[1:]) == data.input.shape, (
                f"{name} inputs are {tuple(inputs.shape[1:])}, declared is {data.input.shape}"
            )

    def test_labels_are_classes(self, data: TaskData) -> None:
        """Labels count from 0; there is something to learn about every class."""
        assert data.classes >= 2, f"has {data.classes} classes"
        for name, _, labels in _parts(data):
            low, high = int(labels.min()), int(labels.max())
            assert low >= 0, f"a {name} label is {low}"
            assert high < data.classes, f"a {name} label is {high}, and there are {data.classes} classes"
        absent = sorted(set(range(data.classes)) - set(data.train_labels.unique().tolist()))
        assert not absent, f"no training sample is of class {', '.join(map(str, absent[:8]))}"

    def test_class_names_are_those_of_the_classes(self, data: TaskData) -> None:
        """Where classes have names, each has its own."""
        if not data.class_names:
            pytest.skip("the classes have no names")
        assert len(data.class_names) == data.classes, (
            f"{len(data.class_names)} names for {data.classes} classes"
        )
        assert len(set(data.class_names)) == data.classes, "two classes have one name"

    def test_validation_is_not_trained_on(self, data: TaskData) -> None:
        """The parts share no samples, but for a few that the data repeats."""
        trained = set(rows(data.train_inputs))
        held_out = rows(data.validation_inputs)
        shared = sum(row in trained for row in held_out)
        assert shared <= self.repeats * len(held_out), (
            f"{shared:,} of {len(held_out):,} validation samples stand in the training part too"
        )

    def test_the_split_depends_on_the_seed_alone(
        self, offered: Task, argument: str, data: TaskData, other: TaskData
    ) -> None:
        """One seed gives one split, in one order; another seed another one of the same samples."""
        again = offered.open(argument, SEED)
        for (name, inputs, labels), (_, same_inputs, same_labels) in zip(
            _parts(data), _parts(again), strict=True
        ):
            assert torch.equal(inputs, same_inputs), f"{name} inputs differ when opened twice with one seed"
            assert torch.equal(labels, same_labels), f"{name} labels differ when opened twice with one seed"
        if not self.own_split:
            assert rows(data.validation_inputs) != rows(other.validation_inputs), (
                "another seed gives the same split; where the data comes split, set own_split = True"
            )
            assert _all_rows(data) == _all_rows(other), "another seed gives other samples"

    def test_the_fingerprint_is_that_of_the_split(
        self, offered: Task, argument: str, data: TaskData, other: TaskData
    ) -> None:
        """A resumed study sees by it whether the data is still the same."""
        assert re.fullmatch("[0-9a-f]{64}", data.fingerprint), "the fingerprint is no SHA-256 in hex"
        assert offered.open(argument, SEED).fingerprint == data.fingerprint, (
            "another fingerprint the second time"
        )
        assert self.own_split or other.fingerprint != data.fingerprint, (
            "the fingerprint of another split is the same"
        )

    def test_opens_the_same_in_a_fresh_process(self, task: str | Task, argument: str, data: TaskData) -> None:
        """A worker trains on the data that the driver knows."""
        assert in_fresh_process(fingerprint_of, task, argument) == data.fingerprint, (
            "other data in another process: does the order of a set or of files play a part?"
        )

    def test_statistics_normalise(self, data: TaskData) -> None:
        """Mean and standard deviation of each channel, bytes counted from 0 to 1."""
        channels = data.input.channels
        assert len(data.mean) == len(data.std) == channels, (
            f"{len(data.mean)} means and {len(data.std)} deviations for {channels} channels"
        )
        assert all(math.isfinite(value) for value in (*data.mean, *data.std)), "statistics are not finite"
        assert min(data.std) > 0, f"a standard deviation is {min(data.std):g}"
        values = data.train_inputs.double().transpose(0, 1).reshape(channels, -1)
        values = values / 255 if data.train_inputs.dtype == torch.uint8 else values
        for channel in range(channels):
            normalised = (values[channel] - data.mean[channel]) / data.std[channel]
            mean, std = float(normalised.mean()), float(normalised.std(correction=0))
            fits = abs(mean) <= FARTHEST_MEAN and (LEAST_STD <= std <= MOST_STD or std == 0)
            assert fits, (
                f"channel {channel} has mean {mean:.3g} and deviation {std:.3g} once normalised: "
                "are the statistics in the units of the data (bytes as 0 to 1)?"
            )

    def test_no_global_randomness_is_touched(self, offered: Task, argument: str, data: TaskData) -> None:
        """It draws from generators of its own."""
        with no_random_numbers("opening it"):
            offered.open(argument, SEED)

    def test_a_missing_path_is_one_clear_line(self, offered: Task, tmp_path: Path) -> None:
        """What cannot be read is a DataError that says so."""
        if not offered.takes_path:
            pytest.skip("takes no path")
        missing = tmp_path / "missing"
        try:
            offered.open(str(missing), SEED)
        except (DataError, OSError) as error:
            message = str(error)
        except Exception as error:
            raise AssertionError(
                f"raises {type(error).__name__}, not DataError, where its path is missing"
            ) from error
        else:
            raise AssertionError("opens a path that does not exist")
        assert "missing" in message, f"does not name the path: {message}"
        assert "\n" not in message.strip(), "says it in more than one line"
        assert len(message) <= LONGEST_LINE + len(str(missing)), "says it at length"

    def test_a_network_learns_from_it(self, data: TaskData) -> None:
        """A tiny network trains one epoch on a few samples, with a finite loss."""
        few = replace(
            data,
            train_inputs=data.train_inputs[:TRAINED_ON],
            train_labels=data.train_labels[:TRAINED_ON],
            validation_inputs=data.validation_inputs[:TRAINED_ON],
            validation_labels=data.validation_labels[:TRAINED_ON],
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = Tiny(data.input.channels, data.classes)
        header = Header("a" * 64, "b" * 64, data.fingerprint, epochs=1, seed=0, minimum_map=1)
        try:
            (metrics,) = Training(module, few, Recipe(), header).run()
        except (NasError, RuntimeError) as error:
            raise AssertionError(f"a network cannot be trained on it: {error}") from error
        assert all(math.isfinite(value) for value in metrics.values()), f"gives {metrics}"
        assert 0 <= metrics["accuracy"] <= 1, f"accuracy is {metrics['accuracy']}"


class Tiny(nn.Module):
    """A linear classifier of coarse inputs (N, C, ...), of any number of axes."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.scores = nn.Linear(channels * POOLED, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, classes)."""
        pooled = F.adaptive_avg_pool1d(x.reshape(*x.shape[:2], -1), POOLED)
        return torch.as_tensor(self.scores(pooled.flatten(1)))


def found_task(task: str | Task) -> Task:
    """The task of a registered name, or the task itself."""
    return default_registry().tasks[task] if isinstance(task, str) else task


def fingerprint_of(task: str | Task, argument: str) -> str:
    """The fingerprint of the data under the first seed."""
    return found_task(task).open(argument, SEED).fingerprint


def rows(inputs: Tensor) -> list[bytes]:
    """A hash of each sample."""
    array = inputs.contiguous().numpy()
    return [sha256(row.tobytes()).digest() for row in array]


def _all_rows(data: TaskData) -> list[bytes]:
    return sorted([*rows(data.train_inputs), *rows(data.validation_inputs)])


def _parts(data: TaskData) -> tuple[tuple[str, Tensor, Tensor], tuple[str, Tensor, Tensor]]:
    return (
        ("training", data.train_inputs, data.train_labels),
        ("validation", data.validation_inputs, data.validation_labels),
    )
