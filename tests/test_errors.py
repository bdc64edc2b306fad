"""The error tree: every class has an exit code, and messages help."""

from __future__ import annotations

import inspect

import pytest

from nas import errors


def all_errors() -> list[type[errors.NasError]]:
    return [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.NasError)]


@pytest.mark.parametrize("error", all_errors())
def test_every_error_is_drawn_in_the_tree_and_documented(error: type[errors.NasError]) -> None:
    assert errors.__doc__ is not None
    assert error.__name__ in errors.__doc__
    assert error.__doc__


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NasError, 1),
        (errors.UsageError, 2),
        (errors.SpaceError, 2),
        (errors.UnknownNameError, 2),
        (errors.StoreError, 3),
        (errors.PluginError, 4),
        (errors.TrialError, 1),
    ],
)
def test_exit_codes(error: type[errors.NasError], code: int) -> None:
    assert error.exit_code == code


def test_the_nearest_name_is_offered() -> None:
    error = errors.UnknownNameError("target", "a10O", ["a100", "h100", "t4"])
    assert str(error) == "unknown target 'a10O'. Did you mean 'a100'?"


def test_where_nothing_is_near_the_names_are_listed() -> None:
    assert errors.suggestion("zzz", ["b", "a"]) == "There are: a, b"


def test_a_long_list_is_cut() -> None:
    shown = errors.suggestion("zzz", [f"name{i:02d}" for i in range(40)])
    assert shown.endswith("...")
    assert len(shown) < 200


def test_no_names_at_all_points_to_plugins() -> None:
    assert "plugin" in errors.suggestion("x", [], "block")


def test_nearest_finds_nothing_for_a_stranger() -> None:
    assert errors.nearest("qqqqq", ["mobile", "cell"]) is None
