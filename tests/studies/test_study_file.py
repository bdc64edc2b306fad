"""Study files: TOML with the options of a search."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.studies import SearchOptions, read_study_file

ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_left_out_has_the_defaults_of_the_command_line(tmp_path: Path) -> None:
    assert read_study_file(write(tmp_path, 'space = "tiny"')) == SearchOptions(space="tiny")


def test_every_key_is_read(tmp_path: Path) -> None:
    text = """
        space = "mobile"
        targets = ["a100", "pixel6"]
        data = "npz:x.npz"
        objectives = ["accuracy", "latency@pixel6"]
        constraints = ["params<=5M"]
        searcher = "random"
        cost_model = "roofline"
        trials = 7
        epochs = 3
        seed = 5
        study = "mine"
        precision = "fp32"
        batch_size = 4
        runtime = "eager"
        recipe = { learning_rate = 0.1 }
    """
    options = read_study_file(write(tmp_path, text))
    assert options == SearchOptions(
        space="mobile",
        targets=("a100", "pixel6"),
        data="npz:x.npz",
        objectives=("accuracy", "latency@pixel6"),
        constraints=("params<=5M",),
        searcher="random",
        cost_model="roofline",
        trials=7,
        epochs=3,
        seed=5,
        study="mine",
        precision="fp32",
        batch_size=4,
        runtime="eager",
        recipe={"learning_rate": 0.1},
    )


def test_files_are_looked_up_beside_the_study_file(tmp_path: Path) -> None:
    options = read_study_file(write(tmp_path, 'space = "my.toml"\ntargets = ["a100", "board.toml"]'))
    assert options.space == str(tmp_path / "my.toml")
    assert options.targets == ("a100", str(tmp_path / "board.toml"))


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('space = "tiny"\ntrails = 3', "unknown key 'trails' (did you mean 'trials'?)"),
        ('space = "tiny"\ntrials = "3"', "trials"),
        ('space = ""', "space"),
        ("trials = 3", "space"),
        ("space =", "not a TOML file"),
        ('space = "tiny"\nspace = "mobile"', "not a TOML file"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, fragment: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as error:
        read_study_file(path)
    assert fragment in str(error.value)
    assert str(path) in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"trials.*seed"):
        read_study_file(write(tmp_path, 'space = "tiny"\ntrials = "a"\nseed = "b"'))


def test_a_byte_order_mark_is_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xef\xbb\xbfspace = 'tiny'\r\n")
    assert read_study_file(path).space == "tiny"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"#" * 1_000_001])
def test_what_is_no_page_of_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"study\.toml"):
        read_study_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: No such file"):
        read_study_file(tmp_path / "none.toml")


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.toml")), ids=lambda p: p.stem)
def test_the_studies_that_ship_can_be_read(path: Path) -> None:
    assert read_study_file(path).trials > 0
