"""Checkpoints: whole or not at all, of the same trial or not used."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from training_toys import toy_header

from nas.training import checkpoint as checkpoints
from nas.training.checkpoint import (
    CHECKPOINT,
    WEIGHTS,
    Checkpoint,
    drop_checkpoint,
    read_checkpoint,
    read_packed,
    recipe_hash,
    write_atomic,
    write_checkpoint,
    write_weights,
)
from nas.training.recipe import Recipe

HEADER = toy_header()
TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor(7, dtype=torch.int64),
    "c": torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=torch.channels_last
    ),
}
METRICS = {"accuracy": 0.1 + 0.2, "loss": 1e-300, "train_loss": 1.0}


def test_what_is_written_is_read_again_to_the_bit(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, HEADER, Checkpoint(3, TENSORS, METRICS))
    found = read_checkpoint(tmp_path, HEADER)
    assert found is not None
    assert found.epoch == 3
    assert found.metrics == METRICS
    assert found.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(found.tensors[name], TENSORS[name]) for name in TENSORS)
    assert found.tensors["b"].dtype == torch.int64


def test_equal_states_are_equal_files(tmp_path: Path) -> None:
    for place in ("one", "two"):
        write_checkpoint(tmp_path / place, HEADER, Checkpoint(3, TENSORS, METRICS))
        write_weights(tmp_path / place, TENSORS, HEADER)
    for name in (CHECKPOINT, WEIGHTS):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_tensors_that_share_memory_are_kept(tmp_path: Path) -> None:
    whole = torch.arange(8.0)
    write_checkpoint(tmp_path, HEADER, Checkpoint(1, {"whole": whole, "half": whole[::2]}))
    found = read_checkpoint(tmp_path, HEADER)
    assert found is not None
    assert found.tensors["half"].tolist() == [0, 2, 4, 6]


def test_without_a_checkpoint_there_is_none_and_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_checkpoint(tmp_path, HEADER) is None
    assert read_checkpoint(tmp_path / "nowhere", HEADER) is None
    assert not caplog.records


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "b" * 64},
        {"recipe": "x"},
        {"data": "x"},
        {"epochs": 5},
        {"seed": 4},
        {"minimum_map": 2},
        {"torch": "1.0"},
        {"format": "0"},
    ],
)
def test_that_of_another_trial_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    write_checkpoint(tmp_path, HEADER, Checkpoint(3, TENSORS, METRICS))
    with caplog.at_level(logging.WARNING, "nas.training"):
        assert read_checkpoint(tmp_path, replace(HEADER, **changes)) is None
    (record,) = caplog.records
    assert f"is of another trial (other: {next(iter(changes))})" in record.getMessage()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not safetensors",
        b"\xff" * 64,
        save({"a": torch.zeros(1)}),
        save({"a": torch.zeros(1)}, {"nas": "{"}),
        save({"a": torch.zeros(1)}, {"nas": "[]"}),
        save({"a": torch.zeros(1)}, {"nas": json.dumps({"header": {}})}),
    ],
)
def test_a_damaged_one_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with caplog.at_level(logging.WARNING, "nas.training"):
        assert read_checkpoint(tmp_path, HEADER) is None
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_truncated_one_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_checkpoint(tmp_path, HEADER, Checkpoint(3, TENSORS, METRICS))
    whole = (tmp_path / CHECKPOINT).read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / CHECKPOINT).write_bytes(whole[:length])
        assert read_checkpoint(tmp_path, HEADER) is None
    assert all("is damaged" in record.getMessage() for record in caplog.records)


def test_a_crash_before_the_rename_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path, HEADER, Checkpoint(1, TENSORS, METRICS))

    def crash(self: Path, target: Path) -> Path:
        assert self.read_bytes() != target.read_bytes()  # the new one is whole beside the old one
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(tmp_path, HEADER, Checkpoint(2, TENSORS, METRICS))
    found = read_checkpoint(tmp_path, HEADER)
    assert found is not None
    assert found.epoch == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [CHECKPOINT]


def test_content_reaches_the_disk_before_the_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("sync"), fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda a, b: (events.append("rename"), rename(a, b))[1])
    write_atomic(tmp_path / "file", b"content")
    assert events == ["sync", "rename", "sync"]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_full_disk_leaves_no_part_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(tmp_path / "deep" / "file", b"content")
    assert list((tmp_path / "deep").iterdir()) == []


def test_systems_without_folder_handles_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_DIRECTORY")
    checkpoints.write_atomic(tmp_path / "file", b"x")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_checkpoint_is_dropped_once_or_twice(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, HEADER, Checkpoint(1, TENSORS))
    drop_checkpoint(tmp_path)
    drop_checkpoint(tmp_path)
    assert read_checkpoint(tmp_path, HEADER) is None


def test_weights_say_what_they_belong_to(tmp_path: Path) -> None:
    write_weights(tmp_path, TENSORS, HEADER)
    tensors, content = read_packed(tmp_path / WEIGHTS)
    assert content["header"]["architecture"] == HEADER.architecture
    assert torch.equal(tensors["c"], TENSORS["c"])


def test_the_hash_of_a_recipe_follows_every_value() -> None:
    assert recipe_hash(Recipe()) == recipe_hash(Recipe())
    assert len({recipe_hash(r) for r in (Recipe(), Recipe(flip=False), Recipe(threads=2))}) == 3
