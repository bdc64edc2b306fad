"""One training: its metrics, its checkpoints, its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_toys import ToyNetwork, toy_data, toy_header, toy_network

from nas.errors import TrialError
from nas.training.assembly import assemble
from nas.training.checkpoint import CHECKPOINT, WEIGHTS, Checkpoint, read_packed, write_checkpoint
from nas.training.loop import Training
from nas.training.recipe import Recipe, evaluate

DATA = toy_data()
RECIPE = Recipe(batch_size=8, learning_rate=0.02, average_decay=0.5)


def training(
    folder: Path | None, *, epochs: int = 4, recipe: Recipe = RECIPE, module: nn.Module | None = None
) -> Training:
    return Training(module or toy_network(), DATA, recipe, toy_header(epochs), folder)


def weights(folder: Path) -> dict[str, Tensor]:
    return read_packed(folder / WEIGHTS)[0]


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_each_epoch_has_its_metrics() -> None:
    metrics = list(training(None, epochs=6).run())
    assert [m["step"] for m in metrics] == [1, 2, 3, 4, 5, 6]
    assert all(set(m) == {"accuracy", "loss", "train_loss", "step"} for m in metrics)
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    assert metrics[-1]["accuracy"] == 1.0


@pytest.mark.parametrize(
    "recipe", [RECIPE, replace(RECIPE, optimizer="sgd", average_decay=0.0), replace(RECIPE, batch_size=37)]
)
@pytest.mark.parametrize("stopped_after", [1, 2, 3, 4])
def test_resuming_is_as_if_it_had_never_stopped(tmp_path: Path, recipe: Recipe, stopped_after: int) -> None:
    whole = list(training(tmp_path / "whole", recipe=recipe).run())
    begun = training(tmp_path / "parts", recipe=recipe).run()
    first = [next(begun) for _ in range(stopped_after)]
    begun.close()  # type: ignore[attr-defined]
    torch.rand(3)  # other work in between
    module = toy_network(seed=99)  # its weights come from the checkpoint
    rest = list(training(tmp_path / "parts", recipe=recipe, module=module).run())
    assert rest[0] == first[-1]  # its report may have been lost
    assert first + rest[1:] == whole
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_a_crash_between_report_and_checkpoint_loses_one_epoch_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(training(tmp_path / "whole").run())
    begun = training(tmp_path / "parts").run()
    next(begun), next(begun)

    def crash(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            next(begun)
    assert list(training(tmp_path / "parts").run()) == whole[1:]


def test_the_end_leaves_weights_and_no_checkpoint(tmp_path: Path) -> None:
    *_, last = training(tmp_path).run()
    assert [entry.name for entry in tmp_path.iterdir()] == [WEIGHTS]
    module = ToyNetwork()
    module.load_state_dict(weights(tmp_path))
    _, validation = training(None)._parts()
    assert evaluate(module, validation)["accuracy"] == last["accuracy"]


def test_the_weights_are_those_of_the_average_where_there_is_one(tmp_path: Path) -> None:
    list(training(tmp_path / "average").run())
    list(training(tmp_path / "last", recipe=replace(RECIPE, average_decay=0.0)).run())
    assert not same(weights(tmp_path / "average"), weights(tmp_path / "last"))


def test_the_result_is_the_same_again_with_another_training_in_between(tmp_path: Path) -> None:
    first = list(training(tmp_path / "first").run())
    one, other = training(tmp_path / "one").run(), training(None, module=toy_network(5)).run()
    interleaved = [(next(one), next(other))[0] for _ in range(4)]
    assert interleaved == first
    assert next(one, None) is None
    assert same(weights(tmp_path / "one"), weights(tmp_path / "first"))


def test_global_random_numbers_and_threads_stay_as_they_are() -> None:
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    for _ in training(None).run():
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), before)


def test_global_random_numbers_do_not_decide() -> None:
    torch.manual_seed(1)
    first = list(training(None).run())
    torch.manual_seed(2)
    assert list(training(None).run()) == first


def test_a_checkpoint_of_another_module_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = list(training(None).run())
    write_checkpoint(
        tmp_path, toy_header(4), Checkpoint(2, {"module.x": torch.zeros(2)}, {"train_loss": 1.0})
    )
    with caplog.at_level(logging.WARNING, "nas.training"):
        assert list(training(tmp_path).run()) == whole
    assert "does not fit the module" in caplog.text


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_damaged_checkpoint_costs_the_epochs_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    whole = list(training(None).run())
    (tmp_path / CHECKPOINT).write_bytes(content)
    with caplog.at_level(logging.WARNING, "nas.training"):
        assert list(training(tmp_path).run()) == whole
    assert "is damaged" in caplog.text


class Diverging(ToyNetwork):
    """Turns to NaN in its n-th training step, or in evaluation."""

    def __init__(self, step: int | None) -> None:
        super().__init__()
        self.step, self.seen = step, 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        bad = self.seen == self.step if self.training else self.step is None
        return super().forward(x) * (float("nan") if bad else 1.0)


def test_a_loss_that_is_no_number_ends_the_trial_where_it_happened(tmp_path: Path) -> None:
    # 39 training samples in batches of 8: five steps an epoch
    metrics = []
    with pytest.raises(TrialError, match=r"diverged at epoch 2 step 2: the loss is nan; last finite loss \d"):
        for entry in training(tmp_path, module=Diverging(7)).run():
            metrics.append(entry)  # noqa: PERF402 - what came before the error counts
    assert [entry["step"] for entry in metrics] == [1]
    assert not (tmp_path / WEIGHTS).exists()


def test_a_loss_that_never_was_finite() -> None:
    with pytest.raises(TrialError, match="diverged at epoch 1 step 1: the loss is nan; it never was finite"):
        list(training(None, module=Diverging(1)).run())


def test_a_validation_loss_that_is_no_number() -> None:
    recipe = replace(RECIPE, average_decay=0.0)
    with pytest.raises(TrialError, match="diverged at epoch 1: the validation loss is nan; last finite"):
        list(training(None, module=Diverging(None), recipe=recipe).run())


def test_a_learning_rate_out_of_reason_fails_as_a_trial() -> None:
    recipe = Recipe(batch_size=8, optimizer="sgd", learning_rate=100.0, clip_norm=0.0, warmup=0.0)
    module = nn.Sequential(
        nn.Flatten(), *(nn.Linear(108, 108, bias=False) for _ in range(8)), nn.Linear(108, 3)
    )
    with pytest.raises(TrialError, match="diverged at epoch"):
        list(Training(module, DATA, recipe, toy_header(20)).run())


def test_memory_that_does_not_suffice_says_what_to_do() -> None:
    class Hungry(ToyNetwork):
        def forward(self, x: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(TrialError, match=r"out of GPU memory at epoch 1 with batch size 8 .*smaller batch"):
        list(training(None, module=Hungry()).run())


class Listener(ToyNetwork):
    """Writes down what the loop tells it, and asks for a loss of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[float] = []
        self.asked = 0

    def on_epoch(self, progress: float) -> None:
        self.heard.append(progress)

    def aux_loss(self) -> Any:
        self.asked += 1
        return 0.001 * self.linear.weight.square().sum()


def test_blocks_hear_of_each_epoch_and_add_to_each_loss() -> None:
    listener = Listener()
    list(training(None, epochs=5, module=listener, recipe=replace(RECIPE, average_decay=0.0)).run())
    assert listener.heard == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert listener.asked == 5 * 5
    single = Listener()
    list(training(None, epochs=1, module=single, recipe=replace(RECIPE, average_decay=0.0)).run())
    assert single.heard == [1.0]


def test_a_resumed_block_hears_of_the_epochs_that_are_left(tmp_path: Path) -> None:
    recipe = replace(RECIPE, average_decay=0.0)
    begun = training(tmp_path, epochs=5, module=Listener(), recipe=recipe).run()
    next(begun), next(begun)
    listener = Listener()
    list(training(tmp_path, epochs=5, module=listener, recipe=recipe).run())
    assert listener.heard == [0.5, 0.75, 1.0]


@pytest.mark.parametrize(("domain", "shape"), [("series", (2, 9)), ("sequence", (9, 2)), ("vector", (2,))])
def test_any_domain_can_be_trained_on(domain: str, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(7)
    labels = torch.arange(60) % 3
    inputs = torch.randn(60, *shape, generator=generator) + 3 * labels.reshape(-1, *(1 for _ in shape))
    data = assemble((inputs, labels), class_names="abc", split_seed=0, domain=domain)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(inputs[0].numel(), 8), nn.ReLU(), nn.Linear(8, 3))
    metrics = list(Training(module, data, RECIPE, toy_header(6)).run())
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    assert metrics[-1]["accuracy"] > 0.5
