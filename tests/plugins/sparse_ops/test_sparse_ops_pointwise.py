"""Sparse pointwise convolution (arXiv:1911.09723): patterns, gradual pruning, the deployed product, costs."""

from __future__ import annotations

import copy
import itertools
import pickle

import pytest
import torch
from sparse_ops_cases import BLOCKS, MAP, declared, fits, layer_of, moved, picture, published
from torch.nn import functional as F

from nas import estimate
from nas.blocks import fuse, parameter_count
from nas.costs.trace import trace
from nas.spaces.signature import Signature
from nas.testing.modules import randomised
from nas_sparse_ops.costs import kept_weights
from nas_sparse_ops.packed import PackedPointwise
from nas_sparse_ops.pointwise import RAMP_END, BlockPointwise

SPARSITIES = (0.0, 0.7, 0.8, 0.9, 0.95)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def packed_of(module):
    found = [part for part in fuse(module).modules() if isinstance(part, PackedPointwise)]
    assert len(found) == 1
    return found[0]


def naive(weight, mask, x, stride):
    """The masked 1x1 convolution, one number at a time."""
    N, C, H, W = x.shape
    y = x.new_zeros(N, len(weight), -(-H // stride), -(-W // stride))
    for o in range(len(weight)):
        for i in range(C):
            if mask[o, i]:
                y[:, o] += weight[o, i, 0, 0] * x[:, i, ::stride, ::stride]
    return y


@pytest.mark.parametrize("block", [1, 2, 4])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_sparse_product_is_the_masked_convolution(block, stride, batch):
    module = moved(
        "sparse_pointwise", width=24, stride=stride, sparsity=0.8, block=block, activation="identity"
    )
    module = module.eval()
    x = picture(batch=batch)
    conv, norm = module.conv, module.norm
    wanted = naive(conv.weight.detach(), conv.mask, x, stride)
    wanted = F.batch_norm(
        wanted, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
    )
    with torch.no_grad():
        assert torch.allclose(module(x), wanted, atol=1e-11, rtol=0)
        deployed = fuse(module)(x)
        assert torch.allclose(deployed, wanted, atol=1e-11, rtol=0)
        single = fuse(copy.deepcopy(module).float())(x.float())
    assert torch.allclose(single.double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("block", [1, 2, 4])
def test_parameters_and_macs_are_the_stored_weights(sparsity, block):
    signature = Signature("image", 20, (5, 7))
    knobs = {"sparsity": sparsity, "block": block}
    module = layer_of("sparse_pointwise", signature, width=12, **knobs)
    blocks = 20 * 12 // block
    stored = block * round((1 - sparsity) * blocks)
    assert int(module.conv.mask.sum()) == stored == kept_weights(20, 12, sparsity, block)
    assert declared("sparse_pointwise", "params", signature, 12, **knobs) == stored + 2 * 12
    assert parameter_count(module) == stored + 2 * 12
    assert declared("sparse_pointwise", "macs", signature, 12, **knobs) == stored * 35
    found = trace(fuse(module), signature.shape)
    assert found.macs == stored * 35
    assert found.params == stored + 12
    cost = estimate(module, signature.shape, target="pixel3-cpu")
    assert (cost.params, cost.macs) == (stored + 2 * 12, stored * 35)


def test_blocks_of_rows_share_their_columns():
    conv = BlockPointwise(30, 12, sparsity=0.7, block=4)
    rows = conv.mask.reshape(3, 4, 30)
    assert bool((rows == rows[:, :1]).all())
    kept = conv.weight.detach()[:, :, 0, 0].abs().reshape(3, 4, 30).sum(1)
    assert float(kept[rows[:, 0]].min()) >= float(kept[~rows[:, 0]].max())


def test_without_sparsity_it_is_deployed_as_a_dense_convolution():
    module = moved("sparse_pointwise", width=8, sparsity=0.0).eval()
    kinds = [operator.kind for operator in trace(fuse(copy.deepcopy(module).float()), MAP.shape).operators]
    assert "conv" in kinds
    assert "sparse" not in kinds
    with torch.no_grad():
        assert torch.allclose(fuse(module)(picture()), module(picture()), atol=1e-11)


def test_pruning_tightens_over_training_and_ends_at_the_target():
    conv = BlockPointwise(40, 40, sparsity=0.9)
    assert int(conv.mask.sum()) == 160
    shares = []
    for progress in (0.0, 0.25, 0.5, RAMP_END, 1.0):
        conv.on_epoch(progress)
        shares.append(1 - float(conv.mask.float().mean()))
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[1] == pytest.approx(0.9 * (1 - (2 / 3) ** 3), abs=1e-3)
    assert shares[3] == shares[4] == pytest.approx(0.9)


def test_the_mask_follows_the_weights_and_nothing_else():
    one, other = (BlockPointwise(16, 16, sparsity=0.8) for _ in range(2))
    other.weight.data.copy_(one.weight)
    other.redraw()
    assert torch.equal(one.mask, other.mask)
    state = torch.random.get_rng_state()
    one.on_epoch(0.3)
    one(torch.zeros(1, 16, 2, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    one.weight.data[:, 0] = 100.0
    one.on_epoch(1.0)
    assert bool(one.mask[:, 0].all())


def test_ties_are_broken_in_order():
    conv = BlockPointwise(10, 4, sparsity=0.75)
    conv.weight.data.fill_(1.0)
    conv.redraw()
    assert conv.mask.flatten().nonzero().flatten().tolist() == list(range(10))


def test_pruned_weights_get_no_gradient_and_stay():
    conv = BlockPointwise(16, 8, sparsity=0.8)
    conv(torch.randn(2, 16, 3, 3, generator=torch.Generator().manual_seed(0))).sum().backward()
    grad = conv.weight.grad[:, :, 0, 0]
    assert bool((grad[~conv.mask] == 0).all())
    assert bool((grad[conv.mask] != 0).all())


def test_a_half_pruned_network_deploys_as_it_is():
    module = moved("sparse_pointwise", width=16, sparsity=0.9)
    module.conv.on_epoch(0.3)
    with torch.no_grad():
        assert torch.allclose(fuse(module)(picture()), module.eval()(picture()), atol=1e-11)
    assert packed_of(module).values.numel() == int(module.conv.mask.sum()) > 26


def test_the_state_holds_the_mask():
    module, other = (layer_of("sparse_pointwise", sparsity=0.7).eval() for _ in range(2))
    randomised(module)
    module.conv.on_epoch(1.0)
    other.load_state_dict(module.state_dict())
    x = picture().float()
    with torch.no_grad():
        assert torch.equal(other(x), module(x))


def test_the_deployed_form_is_smaller_pickles_and_needs_no_float32():
    module = moved("sparse_pointwise", Signature("image", 64, (4, 4)), sparsity=0.9, activation="relu").eval()
    deployed = fuse(module)
    stored = sum(t.numel() * t.element_size() for t in deployed.state_dict().values())
    assert stored < 64 * 64 * 8 / 4
    x = picture(Signature("image", 64, (4, 4)))
    with torch.no_grad():
        assert torch.equal(pickle.loads(pickle.dumps(deployed))(x), deployed(x))
        half = copy.deepcopy(deployed).bfloat16()(x.bfloat16())
        assert half.dtype == torch.bfloat16
        assert torch.allclose(half.double(), deployed(x), atol=0.05, rtol=0.05)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert fuse(copy.deepcopy(module).float())(x.float()).shape == x.shape
    last = x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        assert torch.allclose(deployed(last), deployed(x), atol=1e-12)


def test_an_exported_program_carries_the_zeros():
    module = moved("sparse_pointwise", width=8, sparsity=0.8, block=2).eval()
    deployed = fuse(module)
    program = torch.export.export(deployed, (picture(),), strict=False)
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in names if "nas_sparse_ops" in name]
    x = picture(seed=5)
    with torch.no_grad():
        assert torch.allclose(program.module()(x), deployed(x), atol=1e-11)


def test_on_the_meta_device_it_costs_what_it_costs_with_weights():
    for knobs in ({"sparsity": 0.9}, {"sparsity": 0.7, "block": 4}):
        real = layer_of("sparse_inverted_residual", width=24, stride=2, expansion=3, **knobs)
        with torch.device("meta"):
            empty = layer_of("sparse_inverted_residual", width=24, stride=2, expansion=3, **knobs)
        one, other = (estimate(module, MAP.shape, target="pixel3-cpu") for module in (real, empty))
        assert one.operators == other.operators
        assert (one.params, one.macs, one.latency_ms) == (other.params, other.macs, other.latency_ms)
        assert one.peak_memory_bytes == other.peak_memory_bytes


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("sparse_separable_conv", {"kernel": 5}),
        ("sparse_inverted_residual", {"expansion": 4, "se": 0.25}),
        ("sparse_inverted_residual", {"expansion": 1}),
    ],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_only_the_pointwise_convolutions_of_a_bottleneck_are_sparse(name, knobs, stride):
    module = moved(name, stride=stride, sparsity=0.8, **knobs).eval()
    deployed = fuse(module)
    with torch.no_grad():
        assert torch.allclose(deployed(picture()), module(picture()), atol=1e-10)
    operators = trace(fuse(copy.deepcopy(module).float()), MAP.shape).operators
    kinds = [operator.kind for operator in operators]
    assert kinds.count("sparse") == (2 if knobs.get("expansion", 1) > 1 else 1)
    assert kinds.count("conv_depthwise") == 1
    assert declared(name, "macs", MAP, None, stride, **{"sparsity": 0.8, **knobs}) == sum(
        o.macs for o in operators
    )


def test_a_bottleneck_adds_its_input_where_the_shape_is_kept():
    module = moved("sparse_inverted_residual", sparsity=0.8).eval()
    torch.nn.init.zeros_(module.project.norm.weight)
    torch.nn.init.zeros_(module.project.norm.bias)
    with torch.no_grad():
        assert torch.equal(module(picture()), picture())
    assert not moved("sparse_inverted_residual", stride=2).is_residual


def test_what_does_not_fit_is_refused():
    odd = Signature("image", 15, (4, 4))
    assert fits("sparse_pointwise", odd, None, block=1)
    assert not fits("sparse_pointwise", odd, None, block=2)
    assert fits("sparse_pointwise", odd, 16, block=4)
    assert not fits("sparse_inverted_residual", odd, 16, expansion=3, block=2)
    assert fits("sparse_inverted_residual", odd, 16, expansion=1, block=2)
    assert not fits("sparse_separable_conv", MAP, 16, kernel=4)


def test_every_block_names_its_paper():
    names = [name for name in BLOCKS if BLOCKS.provider(name).module == "nas_sparse_ops"]
    assert sorted(names) == [
        "masked_conv",
        "nm_pointwise",
        "randomly_pruned",
        "sparse_inverted_residual",
        "sparse_pointwise",
        "sparse_separable_conv",
    ]
    assert all(BLOCKS[name].source.startswith("arXiv:") for name in names)


def test_sparse_mobilenet_v1():
    module, shape = published("sparse_mobilenet_v1")
    widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    pairs = list(itertools.pairwise(widths))
    pointwise = sum(a * b for a, b in pairs)
    kept = sum(round(0.1 * a * b) for a, b in pairs)
    assert parameter_count(module) == 4_231_976 - pointwise + kept == 1_406_349
    assert trace(fuse(module), shape).macs == 83_197_931


def test_the_unpacked_weight_is_the_masked_one():
    module = moved("sparse_pointwise", width=12, sparsity=0.7, block=2).eval()
    norm, conv = module.norm, module.conv
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    found = packed_of(module).dense()[:, :, 0, 0]
    assert torch.allclose(found, conv.masked()[:, :, 0, 0] * scale[:, None], atol=1e-14)
