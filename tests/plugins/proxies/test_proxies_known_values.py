"""Every first-party proxy against a value worked out by hand."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from proxy_cases import PROXIES, batch_of, convolutional, linear
from torch import Tensor, nn
from torch.nn import functional as F

from nas.errors import TrialError
from nas.training import ProxyBatch
from nas_proxies.jacob_cov import correlation
from nas_proxies.ntk_condition import pseudo_ntk, settle
from nas_proxies.zen import EPSILON, last_map


def value(name: str, module: nn.Module, batch: ProxyBatch) -> float:
    return PROXIES[name].value(module, batch)


# -- synflow -----------------------------------------------------------------------------------------------


def test_synflow_of_two_linear_layers() -> None:
    """R = 1·(|W2| |W1| 1) = 1·3 + 3·7 + ... ; each of the two layers carries all of it."""
    module = nn.Sequential(linear([1.0, -2.0], [-3.0, 4.0]), nn.ReLU(), linear([-1.0, 3.0]))
    assert value("synflow", module, batch_of(4, 2)) == pytest.approx(math.log(2 * (1 * 3 + 3 * 7)))


def test_synflow_counts_weights_and_no_biases() -> None:
    """With a bias of 5 the flow is 2·3 + 5, and the weights carry 2·3 of it."""
    module = linear([-2.0, 4.0], bias=[-5.0])
    assert value("synflow", module, batch_of(4, 2)) == pytest.approx(math.log(6.0))


def test_synflow_leaves_norms_out() -> None:
    with_norm, without = convolutional(norm=True), convolutional(norm=False)
    batch = batch_of(4, 3, 6, 6)
    assert value("synflow", with_norm, batch) == pytest.approx(value("synflow", without, batch))


def test_synflow_does_not_look_at_the_data() -> None:
    module = convolutional()
    one, other = (value("synflow", module, batch_of(4, 3, 6, 6, seed=seed)) for seed in (0, 1))
    assert one == other


@pytest.mark.parametrize("depth", [50, 150])
def test_synflow_of_a_deep_network_is_finite(depth: int) -> None:
    """Each layer makes 20 of 1: beyond a float of 32 bits after 30 of them."""
    layers = [linear([1e1, 1e1], [1e1, 1e1]) for _ in range(depth)]
    expected = math.log(depth) + math.log(2) + depth * math.log(20)
    assert value("synflow", nn.Sequential(*layers), batch_of(4, 2)) == pytest.approx(expected)


def test_synflow_says_that_a_network_is_too_deep() -> None:
    layers = [linear([1e30, 1e30], [1e30, 1e30]) for _ in range(20)]
    with pytest.raises(TrialError, match="'synflow': the flow is beyond what a double can hold"):
        value("synflow", nn.Sequential(*layers), batch_of(4, 2))


class Squares(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(linear([9.0, 9.0], [9.0, 9.0]) for _ in range(30))
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
            x = {"square": torch.square, "power": lambda v: v**2, "product": lambda v: v * v}[self.how](x)
        return x


@pytest.mark.parametrize("how", ["square", "power", "product"])
def test_squares_count_as_linear_in_the_flow(how: str) -> None:
    """Thirty squarings would be 18^(2^30); as linear maps the flow is that of the layers."""
    chain = nn.Sequential(*(linear([9.0, 9.0], [9.0, 9.0]) for _ in range(30)))
    expected = value("synflow", chain, batch_of(4, 2))
    # A square also counts twice in the derivative of each layer in front of it.
    found = value("synflow", Squares(how), batch_of(4, 2))
    assert math.isfinite(found)
    assert found >= expected


def test_synflow_of_a_network_that_lets_nothing_through() -> None:
    module = nn.Sequential(linear([0.0, 0.0]), linear([1.0]))
    assert value("synflow", module, batch_of(4, 2)) == math.log(sys.float_info.min)


# -- naswot ------------------------------------------------------------------------------------------------


def test_naswot_of_two_samples() -> None:
    """Codes 110 and 101 agree in one unit of three: det [[3, 1], [1, 3]] = 8."""
    module = nn.Sequential(linear([1.0, 0.0], [0.0, 1.0], [0.0, -1.0]), nn.ReLU())
    batch = ProxyBatch(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), torch.tensor([0, 1]), F.cross_entropy)
    assert value("naswot", module, batch) == pytest.approx(math.log(8))


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(inplace=True),
        nn.GELU(),
        nn.SiLU(),
        nn.ReLU6(),
        nn.Hardswish(),
        nn.PReLU(),
        nn.LeakyReLU(),
        nn.Tanh(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_naswot_reads_every_activation(activation: nn.Module) -> None:
    module = nn.Sequential(linear([1.0, 0.0], [0.0, 1.0], [0.0, -1.0]), activation)
    batch = ProxyBatch(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), torch.tensor([0, 1]), F.cross_entropy)
    assert value("naswot", module, batch) == pytest.approx(math.log(8))


def test_naswot_reads_an_activation_that_is_no_module() -> None:
    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x).square()

    inputs = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, 1.0]])
    batch = ProxyBatch(inputs, torch.tensor([0, 1]), F.cross_entropy)
    assert value("naswot", Functional(), batch) == pytest.approx(math.log(8))


def test_naswot_does_not_see_positive_scales() -> None:
    module, batch = convolutional(norm=False), batch_of(6, 3, 6, 6)
    before = value("naswot", module, batch)
    with torch.no_grad():
        for parameter in module[3].parameters():
            parameter.mul_(7.0)
    assert value("naswot", module, batch) == pytest.approx(before, rel=1e-3)
    stretched = ProxyBatch(4 * batch.inputs, batch.targets, batch.loss)
    unbiased = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.ReLU())
    assert value("naswot", unbiased, stretched) == value("naswot", unbiased, batch)


def test_naswot_of_equal_samples_is_low_and_finite() -> None:
    batch = batch_of(4, 3, 6, 6)
    equal = ProxyBatch(batch.inputs[:1].expand(4, -1, -1, -1).contiguous(), batch.targets, batch.loss)
    assert value("naswot", convolutional(), equal) < value("naswot", convolutional(), batch) - 20


def test_naswot_needs_an_activation() -> None:
    with pytest.raises(TrialError, match="no activation"):
        value("naswot", linear([1.0, 2.0]), batch_of(4, 2))


# -- gradients ---------------------------------------------------------------------------------------------


def test_grad_norm_of_a_linear_network() -> None:
    """For a mean of w·x the gradient is the mean of x: (2, 3) has the norm √13."""
    batch = ProxyBatch(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(2), lambda y, t: y.mean())
    assert value("grad_norm", linear([0.5, -0.5]), batch) == pytest.approx(math.sqrt(13))


def test_grad_norm_needs_parameters() -> None:
    with pytest.raises(TrialError, match="'grad_norm'"):
        value("grad_norm", nn.Identity(), batch_of(4, 3))


def test_jacob_cov_of_a_linear_network_is_that_of_one_direction() -> None:
    """Every sample has the same gradient: eigenvalues N and N - 1 zeros."""
    n, k = 4, 1e-5
    expected = -(math.log(n + k) + 1 / (n + k)) - (n - 1) * (math.log(k) + 1 / k)
    found = value("jacob_cov", linear([1.0, -2.0, 4.0], [1.0, 1.0, 0.0]), batch_of(n, 3))
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_correlation_is_numpys() -> None:
    rows = batch_of(5, 40).inputs.double()
    assert np.allclose(correlation(rows).numpy(), np.corrcoef(rows.numpy()))
    assert torch.equal(correlation(torch.ones(3, 4).double()), torch.zeros(3, 3).double())


def test_jacob_cov_falls_where_samples_are_alike() -> None:
    batch, module = batch_of(6, 3, 6, 6), convolutional(norm=False)
    alike = ProxyBatch(batch.inputs[:1] + 1e-3 * batch.inputs, batch.targets, batch.loss)
    assert value("jacob_cov", module, alike) < value("jacob_cov", module, batch)


def test_the_kernel_of_a_linear_network() -> None:
    """f = w·x: the kernel is x·y, with a bias x·y + 1; two outputs share the factor 1/2 · 2."""
    inputs = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    expected = inputs.double() @ inputs.double().T
    assert torch.allclose(pseudo_ntk(linear([0.3, 0.4]), inputs), expected)
    assert torch.allclose(pseudo_ntk(linear([0.3, 0.4], bias=[1.0]), inputs), expected + 1)
    assert torch.allclose(pseudo_ntk(linear([0.3, 0.4], [1.0, 2.0]), inputs), expected)


def test_the_condition_of_orthogonal_samples() -> None:
    batch = ProxyBatch(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]), F.cross_entropy)
    assert value("ntk_condition", linear([0.1, 0.2]), batch) == pytest.approx(math.log(9))


def test_a_singular_kernel_counts_as_the_largest_condition() -> None:
    batch = ProxyBatch(torch.ones(3, 2), torch.tensor([0, 1, 2]), F.cross_entropy)
    assert value("ntk_condition", linear([0.1, 0.2]), batch) == pytest.approx(math.log(1e12))


def test_a_kernel_looks_at_each_sample_alone() -> None:
    """In eval mode, with the statistics of the batch: a row does not change with its neighbours."""
    batch = batch_of(5, 3, 6, 6)
    module = convolutional()
    settle(module, batch.inputs)
    whole, part = pseudo_ntk(module, batch.inputs), pseudo_ntk(module, batch.inputs[:3])
    assert torch.allclose(whole[:3, :3], part)
    norm = module[1]
    assert isinstance(norm, nn.BatchNorm2d)
    convolved = module[0](batch.inputs)
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, convolved.mean((0, 2, 3)), atol=1e-6)


def test_the_kernel_nears_the_whole_one_with_width() -> None:
    """The relative error of pNTK ⊗ I against the exact kernel falls with it (arXiv:2206.12543)."""
    inputs = batch_of(6, 8).inputs
    assert kernel_error(512, inputs) < 0.5 * kernel_error(32, inputs)


def kernel_error(width: int, inputs: Tensor, outputs: int = 4) -> float:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, outputs))
    rows = [
        torch.cat(
            [g.flatten() for g in torch.autograd.grad(module(x[None])[0, o], list(module.parameters()))]
        )
        for x in inputs
        for o in range(outputs)
    ]
    exact = torch.stack(rows).double() @ torch.stack(rows).double().T
    found = torch.kron(pseudo_ntk(module, inputs), torch.eye(outputs, dtype=torch.float64))
    return float((found - exact).norm() / exact.norm())


# -- zen and size ------------------------------------------------------------------------------------------


def test_zen_of_a_linear_network() -> None:
    """f(x + 0.01 e) - f(x) = 0.01 w·e, with the weights and the noise that the seed draws."""
    generator = torch.Generator().manual_seed(0)
    w = torch.empty(2, 3).normal_(generator=generator)
    _, e = (torch.randn(4, 3, generator=generator) for _ in range(2))
    expected = math.log((0.01 * e @ w.T).abs().sum(1).mean())
    assert value("zen", nn.Linear(3, 2), batch_of(4, 3)) == pytest.approx(expected, rel=1e-3)


def test_zen_counts_what_norms_divide_by() -> None:
    """The norm takes a scale out of the map, and its sigma puts it back: ×50 in front of it adds log 50."""

    class Scaled(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.conv, self.norm, self.scale = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), scale

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.scale * self.conv(x))  # type: ignore[no-any-return]

    small, large = (value("zen", Scaled(scale), batch_of(4, 3, 8, 8)) for scale in (1.0, 50.0))
    assert large - small == pytest.approx(math.log(50), abs=10 * EPSILON)


def test_the_last_map_is_that_before_the_pooling() -> None:
    module, inputs = convolutional(), batch_of(4, 3, 6, 6).inputs
    found = last_map(module, inputs)
    assert found.shape == (4, 8, 6, 6)
    assert last_map(linear([1.0, 1.0]), torch.ones(2, 2)).shape == (2, 1)


def test_zen_of_a_network_without_norms_outgrows_a_float() -> None:
    deep = nn.Sequential(*(layer for _ in range(60) for layer in (nn.Linear(100, 100), nn.ReLU())))
    assert 50 < value("zen", deep, batch_of(2, 100)) < 200


def test_zen_of_a_network_that_is_cut_off() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0 * x

    assert value("zen", Constant(), batch_of(2, 3)) == pytest.approx(math.log(sys.float_info.min))


def test_the_baselines_count() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Flatten(), nn.Linear(8 * 16, 2))
    batch = batch_of(4, 3, 6, 6)
    assert value("params", module, batch) == 3 * 8 * 9 + 8 * 16 * 2 + 2
    assert value("macs", module, batch) == 3 * 8 * 9 * 16 + 8 * 16 * 2
