"""scikit-learn's digits."""

from __future__ import annotations

import pytest
import torch

from nas.errors import DataError
from nas.training.digits import load_digits


def test_the_whole_set_at_its_own_size() -> None:
    data = load_digits("", 0)
    assert data.input.shape == (3, 8, 8)
    assert data.classes == 10
    assert not data.flip
    assert len(data.train_labels) + len(data.validation_labels) == 1797
    assert data.train_inputs.dtype == torch.uint8
    assert (int(data.train_inputs.min()), int(data.train_inputs.max())) == (0, 255)


def test_three_equal_channels() -> None:
    data = load_digits("", 0)
    assert torch.equal(data.train_inputs[:, 0], data.train_inputs[:, 2])


def test_the_first_picture_is_the_zero_it_shows() -> None:
    from sklearn import datasets

    original = datasets.load_digits()
    data = load_digits("", 0)
    pictures = torch.cat([data.train_inputs, data.validation_inputs])
    labels = torch.cat([data.train_labels, data.validation_labels])
    wanted = torch.from_numpy(original.images[0] * 255 / 16).round().to(torch.uint8)
    found = (pictures[:, 0] == wanted).all(dim=(1, 2)).nonzero().flatten()
    assert len(found) == 1
    assert int(labels[found[0]]) == original.target[0] == 0


@pytest.mark.parametrize("size", [16, 32])
def test_enlarged(size: int) -> None:
    data, native = load_digits(str(size), 0), load_digits("", 0)
    assert data.input.size == (size, size)
    assert torch.equal(data.train_labels, native.train_labels)
    assert data.fingerprint != native.fingerprint
    repeated = native.train_inputs.repeat_interleave(size // 8, 2).repeat_interleave(size // 8, 3)
    pairs = torch.stack([data.train_inputs.float(), repeated.float()]).flatten(1)
    assert float(torch.corrcoef(pairs)[0, 1]) > 0.9


def test_the_split_seed_decides_the_split_alone() -> None:
    first, again, other = (load_digits("", seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert torch.equal(first.validation_labels.bincount(), other.validation_labels.bincount())


@pytest.mark.parametrize("argument", ["7", "300", "huge", "-16", "16.0", "²", "1" * 5000])
def test_other_arguments(argument: str) -> None:
    with pytest.raises(DataError, match="a size from 8 to 256 pixels, as in digits:16"):
        load_digits(argument, 0)
