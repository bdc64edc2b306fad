"""Sparse masked modelling (SparK, arXiv:2301.03580) and the masked convolution block."""

from __future__ import annotations

import pickle

import pytest
import torch
from sparse_ops_cases import BLOCKS, declared, fits, layer_of, moved, normal
from torch import nn
from torch.nn import functional as F

from nas.blocks import build_element, fuse
from nas.costs.trace import trace
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.signature import Signature
from nas.testing.modules import randomised
from nas_base.norms import ChannelNorm, MapNorm
from nas_sparse_ops.densify import Densify, masked_patch_loss, patches
from nas_sparse_ops.masked_conv import active_mask
from nas_sparse_ops.masking import active_batch_norm, active_positions, random_active, resized, sparsify

GRID = (2, 3)
SIZE = (8, 12)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid_mask(samples: int = 3, ratio: float = 0.5, seed: int = 0) -> torch.Tensor:
    return random_active(samples, GRID, ratio=ratio, generator=generator(seed)).double()


def network() -> nn.Module:
    """Stride 4 in all, with every kind of layer that is masked; always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return stack()


def stack() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.GroupNorm(2, 8),
        nn.Conv2d(8, 8, 5, padding=2, groups=8),
        ChannelNorm(8, bias=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 1),
        MapNorm(8),
        nn.Conv2d(8, 6, 3, padding=1),
    )


def made(module: nn.Module) -> nn.Module:
    return randomised(module.double())


def encode(module: nn.Module, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    with active_positions(mask):
        return module(x * resized(mask, x.shape[2:]))


def gather_scatter(x, active, conv):
    """A submanifold convolution: at active positions, the sum over active neighbours."""
    weight, bias, reach = conv.weight, conv.bias, conv.kernel_size[0] // 2
    y = torch.zeros(len(x), len(weight), *x.shape[2:], dtype=x.dtype)
    places = {tuple(place) for place in active[:, 0].nonzero().tolist()}
    for n, i, j in places:
        total = torch.zeros(len(weight), dtype=x.dtype) if bias is None else bias.clone()
        for di in range(-reach, reach + 1):
            for dj in range(-reach, reach + 1):
                if (n, i + di, j + dj) in places:
                    total = total + weight[:, :, di + reach, dj + reach] @ x[n, :, i + di, j + dj]
        y[n, :, i, j] = total
    return y


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_a_masked_convolution_is_a_submanifold_one(kernel, bias):
    conv = made(nn.Conv2d(4, 5, kernel, padding=kernel // 2, bias=bias))
    x, mask = normal(3, 4, *SIZE), grid_mask()
    with torch.no_grad():
        found = encode(sparsify(conv), x, mask)
        wanted = gather_scatter(x, resized(mask, SIZE), conv)
    assert torch.allclose(found, wanted, atol=1e-12)


def test_the_state_dict_is_that_of_the_dense_network():
    dense = made(network())
    sparse = sparsify(dense)
    assert list(sparse.state_dict()) == list(dense.state_dict())
    with torch.no_grad():
        encode(sparse.train(), normal(3, 3, *SIZE), grid_mask())
    again = network().double()
    again.load_state_dict(sparse.state_dict())
    other = sparsify(network().double())
    other.load_state_dict(dense.state_dict())
    x = normal(3, 3, *SIZE)
    with torch.no_grad():
        assert torch.equal(other.eval()(x), dense.eval()(x))
    assert type(dense[1]) is nn.BatchNorm2d
    assert not dense[0]._forward_hooks


@pytest.mark.parametrize("is_training", [True, False])
def test_without_a_mask_and_with_everything_active_it_is_the_dense_network(is_training):
    dense = made(network()).train(is_training)
    x, sparse = normal(3, 3, *SIZE), sparsify(dense)
    expected = dense(x)
    assert torch.allclose(sparsify(dense).train(is_training)(x), sparse(x), atol=1e-12)
    whole = sparsify(made(network())).train(is_training)
    assert torch.allclose(encode(whole, x, torch.ones(3, 1, *GRID).double()), expected, atol=1e-11)


@pytest.mark.parametrize("is_training", [True, False])
def test_the_active_set_does_not_grow_with_depth(is_training):
    layers = [
        part for _ in range(6) for part in (nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    ]
    module = sparsify(made(nn.Sequential(*layers)).train(is_training))
    mask = grid_mask()
    y = encode(module, normal(3, 4, *SIZE), mask)
    assert bool((y[resized(mask, SIZE).expand_as(y) == 0] == 0).all())
    assert bool((y * resized(mask, SIZE)).abs().sum() > 0)
    grown = made(nn.Sequential(*layers)).train(is_training)(normal(3, 4, *SIZE) * resized(mask, SIZE))
    assert bool((grown[resized(mask, SIZE).expand_as(grown) == 0] != 0).any())


def test_hidden_positions_have_no_influence_on_active_ones():
    module, mask = sparsify(made(network()).train()), grid_mask()
    x = normal(3, 3, *SIZE)
    hidden = 1 - resized(mask, SIZE)
    assert torch.equal(encode(module, x, mask), encode(module, x + 5 * hidden, mask))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_is_that_of_the_gathered_rows(momentum):
    norm = made(nn.BatchNorm2d(4, momentum=momentum))
    rows = nn.BatchNorm1d(4, momentum=momentum).double()
    rows.load_state_dict(norm.state_dict())
    x, mask = normal(3, 4, *SIZE), grid_mask()
    is_active = resized(mask, SIZE)[:, 0].bool()
    sparse = sparsify(norm)
    for _ in range(2):
        found = encode(sparse, x, mask).permute(0, 2, 3, 1)
        assert torch.allclose(found[is_active], rows(x.permute(0, 2, 3, 1)[is_active]), atol=1e-12)
        assert bool((found[~is_active] == 0).all())
    for name, value in rows.state_dict().items():
        assert torch.allclose(sparse.state_dict()[name], value), name
    found = encode(sparse.eval(), x, mask).permute(0, 2, 3, 1)
    assert torch.allclose(found[is_active], rows.eval()(x.permute(0, 2, 3, 1)[is_active]), atol=1e-12)


@pytest.mark.parametrize(
    "make", [lambda: nn.GroupNorm(2, 4), lambda: nn.GroupNorm(1, 4, affine=False), lambda: MapNorm(4)]
)
def test_group_norm_is_that_of_the_gathered_positions(make):
    norm = made(make())
    x, mask = normal(3, 4, *SIZE), grid_mask()
    found = encode(sparsify(norm), x, mask)
    for sample in range(3):
        is_active = resized(mask, SIZE)[sample, 0].bool()
        rows = x[sample][:, is_active].unsqueeze(0).unsqueeze(2)
        assert torch.allclose(found[sample][:, is_active], norm(rows)[0, :, 0], atol=1e-11)


def test_layer_norm_is_by_position_and_masked():
    first, last = made(ChannelNorm(4, bias=True)), made(nn.LayerNorm(4))
    x, mask = normal(3, 4, *SIZE), grid_mask()
    spread = resized(mask, SIZE)
    assert torch.allclose(encode(sparsify(first), x, mask), first(x) * spread, atol=1e-12)
    with active_positions(mask):
        found = sparsify(last)(x.permute(0, 2, 3, 1))
    assert torch.allclose(found, last(x.permute(0, 2, 3, 1)) * spread.permute(0, 2, 3, 1), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("bottleneck", {}),
        ("inverted_residual", {"expansion": 3, "se": 0.25, "activation": "star_relu"}),
        ("metanext", {"layer_scale": 1.0}),
    ],
)
def test_blocks_of_the_catalogue_keep_their_empty_positions_empty(name, knobs):
    values = {knob: choice.default for knob, choice in BLOCKS[name].knobs.items()}
    use = BlockUse(name, tuple(sorted({**values, **knobs}.items())))
    module = made(build_element(Layer(use, 8, 1), Signature("image", 8, SIZE), BLOCKS)).train()
    mask = grid_mask()
    y = encode(sparsify(module), normal(3, 8, *SIZE), mask)
    assert bool((y[resized(mask, SIZE).expand_as(y) == 0] == 0).all())
    assert list(sparsify(module).state_dict()) == list(module.state_dict())


def test_a_sparsified_network_pickles_and_forgets_the_mask():
    module, mask, x = sparsify(made(network()).eval()), grid_mask(), normal(3, 3, *SIZE)
    again = pickle.loads(pickle.dumps(module))
    assert torch.equal(encode(again, x, mask), encode(module, x, mask))
    with pytest.raises(RuntimeError), active_positions(mask):
        module(x[:, :2])
    assert torch.equal(module(x), made(network()).eval()(x))


@pytest.mark.parametrize(("ratio", "hidden"), [(0.6, 29), (0.4, 20), (0.75, 37)])
def test_a_random_mask_hides_its_share_of_each_sample(ratio, hidden):
    mask = random_active(4, (7, 7), ratio=ratio, generator=generator(1))
    assert mask.shape == (4, 1, 7, 7)
    assert (1 - mask).sum((1, 2, 3)).tolist() == [hidden] * 4
    assert torch.equal(mask, random_active(4, (7, 7), ratio=ratio, generator=generator(1)))
    assert not torch.equal(mask[0], mask[1])


def test_a_cell_becomes_a_patch():
    mask = torch.tensor([[[[1.0, 0.0]]]])
    assert resized(mask, (2, 4)).tolist() == [[[[1, 1, 0, 0], [1, 1, 0, 0]]]]


def test_densify_fills_the_empty_positions():
    densify, mask, x = made(Densify(4)), grid_mask(), normal(3, 4, 4, 6)
    y = densify(x, mask)
    is_active = resized(mask, (4, 6)).bool().expand_as(y)
    assert torch.equal(y[is_active], x[is_active])
    wanted = densify.embedding.reshape(1, -1, 1, 1).expand_as(y)
    assert torch.equal(y[~is_active], wanted[~is_active])
    projected = made(Densify(4, 7))
    assert torch.allclose(
        projected(x, mask), projected.project(torch.where(is_active, x, projected.embedding[:, None, None]))
    )
    projected(x, mask).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in projected.parameters())


def test_patches_by_hand():
    x = torch.arange(2 * 4 * 6).reshape(1, 2, 4, 6)
    found = patches(x, (2, 3))
    assert found.shape == (1, 6, 8)
    assert found[0, 4].tolist() == [14, 38, 15, 39, 20, 44, 21, 45]
    with pytest.raises(ValueError, match="grid of 3x3"):
        patches(x, (3, 3))


def test_the_loss_by_hand():
    output, target, mask = normal(3, 2, *SIZE), normal(3, 2, *SIZE, seed=4), grid_mask()
    errors = []
    for n in range(3):
        for i in range(2):
            for j in range(3):
                if not mask[n, 0, i, j]:
                    a, b = (v[n, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4] for v in (output, target))
                    b = (b - b.mean()) / (b.var(unbiased=False) + 1e-6).sqrt()
                    errors.append((a - b).square().mean())
    assert torch.allclose(masked_patch_loss(output, target, mask), torch.stack(errors).mean(), atol=1e-12)


def test_the_loss_ignores_visible_patches():
    output, target, mask = normal(3, 2, *SIZE).requires_grad_(), normal(3, 2, *SIZE, seed=4), grid_mask()
    seen = resized(mask, SIZE)
    one, other = (masked_patch_loss(o, target, mask) for o in (output, output + 9 * seen))
    assert torch.equal(one, other)
    one.backward()
    assert bool((output.grad * seen == 0).all())
    assert bool((output.grad.abs().sum() > 0).all())
    assert masked_patch_loss(output, target, torch.ones_like(mask)).item() == 0


EMPTY = Signature("image", 4, (9, 7))


def with_holes(seed: int = 0, share: float = 0.6, size=(9, 7)) -> tuple[torch.Tensor, torch.Tensor]:
    """A map of which a share of positions is exactly zero, and its active positions."""
    is_active = (torch.rand(3, 1, *size, generator=generator(seed)) > share).double()
    return normal(3, 4, *size, seed=seed) * is_active, is_active


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("is_training", [True, False])
def test_the_block_is_convolution_norm_and_activation_of_the_gathered_positions(kernel, is_training):
    module = moved("masked_conv", EMPTY, 6, kernel=kernel, activation="silu").train(is_training)
    x, is_active = with_holes()
    rows = nn.BatchNorm1d(6).double()
    rows.load_state_dict(module.norm.state_dict())
    with torch.no_grad():
        inner = gather_scatter(x, is_active, module.conv).permute(0, 2, 3, 1)
        chosen = is_active[:, 0].bool()
        found = module(x).permute(0, 2, 3, 1)
        assert torch.allclose(found[chosen], F.silu(rows.train(is_training)(inner[chosen])), atol=1e-12)
    assert bool((found[~chosen] == 0).all())
    for name, value in rows.state_dict().items():
        assert torch.allclose(module.norm.state_dict()[name], value), name


@pytest.mark.parametrize("activation", ["relu", "star_relu", "silu"])
def test_the_block_does_not_dilate(activation):
    layers = nn.Sequential(*(moved("masked_conv", EMPTY, activation=activation) for _ in range(5))).train()
    x, is_active = with_holes()
    y = layers(x)
    assert bool((active_mask(y) <= is_active).all())
    assert bool((y != 0).any())


@pytest.mark.parametrize("stride", [2, 3])
def test_behind_a_stride_a_cell_is_active_where_any_of_it_is(stride):
    module = moved("masked_conv", EMPTY, stride=stride, activation="silu").eval()
    x, is_active = with_holes(share=0.85)
    found = active_mask(module(x))
    for n in range(3):
        for i in range(-(-9 // stride)):
            for j in range(-(-7 // stride)):
                cell = is_active[n, 0, stride * i : stride * (i + 1), stride * j : stride * (j + 1)]
                assert bool(found[n, 0, i, j]) == bool(cell.any())


@pytest.mark.parametrize("stride", [1, 2])
def test_on_a_full_map_it_is_a_plain_convolution(stride):
    module = moved("masked_conv", EMPTY, 6, stride, kernel=3)
    x = normal(3, 4, 9, 7)
    for form in (module.train(), module.eval()):
        plain = nn.Sequential(module.conv, module.norm, nn.ReLU())
        state = {name: value.clone() for name, value in module.norm.state_dict().items()}
        found = form(x)
        module.norm.load_state_dict(state)
        assert torch.allclose(found, plain(x), atol=1e-12)


def test_deployed_with_holes_it_computes_the_same():
    module = moved("masked_conv", EMPTY, 6, 2, activation="star_relu").eval()
    x, _ = with_holes()
    with torch.no_grad():
        assert torch.allclose(fuse(module)(x), module(x), atol=1e-11)
    assert not [part for part in fuse(module).modules() if isinstance(part, nn.BatchNorm2d)]


def test_an_empty_map_stays_empty_and_harms_nothing():
    module = moved("masked_conv", EMPTY).train()
    before = module.norm.running_mean.clone()
    y = module(torch.zeros(2, 4, 9, 7, dtype=torch.float64))
    y.sum().backward()
    assert bool((y == 0).all())
    assert all(bool(torch.isfinite(p.grad).all()) for p in module.parameters())
    assert bool(torch.isfinite(module.norm.running_var).all())
    assert torch.allclose(module.norm.running_mean, before * 0.9)


def test_its_costs_are_those_of_a_dense_convolution():
    for stride in (1, 2):
        module = layer_of("masked_conv", EMPTY, 6, stride, kernel=5)
        found = trace(fuse(module), EMPTY.shape)
        assert found.macs == 4 * 6 * 25 * (63 if stride == 1 else 20)
        assert found.macs == declared("masked_conv", "macs", EMPTY, 6, stride, kernel=5)
        assert sum(p.numel() for p in module.parameters()) == 612
        assert declared("masked_conv", "params", EMPTY, 6, stride, kernel=5) == 612
    assert not fits("masked_conv", EMPTY, None, kernel=4)


def test_the_norm_without_statistics_or_gain():
    norm = nn.BatchNorm2d(4, affine=False, track_running_stats=False).double().eval()
    x, is_active = with_holes()
    y = active_batch_norm(norm, x, is_active)
    chosen = y.permute(0, 2, 3, 1)[is_active[:, 0].bool()]
    assert torch.allclose(chosen.mean(0), torch.zeros(4).double(), atol=1e-12)
    assert torch.allclose(chosen.var(0, unbiased=False), torch.ones(4).double(), atol=1e-4)
