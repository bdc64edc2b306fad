"""How two sets of scores are compared, and how files appear."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nas.errors import ExportError, UsageError
from nas.export.agreement import check_agreement, check_inputs, export_errors, largest_difference
from nas.files import check_writable, whole_file


def test_the_largest_difference_is_found() -> None:
    a, b = torch.zeros(2, 3), torch.zeros(2, 3)
    b[1, 2] = -0.25
    assert largest_difference([a, a], [a, b]) == 0.25


@pytest.mark.parametrize("found", [torch.zeros(3, 2), torch.full((2, 3), float("nan"))])
def test_other_shapes_and_nan_never_agree(found: torch.Tensor) -> None:
    assert largest_difference([torch.zeros(2, 3)], [found]) == float("inf")


def test_check_inputs_are_the_same_every_time_and_leave_the_global_state_alone() -> None:
    state = torch.get_rng_state()
    first, second = check_inputs(torch.zeros(1, 3, 4)), check_inputs(torch.zeros(1, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert [tuple(x.shape) for x in first] == [(1, 3, 4), (3, 3, 4)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("shift", "agrees"), [(0.9e-4, True), (1.1e-4, False)])
def test_the_tolerance_is_absolute_for_small_scores(shift: float, agrees: bool) -> None:
    module, inputs = nn.Tanh(), [torch.zeros(1, 2)]
    if agrees:
        found = check_agreement("it", module, inputs, lambda xs: [x.tanh() + shift for x in xs], 1e-4)
        assert found == pytest.approx(shift, rel=1e-3)
    else:
        with pytest.raises(ExportError, match="it does not agree"):
            check_agreement("it", module, inputs, lambda xs: [x.tanh() + shift for x in xs], 1e-4)


def test_the_tolerance_grows_with_large_scores() -> None:
    inputs = [torch.full((1, 2), 1000.0)]
    assert check_agreement("it", nn.Identity(), inputs, lambda xs: [x + 0.05 for x in xs], 1e-4) > 0.04


def test_a_converter_error_becomes_one_line() -> None:
    with (
        pytest.raises(ExportError, match=r"cannot be written as ONNX: ValueError: first$"),
        export_errors("ONNX"),
    ):
        raise ValueError("\n  first\nsecond")


def test_an_export_error_passes_through_unchanged() -> None:
    with pytest.raises(ExportError, match=r"^mine$"), export_errors("ONNX"):
        raise ExportError("mine")


@pytest.mark.parametrize("name", ["missing/network.onnx", "a" * 300 + "/x", "nul\0/x"])
def test_a_file_that_cannot_be_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot write") as raised:
        check_writable(tmp_path / name)
    assert len(str(raised.value).splitlines()) <= 2


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        check_writable(tmp_path)


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    with whole_file(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
        assert temporary.suffix == ".bin"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file.bin"
    with pytest.raises(error), whole_file(target) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_disk_error_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot write"), whole_file(tmp_path / "file.bin", ExportError):
        raise OSError(28, "No space left on device")
