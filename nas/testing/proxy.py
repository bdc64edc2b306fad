"""What every zero-cost proxy promises."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas._lazy import resolve
from nas.errors import TrialError
from nas.plugins import default_registry
from nas.testing.fresh import in_fresh_process
from nas.testing.modules import no_random_numbers, one_thread, told
from nas.testing.networks import Example, mute_networks, networks
from nas.training.proxy import Proxy

SEED, OTHER_SEED = 0, 1
ROUNDING = 1e-6
"""Scores of equal networks may differ by this share."""
LONGEST_LINE = 400
REFUSED = "not a finite number"
"""How `Proxy.value` speaks of a score that is none."""


class ProxyConformance:
    """Tests of one zero-cost proxy; a subclass gives it by the fixture `proxy`, a registered name or a
    `Proxy`.

    >>> class TestNaswot(ProxyConformance):
    ...     @pytest.fixture
    ...     def proxy(self):
    ...         return "naswot"
    """

    @pytest.fixture
    def proxy(self) -> str | Proxy:
        """The proxy to test."""
        raise NotImplementedError("give the proxy to test by a fixture named 'proxy'")

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """Torch on one thread."""
        with one_thread():
            yield

    @pytest.fixture
    def offered(self, proxy: str | Proxy) -> Proxy:
        """The proxy itself."""
        return found_proxy(proxy)

    def test_is_described(self, offered: Proxy) -> None:
        """A user can find out what it is, and its score is there."""
        assert offered.description.strip(), "give the Proxy a `description` of one line"
        assert "\n" not in offered.description.strip(), "its `description` is longer than one line"
        try:
            score: Any = resolve(offered.score) if isinstance(offered.score, str) else offered.score
        except Exception as error:
            raise AssertionError(f"its score {offered.score!r} cannot be imported: {error}") from error
        assert callable(score), f"its score {offered.score!r} cannot be called"

    def test_scores_every_network(self, offered: Proxy) -> None:
        """Convolutions, depthwise ones, attention, with norms and without: each has a finite score."""
        for example in networks():
            for seed in (SEED, OTHER_SEED):
                with told(example.name):
                    score = scored(offered, example, seed)
                    assert math.isfinite(score), f"the score is {score}, {REFUSED}"

    def test_says_in_one_line_what_it_cannot_score(self, offered: Proxy) -> None:
        """Without an activation, or where nothing passes: a finite score, or a TrialError of one sentence."""
        for example in mute_networks():
            with told(example.name):
                try:
                    score = offered.value(example.module(), example.batch())
                except TrialError as error:
                    check_refusal(error)
                except Exception as error:
                    raise AssertionError(f"raises {type(error).__name__}, not TrialError") from error
                else:
                    assert math.isfinite(score), f"the score is {score}, {REFUSED}"

    def test_scores_the_same_twice(self, offered: Proxy) -> None:
        """Equal networks score the same, in whatever order: nothing is remembered."""
        once = scores(offered)
        check_same(scores(offered), once, "the second time")
        check_same(scores(offered, backwards=True), once, "in another order")

    def test_scores_the_same_in_a_fresh_process(self, proxy: str | Proxy) -> None:
        """A score that the store keeps is that of every process."""
        check_same(in_fresh_process(scores, proxy), scores(proxy), "in another process")

    def test_draws_depend_on_the_seed_alone(self, offered: Proxy) -> None:
        """What it draws starts at `batch.seed`, wherever the generators of the process stand."""
        once = scores(offered)
        for seed in (1, 2):
            with random_states_from(seed):
                found = scores(offered)
            check_same(found, once, "where the global random state is another one")

    def test_no_global_randomness_is_touched(self, offered: Proxy) -> None:
        """It leaves the generators of torch, numpy and Python where they were."""
        for example in networks():
            with told(example.name), no_random_numbers("scoring"):
                scored(offered, example)

    def test_scores_the_same_in_every_mode(self, offered: Proxy) -> None:
        """Training or eval mode, with or without autograd, gradients there or not: the same score."""
        for example in networks():
            with told(example.name):
                expected = scored(offered, example)
                modules = {
                    "in eval mode": example.module().eval(),
                    "where gradients are there": _with_gradients(example.module()),
                }
                for where, module in modules.items():
                    check_equal(_value(offered, module, example), expected, where)
                with torch.no_grad():
                    found = scored(offered, example)
                check_equal(found, expected, "with autograd switched off")

    def test_leaves_the_module_alone(self, offered: Proxy) -> None:
        """Weights, statistics, modes and gradients are afterwards what they were."""
        for example in networks():
            for module in (_with_gradients(example.module()), example.module().eval()):
                with told(example.name):
                    before = snapshot(module)
                    _value(offered, module, example)
                    after = snapshot(module)
                    changed = [name for name in {**before, **after} if not _equal(before, after, name)]
                    assert not changed, f"changes {', '.join(changed[:4])} of the network"

    def test_leaves_the_batch_alone(self, offered: Proxy) -> None:
        """One batch serves every network and every proxy."""
        for example in networks():
            with told(example.name):
                batch, fresh = example.batch(), example.batch()
                _value(offered, example.module(), example, batch)
                assert torch.equal(batch.inputs, fresh.inputs), "changes the inputs of the batch: clone them"
                assert torch.equal(batch.targets, fresh.targets), "changes the targets of the batch"
                assert not batch.inputs.requires_grad, "the inputs now require a gradient: clone them first"

    def test_leaves_the_process_as_it_was(self, offered: Proxy) -> None:
        """Autograd, threads and the default type are other people's too."""
        for example in networks():
            with told(example.name):
                before = process_state()
                try:
                    scored(offered, example)
                    after = process_state()
                finally:
                    torch.set_default_dtype(before["the default type"])
                changed = [name for name in before if before[name] != after[name]]
                assert not changed, f"changes {' and '.join(changed)} of the process"


def found_proxy(proxy: str | Proxy) -> Proxy:
    """The proxy of a registered name, or the proxy itself."""
    return default_registry().proxies[proxy] if isinstance(proxy, str) else proxy


def scored(proxy: Proxy, example: Example, seed: int = SEED) -> float:
    """The score of a network, with a plain message where it has none."""
    return _value(proxy, example.module(), example, example.batch(seed))


def _value(proxy: Proxy, module: nn.Module, example: Example, batch: Any = None) -> float:
    try:
        return proxy.value(module, batch or example.batch())
    except TrialError as error:
        raise AssertionError(f"has no score: {error}") from error


def scores(proxy: str | Proxy, backwards: bool = False) -> dict[str, float]:
    """The scores of all networks by their names."""
    found = found_proxy(proxy)
    examples = networks()[::-1] if backwards else networks()
    answers = {}
    for example in examples:
        with told(example.name):
            answers[example.name] = scored(found, example)
    return answers


def check_same(found: dict[str, float], expected: dict[str, float], when: str) -> None:
    """Fails where the scores of a network differ by more than rounding."""
    for name, value in expected.items():
        with told(name):
            check_equal(found[name], value, when)


def check_equal(found: float, expected: float, when: str) -> None:
    """Fails where two scores differ by more than rounding."""
    assert math.isclose(found, expected, rel_tol=ROUNDING, abs_tol=ROUNDING), (
        f"{when} the score is {found:.9g}, not {expected:.9g}"
    )


def check_refusal(error: TrialError) -> None:
    """Fails where what a proxy says of a network is no sentence of its own."""
    cause = error.__cause__
    assert cause is None, f"raises {type(cause).__name__} ({cause}): raise TrialError with one sentence"
    message = str(error)
    assert REFUSED not in message, f"{message}: raise TrialError with one sentence"
    assert "\n" not in message.strip(), "says it in more than one line"
    assert len(message) <= LONGEST_LINE, "says it at length"


@contextmanager
def random_states_from(seed: int) -> Iterator[None]:
    """Inside, the generators of torch, numpy and Python start at `seed`; behind it they are as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


def snapshot(module: nn.Module) -> dict[str, Any]:
    """All that a score could change of a module, by a name for each."""
    found: dict[str, Any] = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        gradient = parameter.grad
        found[f"the gradient of {name}"] = None if gradient is None else gradient.clone()
        found[f"requires_grad of {name}"] = parameter.requires_grad
    for name, part in module.named_modules():
        found[f"the mode of {name or 'the whole'}"] = part.training
        found[f"the hooks of {name or 'the whole'}"] = len(part._forward_hooks) + len(part._forward_pre_hooks)
    return found


def process_state() -> dict[str, Any]:
    """Settings of torch that hold for the whole process."""
    return {
        "autograd": torch.is_grad_enabled(),
        "the number of threads": torch.get_num_threads(),
        "the default type": torch.get_default_dtype(),
    }


def _with_gradients(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    return module


def _equal(before: dict[str, Any], after: dict[str, Any], name: str) -> bool:
    old, new = before.get(name), after.get(name)
    if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor):
        return old.dtype == new.dtype and torch.equal(old, new)
    return type(old) is type(new) and bool(old == new)
