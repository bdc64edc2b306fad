"""The small languages of the command line."""

from __future__ import annotations

import click
import pytest

from nas.cli.options import parse_recipe, parse_workers, split_trial


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("1", 1), ("16", 16)])
def test_workers(text: str, value: object) -> None:
    assert parse_workers(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "1.5"])
def test_wrong_workers(text: str) -> None:
    with pytest.raises(click.BadParameter, match="positive number"):
        parse_workers(text)


def test_recipe_values_are_read_as_toml() -> None:
    values = parse_recipe(("learning_rate=0.1", "batch_size=64", "ema=true", "optimizer=sgd", 'name="a=b"'))
    assert values == {"learning_rate": 0.1, "batch_size": 64, "ema": True, "optimizer": "sgd", "name": "a=b"}


@pytest.mark.parametrize("text", ["learning_rate", "=3", ""])
def test_wrong_recipe_values(text: str) -> None:
    with pytest.raises(click.BadParameter, match="NAME=VALUE"):
        parse_recipe((text,))


@pytest.mark.parametrize(("text", "parts"), [("mobile-a100", ("mobile-a100", None)), ("s#12", ("s", 12))])
def test_trial_references(text: str, parts: tuple[str, int | None]) -> None:
    assert split_trial(text) == parts


@pytest.mark.parametrize("text", ["s#", "s#x", "s#-1", "s#1#2", "s#٣x"])
def test_wrong_trial_references(text: str) -> None:
    with pytest.raises(click.BadParameter, match="STUDY#NUMBER"):
        split_trial(text)
