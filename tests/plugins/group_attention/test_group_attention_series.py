"""Group attention and the blocks for time series: what they compute, how groups are found and merged."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.costs.trace import trace
from nas.plugins.registry import default_registry
from nas.spaces.signature import Signature
from nas_group_attention.group_attention import (
    GroupAttention,
    Groups,
    error_factor,
    group_attention,
    group_keys,
    groups_needed,
)
from nas_group_attention.series import SeriesBlock, SeriesMlp, SeriesNorm, SeriesPoolLinear, SeriesStem, waves
from nas_group_attention.series_costs import attention_macs, group_attention_macs
from nas_group_attention.series_mixers import FullAttention, TemporalConv

BLOCKS = default_registry().blocks
SERIES = Signature("series", 16, (40,))

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def indices(found: Groups) -> Tensor:
    assert (found.members.sum(-1) == 1).all(), "every key is in exactly one group"
    assert torch.equal(found.members.sum(-2), found.counts.double())
    return found.members.argmax(-1)


# --- the formula ---


def naive_group_attention(q: Tensor, k: Tensor, v: Tensor, index: Tensor) -> Tensor:
    """One head: A_ij = exp(q_i r_j) / sum_m c_m exp(q_i r_m), O_i = sum_j A_ij (sum of the values of j)."""
    out = torch.zeros_like(q)
    used = sorted(set(index.tolist()))
    for i in range(len(q)):
        weights, total = {}, 0.0
        for j in used:
            own = [n for n in range(len(k)) if index[n] == j]
            mean = sum(k[n] for n in own) / len(own)
            weights[j] = math.exp(float(q[i] @ mean) / math.sqrt(q.shape[1]))
            total += len(own) * weights[j]
        for n in range(len(k)):
            out[i] += weights[int(index[n])] / total * v[n]
    return out


@pytest.mark.parametrize("groups", [1, 3, 8])
def test_attention_to_groups_is_its_formula(groups: int) -> None:
    q, k, v = normal(2, 3, 12, 4), normal(2, 3, 12, 4), normal(2, 3, 12, 4)
    found = group_keys(k, groups)
    y, index = group_attention(q, k, v, found), indices(found)
    for sample in range(2):
        for head in range(3):
            place = sample, head
            expected = naive_group_attention(q[place], k[place], v[place], index[place])
            assert (y[place] - expected).abs().max() < 1e-10


def test_the_mixer_groups_the_keys_of_each_head() -> None:
    module = GroupAttention(SERIES, groups=5, head_dim=8).double().eval()
    for part in (module.qkv, module.project):
        nn.init.normal_(part.weight, std=0.4)
    x = normal(2, *SERIES.shape)
    with torch.no_grad():
        parts = torch.einsum("ncl,oc->nol", x, module.qkv.weight[:, :, 0]).reshape(2, 3, 2, 8, 40)
        q, k, v = parts.transpose(-1, -2).unbind(1)
        index = indices(group_keys(k, 5, 2))
        heads = [
            [naive_group_attention(q[n, h], k[n, h], v[n, h], index[n, h]).T for h in (0, 1)] for n in (0, 1)
        ]
        mixed = torch.stack([torch.cat(each) for each in heads])
        expected = torch.einsum("ncl,oc->nol", mixed, module.project.weight[:, :, 0])
        assert (module(x) - expected).abs().max() < 1e-10


@pytest.mark.parametrize("groups", [40, 64])
@pytest.mark.parametrize("training", [True, False])
def test_a_group_for_every_position_is_softmax_attention(groups: int, training: bool) -> None:
    module = GroupAttention(SERIES, groups=groups, head_dim=8).double().train(training)
    plain = FullAttention(SERIES, head_dim=8).double()
    plain.load_state_dict(module.state_dict(), strict=False)
    x = normal(2, *SERIES.shape)
    assert (module(x) - plain(x)).abs().max() < 1e-12


def test_as_many_groups_as_keys_is_exact_by_grouping_too() -> None:
    q, k, v = normal(2, 30, 4), normal(2, 30, 4), normal(2, 30, 4)
    found = group_keys(k, 30)
    assert (found.counts == 1).all()
    assert (group_attention(q, k, v, found) - F.scaled_dot_product_attention(q, k, v)).abs().max() < 1e-12


def placed(values: int, order: str) -> Tensor:
    """Which of so many values stands at each of 60 positions."""
    if order == "blocks":
        return torch.arange(60) * values // 60
    if order == "periodic":
        return torch.arange(60) % values
    shares = torch.full((values,), 1.0) if order == "random" else 4.0 ** -torch.arange(values)
    drawn = torch.multinomial(shares, 60, replacement=True)
    drawn[:values] = torch.arange(values)
    return drawn[torch.randperm(60)]


@pytest.mark.parametrize("order", ["blocks", "periodic", "random", "skewed"])
@pytest.mark.parametrize("values", [1, 2, 7, 12])
def test_it_is_exact_where_keys_are_equal(values: int, order: str) -> None:
    """Whatever the order and however rare a value is, equal keys make a group of their own."""
    q, v = normal(4, 60, 4), normal(4, 60, 4)
    k = normal(4, values, 4)[:, placed(values, order)]
    found = group_keys(k, 12)
    assert (group_attention(q, k, v, found) - F.scaled_dot_product_attention(q, k, v)).abs().max() < 1e-10
    assert (error_factor(q, k, found) - 1).abs().max() < 1e-10


def test_it_is_exact_in_single_precision_too() -> None:
    q, v = torch.randn(4, 60, 4), torch.randn(4, 60, 4)
    k = torch.randn(4, 12, 4)[:, placed(12, "random")]
    y = group_attention(q, k, v, group_keys(k, 12))
    assert (y - F.scaled_dot_product_attention(q, k, v)).abs().max() < 1e-5


# --- k-means ---


def naive_k_means(keys: Tensor, index: Tensor, groups: int) -> Tensor:
    """One iteration for one head: the nearest mean of the groups that are not empty."""
    centres = {j: keys[index == j].mean(0) for j in range(groups) if (index == j).any()}
    nearest = [min(centres, key=lambda j: float((key - centres[j]).norm())) for key in keys]
    return torch.tensor(nearest)


def test_an_iteration_is_that_of_k_means() -> None:
    k = normal(3, 25, 4)
    for iterations in range(4):
        before, after = (indices(group_keys(k, 6, number)) for number in (iterations, iterations + 1))
        for head in range(3):
            assert torch.equal(after[head], naive_k_means(k[head], before[head], 6))


def test_iterations_bring_keys_nearer_to_their_means() -> None:
    k = normal(3, 50, 4)
    spreads = []
    for iterations in range(6):
        found = group_keys(k, 8, iterations)
        spreads.append(float((k - found.members @ found.means(k)).square().sum()))
    assert all(later <= before + 1e-9 for before, later in pairwise(spreads))
    assert spreads[-1] < 0.9 * spreads[0]


def test_slices_are_of_equal_size_and_ties_stay_together() -> None:
    found = group_keys(normal(2, 48, 4), 8, 0)
    assert (found.counts == 6).all()
    doubled = normal(2, 24, 4).repeat(1, 2, 1)
    index = indices(group_keys(doubled, 8, 0))
    assert torch.equal(index[:, :24], index[:, 24:])


def test_grouping_is_of_each_head_alone_and_draws_nothing() -> None:
    k = normal(5, 40, 4)
    before = torch.get_rng_state()
    together = indices(group_keys(k, 6))
    for number in range(5):
        assert torch.equal(indices(group_keys(k[number : number + 1], 6))[0], together[number])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_of_the_positions_does_not_matter() -> None:
    module = GroupAttention(SERIES, groups=6, head_dim=8).double().eval()
    x, order = normal(2, *SERIES.shape), torch.randperm(40)
    with torch.no_grad():
        assert (module(x[..., order]) - module(x)[..., order]).abs().max() < 1e-10


def test_gradients_pass_through_the_means_as_finite_differences_say() -> None:
    q, k, v = (normal(10, 3).requires_grad_() for _ in range(3))
    found = group_keys(k, 3)
    assert torch.autograd.gradcheck(lambda *x: group_attention(*x, found), (q, k, v))


# --- the bound ---


def weights_of(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)


@pytest.mark.parametrize("scale", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("groups", [2, 8, 24])
def test_the_error_stays_below_its_bound(groups: int, scale: float) -> None:
    q, k, v = scale * normal(6, 48, 8), scale * normal(6, 48, 8), normal(6, 48, 8)
    found = group_keys(k, groups)
    factor = error_factor(q, k, found)
    ratio = weights_of(q, found.members @ found.means(k)) / weights_of(q, k)
    assert (torch.maximum(ratio, 1 / ratio).flatten(1).amax(1) <= factor).all()
    off = (group_attention(q, k, v, found) - F.scaled_dot_product_attention(q, k, v)).norm(dim=-1)
    assert (off.amax(1) > 1e-6).all()
    assert (off.amax(1) <= (factor - 1) * v.norm(dim=-1).amax(1)).all()


def test_the_factor_is_its_formula() -> None:
    q, k = normal(9, 4), normal(9, 4)
    found = group_keys(k, 3)
    index, means = indices(found), found.means(k)
    spread = max(float((k[n] - means[index[n]]).norm()) for n in range(9))
    expected = math.exp(2 * max(float(each.norm()) for each in q) * spread / 2)
    assert float(error_factor(q, k, found)) == pytest.approx(expected, rel=1e-12)


def test_more_groups_are_nearer_to_attention() -> None:
    q, k, v = normal(8, 64, 8), normal(8, 64, 8), normal(8, 64, 8)
    exact = F.scaled_dot_product_attention(q, k, v)
    errors = [float((group_attention(q, k, v, group_keys(k, n)) - exact).norm()) for n in (2, 8, 32, 56)]
    assert all(later < before for before, later in pairwise(errors))


# --- costs ---


@pytest.mark.parametrize("iterations", [1, 3])
def test_work_is_linear_in_the_length(iterations: int) -> None:
    found = []
    for length in (64, 128, 192, 256):
        signature = Signature("series", 16, (length,))
        module = GroupAttention(signature, groups=8, head_dim=8, iterations=iterations)
        found.append(trace(module, signature.shape).macs)
        assert found[-1] == group_attention_macs(signature, None, 1, groups=8, iterations=iterations)
    steps = [later - before for before, later in pairwise(found)]
    assert len(set(steps)) == 1
    assert found[0] == steps[0]


def test_plain_attention_is_quadratic_and_soon_dearer() -> None:
    signature = Signature("series", 16, (512,))
    plain = trace(FullAttention(signature, head_dim=8), signature.shape).macs
    assert plain == attention_macs(signature, None, 1)
    assert plain > 3 * group_attention_macs(signature, None, 1, groups=16, iterations=2)


def test_a_long_series_keeps_memory_linear() -> None:
    peaks = []
    for length in (4096, 8192):
        signature = Signature("series", 16, (length,))
        peaks.append(trace(GroupAttention(signature, groups=8), signature.shape).peak_activation_bytes)
    assert peaks[1] == pytest.approx(2 * peaks[0], rel=0.01)


# --- merging ---


def naive_needed(q: Tensor, k: Tensor, index: Tensor, groups: int, eps: float) -> int:
    """One head: groups 0, 2, 4, ... into one of 1, 3, 5, ... where all their keys stay within the limit."""
    limit = math.log(eps) * math.sqrt(q.shape[1]) / (2 * max(float(each.norm()) for each in q))
    keys = {j: k[index == j] for j in range(groups) if (index == j).any()}
    centres = {j: own.mean(0) for j, own in keys.items()}
    radius = {j: float((own - centres[j]).norm(dim=1).max()) for j, own in keys.items()}
    merged = 0
    for i in (j for j in keys if j % 2 == 0):
        near = [j for j in keys if j % 2 and float((centres[i] - centres[j]).norm()) + radius[i] <= limit]
        merged += any(radius[j] <= limit for j in near)
    return len(keys) - merged


@pytest.mark.parametrize("eps", [1.0, 1.5, 3.0, 10.0, 1e4])
def test_needed_groups_are_their_formula(eps: float) -> None:
    q, k = 0.5 * normal(6, 30, 4), 0.5 * normal(6, 30, 4)
    found = group_keys(k, 12)
    expected = [
        naive_needed(*pair, index, 12, eps) for *pair, index in zip(q, k, indices(found), strict=True)
    ]
    assert groups_needed(q, k, found, eps).tolist() == expected


def test_everything_merges_under_a_loose_bound_and_nothing_under_a_tight_one() -> None:
    q, k = normal(2, 40, 4), normal(2, 40, 4)
    found = group_keys(k, 8)
    assert groups_needed(q, k, found, 1e30).tolist() == [4, 4]
    assert groups_needed(q, k, found, 1.0).tolist() == [8, 8]
    equal = k[:, :1].expand(-1, 40, -1)
    assert groups_needed(q, equal, group_keys(equal, 8), 1.0).tolist() == [1, 1]


def test_merged_groups_keep_the_bound() -> None:
    """Keys that move to the mean of another group are off by no more than eps."""
    eps = 3.0
    q, k = 0.3 * normal(40, 4), 0.3 * normal(40, 4)
    found = group_keys(k, 16)
    index, centres = indices(found), found.means(k)
    limit = math.log(eps) * 2 / (2 * float(q.norm(dim=-1).max()))
    used = [j for j in range(16) if found.counts[j]]
    distances = torch.cdist(k, centres)
    target = {j: j for j in used}
    for i in (j for j in used if j % 2 == 0):
        reach = {j: float(distances[index == i, j].max()) for j in used if j % 2}
        nearest = min(reach, key=lambda j: reach[j])
        if reach[nearest] <= limit:
            target[i] = nearest
    needed = int(groups_needed(q, k, found, eps))
    assert len(set(target.values())) <= needed < len(used)  # it merges by the triangle inequality
    moved = torch.tensor([target[int(j)] for j in index])
    within = distances[torch.arange(40), moved] <= limit
    ratio = weights_of(q, centres[moved]) / weights_of(q, k)
    assert within.all()
    assert torch.maximum(ratio, 1 / ratio).max() <= eps


def trained(eps: float, momentum: float = 0.0, groups: int = 8) -> GroupAttention:
    """A mixer that has seen one batch in training."""
    module = GroupAttention(SERIES, groups=groups, head_dim=8, eps=eps, momentum=momentum).double().train()
    module(normal(3, *SERIES.shape))
    return module


@pytest.mark.parametrize(("momentum", "expected"), [(0.0, 4), (0.5, 6), (0.75, 7), (1.0, 8)])
def test_an_epoch_merges_as_the_momentum_lets_it(momentum: float, expected: int) -> None:
    module = trained(1e9, momentum)
    module.on_epoch(0.5)
    assert module.groups == expected == int(module.group_count)
    assert int(module.groups_seen) == 0
    module.on_epoch(0.6)  # nothing was seen since
    assert module.groups == expected


def test_groups_never_grow_and_never_vanish() -> None:
    module = trained(1e9)
    counts = [module.groups]
    for epoch in range(6):
        module.on_epoch(epoch / 10)
        counts.append(module.groups)
        y = module(normal(3, *SERIES.shape))
        assert torch.isfinite(y).all()
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 8
    assert counts[-1] == 1


def test_a_bound_of_one_merges_nothing() -> None:
    module = trained(1.0)
    module.on_epoch(0.5)
    assert module.groups == 8


def test_the_sample_that_needs_most_groups_decides() -> None:
    module = GroupAttention(SERIES, groups=8, head_dim=8, eps=1.0, momentum=0.0).double().train()
    x = normal(3, *SERIES.shape)
    constant = x[:1, :, :1].expand(1, -1, 40)
    module(constant)
    assert int(module.groups_seen) == 1
    module(torch.cat([constant, x]))
    module(constant)
    assert int(module.groups_seen) == 8


def test_the_last_epoch_trains_what_is_deployed() -> None:
    module = trained(1e9)
    module.on_epoch(1.0)
    assert module.groups == 8


def test_eval_changes_nothing() -> None:
    module = trained(1e9).eval()
    before = copy.deepcopy(module.state_dict())
    module(normal(3, *SERIES.shape))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_number_of_groups_is_part_of_the_state() -> None:
    module = trained(1e9)
    module.on_epoch(0.1)
    module.eval()
    other = GroupAttention(SERIES, groups=8, head_dim=8).double().eval()
    other.load_state_dict(module.state_dict())
    x = normal(2, *SERIES.shape)
    assert other.groups == module.groups == 4
    assert torch.equal(other(x), module(x))


def test_an_average_of_weights_follows_its_module() -> None:
    from nas.training.recipe import WeightAverage

    module = trained(1e9)
    average = WeightAverage(module, 0.9)
    module.on_epoch(0.1)
    average.update(0)
    assert average.module.eval().groups == 4


def test_a_half_precision_mixer_is_near_to_the_full_one() -> None:
    module = GroupAttention(SERIES, groups=8, head_dim=8).eval()
    x = torch.randn(2, *SERIES.shape)
    with torch.no_grad():
        expected = module(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = module(x)
    assert (y - expected).norm() < 0.1 * expected.norm()


# --- the blocks around it ---


def test_the_stem_is_a_convolution_and_a_position() -> None:
    module = SeriesStem(Signature("series", 3, (9,)), width=6, stride=2, kernel=5).double()
    x = normal(2, 3, 9)
    y = torch.zeros(2, 6, 5, dtype=torch.float64)
    for place in range(5):
        for tap in range(5):
            source = 2 * place + tap - 2
            if 0 <= source < 9:
                y[:, :, place] += x[:, :, source] @ module.conv.weight[:, :, tap].T.detach()
    y += module.conv.bias.detach()[:, None] + module.position.table
    with torch.no_grad():
        assert (module(x) - y).abs().max() < 1e-10


@pytest.mark.parametrize("channels", [1, 2, 5, 8])
def test_waves_tell_every_position_from_the_others(channels: int) -> None:
    table = waves(channels, 50).double()
    assert table.shape == (channels, 50)
    half = -(-channels // 2)
    for row in range(channels):
        slower = 10_000 ** (-(row % half) / half)
        for place in (0, 1, 7, 49):
            expected = math.sin(place * slower) if row < half else math.cos(place * slower)
            assert float(table[row, place]) == pytest.approx(expected, abs=1e-5)
    if channels > 1:
        assert torch.pdist(table.T).min() > 1e-3


def test_positions_may_be_learned_or_left_out() -> None:
    signature = Signature("series", 1, (8,))
    learned = SeriesStem(signature, width=4, position="learned")
    assert learned.position.table.shape == (4, 8)
    assert isinstance(learned.position.table, nn.Parameter)
    none = SeriesStem(signature, width=4, position="none")
    assert none.position.table is None
    assert list(none.state_dict()) == list(SeriesStem(signature, width=4).state_dict())


@pytest.mark.parametrize(("width", "stride"), [(16, 1), (24, 1), (16, 2)])
def test_the_block_is_two_residual_branches(width: int, stride: int) -> None:
    module = SeriesBlock(
        SERIES, width=width, stride=stride, mixer=TemporalConv, ffn=SeriesMlp, layer_scale=0.5
    ).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = normal(2, *SERIES.shape)

    def norm(part: nn.Module, y: Tensor) -> Tensor:
        centred = y - y.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return scaled * part.weight[:, None] + part.bias[:, None]

    with torch.no_grad():
        y = x
        if (width, stride) != (16, 1):
            first, conv = module.downsample
            y = F.conv1d(norm(first, x), conv.weight, conv.bias, stride, 1)
        mixed = module.mixer.conv(norm(module.mixer_norm, y))
        y = y + module.mixer_scale.weight[:, None] * mixed
        hidden = F.gelu(module.ffn.expand(norm(module.ffn_norm, y)))
        y = y + module.ffn_scale.weight[:, None] * module.ffn.project(hidden)
        assert (module(x) - y).abs().max() < 1e-10


def test_the_head_pools_over_time() -> None:
    x = normal(2, *SERIES.shape)
    for pool, pooled in (("mean", x.mean(2)), ("max", x.amax(2))):
        module = SeriesPoolLinear(SERIES, classes=3, pool=pool, norm="none").double()
        assert torch.equal(module(x), module.classifier(pooled))
    normed = SeriesPoolLinear(SERIES, classes=3).double()
    assert torch.allclose(normed(x + 5), normed(x))  # the norm takes out what all channels share


def test_the_norm_is_of_each_position() -> None:
    x = normal(2, *SERIES.shape)
    norm = SeriesNorm(16).double()
    assert (norm(x).mean(1)).abs().max() < 1e-12
    assert torch.allclose(norm(x)[..., 3], norm(x[..., 3:4])[..., 0])


@pytest.mark.parametrize(
    ("name", "knobs", "expected"),
    [
        ("group_attention", {"head_dim": 12}, False),
        ("group_attention", {"head_dim": 8}, True),
        ("full_attention", {"head_dim": 32}, False),
        ("temporal_conv", {"kernel": 4}, False),
        ("temporal_conv", {"kernel": 31}, True),
        ("series_stem", {"kernel": 2}, False),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, knobs: dict[str, Any], expected: bool) -> None:
    block = BLOCKS[name]
    defaults = {knob: choice.default for knob, choice in block.knobs.items()}
    assert block.accepts(SERIES, 16, 1, defaults | knobs) is expected
