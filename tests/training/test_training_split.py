"""The split, the statistics and the fingerprint."""

from __future__ import annotations

import hashlib

import pytest
import torch

from nas.errors import DataError
from nas.training.assembly import assemble, channel_statistics, fingerprint
from nas.training.split import stratified_split

LABELS = torch.tensor([0] * 50 + [1] * 30 + [2] * 11)[
    torch.randperm(91, generator=torch.Generator().manual_seed(1))
]


def pictures(count: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, 5, 4), generator=generator).to(dtype)


@pytest.mark.parametrize("seed", range(5))
def test_every_sample_is_on_exactly_one_side_and_classes_keep_their_share(seed: int) -> None:
    training, validation = stratified_split(LABELS, seed)
    assert sorted([*training.tolist(), *validation.tolist()]) == list(range(91))
    assert torch.bincount(LABELS[validation]).tolist() == [10, 6, 2]


def test_the_seed_alone_decides() -> None:
    first, again, other = (stratified_split(LABELS, seed)[1] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_split_is_that_of_every_release() -> None:
    _, validation = stratified_split(torch.tensor([0, 1] * 10), seed=0)
    assert validation.tolist() == [4, 6, 9, 15]


def test_small_classes_are_on_both_sides_where_they_can_be() -> None:
    training, validation = stratified_split(torch.tensor([0, 1, 1, 2, 2, 2]), seed=0)
    assert 0 in training.tolist()
    assert {1, 2} == set(torch.tensor([0, 1, 1, 2, 2, 2])[validation].tolist())


def test_statistics_are_those_of_the_training_part_from_0_to_1() -> None:
    data = assemble((pictures(91), LABELS), class_names="abc", split_seed=0)
    scaled = data.train_inputs.double() / 255
    assert data.mean == pytest.approx(scaled.mean((0, 2, 3)).tolist())
    assert data.std == pytest.approx(scaled.std((0, 2, 3), correction=0).tolist())
    assert data.input.shape == (3, 5, 4)
    assert data.classes == 3


def test_statistics_of_many_images_are_exact() -> None:
    inputs = torch.rand(9000, 2, 2, 2, generator=torch.Generator().manual_seed(0)) * 3 - 1
    mean, std = channel_statistics(inputs)
    assert mean == pytest.approx(inputs.double().mean((0, 2, 3)).tolist())
    assert std == pytest.approx(inputs.double().std((0, 2, 3), correction=0).tolist())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_constant_channel_does_not_divide_by_zero(dtype: torch.dtype) -> None:
    _, std = channel_statistics(torch.full((4, 3, 2, 2), 9).to(dtype))
    assert std == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("domain", "shape", "expected", "others"),
    [
        ("image", (2, 5, 4), (2, (5, 4)), (0, 2, 3)),
        ("series", (2, 9), (2, (9,)), (0, 2)),
        ("sequence", (9, 2), (2, (9,)), (0, 1)),
        ("vector", (2,), (2, ()), (0,)),
    ],
)
def test_every_domain_has_its_own_place_for_channels(
    domain: str, shape: tuple[int, ...], expected: tuple[int, tuple[int, ...]], others: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(len(LABELS), *shape, generator=generator)
    data = assemble((inputs, LABELS), class_names="abc", split_seed=0, domain=domain)
    assert (data.input.domain, data.input.channels, data.input.size) == (domain, *expected)
    assert data.input.shape == shape
    assert data.mean == pytest.approx(data.train_inputs.double().mean(others).tolist())
    assert data.std == pytest.approx(data.train_inputs.double().std(others, correction=0).tolist())


def test_too_few_series_are_called_series() -> None:
    labels = torch.tensor([0, 1])
    with pytest.raises(DataError, match="2 series to train on and 0 to validate on"):
        assemble((torch.zeros(2, 1, 8), labels), class_names="ab", split_seed=0, domain="series")


def test_the_fingerprint_follows_content_split_and_type() -> None:
    def of(inputs: torch.Tensor, seed: int = 0) -> str:
        return assemble((inputs, LABELS), class_names="abc", split_seed=seed).fingerprint

    changed = pictures(91)
    changed[0, 0, 0, 0] ^= 1
    prints = [of(pictures(91)), of(changed), of(pictures(91), 1), of(pictures(91, torch.float32))]
    assert len(set(prints)) == 4
    assert prints[0] == of(pictures(91))
    assert len(prints[0]) == 64


def test_the_fingerprint_is_plain_sha256() -> None:
    tensor = torch.tensor([[1, 2]], dtype=torch.uint8)
    assert fingerprint([tensor]) == hashlib.sha256(b"torch.uint8 (1, 2);\x01\x02").hexdigest()


def test_memory_order_does_not_change_the_fingerprint() -> None:
    tensor = pictures(6)
    assert fingerprint([tensor]) == fingerprint([tensor.contiguous(memory_format=torch.channels_last)])


def test_a_given_validation_part_is_kept() -> None:
    data = assemble(
        (pictures(91), LABELS), class_names="abc", split_seed=0, validation=(pictures(7), LABELS[:7])
    )
    assert len(data.train_labels) == 91
    assert torch.equal(data.validation_inputs, pictures(7))


def test_too_little_data_is_refused() -> None:
    with pytest.raises(DataError, match="1 class; at least 2"):
        assemble((pictures(4), torch.zeros(4, dtype=torch.int64)), class_names="a", split_seed=0)
    with pytest.raises(DataError, match="2 images to train on and 0 to validate on"):
        assemble((pictures(2), torch.tensor([0, 1])), class_names="ab", split_seed=0)
