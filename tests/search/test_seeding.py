"""Seeds and generators depend on their names alone."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from nas.search.seeding import derived_seed, generator, trial_seed


def test_the_same_names_give_the_same_numbers_in_any_process() -> None:
    code = (
        "from nas.search.seeding import generator, trial_seed;"
        "print(generator(3, 'x', 1).integers(10**9), trial_seed(3, 'abc'))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {f"{generator(3, 'x', 1).integers(10**9)} {trial_seed(3, 'abc')}\n"}


def test_different_names_give_different_numbers() -> None:
    keys = [(0, "x"), (1, "x"), (0, "y"), (0, "x", 0), (0, "x", 1), (0, "x", 0, 0), (0, "x", "0")]
    draws = {int(generator(seed, *rest).integers(2**62)) for seed, *rest in keys}
    assert len(draws) == len(keys)
    assert len({derived_seed(seed, *rest) for seed, *rest in keys}) == len(keys)


@given(st.integers(0, 2**64), st.text(max_size=64))
def test_seeds_fit_every_library(seed: int, name: str) -> None:
    assert 0 <= trial_seed(seed, name) < 2**31
