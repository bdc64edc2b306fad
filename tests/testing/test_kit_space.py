"""The kit finds what is wrong with a space, and nothing where all is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit_failures import complaint, run_file
from torch import Tensor, nn

from nas import Block, Choice, Signature, Space
from nas.spaces import Architecture, parse_space
from nas.testing import SpaceConformance
from nas.testing.space import found_space

KIT = SpaceConformance()
TEXT = """
name = "toy"
input = { domain = "image", channels = 3, size = [8, 8] }
classes = 4

[[stages]]
depth = [1, 2]
width = [4, 8]
stride = 2
blocks = [{ use = "toy", kernel = [1, 3, 5] }]

[head]
use = "toy_head"
"""


class Conv(nn.Module):
    def __init__(self, signature: Signature, *, width: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(signature.channels, width, kernel, stride, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Narrow(Conv):
    def __init__(self, signature: Signature, *, width: int, **knobs: Any) -> None:
        super().__init__(signature, width=width - 1, **knobs)


class Choosy(Conv):
    """Refuses by raising what its `valid` rule lets pass."""

    def __init__(self, signature: Signature, *, kernel: int, **knobs: Any) -> None:
        if kernel == 5:
            raise ValueError("5 is too large")
        super().__init__(signature, kernel=kernel, **knobs)


class Head(nn.Module):
    def __init__(self, signature: Signature, *, classes: int) -> None:
        super().__init__()
        self.scores = nn.Linear(signature.channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.scores(x.mean(dim=(2, 3)))
        return y


def blocks(build: Any = Conv, **fields: Any) -> dict[str, Block]:
    toy = Block("toy", "block", "image", build, {"kernel": Choice(1, 3, 5)}, **fields)
    return {"toy": toy, "toy_head": Block("toy_head", "head", "image", Head)}


def space(build: Any = Conv, **fields: Any) -> Space:
    return parse_space(TEXT, blocks(build, **fields))


GOOD = space()
BLOCKS = blocks()


def samples(of: Space, count: int = 4) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [of.sample(rng) for _ in range(count)]


# -- blocks that do not keep what the space says ---------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [(Narrow, "cannot be built: block 'toy' gives an output of shape"), (Choosy, "raised ValueError: 5")],
)
def test_networks_that_cannot_be_built_are_found(build: Any, message: str) -> None:
    broken = space(build)
    found = complaint(KIT.test_networks_can_be_built, broken, samples(broken, 12), blocks(build))
    assert message in found
    assert "found on: stages.0" in found


def test_an_option_that_never_fits_is_found() -> None:
    broken = space(valid=lambda signature, width, stride, **knobs: knobs["kernel"] < 5)
    message = complaint(KIT.test_every_option_can_be_taken, broken)
    assert "no architecture takes stages.0.layers.0.kernel = 5" in message

    class Large(SpaceConformance):
        listed = 1

    assert "kernel = 5" in complaint(Large().test_every_option_can_be_taken, broken)


def test_a_text_of_another_space_is_found() -> None:
    broken = space()
    broken.text = TEXT.replace("[4, 8]", "[4, 16]")
    assert "other decisions" in complaint(KIT.test_its_text_is_all_of_it, broken, BLOCKS)
    broken.text = TEXT.replace("[1, 3, 5]", "[1, 3]")
    assert "another space" in complaint(KIT.test_its_text_is_all_of_it, broken, BLOCKS)


@pytest.mark.parametrize("reference", ["no-such-space", "missing.toml"])
def test_a_space_that_does_not_load_is_found(reference: str) -> None:
    assert "does not load:" in complaint(found_space, reference)


# -- spaces that break their own rules -------------------------------------------------------------------


class Boastful(Space):
    def size(self) -> int:
        return super().size() + 1


class Repetitive(Space):
    def enumerate(self) -> Iterator[np.ndarray]:
        for vector in [*super().enumerate()][:-1]:
            yield vector
        yield vector


class Forgetful(Space):
    def encode(self, architecture: Architecture) -> np.ndarray:
        return 0 * super().encode(architecture)


class Careless(Space):
    """Takes what it is given for valid and canonical."""

    def is_valid(self, vector: Any) -> bool:
        return sum(vector) < 3


class Global(Space):
    def sample(self, rng: np.random.Generator) -> Architecture:
        np.random.random()
        return super().sample(rng)


class Restless(Space):
    COUNT = 0

    def sample(self, rng: np.random.Generator) -> Architecture:
        self.COUNT += 1
        return super().sample(np.random.default_rng(self.COUNT))


class Jumpy(Space):
    """Its neighbours are two decisions away."""

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        first = super().neighbours(architecture)[0]
        return [other for other in super().neighbours(first) if other != architecture][-1:]


class Narcissist(Space):
    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        return [architecture]


class Sluggish(Space):
    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        return architecture


class Stranger(Space):
    def crossover(self, one: Architecture, other: Architecture, rng: np.random.Generator) -> Architecture:
        return self.decode([len(decision.options) - 1 for decision in self.decisions])


class Blurred(Space):
    """Tells architectures apart by their first choice only."""

    def decode(self, vector: Any) -> Architecture:
        found = super().decode(vector)
        found.__dict__["hash"] = Architecture(None, found.choices[:1]).hash
        return found


def flat(kind: type[Space]) -> Space:
    return kind.flat({"a": list(range(6)), "b": list(range(6)), "c": list(range(6))})


VARIATION = "test_variation_stays_inside"
NEIGHBOURS = "test_neighbours_are_one_decision_away"
LIST = "test_its_size_is_that_of_its_list"
BROKEN: list[tuple[type[Space], str, str]] = [
    (Boastful, LIST, "says it has 217 vectors and lists 216"),
    (Repetitive, LIST, "lists a vector twice"),
    (Careless, LIST, "a block does not fit where it stands"),
    (Forgetful, "test_vectors_and_architectures_are_two_forms_of_one", "gives another vector"),
    (Careless, "test_samples_are_valid", "found on: the vector"),
    (Global, "test_one_seed_gives_one_sample", "the global random state of numpy"),
    (Restless, "test_one_seed_gives_one_sample", "other samples with the same seed"),
    (Jumpy, NEIGHBOURS, "a neighbour differs in 2 decisions"),
    (Narcissist, NEIGHBOURS, "is its own neighbour"),
    (Sluggish, VARIATION, "mutates into itself"),
    (Stranger, VARIATION, "from neither parent"),
    (Blurred, "test_one_network_has_one_identity", "different networks have one hash"),
]


@pytest.mark.parametrize(
    ("kind", "check", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_what_is_broken_is_found(kind: type[Space], check: str, message: str) -> None:
    broken = flat(kind)
    arguments: list[Any] = [] if check == LIST else [samples(broken, KIT.samples)]
    found = broken.sample_vectors(KIT.samples, np.random.default_rng(0)) if kind is Blurred else None
    if found is not None:
        arguments = [[broken.decode(vector) for vector in found]]
    assert message in complaint(getattr(KIT, check), broken, *arguments)


def test_a_network_that_changes_as_text_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Architecture.to_json
    monkeypatch.setattr(Architecture, "to_json", lambda self: text(replace(self, choices=())))
    message = complaint(KIT.test_architectures_survive_as_text, GOOD, samples(GOOD))
    assert "JSON changes its choices" in message


# -- as a whole ------------------------------------------------------------------------------------------

USE = """
import pytest
from nas.testing import SpaceConformance
import test_kit_space as toys

class TestIt(SpaceConformance):
    @pytest.fixture
    def space(self):
        return {space}

    @pytest.fixture
    def blocks(self):
        return toys.BLOCKS
"""


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(space="toys.GOOD"))
    assert (outcome.failed, outcome.skipped) == ({}, set())
    assert len(outcome.passed) == 13


def test_a_flat_space_has_no_networks(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(space="toys.flat(toys.Space)"))
    assert outcome.failed == {}
    assert outcome.skipped == {
        "test_networks_can_be_built",
        "test_every_architecture_is_priced",
        "test_its_text_is_all_of_it",
    }


def test_a_space_file_is_tested_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    changes = {'"toy"': '"basic"', "kernel = [1, 3, 5]": 'order = "act_conv_norm"', "toy_head": "pool_linear"}
    text = TEXT
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    source = USE.format(space=repr(str(path))).partition("    @pytest.fixture\n    def blocks")[0]
    outcome = run_file(tmp_path, source)
    assert (outcome.failed, outcome.skipped) == ({}, set())


def test_a_broken_space_fails_as_a_whole(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(space="toys.flat(toys.Narcissist)"))
    assert set(outcome.failed) == {"test_neighbours_are_one_decision_away"}
