"""Bi-level routing attention (BiFormer, arXiv:2303.08810) against its formula, loops and full attention."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from group_attention_cases import accepts, count, declared, image, made, picture
from torch import Tensor, nn
from torch.nn import functional as F

from nas.costs.trace import trace
from nas.export.agreement import BATCHES
from nas.export.program import export_program
from nas.spaces.signature import Signature

NAME = "bilevel_routing_attention"
SMALL: dict[str, Any] = {"head_dim": 8, "local_kernel": 3}


def projected(module: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values at every position: three times (N, C, H, W)."""
    weight, bias = module.qkv.weight[:, :, 0, 0], module.qkv.bias
    flat = torch.einsum("oc,nchw->nohw", weight, x) + bias[:, None, None]
    q, k, v = flat.chunk(3, 1)
    return q, k, v


def finished(module: Any, mixed: Tensor, v: Tensor) -> Tensor:
    """The convolution of the values added, and the projection."""
    if module.local is not None:
        kernel = module.local.weight
        mixed = mixed + F.conv2d(
            v, kernel, module.local.bias, padding=kernel.shape[-1] // 2, groups=v.shape[1]
        )
    weight = module.project.weight[:, :, 0, 0]
    y: Tensor = torch.einsum("oc,nchw->nohw", weight, mixed) + module.project.bias[:, None, None]
    return y


def region_of(length: int, regions: int) -> list[int]:
    """The region of each position of one side: regions of ceil(length / regions) positions."""
    size = -(-length // regions)
    return [position // size for position in range(length)]


def reference(
    module: Any, x: Tensor, regions: int, topk: int, head_dim: int, *, soft: bool = False
) -> Tensor:
    """Attention between all positions with what is not routed masked, one query at a time."""
    N, C, H, W = x.shape
    q, k, v = projected(module, x)
    places = list(itertools.product(range(H), range(W)))
    rows, columns = region_of(H, regions), region_of(W, regions)
    region = {(i, j): (rows[i], columns[j]) for i, j in places}
    names = sorted(set(region.values()))
    mixed = torch.zeros_like(x)
    for n in range(N):
        means = {
            name: tuple(
                torch.stack([part[n, :, i, j] for i, j in places if region[i, j] == name]).mean(0)
                for part in (q, k)
            )
            for name in names
        }
        for name in names:
            affinity = torch.stack([means[name][0] @ means[other][1] for other in names]) * C**-0.5
            best = sorted(range(len(names)), key=lambda r: -float(affinity[r]))[:topk]
            weight = dict(zip([names[r] for r in best], affinity[best].softmax(0), strict=True))
            routed = [(i, j) for i, j in places if region[i, j] in weight]
            scales = torch.stack([weight[region[p]] if soft else torch.ones(()).double() for p in routed])
            keys = torch.stack([k[n, :, i, j] for i, j in routed]) * scales[:, None]
            values = torch.stack([v[n, :, i, j] for i, j in routed]) * scales[:, None]
            for i, j in (place for place in places if region[place] == name):
                for head in range(C // head_dim):
                    part = slice(head * head_dim, (head + 1) * head_dim)
                    logits = keys[:, part] @ q[n, part, i, j] * C**-0.5
                    mixed[n, part, i, j] = logits.softmax(0) @ values[:, part]
    return finished(module, mixed, v)


@pytest.mark.parametrize(
    ("size", "regions", "topk"),
    [((8, 8), 4, 3), ((8, 8), 7, 2), ((7, 7), 7, 5), ((9, 7), 4, 4), ((3, 5), 4, 2), ((1, 1), 7, 4)],
)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_equals_masked_attention(size: tuple[int, int], regions: int, topk: int, soft: bool) -> None:
    signature = image(16, *size)
    module = made(NAME, signature, regions=regions, topk=topk, soft_routing=soft, **SMALL)
    x = picture(signature)
    with torch.no_grad():
        expected = reference(module, x, regions, topk, 8, soft=soft)
        torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_equals_masked_attention_for_random_numbers_of_regions(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    regions = int(torch.randint(2, 6, (1,), generator=generator))
    topk = int(torch.randint(1, regions**2 + 1, (1,), generator=generator))
    signature = image(16, 10)
    module = made(NAME, signature, regions=regions, topk=topk, **SMALL)
    x = picture(signature, 1, seed)
    with torch.no_grad():
        expected = reference(module, x, regions, topk, 8)
        torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)


def full(module: Any, x: Tensor, head_dim: int, scale: float) -> Tensor:
    """Attention between all positions, by torch's own operator."""
    N, C, H, W = x.shape
    parts = projected(module, x)
    q, k, v = (part.reshape(N, C // head_dim, head_dim, H * W).transpose(2, 3) for part in parts)
    mixed = F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(2, 3).reshape(N, C, H, W)
    return finished(module, mixed, parts[2])


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (14, 14)])
@pytest.mark.parametrize("regions", [4, 7, 8])
@pytest.mark.parametrize("kernel", [0, 3, 5])
def test_all_regions_are_full_attention(size: tuple[int, int], regions: int, kernel: int) -> None:
    signature = image(16, *size)
    module = made(NAME, signature, regions=regions, topk=regions**2, head_dim=8, local_kernel=kernel)
    x = picture(signature)
    with torch.no_grad():
        torch.testing.assert_close(module(x), full(module, x, 8, 16**-0.5), rtol=1e-10, atol=1e-10)


def test_the_scale_is_that_of_all_channels_and_not_of_one_head() -> None:
    signature = image(16, 8)
    module = made(NAME, signature, regions=4, topk=16, **SMALL)
    x = picture(signature)
    with torch.no_grad():
        wrong = full(module, x, 8, 8**-0.5)
        assert (module(x) - wrong).abs().max() > 1e-4
    one_head = made(NAME, signature, regions=4, topk=16, head_dim=16, local_kernel=3)
    with torch.no_grad():
        torch.testing.assert_close(one_head(x), full(one_head, x, 16, 16**-0.5), rtol=1e-10, atol=1e-10)


def test_what_is_not_routed_is_not_seen() -> None:
    signature = image(16, 8)
    module: Any = made(NAME, signature, regions=4, topk=3, head_dim=8, local_kernel=0)
    x = picture(signature, 1)
    with torch.no_grad():
        q, k, _ = module.qkv(x).chunk(3, 1)
        index, weight = module.route(q, k, module.grid)
        assert index.shape == weight.shape == (1, 16, 3)
        torch.testing.assert_close(weight.sum(-1), torch.ones(1, 16).double())
    x.requires_grad_()
    module(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(0).reshape(4, 2, 4, 2).sum((1, 3)).flatten().nonzero().flatten()
    # The first query sees its own position and the regions that its region is routed to, no other.
    assert set(touched.tolist()) == set(index[0, 0].tolist()) | {0}


def test_only_soft_routing_gets_a_gradient() -> None:
    signature = image(16, 8)
    for soft in (False, True):
        module: Any = made(NAME, signature, regions=4, topk=3, soft_routing=soft, **SMALL)
        q, k = (picture(signature, 1, seed).requires_grad_() for seed in (2, 3))
        _, weight = module.route(q, k, module.grid)
        assert weight.requires_grad == soft
        if soft:
            weight[..., 0].sum().backward()
            assert q.grad is not None
            assert k.grad is not None
            assert q.grad.abs().max() > 0
            assert k.grad.abs().max() > 0


def test_soft_routing_matters_unless_there_is_one_region() -> None:
    signature = image(16, 5)
    modules = [
        made(NAME, signature, regions=7, topk=25, soft_routing=soft, **SMALL) for soft in (False, True)
    ]
    x = picture(signature)
    with torch.no_grad():
        assert (modules[0](x) - modules[1](x)).abs().max() > 1e-4
    single = image(16, 1)
    modules = [made(NAME, single, soft_routing=soft, **SMALL) for soft in (False, True)]
    with torch.no_grad():
        torch.testing.assert_close(modules[0](picture(single)), modules[1](picture(single)))


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_a_sample_is_routed_by_itself(size: tuple[int, int], soft: bool) -> None:
    signature = image(16, *size)
    module = made(NAME, signature, regions=4, topk=2, soft_routing=soft, **SMALL)
    x = picture(signature, 5)
    with torch.no_grad():
        together = module(x)
        for number in range(5):
            torch.testing.assert_close(module(x[number : number + 1])[0], together[number])
        turned = module(x.flip(0)).flip(0)
        others = module(torch.cat([x[:1], 100 * x[1:] - 7]))
    torch.testing.assert_close(turned, together)
    torch.testing.assert_close(others[0], together[0])


def test_moving_a_map_by_whole_regions_around_moves_the_output() -> None:
    """Regions have no position: with no local convolution, permuted regions give permuted outputs."""
    signature = image(16, 8)
    module = made(NAME, signature, regions=4, topk=5, head_dim=8, local_kernel=0)
    x = picture(signature)
    with torch.no_grad():
        moved = module(x.roll((2, 4), (2, 3)))
        torch.testing.assert_close(moved, module(x).roll((2, 4), (2, 3)), rtol=1e-10, atol=1e-10)
        off_grid = module(x.roll((1, 0), (2, 3)))
    assert (off_grid - module(x).roll((1, 0), (2, 3))).abs().max() > 1e-4


@pytest.mark.parametrize(("size", "regions"), [((8, 8), 4), ((9, 7), 4), ((56, 56), 7), ((6, 5), 8)])
def test_attention_macs_are_linear_in_the_routed_regions(size: tuple[int, int], regions: int) -> None:
    signature = image(16, *size)
    most = 1
    for length in size:
        most *= -(-length // -(-length // regions))
    costs = []
    for topk in range(1, min(most, 6) + 1):
        with torch.device("meta"):
            module = made(NAME, signature, regions=regions, topk=topk, **SMALL)
        found = trace(module.float(), signature.shape)
        assert not found.unknown_operators
        assert found.macs == declared("macs", NAME, signature, regions=regions, topk=topk, **SMALL)
        costs.append(found.macs)
    steps = {after - before for before, after in itertools.pairwise(costs)}
    assert len(steps) == 1
    rows, columns = (-(-length // regions) for length in size)
    positions = rows * columns
    assert steps == {2 * 16 * most * positions * positions}


def test_macs_by_hand() -> None:
    C, H, regions, topk = 32, 14, 7, 4
    layers = H * H * (4 * C * C + 25 * C)
    routing = regions**4 * C
    attention = 2 * H * H * topk * (H // regions) ** 2 * C
    found = declared("macs", NAME, image(C, H), regions=regions, topk=topk)
    assert found == layers + routing + attention


@pytest.mark.parametrize(("kernel", "local"), [(0, 0), (3, 320), (5, 832)])
def test_parameters_by_hand(kernel: int, local: int) -> None:
    for size in (4, 14):
        module = made(NAME, image(32, size), topk=2, local_kernel=kernel)
        assert count(module) == 3 * (32 * 32 + 32) + 32 * 32 + 32 + local


def test_gathering_and_choosing_are_priced() -> None:
    module = made(NAME, image(32, 14)).float()
    found = trace(module, (32, 14, 14))
    kinds = {operator.kind: operator for operator in found.operators}
    assert {"gather", "sort"} <= set(kinds)
    gathered = kinds["gather"]
    # Four regions of 2x2 positions with keys and values for each of 49 regions, at least written once.
    assert gathered.bytes_moved >= 49 * 4 * 4 * 64 * 4
    assert kinds["sort"].bytes_moved > 0


def test_what_does_not_fit_is_refused() -> None:
    assert accepts(NAME, image(32, 8))
    assert accepts(NAME, image(32, 1, 3))
    assert not accepts(NAME, image(48, 8))
    assert accepts(NAME, image(48, 8), head_dim=16)
    assert not accepts(NAME, image(32, 8), local_kernel=4)
    assert accepts("locally_enhanced_attention", image(32, 8), local_kernel=0)
    assert not accepts("locally_enhanced_attention", image(40, 8))
    assert not accepts("locally_enhanced_attention", image(32, 8), local_kernel=2)


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_exports_for_any_batch_size(size: tuple[int, int]) -> None:
    signature = image(16, *size)
    module = made(NAME, signature, regions=4, topk=3, **SMALL)
    program = export_program(module, picture(signature, 1))
    assert program.batches == BATCHES
    x = picture(signature, 3)
    torch.testing.assert_close(program.exported.module()(x), module(x))


def test_runs_on_another_size_than_it_was_built_for() -> None:
    module = made(NAME, image(16, 8), regions=4, topk=3, **SMALL)
    for other in (image(16, 9, 7), image(16, 12), image(16, 2, 3)):
        direct = made(NAME, other, regions=4, topk=3, **SMALL)
        direct.load_state_dict(module.state_dict())
        with torch.no_grad():
            assert torch.equal(module(picture(other)), direct(picture(other)))


class TestLocallyEnhancedAttention:
    """Full attention plus a depthwise convolution of the input."""

    @pytest.mark.parametrize("kernel", [0, 3, 5])
    def test_equals_the_formula(self, kernel: int) -> None:
        signature = Signature("image", 16, (5, 6))
        module: Any = made("locally_enhanced_attention", signature, head_dim=8, local_kernel=kernel)
        x = picture(signature)
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = (tokens @ module.qkv.weight[:, :, 0, 0].T).chunk(3, -1)
        mixed = torch.empty_like(tokens)
        for head in range(2):
            part = slice(8 * head, 8 * head + 8)
            weights = (q[..., part] @ k[..., part].transpose(1, 2) / 8**0.5).softmax(-1)
            mixed[..., part] = weights @ v[..., part]
        mixed = mixed.transpose(1, 2).reshape(x.shape)
        if kernel:
            mixed = mixed + F.conv2d(
                x, module.local.weight, module.local.bias, padding=kernel // 2, groups=16
            )
        expected = F.conv2d(mixed, module.project.weight, module.project.bias)
        torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)

    def test_costs_by_hand(self) -> None:
        signature = image(32, 7)
        module = made("locally_enhanced_attention", signature).float()
        layers = 49 * (4 * 32 * 32 + 25 * 32)
        assert count(module) == 4 * 32 * 32 + 32 + 26 * 32
        assert trace(module, signature.shape).macs == layers + 2 * 49 * 49 * 32

    def test_only_two_layers_have_a_bias(self) -> None:
        module: Any = made("locally_enhanced_attention", image(32, 7), local_kernel=0)
        biased = {name for name, part in module.named_modules() if getattr(part, "bias", None) is not None}
        assert biased == {"project"}
        assert isinstance(module.qkv, nn.Conv2d)
