"""Cylinder, bell, funnel: the data, and the whole job on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.blocks import build, relax_strides
from nas.errors import DataError
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.spaces.signature import Signature
from nas.training import Recipe, open_task
from nas.training.build import training_module
from nas.training.checkpoint import Header
from nas.training.loop import Training
from nas_group_attention.cbf import CLASSES, load_cbf, series

torch.set_num_threads(1)


def test_the_task_is_registered() -> None:
    data = open_task("cbf:20", default_registry())
    assert (data.input.domain, data.input.shape, data.classes) == ("series", (1, 128), 3)
    assert data.class_names == CLASSES
    assert (len(data.train_labels), len(data.validation_labels)) == (48, 12)
    assert torch.bincount(data.validation_labels).tolist() == [4, 4, 4]


def test_statistics_are_those_of_the_channel() -> None:
    data = load_cbf("30", 0)
    whole = data.train_inputs.double()
    assert data.mean == pytest.approx([float(whole.mean())])
    assert data.std == pytest.approx([float(whole.std(correction=0))])


def test_the_numbers_are_always_the_same() -> None:
    inputs, labels = series(3)
    assert inputs.dtype == np.float32
    assert labels.tolist() == [0, 1, 2] * 3
    assert np.array_equal(inputs[:2, 0, :4], np.float32(EXPECTED))
    assert load_cbf("5", 0).fingerprint == load_cbf("5", 0).fingerprint
    assert load_cbf("5", 0).fingerprint != load_cbf("5", 1).fingerprint


EXPECTED = [[1.9688, -0.4328, 0.4635, 0.0288], [-0.6101, -0.6457, -1.8139, 1.9713]]


def test_a_larger_set_begins_like_a_smaller_one() -> None:
    small, large = series(2)[0], series(4)[0]
    assert np.array_equal(large[:6], small)


def test_each_class_has_its_form() -> None:
    """Means over many series: level, rising and falling bumps between the last onset and the first end."""
    inputs, labels = series(400)
    means = [inputs[labels == kind, 0].mean(0) for kind in range(3)]
    cylinder, bell, funnel = means
    assert cylinder[34:46].mean() == pytest.approx(6, abs=0.2)
    assert bell[60:90].mean() > bell[20:40].mean() + 1
    assert funnel[20:40].mean() > funnel[60:90].mean() + 1
    for kind in range(3):
        before = inputs[labels == kind, 0, :15]
        assert abs(float(before.mean())) < 0.05
        assert float(before.std()) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("argument", ["1", "0", "-3", "many", "1e3", "²", "99999999"])
def test_a_number_of_series_that_is_none(argument: str) -> None:
    with pytest.raises(DataError, match="behind the colon stands the number of series"):
        load_cbf(argument, 0)


def header(epochs: int) -> Header:
    return Header("a" * 64, "r" * 64, "d" * 64, epochs, 3, minimum_map=4)


def network_of(folder: Path, mixer: str, width: int) -> Any:
    path = folder / "small.toml"
    path.write_text(SPACE.replace("WIDTH", str(width)).replace("MIXER", mixer))
    return load_space(path, default_registry()).sample(np.random.default_rng(0)).network


SPACE = """
name = "small"
input = { domain = "series", channels = 1, size = [128] }
classes = 3
[stem]
use = "series_stem"
width = WIDTH
stride = 4
[[stages]]
width = WIDTH
blocks = [{ use = "series_block", mixer = MIXER }]
[head]
use = "series_pool_linear"
"""
MERGING = '{ use = "group_attention", groups = 16, head_dim = 8, eps = 4.0, momentum = 0.25 }'
PLAIN = '{ use = "full_attention", head_dim = 8 }'


@pytest.mark.parametrize("mixer", [MERGING, PLAIN])
def test_a_network_learns_it(mixer: str, tmp_path: Path) -> None:
    data = load_cbf("200", 0)
    network = network_of(tmp_path, mixer, 16)
    module = training_module(network, data.input, data.classes, default_registry().blocks, seed=0)
    *_, last = Training(module, data, Recipe(), header(12)).run()
    assert last["accuracy"] > 0.88
    assert mixer == PLAIN or module.layers["1_series_block"].mixer.groups < 16


@pytest.mark.parametrize(("length", "stride"), [(128, 4), (16, 4), (12, 1), (4, 1), (2, 1)])
def test_short_series_lose_their_strides(length: int, stride: int, tmp_path: Path) -> None:
    network = network_of(tmp_path, MERGING, 8)
    registry = default_registry()
    relaxed = relax_strides(network, Signature("series", 1, (length,)), registry.blocks)
    assert relaxed.layers[0].stride == stride
    module = build(relaxed, registry.blocks).eval()
    assert module(torch.randn(2, 1, length)).shape == (2, 3)


def test_merging_survives_an_interruption(tmp_path: Path) -> None:
    """The number of groups is kept with the checkpoint: the rest goes as it would have gone."""
    data = load_cbf("20", 0)
    registry = default_registry()
    network = network_of(tmp_path, MERGING, 8)

    def training(folder: str) -> tuple[Training, Any]:
        module = training_module(network, data.input, data.classes, registry.blocks, seed=0)
        recipe = Recipe(average_decay=0.5)
        return Training(module, data, recipe, header(4), tmp_path / folder), module

    job, module = training("whole")
    whole = list(job.run())
    mixer = module.layers["1_series_block"].mixer
    assert mixer.groups < 16
    begun = training("parts")[0].run()
    first = [next(begun) for _ in range(2)]
    begun.close()
    job, module = training("parts")
    rest = list(job.run())
    assert first + rest[1:] == whole
    assert module.layers["1_series_block"].mixer.groups == mixer.groups


def test_the_whole_job_runs_on_series(cli: Any) -> None:
    found = cli(
        "search", "--space", "series", "--data", "cbf:12", "--trials", "1", "--epochs", "1",
        "--workers", "1", "--target", "a100",
    )  # fmt: skip
    assert found.code == 0, found.err
    shown = json.loads(cli("show", "series-a100", "--json").out)
    assert [trial["state"] for trial in shown["trials"]] == ["finished"]
    exported = cli("export", "series-a100#0", "--format", "weights")
    assert exported.code == 0, exported.err
