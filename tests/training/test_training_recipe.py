"""The recipe: its values, and what they do to pictures, learning rates, weights and losses."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from training_toys import toy_network

from nas.errors import UnknownNameError, UsageError
from nas.training.recipe import (
    Learner,
    Part,
    Recipe,
    WeightAverage,
    announce_epoch,
    augment,
    batches,
    evaluate,
    extra_loss,
    learning_rate,
    make_optimizer,
    recipe_from,
    steps_per_epoch,
    train_step,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_overrides_replace_single_values() -> None:
    assert recipe_from({}) == Recipe()
    assert recipe_from({"optimizer": "sgd", "momentum": 0, "flip": False}) == replace(
        Recipe(), optimizer="sgd", momentum=0.0, flip=False
    )
    assert recipe_from(asdict(Recipe())) == Recipe()


def test_an_unknown_value_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"'learning_rte'. Did you mean 'learning_rate'"):
        recipe_from({"learning_rte": 0.1})
    with pytest.raises(UnknownNameError, match=r"unknown optimizer 'adam'. Did you mean 'adamw'\?"):
        recipe_from({"optimizer": "adam"})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learning_rate", math.nan, "learning_rate must lie between 1e-08 and 100, not nan"),
        ("learning_rate", math.inf, "not inf"),
        ("learning_rate", 0, r"not 0\.0"),
        ("learning_rate", "0.1", "learning_rate must be a number, not '0.1'"),
        ("learning_rate", True, "must be a number, not True"),
        ("learning_rate", 10**400, "must be a number"),
        ("batch_size", 0, "batch_size must lie between 1 and 1e"),
        ("batch_size", 32.0, r"batch_size must be a whole number, not 32\.0"),
        ("batch_size", 10**400, "batch_size must lie between"),
        ("flip", 1, "flip must be true or false, not 1"),
        ("optimizer", None, "optimizer must be a name, not None"),
        ("warmup", -0.1, "warmup must lie between 0 and 1"),
        ("average_decay", 1.0, "average_decay must lie between"),
        ("label_smoothing", [0.1], "label_smoothing must be a number"),
    ],
)
def test_wrong_values_are_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"recipe: .*{message}"):
        recipe_from({name: value})


def test_the_learning_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    recipe = Recipe(learning_rate=1.0, warmup=0.25)
    rates = [learning_rate(recipe, step, 16) for step in range(16)]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[10] == pytest.approx(0.5)
    assert rates[15] == pytest.approx(0.5 * (1 + math.cos(math.pi * 11 / 12)))
    assert all(earlier > later for earlier, later in pairwise(rates[4:]))
    assert min(rates) > 0


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_every_step_of_every_schedule_moves(warmup: float, steps: int) -> None:
    recipe = Recipe(learning_rate=2.0, warmup=warmup)
    rates = [learning_rate(recipe, step, steps) for step in range(steps)]
    assert all(0 < rate <= 2.0 for rate in rates)
    assert rates[0] == 2.0 or warmup > 0


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 34, 64, 65])
@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_batches_take_every_sample_once_and_leave_none_alone(count: int, batch_size: int) -> None:
    recipe = Recipe(batch_size=batch_size)
    drawn = list(batches(count, recipe, generator()))
    assert sorted(torch.cat(drawn).tolist()) == list(range(count))
    assert len(drawn) == steps_per_epoch(count, recipe)
    assert all(len(batch) > 1 for batch in drawn) or batch_size == 1 or count == 1
    assert [b.tolist() for b in batches(count, recipe, generator())] == [b.tolist() for b in drawn]


PICTURES = torch.randint(0, 256, (64, 3, 8, 6), generator=generator(5)).to(torch.uint8)


def test_without_shift_and_flip_pictures_stay_as_they_are() -> None:
    recipe = Recipe(shift=0.0, flip=False)
    assert torch.equal(augment(PICTURES, recipe, True, generator()), PICTURES)
    assert torch.equal(augment(PICTURES, replace(recipe, flip=True), False, generator()), PICTURES)


def test_about_half_of_the_pictures_are_mirrored_whole() -> None:
    found = augment(PICTURES, Recipe(shift=0.0), True, generator())
    mirrored = (found == PICTURES.flip(-1)).flatten(1).all(1)
    kept = (found == PICTURES).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert 16 < int(mirrored.sum()) < 48
    assert torch.equal(found.flatten(1).sort().values, PICTURES.flatten(1).sort().values)


def test_a_shift_moves_each_picture_by_its_own_offset_and_reflects_the_edge() -> None:
    found = augment(PICTURES, Recipe(shift=0.25), False, generator())
    padded = F.pad(PICTURES.float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    offsets = set()
    for picture, wide in zip(found, padded, strict=True):
        places = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if torch.equal(picture, wide[:, row : row + 8, column : column + 6])
        ]
        assert len(places) == 1
        offsets.add(places[0])
    assert len(offsets) > 12
    assert {row for row, _ in offsets} == set(range(5))


def test_augmentation_follows_its_generator_and_keeps_shape_and_type() -> None:
    before = torch.get_rng_state()
    first, again, other = (augment(PICTURES, Recipe(), True, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first.shape, first.dtype) == (PICTURES.shape, torch.uint8)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("side", [1, 2])
def test_the_smallest_pictures_can_be_shifted(side: int) -> None:
    tiny = PICTURES[:, :, :side, :side]
    assert augment(tiny, Recipe(shift=0.5), True, generator()).shape == tiny.shape


@pytest.mark.parametrize("shape", [(5,), (2, 9)])
def test_what_is_no_picture_is_not_augmented(shape: tuple[int, ...]) -> None:
    inputs = torch.randn(4, *shape, generator=generator())
    drawn = generator()
    assert augment(inputs, Recipe(shift=0.5), True, drawn) is inputs
    assert torch.equal(drawn.get_state(), generator().get_state())


def test_series_are_normalised_channel_by_channel() -> None:
    inputs = torch.randn(4, 2, 9, generator=generator())
    mean, std = torch.tensor([1.0, 2.0]).view(1, -1, 1), torch.tensor([0.5, 4.0]).view(1, -1, 1)
    found = Part(inputs, torch.zeros(4, dtype=torch.int64), mean, std).batch(inputs)
    assert torch.equal(found[:, 0], (inputs[:, 0] - 1) / 0.5)
    assert torch.equal(found[:, 1], (inputs[:, 1] - 2) / 4)
    assert found.is_contiguous()


def part(inputs: Tensor, labels: Tensor) -> Part:
    return Part(inputs, labels, torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.25))


def test_pictures_are_normalised_from_bytes_and_from_floats() -> None:
    labels = torch.zeros(64, dtype=torch.int64)
    from_bytes = part(PICTURES, labels).batch(PICTURES)
    from_floats = part(PICTURES / 255, labels).batch(PICTURES / 255)
    assert torch.allclose(from_bytes, from_floats)
    assert torch.allclose(from_bytes, (PICTURES.float() / 255 - 0.5) / 0.25)


def test_weight_decay_spares_norms_and_biases() -> None:
    network = toy_network()
    network.conv.weight.requires_grad_(False)
    decayed, spared = make_optimizer(Recipe(weight_decay=0.3), network).param_groups
    assert [p.shape for p in decayed["params"]] == [network.linear.weight.shape]
    assert decayed["weight_decay"] == 0.3
    assert len(spared["params"]) == 3
    assert spared["weight_decay"] == 0.0


def test_optimizers_are_those_that_are_named() -> None:
    sgd = make_optimizer(Recipe(optimizer="sgd", momentum=0.8), toy_network())
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.8, True)
    assert not make_optimizer(Recipe(optimizer="sgd", momentum=0.0), toy_network()).defaults["nesterov"]
    assert isinstance(make_optimizer(Recipe(), toy_network()), torch.optim.AdamW)


def test_the_average_is_the_exponential_one() -> None:
    network = nn.BatchNorm1d(1)
    average = WeightAverage(network, decay=0.6)
    expected = 1.0
    for step in range(30):
        with torch.no_grad():
            network.weight.fill_(float(step % 7))
            network.num_batches_tracked.fill_(step)
        average.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step % 7)
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)
        assert average.module.num_batches_tracked.item() == step
    assert not average.module.weight.grad


def step_of(recipe: Recipe, network: nn.Module, labels: Tensor | None = None) -> float:
    learner = Learner.of(network, recipe)
    inputs = torch.randn(16, 3, 6, 6, generator=generator(2))
    return float(train_step(learner, recipe, inputs, torch.arange(16) % 3 if labels is None else labels))


def test_label_smoothing_is_that_of_the_definition() -> None:
    network = toy_network(dropout=0.0)
    inputs = torch.randn(16, 3, 6, 6, generator=generator(2))
    labels = torch.arange(16) % 3
    logs = F.log_softmax(toy_network(dropout=0.0)(inputs), 1).detach()
    target = F.one_hot(labels, 3) * 0.7 + 0.1
    expected = float(-(target * logs).sum(1).mean())
    assert step_of(Recipe(label_smoothing=0.3), network) == pytest.approx(expected, rel=1e-5)


def test_clipping_bounds_the_step() -> None:
    def moved(clip_norm: float) -> float:
        network = toy_network(dropout=0.0)
        before = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
        recipe = Recipe(optimizer="sgd", learning_rate=1.0, momentum=0.0, weight_decay=0, clip_norm=clip_norm)
        step_of(recipe, network)
        after = nn.utils.parameters_to_vector(network.parameters()).detach()
        return float((after - before).norm())

    assert moved(0.01) == pytest.approx(0.01, rel=1e-3)
    assert moved(0.0) > 0.1
    assert moved(0.0) == pytest.approx(moved(1000.0))


class Gate(nn.Module):
    """Asks for a loss of its own and wants to know how far the training is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.heard: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * self.weight

    def aux_loss(self) -> Tensor:
        return 3 * self.weight

    def on_epoch(self, progress: float) -> None:
        self.heard.append(progress)


def test_what_blocks_add_is_trained_but_not_reported() -> None:
    gated = nn.Sequential(toy_network(dropout=0.0), Gate())
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.0, clip_norm=0.0)
    assert step_of(recipe, gated) == pytest.approx(step_of(recipe, toy_network(dropout=0.0)))
    assert gated[1].weight.item() == pytest.approx(2.0 - 0.1 * 3)
    both = extra_loss(nn.ModuleList([Gate(), nn.Sequential(Gate())]))
    assert isinstance(both, Tensor)
    assert both.item() == 12.0
    assert extra_loss(nn.Linear(1, 1)) == 0.0


def test_every_part_hears_of_the_epoch_once() -> None:
    gate, inner = Gate(), Gate()
    announce_epoch(nn.ModuleList([gate, nn.Sequential(inner), gate]), 0.5)
    assert gate.heard == inner.heard == [0.5]
    learner = Learner.of(nn.Sequential(Gate()), Recipe(average_decay=0.9))
    learner.begin_epoch(0.25)
    assert learner.evaluated is not learner.module
    assert learner.module[0].heard == learner.evaluated[0].heard == [0.25]  # type: ignore[index]


def test_accuracy_and_loss_do_not_depend_on_the_batch() -> None:
    inputs = torch.rand(50, 3, 6, 6, generator=generator(1))
    pieces = part(inputs, torch.arange(50) % 3)
    network = toy_network()
    whole, pieced = evaluate(network, pieces, 50), evaluate(network, pieces, 7)
    assert whole == pytest.approx(pieced, rel=1e-5)
    assert not network.training
    scores = network(pieces.batch(inputs)).detach()
    assert whole["accuracy"] == pytest.approx(float((scores.argmax(1) == pieces.labels).float().mean()))
    assert whole["loss"] == pytest.approx(float(F.cross_entropy(scores, pieces.labels)), rel=1e-5)
