"""Every first-party proxy on networks of every first-party space, and what it must leave alone."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from proxy_cases import NAMES, PROXIES, batch_of, convolutional, states_equal
from torch import nn

from nas.blocks import build
from nas.plugins.registry import default_registry
from nas.spaces import Signature, load_space
from nas.training import ProxyBatch, open_task, proxy_batch, training_module

CASES = {"mobile": 5, "hybrid": 1, "cell": 2, "series": 3, "tiny": 0}


def network(space: str, seed: int) -> nn.Module:
    """A small network of a space, for 16x16 images or for series of 64."""
    registry = default_registry()
    found = load_space(space, registry).sample(np.random.default_rng(seed)).network
    assert found is not None
    signature = (
        Signature("series", 2, (64,)) if found.input.domain == "series" else Signature("image", 3, (16, 16))
    )
    return training_module(found, signature, 3, registry.blocks, seed=0)


def batch_for(space: str) -> ProxyBatch:
    return batch_of(8, 2, 64) if space == "series" else batch_of(8, 3, 16, 16)


def test_all_of_them_are_here() -> None:
    expected = {"synflow", "jacob_cov", "naswot", "grad_norm", "zen", "params", "macs", "ntk_condition"}
    assert set(NAMES) == expected
    assert all(PROXIES[name].description for name in NAMES)
    assert [name for name in NAMES if not PROXIES[name].source] == ["params", "macs"]
    assert [name for name in NAMES if not PROXIES[name].higher_is_better] == ["ntk_condition"]


def test_they_are_listed_without_torch() -> None:
    code = "import sys, nas_proxies; nas_proxies.nas_proxies(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("space", "seed"), CASES.items())
def test_every_space_is_scored(space: str, seed: int) -> None:
    module, batch = network(space, seed), batch_for(space)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    values = {name: PROXIES[name].value(module, batch) for name in NAMES}
    assert all(map(math.isfinite, values.values())), values
    again = {name: PROXIES[name].value(module, batch) for name in NAMES}
    assert values == again
    assert states_equal(before, module.state_dict())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())
    assert module.training


@pytest.mark.parametrize("name", NAMES)
def test_no_random_number_of_the_process_is_used(name: str) -> None:
    module, batch = convolutional(), batch_of(6, 3, 6, 6)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    threads = torch.get_num_threads()
    PROXIES[name].value(module, batch)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_module_makes_no_difference(name: str, training: bool) -> None:
    module, batch = convolutional(), batch_of(6, 3, 6, 6)
    expected = PROXIES[name].value(module, batch)
    module.train(training)
    assert PROXIES[name].value(module, batch) == expected
    assert module.training is training
    with torch.no_grad():
        assert PROXIES[name].value(module, batch) == expected


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_drawn_from_the_seed(name: str) -> None:
    module = nn.Sequential(convolutional(), nn.Dropout(0.5), nn.ReLU(), nn.Linear(3, 3))
    batch = batch_of(6, 3, 6, 6)
    assert PROXIES[name].value(module, batch) == PROXIES[name].value(module, batch)


def test_a_wider_network_has_more_of_what_grows_with_width() -> None:
    def conv(width: int) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(
                nn.Conv2d(3, width, 3),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(width * 16, 3),
            )

    batch = batch_of(8, 3, 6, 6)
    for name in ("synflow", "naswot", "zen", "params", "macs"):
        assert PROXIES[name].value(conv(32), batch) > PROXIES[name].value(conv(4), batch), name


def test_a_cell_that_lets_nothing_through_is_scored_too() -> None:
    registry = default_registry()
    space = load_space("cell", registry)
    data = open_task("digits:16", registry)
    rng = np.random.default_rng(5)
    low = math.log(sys.float_info.min)
    for _ in range(60):
        found = space.sample(rng).network
        assert found is not None
        module = build(found, registry.blocks, input=data.input, classes=data.classes, seed=0)
        if PROXIES["synflow"].value(module, proxy_batch(data, 4)) == low:
            break
    else:
        pytest.fail("no cell without a path")
    values = {name: PROXIES[name].value(module, proxy_batch(data, 4)) for name in NAMES}
    assert all(map(math.isfinite, values.values())), values
