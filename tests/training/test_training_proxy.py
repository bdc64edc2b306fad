"""What the core holds every proxy to, and the batch it hands out."""

from __future__ import annotations

import dataclasses
import math
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nas.errors import PluginError, TrialError
from nas.plugins import PluginManager, Registry, hookimpl
from nas.plugins.registry import default_registry
from nas.training import Proxy, ProxyBatch, open_task, proxy_batch

BATCH = ProxyBatch(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]), F.cross_entropy, seed=7)


def registry_of(*items: object) -> Registry:
    module = ModuleType("mine")
    module.nas_proxies = hookimpl(lambda: items)  # type: ignore[attr-defined]
    module.nas_proxies.__name__ = "nas_proxies"
    manager = PluginManager(strict=True)
    manager.register(module, "mine", "nas-mine", "1.2")
    return Registry(manager)


def test_proxies_are_a_kind_of_their_own() -> None:
    registry = registry_of(Proxy("mine", lambda module, batch: 1.0))
    assert "proxies" in Registry.KINDS
    assert list(registry.proxies) == ["mine"]
    assert registry.proxies.provider("nas-mine/mine").version == "1.2"


@pytest.mark.parametrize("item", [lambda module, batch: 1.0, "synflow", Proxy("two words", "math:floor")])
def test_what_is_no_proxy_is_refused(item: object) -> None:
    with pytest.raises(PluginError, match="nas_proxies returned a"):
        registry_of(item).proxies  # noqa: B018


def test_a_proxy_is_frozen_and_named() -> None:
    proxy = Proxy("mine", "math:floor")
    with pytest.raises(dataclasses.FrozenInstanceError):
        proxy.name = "other"  # type: ignore[misc]
    assert (proxy.sign, dataclasses.replace(proxy, higher_is_better=False).sign) == (1.0, -1.0)


def test_a_score_may_do_with_its_module_as_it_likes() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}

    def wild(given: nn.Module, batch: ProxyBatch) -> float:
        assert given.training
        given(batch.inputs).sum().backward()
        for parameter in given.parameters():
            parameter.data.zero_()
        return 1.0

    assert Proxy("wild", wild).value(module, BATCH) == 1.0
    assert not module.training
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_draws_start_at_the_seed_and_leave_no_trace() -> None:
    drawing = Proxy("drawing", lambda module, batch: float(torch.rand(())))
    state = torch.get_rng_state()
    one, two = (drawing.value(nn.Identity(), BATCH) for _ in range(2))
    other = drawing.value(nn.Identity(), dataclasses.replace(BATCH, seed=8))
    assert one == two != other
    assert torch.equal(state, torch.get_rng_state())


def test_autograd_is_as_asked() -> None:
    asked = lambda module, batch: float(torch.is_grad_enabled())  # noqa: E731
    assert Proxy("with", asked).value(nn.Identity(), BATCH) == 1.0
    assert Proxy("without", asked, needs_gradient=False).value(nn.Identity(), BATCH) == 0.0
    with torch.no_grad():
        assert Proxy("with", asked).value(nn.Identity(), BATCH) == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_an_error_of_one_line(value: float) -> None:
    with pytest.raises(TrialError, match="proxy 'odd': the score is"):
        Proxy("odd", lambda module, batch: value).value(nn.Identity(), BATCH)


def test_a_failure_is_an_error_of_one_line() -> None:
    def failing(module: nn.Module, batch: ProxyBatch) -> float:
        raise RuntimeError("first line\nsecond line")

    with pytest.raises(TrialError) as caught:
        Proxy("odd", failing).value(nn.Identity(), BATCH)
    assert str(caught.value) == "proxy 'odd': RuntimeError: first line second line"

    def refusing(module: nn.Module, batch: ProxyBatch) -> float:
        raise TrialError("there is nothing to score")

    with pytest.raises(TrialError, match="proxy 'odd': there is nothing to score"):
        Proxy("odd", refusing).value(nn.Identity(), BATCH)


def test_the_batch_is_what_training_would_see() -> None:
    data = open_task("digits", default_registry())
    batch = proxy_batch(data)
    assert batch.inputs.shape == (16, *data.input.shape)
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.is_contiguous()
    assert batch.targets.dtype == torch.int64
    whole = proxy_batch(data, 10**6).inputs
    assert len(whole) == len(data.train_labels)
    assert abs(float(whole.mean())) < 0.01
    assert float(whole.std()) == pytest.approx(1, abs=0.01)


def test_the_batch_is_that_of_its_seed() -> None:
    data = open_task("digits", default_registry())
    one, same, other = (proxy_batch(data, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.inputs, same.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert (one.seed, other.seed) == (0, 1)
    scores = torch.zeros(16, data.classes)
    assert float(one.loss(scores, one.targets)) == pytest.approx(math.log(10))
