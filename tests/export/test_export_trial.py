"""A trained trial, from its stored weights to a file; and every way in which there are none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nas.blocks import fuse
from nas.errors import ExportError, UnknownNameError, UsageError
from nas.export import export_trial
from nas.plugins import default_registry
from nas.search.objective import Objective
from nas.search.study import StudySpec
from nas.spaces import load_space
from nas.spaces.architecture import Architecture
from nas.spaces.signature import Signature
from nas.store import Store, StudyRecord
from nas.training.build import trained_module, training_module
from nas.training.checkpoint import Header, recipe_hash, write_weights
from nas.training.open import open_task
from nas.training.recipe import Recipe

SPEC = StudySpec(
    name="tiny-a100",
    space="tiny",
    space_text="",
    targets=("a100",),
    objectives=(Objective("accuracy", "max"), Objective("latency", "min")),
    data="digits",
    minimum_map=4,
    trials=2,
    epochs=1,
)
RELATIVE = "0/weights.safetensors"


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    return load_space("tiny", default_registry()).sample(np.random.default_rng(0))


@pytest.fixture
def store(tmp_path: Path, architecture: Architecture) -> Store:
    """A store whose trial 0 finished with weights, and whose trial 1 failed."""
    opened = Store.open(tmp_path / "nas.db")
    opened.create_study(StudyRecord(SPEC.name, SPEC.to_json()))
    for seed in (0, 1):
        opened.add_trial(SPEC.name, architecture, fidelity=1, seed=seed)
        opened.start_trial(SPEC.name, seed, attempt=1, host="here")
    opened.record_step(SPEC.name, 0, attempt=1, step=1, metrics={"accuracy": 0.9})
    opened.finish_trial(SPEC.name, 0, attempt=1, seconds=1.0)
    opened.fail_trial(SPEC.name, 1, attempt=1, error="TrialError: diverged\nmore")
    path = tmp_path / "nas-artifacts" / SPEC.name / RELATIVE
    path.parent.mkdir(parents=True)
    train(path, architecture)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    opened.add_artifact(SPEC.name, 0, "weights", RELATIVE, digest, path.stat().st_size)
    return opened


def data_signature() -> tuple[Signature, int]:
    data = open_task("digits", default_registry())
    return data.input, data.classes


def train(path: Path, architecture: Architecture) -> None:
    assert architecture.network is not None
    signature, classes = data_signature()
    module = training_module(architecture.network, signature, classes, default_registry().blocks, seed=5)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(len(name)))
    header = Header(architecture.hash, recipe_hash(Recipe()), "", epochs=1, seed=0, minimum_map=4)
    write_weights(path.parent, module.state_dict(), header)


def export(store: Store, number: int, path: Path, format: str = "weights", **options: Path) -> object:
    return export_trial(store, SPEC.name, number, format, path, default_registry(), **options)


def test_the_trained_network_is_written_in_its_deployed_form(
    store: Store, architecture: Architecture, tmp_path: Path
) -> None:
    report = export_trial(store, SPEC.name, 0, "weights", tmp_path / "out.safetensors", default_registry())
    assert report.difference == pytest.approx(0.0, abs=1e-5)
    assert architecture.network is not None
    signature, classes = data_signature()
    assert report.notes[0].startswith(f"input: float32 (N, {', '.join(map(str, signature.shape))})")
    weights = tmp_path / "nas-artifacts" / SPEC.name / RELATIVE
    trained = trained_module(architecture.network, signature, classes, default_registry().blocks, weights, 4)
    with safe_open(report.path, framework="pt") as file:
        preparation = json.loads(file.metadata()["nas"])["preparation"]
    assert report.notes[0] == f"input: {preparation}"
    deployed = fuse(trained)
    deployed.load_state_dict(load_file(report.path))
    x = torch.rand(3, *signature.shape)
    torch.testing.assert_close(deployed(x), trained(x), atol=1e-5, rtol=1e-5)


def test_the_artifacts_may_lie_elsewhere(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    (tmp_path / "nas-artifacts" / SPEC.name).rename(folder)
    export(store, 0, tmp_path / "out.safetensors", artifacts_root=folder)
    with pytest.raises(ExportError, match=r"weights of trial tiny-a100#0 are gone: .* does not exist"):
        export(store, 0, tmp_path / "out.safetensors")


def test_a_failed_trial_has_no_weights(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"#1 has no weights: it failed with TrialError: diverged$"):
        export(store, 1, tmp_path / "out.safetensors")


def test_a_trial_that_never_ran_has_no_weights(
    store: Store, architecture: Architecture, tmp_path: Path
) -> None:
    number = store.add_trial(SPEC.name, architecture, fidelity=1, seed=9)
    with pytest.raises(ExportError, match="it is queued; only finished trials keep weights"):
        export(store, number, tmp_path / "out.safetensors")


def test_weights_that_changed_are_not_used(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "nas-artifacts" / SPEC.name / RELATIVE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ExportError, match="were changed since training"):
        export(store, 0, tmp_path / "out.safetensors")


def test_a_link_out_of_the_folder_is_not_followed(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "nas-artifacts" / SPEC.name / RELATIVE
    path.rename(tmp_path / "outside.safetensors")
    path.symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(ExportError, match="lie outside of"):
        export(store, 0, tmp_path / "out.safetensors")


def test_weights_of_another_network_are_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "nas-artifacts" / SPEC.name / "0" / "other.safetensors"
    save_file({"layers.0.weight": torch.zeros(1)}, path)
    with pytest.raises(ExportError) as raised:
        add_and_export(store, path, tmp_path)
    assert len(str(raised.value).splitlines()) == 1


def add_and_export(store: Store, path: Path, folder: Path) -> None:
    kept = folder / "nas-artifacts" / SPEC.name / RELATIVE
    path.replace(kept)
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()
    store.add_artifact(SPEC.name, 0, "weights", RELATIVE, digest, kept.stat().st_size)
    export(store, 0, folder / "out.safetensors")


def test_unknown_names_offer_the_nearest(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'onnx'"):
        export(store, 0, tmp_path / "out.onnx", format="onx")
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny-a100'"):
        export_trial(store, "tiny-a10", 0, "onnx", tmp_path / "out.onnx", default_registry())
    with pytest.raises(UsageError):
        export(store, 77, tmp_path / "out.safetensors")


def test_a_missing_folder_is_found_before_any_work(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        export(store, 0, tmp_path / "missing" / "out.safetensors")


def test_a_point_of_a_flat_space_is_no_network(store: Store, tmp_path: Path) -> None:
    number = store.add_trial(SPEC.name, Architecture(None, (("lr", 0.1),)), fidelity=1, seed=0)
    with pytest.raises(ExportError, match="flat space"):
        export(store, number, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
