"""Arrays in an .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.errors import DataError
from nas.training.npz import load_npz

RNG = np.random.default_rng(0)
LABELS = np.arange(20) % 4


def images(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def save(tmp_path: Path) -> Any:
    def write(**arrays: Any) -> str:
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


def test_one_pair_is_split(save: Any) -> None:
    data = load_npz(save(x=images(20, 3, 8, 10), y=LABELS, more=np.zeros(3)), 0)
    assert data.input.shape == (3, 8, 10)
    assert (len(data.train_labels), len(data.validation_labels)) == (16, 4)
    assert data.classes == 4
    assert not data.flip
    assert data.train_labels.dtype == torch.int64


def test_given_parts_are_kept(save: Any) -> None:
    x = images(20, 3, 8, 8)
    data = load_npz(save(x_train=x[:12], y_train=LABELS[:12], x_val=x[12:], y_val=LABELS[12:]), 0)
    assert np.array_equal(data.train_inputs.numpy(), x[:12])
    assert np.array_equal(data.validation_inputs.numpy(), x[12:])
    assert data.validation_labels.tolist() == LABELS[12:].tolist()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((20, 8, 10), (3, 8, 10)),
        ((20, 1, 8, 10), (3, 8, 10)),
        ((20, 8, 10, 1), (3, 8, 10)),
        ((20, 8, 10, 3), (3, 8, 10)),
        ((20, 8, 10, 4), (3, 8, 10)),
        ((20, 4, 8, 10), (3, 8, 10)),
        ((20, 3, 8, 3), (3, 8, 3)),
        ((20, 5, 8, 10), (5, 8, 10)),
    ],
)
def test_layouts_become_channels_first(save: Any, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    data = load_npz(save(x=images(*shape), y=LABELS), 0)
    assert data.input.shape == expected


def test_channels_last_pixels_stay_where_they_are(save: Any) -> None:
    x = images(20, 8, 10, 3)
    data = load_npz(save(x_train=x, y_train=LABELS, x_val=x, y_val=LABELS), 0)
    assert data.train_inputs[4, 2, 5, 7] == x[4, 5, 7, 2]


def test_floats_are_taken_as_they_are(save: Any) -> None:
    x = RNG.normal(3.0, 2.0, (200, 3, 8, 8))
    data = load_npz(save(x=x, y=np.arange(200) % 4), 0)
    assert data.train_inputs.dtype == torch.float32
    assert data.mean == pytest.approx((3.0,) * 3, abs=0.1)
    assert data.std == pytest.approx((2.0,) * 3, abs=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_images_must_be_finite(save: Any, bad: float) -> None:
    x = RNG.random((20, 3, 8, 8))
    x[13, 1, 2, 3] = bad
    with pytest.raises(DataError, match="x holds NaN or infinity, first in image 13"):
        load_npz(save(x=x, y=LABELS), 0)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.arange(19), "x holds 20 images but y 19 labels"),
        (LABELS.astype(float), "whole numbers of shape"),
        (LABELS.astype(str), "whole numbers of shape"),
        (np.eye(20, dtype=int), "whole numbers of shape"),
        (LABELS - 1, "classes from 0 on, found -1 to 2"),
        (LABELS + 10**9, "classes from 0 on"),
        (LABELS * 0, "at least 2 classes are needed"),
        (np.int64(3), "whole numbers of shape"),
    ],
)
def test_labels_are_checked(save: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_npz(save(x=images(20, 3, 8, 8), y=y), 0)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (images(20, 3), "must have the shape"),
        (images(20, 3, 8, 8, 2), "must have the shape"),
        (images(20, 3, 0, 8), "must have the shape"),
        (np.zeros((20, 3, 8, 8), dtype=np.int64), "uint8 or floating point, not int64"),
        (np.zeros((20, 3, 8, 8), dtype=complex), "uint8 or floating point, not complex128"),
        (np.uint8(3), "must have the shape"),
    ],
)
def test_images_are_checked(save: Any, x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_npz(save(x=x, y=LABELS), 0)


def test_nothing_at_all(save: Any) -> None:
    with pytest.raises(DataError, match="must have the shape"):
        load_npz(save(x=images(0, 3, 8, 8), y=LABELS[:0]), 0)


def test_a_column_of_labels_is_flattened(save: Any) -> None:
    assert load_npz(save(x=images(20, 3, 8, 8), y=LABELS[:, None]), 0).classes == 4


def test_parts_of_other_sizes(save: Any) -> None:
    path = save(x_train=images(20, 3, 8, 8), y_train=LABELS, x_val=images(20, 3, 8, 9), y_val=LABELS)
    with pytest.raises(DataError, match=r"images of other shapes: \(3, 8, 8\) and \(3, 8, 9\)"):
        load_npz(path, 0)


def test_missing_arrays_are_named(save: Any) -> None:
    with pytest.raises(DataError, match=r"must hold the arrays x and y, .*; found: x$"):
        load_npz(save(x=images(20, 3, 8, 8), labels=LABELS), 0)


def test_pickled_objects_are_never_loaded(save: Any) -> None:
    path = save(x=np.array([object()] * 20, dtype=object), y=LABELS)
    with pytest.raises(DataError, match="pickled objects are not read"):
        load_npz(path, 0)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", b"hello world, no arrays here"])
def test_files_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"not an \.npz file|pickled objects are not read"):
        load_npz(str(path), 0)


def test_a_truncated_file(save: Any) -> None:
    path = Path(save(x=images(20, 3, 8, 8), y=LABELS))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"not an \.npz file"):
        load_npz(str(path), 0)


def test_a_flipped_bit_is_found(save: Any) -> None:
    path = Path(save(x=images(20, 3, 8, 8), y=LABELS))
    content = bytearray(path.read_bytes())
    content[1500] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        load_npz(str(path), 0)


def test_a_single_array_is_recognised(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", LABELS)
    with pytest.raises(DataError, match="this is a single array"):
        load_npz(str(tmp_path / "x.npy"), 0)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        load_npz(str(tmp_path / "none.npz"), 0)
    with pytest.raises(DataError, match="needs a file: npz:PATH"):
        load_npz("", 0)
