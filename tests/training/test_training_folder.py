"""Images in one folder per class."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.errors import DataError
from nas.training.folder import load_folder

image = pytest.importorskip("PIL.Image")


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (20, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.new("RGB", size, colour).save(path)


def write_classes(root: Path, counts: Mapping[str, int]) -> None:
    """Solid pictures; the class decides the colour."""
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            picture(root / name / f"{number:02}.png", (50 * label, 100, 200))


def test_folders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_classes(tmp_path, {"zebra": 5, "ant": 10})
    data = load_folder(str(tmp_path), 0)
    assert data.class_names == ("ant", "zebra")
    assert data.input.shape == (3, 32, 32)
    assert data.train_labels.tolist() == [0] * 8 + [1] * 4
    assert data.validation_labels.tolist() == [0, 0, 1]
    assert data.train_inputs[0, :, 0, 0].tolist() == [50, 100, 200]
    assert data.train_inputs.dtype == torch.uint8


@pytest.mark.parametrize(("argument", "size"), [("@64", 64), ("@8", 8), ("", 32)])
def test_the_size_stands_behind_an_at(tmp_path: Path, argument: str, size: int) -> None:
    write_classes(tmp_path, {"a": 3, "b": 3})
    assert load_folder(f"{tmp_path}{argument}", 0).input.size == (size, size)


@pytest.mark.parametrize("size", ["7", "2000", "big", "-8", "١٦", "", "999999999999999999999"])
def test_sizes_that_make_no_sense(tmp_path: Path, size: str) -> None:
    write_classes(tmp_path, {"a": 3, "b": 3})
    with pytest.raises(DataError, match="behind '@' stands a size from 8 to 1024 pixels"):
        load_folder(f"{tmp_path}@{size}", 0)


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((16, 48, 3), dtype=np.uint8)
    pixels[:, 16:32] = 200
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    data = load_folder(f"{tmp_path}@16", 0)
    assert int(data.train_inputs.min()) == 200


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    write_classes(tmp_path, {"a": 3, "b": 3})
    suffix = "tif" if mode in ("CMYK", "I;16") else "png"
    image.new(mode, (9, 9)).save(tmp_path / "a" / f"other.{suffix}")
    data = load_folder(str(tmp_path), 0)
    assert len(data.train_labels) + len(data.validation_labels) == 7


def test_images_lie_at_any_depth_and_other_files_do_not_count(tmp_path: Path) -> None:
    write_classes(tmp_path, {"a": 2, "b": 2, ".hidden": 2})
    picture(tmp_path / "a" / "deep" / "er" / "x.JPG", (1, 2, 3))
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "._00.png").write_bytes(b"what macOS leaves behind")
    (tmp_path / "no images").mkdir()
    data = load_folder(str(tmp_path), 0)
    assert data.class_names == ("a", "b")
    assert len(data.train_labels) + len(data.validation_labels) == 5


def test_given_parts_are_taken(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", {"a": 4, "b": 4})
    write_classes(tmp_path / "val", {"a": 1, "b": 2})
    data = load_folder(str(tmp_path), 0)
    assert (len(data.train_labels), data.validation_labels.tolist()) == (8, [0, 1, 1])


def test_a_validation_part_without_images(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", {"a": 4, "b": 4})
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="there are no images of the classes a, b below"):
        load_folder(str(tmp_path), 0)


def test_the_same_folder_has_the_same_fingerprint_elsewhere(tmp_path: Path) -> None:
    for place in ("here", "there"):
        write_classes(tmp_path / place, {"a": 4, "b": 4})
    here, there = (load_folder(str(tmp_path / place), 0).fingerprint for place in ("here", "there"))
    assert here == there
    picture(tmp_path / "there" / "a" / "00.png", (9, 9, 9))
    assert load_folder(str(tmp_path / "there"), 0).fingerprint != here


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "header"])
def test_a_damaged_image_is_named(tmp_path: Path, damage: str) -> None:
    write_classes(tmp_path, {"a": 4, "b": 4})
    victim = tmp_path / "b" / "02.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image.fromarray(noise).save(victim)
    whole = victim.read_bytes()
    contents = {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"<html>", "header": whole[:20]}
    victim.write_bytes(contents[damage])
    with pytest.raises(DataError, match=r"image '.*02\.png' cannot be read: .+ Replace or remove it\."):
        load_folder(str(tmp_path), 0)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(tmp_path, {"a": 2, "b": 2})
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="cannot be read: Image size"):
        load_folder(str(tmp_path), 0)


def test_folders_that_hold_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no images below the folders of"):
        load_folder(str(tmp_path), 0)
    picture(tmp_path / "loose.png", (1, 2, 3))
    with pytest.raises(DataError, match="images must stand in one folder per class"):
        load_folder(str(tmp_path), 0)
    picture(tmp_path / "only" / "one.png", (1, 2, 3))
    with pytest.raises(DataError, match="images of one class only, 'only': at least 2 are needed"):
        load_folder(str(tmp_path), 0)
    picture(tmp_path / "two" / "one.png", (1, 2, 3))
    with pytest.raises(DataError, match="2 images to train on and 0 to validate on"):
        load_folder(str(tmp_path), 0)


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nowhere'"):
        load_folder(str(tmp_path / "nowhere"), 0)
    with pytest.raises(DataError, match="needs a folder: folder:PATH"):
        load_folder("", 0)


def test_without_pillow_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path, {"a": 2, "b": 2})
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"needs pillow: pip install 'nas\[images\]'"):
        load_folder(str(tmp_path), 0)
