"""The state of a learner as tensors, and what keeps trainings apart."""

from __future__ import annotations

import pytest
import torch
from training_toys import toy_network

from nas.training.isolation import epoch_seed, isolated
from nas.training.recipe import Learner, Recipe, train_step
from nas.training.state import fits, learner_tensors, restore_learner

CPU = torch.device("cpu")
RECIPES = [
    Recipe(),
    Recipe(average_decay=0.9),
    Recipe(optimizer="sgd"),
    Recipe(optimizer="sgd", momentum=0.0, clip_norm=0.0),
]


def learner(recipe: Recipe, seed: int = 0) -> Learner:
    return Learner.of(toy_network(seed, dropout=0.0).to(memory_format=torch.channels_last), recipe)


def train(trained: Learner, recipe: Recipe, steps: int) -> None:
    generator = torch.Generator().manual_seed(steps)
    for step in range(steps):
        train_step(trained, recipe, torch.randn(8, 3, 6, 6, generator=generator), torch.arange(8) % 3)
        if trained.average is not None:
            trained.average.update(step)


def equal(one: Learner, other: Learner) -> bool:
    first, second = learner_tensors(one), learner_tensors(other)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_restored_learner_goes_on_as_the_first_one(recipe: Recipe) -> None:
    first, second = learner(recipe), learner(recipe, seed=9)
    train(first, recipe, 5)
    restore_learner(second, {k: v.clone().contiguous() for k, v in learner_tensors(first).items()})
    assert equal(first, second)
    for trained in (first, second):
        train(trained, recipe, 4)
    assert equal(first, second)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_learner_that_has_not_begun_has_a_state(recipe: Recipe) -> None:
    first, second = learner(recipe), learner(recipe, seed=9)
    restore_learner(second, learner_tensors(first))
    assert equal(first, second)


def test_restored_memory_lies_as_its_parameter_does() -> None:
    recipe = Recipe()
    first, second = learner(recipe), learner(recipe)
    train(first, recipe, 1)
    restore_learner(second, {k: v.contiguous() for k, v in learner_tensors(first).items()})
    weight = second.module.conv.weight  # type: ignore[union-attr]
    assert second.optimizer.state[weight]["exp_avg"].stride() == weight.stride()


def test_what_fits_is_known_beforehand() -> None:
    trained = learner(Recipe(average_decay=0.9))
    tensors = learner_tensors(trained)
    assert fits(trained, tensors)
    assert not fits(trained, {k: v for k, v in tensors.items() if k != "module.linear.bias"})
    assert not fits(trained, {**tensors, "module.more": torch.zeros(1)})
    assert not fits(trained, {**tensors, "module.linear.bias": torch.zeros(4)})
    assert not fits(learner(Recipe()), tensors)
    assert not fits(trained, {})


def test_inside_random_numbers_start_at_the_seed_and_outside_they_go_on() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with isolated(1, 1, CPU):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(3), expected)
    with isolated(1, 1, CPU):
        assert torch.equal(torch.rand(2), inside)
    with isolated(2, 1, CPU):
        assert not torch.equal(torch.rand(2), inside)


def test_threads_are_put_back_even_after_an_error() -> None:
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError), isolated(0, 1, CPU):
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_each_epoch_of_each_trial_has_a_seed_of_its_own() -> None:
    seeds = {epoch_seed(seed, epoch) for seed in range(30) for epoch in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert epoch_seed(1, 11) == 251_292_508_456_185
