"""The kit finds what is wrong with a task, and nothing where all is right."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kit_failures import complaint, run_file

from nas.errors import DataError
from nas.spaces import Signature
from nas.testing import TaskConformance
from nas.testing.task import fingerprint_of
from nas.training import Task, TaskData, assemble

KIT = TaskConformance()
CLASSES = 3


def pictures(samples: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (samples, 3, 6, 5), generator=generator, dtype=torch.uint8)
    return inputs, torch.arange(samples) % CLASSES


def good(argument: str, seed: int) -> TaskData:
    return assemble(pictures(), class_names=["a", "b", "c"], split_seed=seed)


def series(argument: str, seed: int) -> TaskData:
    """Another domain, and floats."""
    inputs, labels = pictures()
    curves = inputs[:, 0, :, 0].float().unsqueeze(1) / 255
    data = assemble((curves.unsqueeze(-1), labels), class_names=["a", "b", "c"], split_seed=seed)
    return replace(
        data,
        train_inputs=data.train_inputs.squeeze(-1),
        validation_inputs=data.validation_inputs.squeeze(-1),
        input=Signature("series", 1, (6,)),
    )


def path_reader(argument: str, seed: int) -> TaskData:
    if not argument:
        raise DataError("--data toy needs a file: toy:PATH")
    if not Path(argument).is_file():
        raise DataError(f"--data toy: {argument!r} is missing")
    return good(argument, seed)


def task(load: Callable[[str, int], Any], **fields: Any) -> Task:
    return Task("toy", load, "a task of these tests", **fields)


def changed(**changes: Any) -> TaskData:
    return replace(good("", 0), **changes)


def relabelled(value: int) -> TaskData:
    labels = good("", 0).train_labels.clone()
    labels[5] = value
    return changed(train_labels=labels)


DATA = good("", 0)
NO_INPUTS, NO_LABELS = DATA.validation_inputs[:0], DATA.validation_labels[:0]
WHOLE = "test_is_whole"
SHAPES = "test_inputs_have_the_declared_signature"
LEARNS = "test_a_network_learns_from_it"
LABELS = "test_labels_are_classes"
STATISTICS = "test_statistics_normalise"
OVERLAP = "test_validation_is_not_trained_on"
BROKEN_DATA: list[tuple[Any, str, str]] = [
    (None, WHOLE, "gives NoneType, not a TaskData"),
    (changed(train_inputs=DATA.train_inputs.double()), WHOLE, "training inputs are torch.float64"),
    (changed(train_labels=DATA.train_labels.int()), WHOLE, "training labels are torch.int32"),
    (changed(train_labels=DATA.train_labels[:, None]), WHOLE, "training labels have 2 axes"),
    (changed(train_labels=DATA.train_labels[1:]), WHOLE, "72 inputs and 71 labels"),
    (changed(validation_inputs=DATA.validation_inputs.float()), WHOLE, "the parts are of different types"),
    (changed(validation_inputs=NO_INPUTS, validation_labels=NO_LABELS), WHOLE, "validation part is empty"),
    (changed(train_inputs=DATA.train_inputs / torch.zeros(())), WHOLE, "hold NaN or infinity"),
    (changed(input=Signature("image", 3, (5, 6))), SHAPES, "declared is (3, 5, 6)"),
    (relabelled(CLASSES), LABELS, "a training label is 3, and there are 3 classes"),
    (relabelled(-1), LABELS, "a training label is -1"),
    (changed(classes=5), LABELS, "no training sample is of class 3, 4"),
    (changed(classes=1), LABELS, "has 1 classes"),
    (changed(class_names=("a", "b")), "test_class_names_are_those_of_the_classes", "2 names for 3 classes"),
    (changed(class_names=("a", "b", "a")), "test_class_names_are_those_of_the_classes", "one name"),
    (changed(validation_inputs=DATA.train_inputs[:18]), OVERLAP, "18 of 18 validation samples"),
    (changed(std=(0.3, 0.0, 0.3)), STATISTICS, "a standard deviation is 0"),
    (changed(mean=(0.5, 0.5)), STATISTICS, "2 means and 3 deviations for 3 channels"),
    (changed(mean=(float("nan"),) * 3), STATISTICS, "not finite"),
    (changed(mean=(127.0,) * 3, std=(70.0,) * 3), STATISTICS, "bytes as 0 to 1"),
    (changed(train_inputs=DATA.train_inputs[:, :, :, 0]), LEARNS, "cannot be trained"),
]


@pytest.mark.parametrize(
    ("data", "check", "message"), BROKEN_DATA, ids=[f"{c}-{m}".replace(" ", "-") for _, c, m in BROKEN_DATA]
)
def test_broken_data_is_found(data: Any, check: str, message: str) -> None:
    assert message in complaint(getattr(KIT, check), data)


def unseeded(argument: str, seed: int) -> TaskData:
    return good(argument, int(torch.seed() % 2**31))


def deaf(argument: str, seed: int) -> TaskData:
    return good(argument, 0)


def growing(argument: str, seed: int) -> TaskData:
    return assemble(pictures(90 + 3 * seed), class_names=["a", "b", "c"], split_seed=seed)


def one_fingerprint(argument: str, seed: int) -> TaskData:
    return replace(good(argument, seed), fingerprint="0" * 64)


def no_fingerprint(argument: str, seed: int) -> TaskData:
    return replace(good(argument, seed), fingerprint="v1")


def of_this_process(argument: str, seed: int) -> TaskData:
    return good(argument, os.getpid())


SPLIT = KIT.test_the_split_depends_on_the_seed_alone
FINGERPRINT = KIT.test_the_fingerprint_is_that_of_the_split


@pytest.mark.parametrize(
    ("load", "check", "message"),
    [
        (unseeded, SPLIT, "differ when opened twice with one seed"),
        (deaf, SPLIT, "another seed gives the same split"),
        (growing, SPLIT, "another seed gives other samples"),
        (one_fingerprint, FINGERPRINT, "the fingerprint of another split is the same"),
        (no_fingerprint, FINGERPRINT, "no SHA-256"),
    ],
)
def test_a_broken_split_is_found(load: Any, check: Callable[..., None], message: str) -> None:
    with torch.random.fork_rng(devices=[]):
        assert message in complaint(check, task(load), "", load("", 0), load("", 1))


def test_data_that_comes_split_may_say_so() -> None:
    class OwnSplit(TaskConformance):
        own_split = True

    OwnSplit().test_the_split_depends_on_the_seed_alone(task(deaf), "", deaf("", 0), deaf("", 1))
    OwnSplit().test_the_fingerprint_is_that_of_the_split(task(deaf), "", deaf("", 0), deaf("", 1))


def test_a_draw_from_a_global_generator_is_found() -> None:
    def draws(argument: str, seed: int) -> TaskData:
        torch.rand(1)
        return good(argument, seed)

    message = complaint(KIT.test_no_global_randomness_is_touched, task(draws), "", DATA)
    assert "global random state of torch" in message


def test_data_that_depends_on_the_process_is_found() -> None:
    check = KIT.test_opens_the_same_in_a_fresh_process
    message = complaint(check, task(of_this_process), "", of_this_process("", 0))
    assert "other data in another process" in message
    check(task(good), "", DATA)
    assert fingerprint_of(task(good), "") == DATA.fingerprint


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DataError("no"), "does not name the path"),
        (DataError("{path}\nTraceback"), "more than one line"),
        (ValueError("{path}"), "raises ValueError, not DataError"),
        (None, "opens a path that does not exist"),
    ],
)
def test_a_poor_word_on_a_missing_path_is_found(
    tmp_path: Path, error: Exception | None, message: str
) -> None:
    def load(argument: str, seed: int) -> TaskData:
        if error is None:
            return DATA
        raise type(error)(str(error).format(path=argument))

    found = complaint(KIT.test_a_missing_path_is_one_clear_line, task(load, takes_path=True), tmp_path)
    assert message in found


def test_one_without_description_or_metrics_is_found() -> None:
    assert "description" in complaint(KIT.test_is_described, Task("toy", good))
    assert "metrics" in complaint(KIT.test_is_described, task(good, metrics=()))


USE = """
import pytest
from nas.testing import TaskConformance
from test_kit_task import {load}, task

class TestIt(TaskConformance):
    @pytest.fixture
    def task(self):
        return task({load}, takes_path={path})

    @pytest.fixture
    def argument(self):
        return {argument!r}
"""


@pytest.mark.parametrize(("load", "path"), [("good", False), ("series", False), ("path_reader", True)])
def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, load: str, path: bool) -> None:
    argument = __file__ if path else ""
    outcome = run_file(tmp_path, USE.format(load=load, path=path, argument=argument))
    assert outcome.failed == {}
    assert outcome.skipped == (set() if path else {"test_a_missing_path_is_one_clear_line"})
    assert len(outcome.passed) == 13 - len(outcome.skipped)


def test_without_its_argument_there_is_nothing_to_test(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(load="path_reader", path=True, argument=""))
    assert outcome.failed == {}
    assert outcome.passed == {"test_is_described", "test_a_missing_path_is_one_clear_line"}


def test_an_argument_that_does_not_open_is_a_failure(tmp_path: Path) -> None:
    source = USE.format(load="path_reader", path=True, argument="/nowhere")
    outcome = run_file(tmp_path, source, "-k", "whole")
    assert "does not open '/nowhere'" in outcome.failed["test_is_whole"]
