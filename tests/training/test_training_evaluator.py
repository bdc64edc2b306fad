"""From a request to metrics and weights, on real blocks."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.blocks import relax_strides
from nas.errors import DataError, ExportError, TrialError
from nas.plugins import default_registry
from nas.search.trial import TrialRequest
from nas.spaces import load_space
from nas.spaces.architecture import Architecture, Network
from nas.spaces.fitting import element_signatures
from nas.spaces.signature import Signature
from nas.training import Recipe, TrainingEvaluator, train_form, trained_module, training_module
from nas.training.checkpoint import CHECKPOINT, WEIGHTS, read_packed
from nas.training.evaluator import cached_task
from nas.training.recipe import Part, evaluate

BLOCKS = default_registry().blocks
RECIPE = Recipe(batch_size=16, learning_rate=0.01, average_decay=0.5)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A hundred of the digits, as a file: enough to learn something in a moment."""
    from sklearn import datasets

    digits = datasets.load_digits()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    x = (digits.images[:120] * 15).astype(np.uint8)
    np.savez(path, x=x, y=digits.target[:120])
    return f"npz:{path}"


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    space = load_space("tiny", default_registry())
    architectures = [space.sample(np.random.default_rng(seed)) for seed in range(20)]
    return next(a for a in architectures if "pool_mixer" in a.to_json() or "separable" in a.to_json())


def request(architecture: Architecture, folder: Path | None = None, *, seed: int = 1) -> TrialRequest:
    return TrialRequest(0, architecture, 3, seed, directory=None if folder is None else str(folder))


def bits(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


def test_the_same_request_gives_the_same_bits(
    reference: str, architecture: Architecture, tmp_path: Path
) -> None:
    evaluator = TrainingEvaluator(reference, RECIPE)
    other = load_space("tiny", default_registry()).sample(np.random.default_rng(77))
    first = list(evaluator(request(architecture, tmp_path / "first")))
    list(evaluator(request(other)))
    torch.manual_seed(123)
    again = list(pickle.loads(pickle.dumps(evaluator))(request(architecture, tmp_path / "again")))
    assert first == again
    assert bits(tmp_path / "first") == bits(tmp_path / "again")
    different = list(evaluator(request(architecture, seed=2)))
    assert different != first


def test_the_global_random_numbers_stay_as_they_are(reference: str, architecture: Architecture) -> None:
    before = torch.get_rng_state()
    list(TrainingEvaluator(reference, RECIPE)(request(architecture)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("epochs", [1, 2])
def test_an_attempt_goes_on_where_the_last_one_was_lost(
    reference: str, architecture: Architecture, tmp_path: Path, epochs: int
) -> None:
    evaluator = TrainingEvaluator(reference, RECIPE)
    whole = list(evaluator(request(architecture, tmp_path / "whole")))
    begun = evaluator(request(architecture, tmp_path / "parts"))
    for _ in range(epochs):
        next(begun)
    begun.close()  # type: ignore[attr-defined]
    assert (tmp_path / "parts" / CHECKPOINT).exists()
    rest = list(evaluator(replace(request(architecture, tmp_path / "parts"), attempt=2)))
    assert rest == whole[epochs - 1 :]
    assert bits(tmp_path / "parts") == bits(tmp_path / "whole")


def test_a_changed_recipe_does_not_go_on_from_the_old_one(
    reference: str, architecture: Architecture, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    next(iter(TrainingEvaluator(reference, RECIPE)(request(architecture, tmp_path))))
    changed = TrainingEvaluator(reference, replace(RECIPE, label_smoothing=0.3))
    assert list(changed(request(architecture, tmp_path))) == list(changed(request(architecture)))
    assert "is of another trial (other: recipe)" in caplog.text


def test_the_kept_weights_have_the_reported_accuracy(
    reference: str, architecture: Architecture, tmp_path: Path
) -> None:
    *_, last = TrainingEvaluator(reference, RECIPE)(request(architecture, tmp_path))
    data = cached_task(reference, 0)
    assert architecture.network is not None
    module = trained_module(architecture.network, data.input, data.classes, BLOCKS, tmp_path / WEIGHTS)
    assert not module.training
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (data.mean, data.std))
    found = evaluate(module, Part(data.validation_inputs, data.validation_labels, mean, std))
    assert found["accuracy"] == last["accuracy"]
    assert found["loss"] == pytest.approx(last["loss"], rel=1e-5)


def test_weights_that_do_not_fit_are_refused(
    reference: str, architecture: Architecture, tmp_path: Path
) -> None:
    list(TrainingEvaluator(reference, RECIPE)(request(architecture, tmp_path)))
    data = cached_task(reference, 0)
    network = architecture.network
    assert network is not None
    path = tmp_path / WEIGHTS
    with pytest.raises(ExportError, match="are of another architecture"):
        trained_module(replace(network, classes=7), data.input, 7, BLOCKS, path)
    with pytest.raises(ExportError, match=r"cannot be used: .*size mismatch") as caught:
        trained_module(network, data.input, 12, BLOCKS, path)
    assert "\n" not in str(caught.value)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ExportError, match="cannot be used"):
        trained_module(network, data.input, data.classes, BLOCKS, path)
    with pytest.raises(ExportError, match="cannot be used"):
        trained_module(network, data.input, data.classes, BLOCKS, tmp_path / "nowhere")


def test_early_strides_are_relaxed_for_small_pictures(reference: str, architecture: Architecture) -> None:
    network = architecture.network
    assert network is not None
    data = cached_task(reference, 0)
    relaxed = train_form(network, data, BLOCKS)
    assert relaxed == relax_strides(network, data.input, BLOCKS, 4)
    sizes = [s.size for _, s in element_signatures(replace(relaxed, input=data.input), BLOCKS)]
    assert sizes[-1] == (4, 4)
    assert train_form(network, data, BLOCKS, minimum_map=2).layers == network.layers
    assert shapes(network, data.input, 2) == shapes(network, data.input, 4)  # strides change no weight


def shapes(network: Network, signature: Signature, minimum: int) -> list[torch.Size]:
    """The shapes of the weights of the module that is trained."""
    module = training_module(network, signature, 10, BLOCKS, minimum_map=minimum, seed=0)
    return [weight.shape for weight in module.state_dict().values()]


def test_the_rule_for_small_pictures_is_part_of_the_result(
    reference: str, architecture: Architecture
) -> None:
    results = [
        list(TrainingEvaluator(reference, RECIPE, minimum)(request(architecture))) for minimum in (2, 4)
    ]
    assert results[0] != results[1]


def test_weights_name_their_trial(reference: str, architecture: Architecture, tmp_path: Path) -> None:
    list(TrainingEvaluator(reference, RECIPE)(request(architecture, tmp_path)))
    _, content = read_packed(tmp_path / WEIGHTS)
    assert content["header"]["architecture"] == architecture.hash
    assert content["header"]["data"] == cached_task(reference, 0).fingerprint
    assert (content["header"]["seed"], content["header"]["epochs"]) == (1, 3)


def test_an_architecture_without_a_network_cannot_be_trained(reference: str) -> None:
    with pytest.raises(TrialError, match="flat space holds no network"):
        list(TrainingEvaluator(reference, RECIPE)(request(Architecture(None, (("lr", 0.1),)))))


def test_a_network_of_another_domain_cannot_be_trained(reference: str, architecture: Architecture) -> None:
    assert architecture.network is not None
    other = replace(architecture.network, input=Signature("series", 3, (100,)))
    with pytest.raises(TrialError, match=r"the network takes 'series', but 'npz:.*' is 'image'"):
        list(TrainingEvaluator(reference, RECIPE)(request(Architecture(other))))


def test_data_is_opened_once_in_a_process(reference: str) -> None:
    assert cached_task(reference, 0) is cached_task(reference, 0)
    assert cached_task(reference, 0).fingerprint != cached_task(reference, 1).fingerprint


def test_missing_data_is_a_data_error(architecture: Architecture, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(TrainingEvaluator(f"npz:{tmp_path / 'x.npz'}", RECIPE)(request(architecture)))


def test_digits_are_learnt() -> None:
    architecture = load_space("tiny", default_registry()).sample(np.random.default_rng(0))
    *_, last = TrainingEvaluator("digits", Recipe())(TrialRequest(0, architecture, 4, 0))
    assert last["accuracy"] > 0.8
