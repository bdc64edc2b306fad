"""Sparsifiers, layouts and operators (STen, arXiv:2304.07613), and the n:m pointwise block."""

from __future__ import annotations

import itertools
import warnings
from math import comb

import pytest
import torch
from sparse_ops_cases import MAP, declared, fits, layer_of, moved, normal, picture
from torch.nn import functional as F

from nas.blocks import fuse, parameter_count
from nas.costs.trace import trace
from nas.errors import UnknownNameError
from nas.spaces.signature import Signature
from nas_sparse_ops import layouts, sparsifiers
from nas_sparse_ops.packed import PackedPointwise
from nas_sparse_ops.sparsity import (
    DEFAULT,
    Format,
    Layout,
    Operator,
    Sparsifier,
    Sparsity,
    SparsityWarning,
)

CASES = [
    ("scalar_fraction", "blocks", {"density": 0.3}),
    ("random", "blocks", {"density": 0.3, "seed": 5}),
    ("block_fraction", "blocks", {"density": 0.3, "block": 4}),
    ("keep_all", "blocks", {}),
    ("keep_all", "dense", {}),
    ("scalar_fraction", "dense", {"density": 0.3}),
    ("nm", "nm", {"n": 2, "m": 4}),
    ("nm", "nm", {"n": 1, "m": 10}),
    ("nm", "blocks", {"n": 2, "m": 4}),
    ("nmg", "nmg", {"n": 2, "m": 4, "g": 2}),
    ("nmg", "nmg", {"n": 1, "m": 4, "g": 3}),
    ("nmg", "nmg", {"n": 1, "m": 10, "g": 6}),
    ("nmg", "nm", {"n": 2, "m": 4, "g": 2}),
]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize(("sparsifier", "layout", "options"), CASES)
def test_a_packed_product_is_that_of_the_masked_matrix(sparsifier, layout, options):
    weight, x = normal(60, 40), normal(40, 7, seed=1)
    mask = DEFAULT.mask(weight, sparsifier, **options)
    packed = DEFAULT.pack(weight, sparsifier, layout, **options)
    assert torch.equal(DEFAULT.unpack(packed), weight * mask)
    assert torch.allclose(DEFAULT.run("matmul", packed, x), (weight * mask) @ x, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize(("sparsifier", "layout", "options"), CASES)
def test_storage_is_what_the_formula_says(sparsifier, layout, options, kind):
    weight = normal(60, 40).to(kind)
    packed = DEFAULT.pack(weight, sparsifier, layout, **options)
    given = {name: value for name, value in options.items() if name in ("n", "m", "g", "block")}
    if layout == "nm":
        given.pop("g", None)
    if layout == "blocks":
        given = {"block": options.get("block", 1), "kept": len(packed.values)}
    if layout == "dense":
        given = {}
    formula = DEFAULT.layouts[layout].storage_bytes(60, 40, item=kind.itemsize, **given)
    assert packed.storage_bytes == formula
    assert formula == sum(t.untyped_storage().nbytes() for t in map(torch.clone, packed.tensors.values()))


def test_storage_by_hand():
    assert layouts.nm_bytes(24, 16, n=2, m=4) == 24 * 8 * 5
    assert layouts.nmg_bytes(24, 16, n=2, m=4, g=4) == 24 * 8 * 4 + 24 * 4 + 12
    assert layouts.nmg_bytes(600, 16, n=2, m=4, g=100) == 600 * 8 * 4 + 600 * 4 * 4 + 12
    assert layouts.block_bytes(24, 16, kept=10, block=4) == 10 * 20 + 7 * 4
    assert layouts.dense_bytes(24, 16) == 24 * 16 * 4


@pytest.mark.parametrize("layout", ["blocks", "nm", "nmg"])
def test_without_data_a_matrix_is_as_large(layout):
    options = {
        "blocks": {"block": 2, "kept": 24 * 16 // 4},
        "nm": {"n": 2, "m": 4},
        "nmg": {"n": 2, "m": 4, "g": 2},
    }
    mask = sparsifiers.nmg(normal(24, 16), n=2, m=4, g=2)
    if layout == "blocks":
        mask = sparsifiers.block_fraction(normal(24, 16), density=0.5, block=2)
    pack = DEFAULT.layouts[layout].pack
    real, empty = (
        pack(normal(24, 16), mask, **options[layout]),
        pack(normal(24, 16).to("meta"), mask, **options[layout]),
    )
    assert {n: (t.shape, t.dtype) for n, t in real.tensors.items()} == {
        n: (t.shape, t.dtype) for n, t in empty.tensors.items()
    }


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 10), (3, 6), (4, 4)])
def test_patterns_are_all_there_and_neighbours_differ_in_one_place(n, m):
    found = sparsifiers.patterns(n, m)
    assert sorted(found) == sorted(itertools.combinations(range(m), n))
    assert all(len(set(a) - set(b)) == 1 for a, b in itertools.pairwise(found))
    assert torch.equal(sparsifiers.pattern_table(n, m).sum(1), torch.full((comb(m, n),), n))


@pytest.mark.parametrize(("n", "m", "g"), [(2, 4, 2), (2, 4, 4), (1, 4, 2), (1, 10, 3), (3, 6, 1)])
def test_every_chunk_holds_each_pattern_g_times(n, m, g):
    chunk = comb(m, n) * g
    mask = sparsifiers.nmg(normal(2 * chunk, 3 * m), n=n, m=m, g=g)
    assert float(mask.double().mean()) == pytest.approx(n / m)
    for start, column in itertools.product((0, chunk), range(0, 3 * m, m)):
        part = mask[start : start + chunk, column : column + m]
        rows = [tuple(row.nonzero().flatten().tolist()) for row in part]
        assert {pattern: rows.count(pattern) for pattern in set(rows)} == dict.fromkeys(
            itertools.combinations(range(m), n), g
        )


def greedy(scores, g):
    """Rows and patterns matched in the order of what they keep, one pair at a time."""
    pairs = sorted(((-s, r, p) for r, row in enumerate(scores) for p, s in enumerate(row)))
    matched, used = {}, [0] * len(scores[0])
    for _, row, pattern in pairs:
        if row not in matched and used[pattern] < g:
            matched[row] = pattern
            used[pattern] += 1
    return matched


def test_grouped_patterns_are_matched_greedily():
    weight = normal(24, 8, seed=3)
    mask = sparsifiers.nmg(weight, n=2, m=4, g=2)
    table = sparsifiers.patterns(2, 4)
    for start, column in itertools.product((0, 12), (0, 4)):
        part = weight[start : start + 12, column : column + 4].abs()
        scores = [[float(row[list(pattern)].sum()) for pattern in table] for row in part]
        wanted = torch.zeros(12, 4, dtype=torch.bool)
        for row, pattern in greedy(scores, 2).items():
            wanted[row, list(table[pattern])] = True
        assert torch.equal(mask[start : start + 12, column : column + 4], wanted)


@pytest.mark.parametrize(
    ("n", "m", "g", "expected"), [(2, 4, 4, (0.802, 0.747, 0.725)), (1, 10, 4, (0.259, 0.234, 0.222))]
)
def test_the_freer_a_pattern_the_more_it_keeps(n, m, g, expected):
    weight = normal(240, 240)
    masks = [
        sparsifiers.scalar_fraction(weight, density=n / m),
        sparsifiers.nm(weight, n=n, m=m),
        sparsifiers.nmg(weight, n=n, m=m, g=g),
    ]
    shares = [float((weight.abs() * mask).sum() / weight.abs().sum()) for mask in masks]
    assert shares == sorted(shares, reverse=True)
    assert shares == pytest.approx(expected, abs=0.006)
    drawn = float(sparsifiers.random(weight, density=n / m).double().mean())
    assert drawn == pytest.approx(n / m, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_free_patterns_keep_the_largest(seed):
    weight = normal(12, 12, seed=seed)
    mask = sparsifiers.nm(weight, n=2, m=4)
    for row, kept in zip(weight.abs().reshape(-1, 4), mask.reshape(-1, 4), strict=True):
        assert sorted(row[kept].tolist()) == sorted(row.tolist())[2:]


def test_random_masks_depend_on_their_seed_alone():
    state = torch.random.get_rng_state()
    one, other = (sparsifiers.random(normal(20, 20), density=0.4, seed=3) for _ in range(2))
    assert torch.equal(one, other)
    assert int(one.sum()) == 160
    assert not torch.equal(one, sparsifiers.random(normal(20, 20), density=0.4, seed=4))
    assert torch.equal(one, sparsifiers.random(10 * normal(20, 20, seed=8), density=0.4, seed=3))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("sparsifier", "options"),
    [
        ("nm", {"n": 2, "m": 7}),
        ("nm", {"n": 5, "m": 4}),
        ("nmg", {"n": 2, "m": 4, "g": 3}),
        ("nmg", {"n": 2, "m": 4, "g": 0}),
        ("block_fraction", {"density": 0.5, "block": 5}),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(sparsifier, options):
    with pytest.raises(ValueError, match=r"multiple|keep"):
        DEFAULT.mask(normal(12, 8), sparsifier, **options)


def test_a_mask_of_another_pattern_is_refused():
    weight = normal(12, 8)
    with pytest.raises(ValueError, match="does not keep 2 of every 4"):
        DEFAULT.pack(weight, "keep_all", "nm", n=2, m=4)
    with pytest.raises(ValueError, match="each 2:4 pattern 2 times"):
        DEFAULT.pack(weight, "nm", "nmg", n=2, m=4, g=2)


def test_an_operator_without_an_implementation_runs_dense_and_warns_once():
    sparsity = Sparsity(
        [*DEFAULT.sparsifiers.values(), *DEFAULT.layouts.values(), *DEFAULT.operators.values()]
    )
    weight, x = normal(12, 8), normal(12, 5)
    packed = sparsity.pack(weight, "nm", "nm", n=2, m=4)
    with pytest.warns(SparsityWarning, match="'transposed_matmul' for the layout 'nm'") as caught:
        found = sparsity.run("transposed_matmul", packed, x)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert torch.allclose(found, sparsity.unpack(packed).T @ x, atol=1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparsity.run("transposed_matmul", packed, x)
        sparsity.run("matmul", packed, normal(8, 2))
    with pytest.warns(SparsityWarning, match="'add' for the layout 'nm'"):
        assert torch.equal(sparsity.run("add", packed, weight), sparsity.unpack(packed) + weight)
    blocks = sparsity.pack(weight, "nm", "blocks", n=2, m=4)
    with pytest.warns(SparsityWarning, match="'multiply' for the layout 'blocks'"):
        sparsity.run("multiply", blocks, weight)


def test_a_result_is_sparsified_again_where_asked():
    packed = DEFAULT.pack(normal(12, 8), "nm", "nm", n=2, m=4)
    found = DEFAULT.run(
        "matmul", packed, normal(8, 8), output=Format("scalar_fraction", "blocks", {"density": 0.25})
    )
    assert found.layout == "blocks"
    assert found.values.numel() == 24
    again = DEFAULT.run("matmul", found, normal(8, 3, seed=2))
    assert torch.allclose(again, DEFAULT.unpack(found) @ normal(8, 3, seed=2), atol=1e-12)


def test_the_three_are_registered_apart():
    sparsity = Sparsity(
        [*DEFAULT.sparsifiers.values(), *DEFAULT.layouts.values(), *DEFAULT.operators.values()]
    )
    sparsity.add(Sparsifier("diagonal", lambda weight: torch.eye(*weight.shape).bool()))
    sparsity.add(
        Layout(
            "diagonal",
            lambda weight, mask: layouts.Packed("diagonal", weight.shape, {"values": weight.diagonal()}),
            lambda packed: torch.diag(packed.values),
            lambda rows, inner, *, item=4: rows * item,
        )
    )
    packed = sparsity.pack(normal(6, 6), "diagonal", "diagonal")
    with pytest.warns(SparsityWarning):
        slow = sparsity.run("matmul", packed, normal(6, 2))
    sparsity.add(Operator("matmul", "diagonal", lambda matrix, x: matrix.values[:, None] * x))
    assert torch.allclose(sparsity.run("matmul", packed, normal(6, 2)), slow)
    with pytest.raises(UnknownNameError, match="diagonal"):
        DEFAULT.mask(normal(6, 6), "diagonal")


@pytest.mark.parametrize(
    "call",
    [
        lambda: DEFAULT.mask(normal(4, 4), "nn", n=2, m=4),
        lambda: DEFAULT.pack(normal(4, 4), "nm", "mn", n=2, m=4),
        lambda: DEFAULT.run("matmull", DEFAULT.pack(normal(4, 4), "keep_all", "dense"), normal(4, 4)),
    ],
)
def test_unknown_names_are_told_with_the_nearest(call):
    with pytest.raises(UnknownNameError, match=r"nm|matmul"):
        call()


@pytest.mark.parametrize(
    "knobs", [{}, {"n": 1}, {"n": 1, "m": 8}, {"g": 4}, {"n": 1, "g": 2}, {"n": 4, "m": 4}]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_deployed_block_is_the_masked_convolution(knobs, stride):
    module = moved("nm_pointwise", width=24, stride=stride, activation="relu", **knobs).eval()
    x, norm = picture(), module.norm
    y = F.conv2d(x, module.conv.weight * module.conv.mask[:, :, None, None], None, stride)
    wanted = F.batch_norm(
        y, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
    ).relu()
    with torch.no_grad():
        assert torch.allclose(module(x), wanted, atol=1e-12)
        assert torch.allclose(fuse(module)(x), wanted, atol=1e-10)


@pytest.mark.parametrize(
    "knobs", [{"n": 2, "m": 4, "g": 0}, {"n": 1, "m": 4, "g": 2}, {"n": 1, "m": 8, "g": 1}]
)
def test_what_is_stored_is_what_is_declared(knobs):
    module = layer_of("nm_pointwise", width=48, **knobs)
    stored = 16 * 48 * knobs["n"] // knobs["m"]
    assert int(module.conv.mask.sum()) == stored
    assert parameter_count(module) == stored + 96 == declared("nm_pointwise", "params", MAP, 48, **knobs)
    deployed = fuse(module)
    assert (
        trace(deployed, MAP.shape).macs == stored * 42 == declared("nm_pointwise", "macs", MAP, 48, **knobs)
    )
    packed = next(part for part in deployed.modules() if isinstance(part, PackedPointwise)).packed
    formula = DEFAULT.layouts[packed.layout].storage_bytes(48, 16, **packed.options)
    assert packed.storage_bytes == formula


def test_masks_are_drawn_again_at_each_epoch():
    module = layer_of("nm_pointwise", width=24, g=2)
    before = module.conv.mask.clone()
    module.conv.weight.data = module.conv.weight.data.flip(1)
    module.conv.on_epoch(0.5)
    assert not torch.equal(before, module.conv.mask)
    assert torch.equal(module.conv.mask, sparsifiers.nmg(module.conv.weight[:, :, 0, 0], n=2, m=4, g=2))


def test_what_does_not_fit_is_refused():
    assert fits("nm_pointwise", MAP, None)
    assert not fits("nm_pointwise", MAP, None, m=10)
    assert not fits("nm_pointwise", MAP, None, n=4, m=2)
    assert not fits("nm_pointwise", MAP, None, g=2)
    assert fits("nm_pointwise", MAP, 24, g=4)
    assert fits("nm_pointwise", MAP, None, n=1, g=4)
    assert fits("nm_pointwise", Signature("image", 20, (1, 1)), None, n=1, m=10, g=2)
