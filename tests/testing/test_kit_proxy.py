"""The kit finds what is wrong with a proxy, and nothing where all is right."""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kit_failures import complaint, run_file
from torch import nn

from nas.errors import TrialError
from nas.testing import ProxyConformance
from nas.testing.networks import mute_networks, networks
from nas.testing.proxy import scores
from nas.training import Proxy, ProxyBatch

KIT = ProxyConformance()
COUNT = itertools.count()


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Broken proxies draw and set what they like; afterwards the process is as it was."""
    states = np.random.get_state(), random.getstate()
    threads, dtype, grad = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(states[0])
    random.setstate(states[1])
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)


def good(module: nn.Module, batch: ProxyBatch) -> float:
    """A noisy input through the network and back, changing the copy as it likes."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
    noise = torch.randn(batch.inputs.shape, generator=torch.Generator().manual_seed(batch.seed))
    module(batch.inputs + noise).sum().backward()
    return sum(float(p.grad.norm()) for p in module.parameters() if p.grad is not None)


def forward(module: nn.Module, batch: ProxyBatch) -> float:
    return float(module(batch.inputs).detach().norm())


def picky(module: nn.Module, batch: ProxyBatch) -> float:
    """Says of what it cannot score that it cannot."""
    if float(module(batch.inputs).detach().std(0).max()) < 1e-6:
        raise TrialError("every input has the same scores")
    return forward(module, batch)


def proxy(score: Callable[..., Any] | str, **fields: Any) -> Proxy:
    return Proxy("toy", score, "a proxy of these tests", **fields)


class Unprotected(Proxy):
    """Calls its score on the network itself, without the net of `Proxy.value`."""

    def value(self, module: nn.Module, batch: ProxyBatch) -> float:
        score: Any = self.score
        return float(score(module, batch))


def unprotected(score: Callable[..., Any]) -> Proxy:
    return Unprotected("toy", score, "a proxy of these tests")


# -- scores ------------------------------------------------------------------------------------------------


def not_a_number(module: nn.Module, batch: ProxyBatch) -> float:
    return math.nan


def sees_batch_norms(module: nn.Module, batch: ProxyBatch) -> float:
    """Has nothing to add up where there is no batch norm."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return forward(module, batch) / len(norms)


def sees_pictures(module: nn.Module, batch: ProxyBatch) -> float:
    _, channels, height, width = batch.inputs.shape
    return forward(module, batch) / (channels * height * width)


def sees_convolutions(module: nn.Module, batch: ProxyBatch) -> float:
    return max(
        float(m.weight.detach().norm()) for m in module.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)
    )


def of_a_seed(module: nn.Module, batch: ProxyBatch) -> float:
    return math.log(1 - batch.seed)


def backward(module: nn.Module, batch: ProxyBatch) -> float:
    module(batch.inputs).sum().backward()
    return 1.0


@pytest.mark.parametrize(
    ("broken", "message", "place"),
    [
        (proxy(not_a_number), "the score is nan", "convolutions"),
        (unprotected(not_a_number), "the score is nan, not a finite number", "convolutions"),
        (proxy(sees_batch_norms), "ZeroDivisionError", "attention"),
        (proxy(sees_pictures), "not enough values to unpack", "a series"),
        (proxy(sees_convolutions), "ValueError: max() ", "a vector, with dropout"),
        (proxy(of_a_seed), "math domain error", "convolutions"),
        (proxy(backward, needs_gradient=False), "does not require grad", "convolutions"),
    ],
)
def test_one_that_cannot_score_every_network_is_found(broken: Proxy, message: str, place: str) -> None:
    found = complaint(KIT.test_scores_every_network, broken)
    assert message in found
    assert found.endswith(f"found on: {place}")


def refusing(error: Exception) -> Callable[[nn.Module, ProxyBatch], float]:
    def score(module: nn.Module, batch: ProxyBatch) -> float:
        raise error

    return score


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (proxy(refusing(ValueError("no"))), "raises ValueError (no): raise TrialError with one sentence"),
        (proxy(not_a_number), "the score is nan, not a finite number: raise TrialError"),
        (proxy(refusing(TrialError("no\nnot this one"))), "more than one line"),
        (proxy(refusing(TrialError("no " * 200))), "at length"),
        (unprotected(refusing(ValueError("no"))), "raises ValueError, not TrialError"),
        (unprotected(not_a_number), "the score is nan, not a finite number"),
    ],
)
def test_a_poor_word_on_a_mute_network_is_found(broken: Proxy, message: str) -> None:
    assert message in complaint(KIT.test_says_in_one_line_what_it_cannot_score, broken)


def test_a_mute_network_may_have_no_score() -> None:
    refuses = proxy(refusing(TrialError("there is nothing to see")))
    KIT.test_says_in_one_line_what_it_cannot_score(refuses)
    assert "has no score: proxy 'toy': there is nothing" in complaint(KIT.test_scores_every_network, refuses)


# -- the same score ----------------------------------------------------------------------------------------


def counting(module: nn.Module, batch: ProxyBatch) -> float:
    return float(next(COUNT))


def of_the_last_network(module: nn.Module, batch: ProxyBatch) -> float:
    """Twice in one order the same, in another order not."""
    LAST.append(sum(p.numel() for p in module.parameters()))
    return float(LAST[-1] - LAST[-2]) if len(LAST) > 1 else 0.0


LAST: list[int] = []


def of_this_process(module: nn.Module, batch: ProxyBatch) -> float:
    return float(os.getpid())


def draws_from_numpy(module: nn.Module, batch: ProxyBatch) -> float:
    return float(np.random.rand())


def draws_from_python(module: nn.Module, batch: ProxyBatch) -> float:
    return random.random()


def seeds_numpy(module: nn.Module, batch: ProxyBatch) -> float:
    """The same each time, at the cost of everyone else."""
    np.random.seed(batch.seed)
    return float(np.random.rand())


def draws_from_torch(module: nn.Module, batch: ProxyBatch) -> float:
    return float(torch.rand(()))


def of_the_mode(module: nn.Module, batch: ProxyBatch) -> float:
    return 1.0 + module.training


@pytest.mark.parametrize("broken", [counting, of_the_last_network, draws_from_numpy, draws_from_python])
def test_another_score_the_second_time_is_found(broken: Callable[..., float]) -> None:
    LAST.clear()
    message = complaint(KIT.test_scores_the_same_twice, proxy(broken))
    assert "the second time the score is" in message or "in another order the score is" in message
    assert "found on: " in message


def test_a_score_that_depends_on_the_process_is_found() -> None:
    check = KIT.test_scores_the_same_in_a_fresh_process
    assert "in another process the score is" in complaint(check, proxy(of_this_process))


@pytest.mark.parametrize(
    ("broken", "generator"),
    [
        (proxy(draws_from_numpy), "numpy"),
        (proxy(draws_from_python), "random"),
        (proxy(seeds_numpy), "numpy"),
        (unprotected(draws_from_torch), "torch"),
    ],
)
def test_a_draw_from_a_global_generator_is_found(broken: Proxy, generator: str) -> None:
    message = complaint(KIT.test_no_global_randomness_is_touched, broken)
    assert f"scoring draws from the global random state of {generator}" in message


@pytest.mark.parametrize("broken", [proxy(draws_from_numpy), unprotected(draws_from_torch)])
def test_a_score_that_depends_on_the_state_of_a_generator_is_found(broken: Proxy) -> None:
    message = complaint(KIT.test_draws_depend_on_the_seed_alone, broken)
    assert "where the global random state is another one the score is" in message


def test_what_torch_draws_behind_the_seed_is_allowed() -> None:
    """`Proxy.value` starts its generator at the seed."""
    KIT.test_draws_depend_on_the_seed_alone(proxy(draws_from_torch))
    KIT.test_no_global_randomness_is_touched(proxy(draws_from_torch))


def test_a_score_that_depends_on_the_mode_is_found() -> None:
    message = complaint(KIT.test_scores_the_same_in_every_mode, unprotected(of_the_mode))
    assert "in eval mode the score is 1, not 2" in message


def test_a_score_that_adds_to_old_gradients_is_found() -> None:
    assert "gradients are there" in complaint(KIT.test_scores_the_same_in_every_mode, unprotected(adds_up))


def adds_up(module: nn.Module, batch: ProxyBatch) -> float:
    """Backward without zeroing first, and the mode of the module as it stands."""
    training = module.training
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module.train()(batch.inputs).sum().backward()
    module.train(training)
    return sum(float(p.grad.sum()) for p in module.parameters() if p.grad is not None)


# -- what it leaves alone ----------------------------------------------------------------------------------


def zeroes(module: nn.Module, batch: ProxyBatch) -> float:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    return 0.0


def evaluates(module: nn.Module, batch: ProxyBatch) -> float:
    return forward(module.eval(), batch)


def doubles_gradients(module: nn.Module, batch: ProxyBatch) -> float:
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(2)
    return 0.0


def hooks(module: nn.Module, batch: ProxyBatch) -> float:
    module.register_forward_hook(lambda *_: None)
    return 0.0


def freezes(module: nn.Module, batch: ProxyBatch) -> float:
    module.requires_grad_(False)
    return 0.0


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (zeroes, "changes 0.weight"),
        (forward, "running_mean"),
        (evaluates, "the mode of the whole"),
        (doubles_gradients, "the gradient of 0.weight"),
        (hooks, "the hooks of the whole"),
        (freezes, "requires_grad of 0.weight"),
    ],
)
def test_a_changed_module_is_found(broken: Callable[..., float], what: str) -> None:
    assert what in complaint(KIT.test_leaves_the_module_alone, unprotected(broken))
    KIT.test_leaves_the_module_alone(proxy(broken))  # of the copy it may change what it likes


def adds_noise(module: nn.Module, batch: ProxyBatch) -> float:
    batch.inputs.add_(1.0)
    return 0.0


def relabels(module: nn.Module, batch: ProxyBatch) -> float:
    batch.targets.zero_()
    return 0.0


def asks_for_gradients(module: nn.Module, batch: ProxyBatch) -> float:
    batch.inputs.requires_grad_()
    return 0.0


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (adds_noise, "changes the inputs"),
        (relabels, "changes the targets"),
        (asks_for_gradients, "now require a gradient"),
    ],
)
def test_a_changed_batch_is_found(broken: Callable[..., float], message: str) -> None:
    assert message in complaint(KIT.test_leaves_the_batch_alone, proxy(broken))


def in_doubles(module: nn.Module, batch: ProxyBatch) -> float:
    torch.set_default_dtype(torch.float64)
    return 0.0


def without_autograd(module: nn.Module, batch: ProxyBatch) -> float:
    torch.set_grad_enabled(False)
    return 0.0


def on_two_threads(module: nn.Module, batch: ProxyBatch) -> float:
    torch.set_num_threads(2)
    return 0.0


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (proxy(in_doubles), "the default type"),
        (unprotected(without_autograd), "autograd"),
        (unprotected(on_two_threads), "the number of threads"),
    ],
)
def test_a_changed_process_is_found(broken: Proxy, what: str) -> None:
    assert complaint(KIT.test_leaves_the_process_as_it_was, broken).startswith(f"changes {what} of the pro")
    assert torch.get_default_dtype() == torch.float32


# -- the rest ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Proxy("toy", good), "`description`"),
        (Proxy("toy", good, "one\ntwo"), "longer than one line"),
        (proxy("nas_nowhere:score"), "'nas_nowhere:score' cannot be imported"),
        (proxy("math:nothing"), "'math:nothing' cannot be imported"),
        (proxy("math:pi"), "'math:pi' cannot be called"),
    ],
)
def test_one_that_is_not_described_is_found(broken: Proxy, message: str) -> None:
    assert message in complaint(KIT.test_is_described, broken)


def test_the_networks_are_different_ones_and_always_the_same() -> None:
    examples = [*networks(), *mute_networks()]
    assert len({example.name for example in examples}) == len(examples)
    for example in examples:
        first, second = (dict(example.module().named_parameters()) for _ in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert example.module()(example.batch().inputs).shape == (8, 3)
    assert len(set(scores(proxy(forward)).values())) == len(networks())


def test_building_them_draws_nothing() -> None:
    before = torch.random.get_rng_state()
    scores(proxy(forward))
    assert torch.equal(before, torch.random.get_rng_state())


USE = """
import pytest
from nas.testing import ProxyConformance
from test_kit_proxy import {score}, proxy

class TestIt(ProxyConformance):
    @pytest.fixture
    def proxy(self):
        return proxy({score}, needs_gradient={gradient})
"""


@pytest.mark.parametrize(("score", "gradient"), [("good", True), ("picky", False)])
def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, score: str, gradient: bool) -> None:
    outcome = run_file(tmp_path, USE.format(score=score, gradient=gradient))
    assert outcome.failed == {}
    assert outcome.skipped == set()
    assert len(outcome.passed) == 11


def test_one_without_its_fixture_says_so(tmp_path: Path) -> None:
    source = "from nas.testing import ProxyConformance\n\nclass TestIt(ProxyConformance):\n    pass\n"
    outcome = run_file(tmp_path, source, "-k", "described")
    assert outcome.failed
    assert "give the proxy to test by a fixture named 'proxy'" in "".join(outcome.failed.values())
