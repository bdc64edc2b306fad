"""Bad input: one or two lines, the right exit code, no traceback, nothing written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent
Cli = Callable[..., object]

WRONG_WORDS = [
    (["search", "--space", "mobil"], "Did you mean 'mobile'?"),
    (["search", "--space", "no/such.toml"], "no/such.toml"),
    (["search", "--target", "a1000"], "a100"),
    (["search", "--target", "missing.toml"], "missing.toml"),
    (["search", "--target", "a100", "--target", "a100"], "twice"),
    (["search", "--data", "digit"], "Did you mean 'digits'?"),
    (["search", "--data", "cifar10:nowhere"], "nowhere"),
    (["search", "--data", "npz:nowhere.npz"], "nowhere.npz"),
    (["search", "--data", "folder:nowhere"], "nowhere"),
    (["search", "--searcher", "evolutoin"], "Did you mean 'evolution'?"),
    (["search", "--cost-model", "rooflin"], "Did you mean 'roofline'?"),
    (["search", "--objective", "latencey"], "Did you mean 'latency'?"),
    (["search", "--objective", "up:latency"], "'min' or 'max'"),
    (["search", "--objective", "latency", "--objective", "latency"], "twice"),
    (["search", "--objective", "latency@t4"], "latency@t4"),
    (["search", "--constraint", "latency<2"], "latency<=2ms"),
    (["search", "--constraint", "latency<=2parsec"], "parsec"),
    (["search", "--constraint", "latency<=nan"], "latency<=2ms"),
    (["search", "--constraint", "latency<=1e999ms"], "finite"),
    (["search", "--constraint", "latncy<=2ms"], "Did you mean 'latency'?"),
    (["search", "--constraint", "x; drop table study<=1"], "latency<=2ms"),
    (["search", "--space", "tiny", "--constraint", "latency<=0.000001ms"], "smallest seen"),
    (["search", "--trials", "0"], "at least 1"),
    (["search", "--trials", "-3"], "at least 1"),
    (["search", "--trials", "many"], "not a valid integer"),
    (["search", "--epochs", "0"], "at least 1"),
    (["search", "--workers", "0"], "positive number"),
    (["search", "--workers", "two"], "positive number"),
    (["search", "--batch-size", "0"], "batch-size"),
    (["search", "--precision", "fp7"], "fp7"),
    (["search", "--runtime", "fast"], "fast"),
    (["search", "--recipe", "learning_rat=0.1"], "learning_rate"),
    (["search", "--recipe", "learning_rate"], "NAME=VALUE"),
    (["search", "--recipe", "learning_rate=fast"], "learning_rate"),
    (["search", "--recipe", "learning_rate=nan"], "learning_rate"),
    (["search", "--study", "../evil"], "not allowed"),
    (["search", "--study", "/etc/passwd"], "not allowed"),
    (["search", "--study", "it's"], "not allowed"),
    (["search", "--study", "😀"], "not allowed"),
    (["search", "--study", "<script>alert(1)</script>"], "not allowed"),
    (["search", "--study", "a" * 65], "not allowed"),
    (["search", "--study", ""], "not allowed"),
    (["search", "nothing.toml"], "nothing.toml"),
    (["search", "--trails", "3"], "--trials"),
    (["serch"], "Did you mean 'search'?"),
    (["resume", "none", "--trials", "0"], "0"),
    (["cost", "published/resnet5"], "Did you mean 'published/resnet50'?"),
    (["cost", "mobile"], "name one network"),
    (["cost", "no.such.module:build"], "no.such.module"),
    (["cost", "math:no_such_name"], "no_such_name"),
    (["cost", "math:floor"], "math:floor"),
    (["cost", "missing.json"], "missing.json"),
    (["cost", "published/resnet50", "--input", "3,x"], "3,224,224"),
    (["cost", "published/resnet50", "--target", "a10O"], "Did you mean"),
    (["targets", "a1000"], "a100"),
    (["spaces", "mobil"], "Did you mean 'mobile'?"),
    (["blocks", "inverted_residul"], "Did you mean 'inverted_residual'?"),
]

WRONG_STORE_WORDS = [
    ["studies"],
    ["show", "x"],
    ["show", "x#1"],
    ["front", "x"],
    ["report", "x"],
    ["export", "x#1"],
    ["resume", "x"],
    ["cost", "x#1"],
]


def check(outcome: object, codes: set[int], fragment: str, folder: Path, before: set[str]) -> None:
    code, out, err = outcome.code, outcome.out, outcome.err  # type: ignore[attr-defined]
    assert code in codes, err
    assert fragment in err
    assert "Traceback" not in err + out
    assert "unexpected" not in err
    assert err.startswith(("error: ", "warning: "))
    assert err.count("\n") <= 3
    assert {path.name for path in folder.iterdir()} == before, "something was written"


@pytest.mark.parametrize(
    ("words", "fragment"), WRONG_WORDS, ids=lambda v: " ".join(v)[:60] if isinstance(v, list) else ""
)
def test_wrong_words(cli: Cli, tmp_path: Path, words: list[str], fragment: str) -> None:
    check(cli(*words), {2}, fragment, tmp_path, set())


@pytest.mark.parametrize("words", WRONG_STORE_WORDS, ids=" ".join)
def test_a_store_that_is_not_there_is_not_made(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    check(cli(*words), {3}, "nas.db", tmp_path, set())


@pytest.mark.parametrize(
    "words", [["studies"], ["front", "x"], ["search", "--space", "tiny", "--trials", "1"]], ids=" ".join
)
@pytest.mark.parametrize("kind", ["text", "foreign", "truncated", "folder", "empty-tables"])
def test_a_store_that_is_not_ours_is_refused_untouched(
    cli: Cli, tmp_path: Path, words: list[str], kind: str
) -> None:
    path = tmp_path / "nas.db"
    if kind == "text":
        path.write_text("this is not a database, though it is long enough to be read as a header" * 10)
    elif kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        path.write_bytes(b"SQLite format 3\x00" + bytes(50))
    else:
        with sqlite3.connect(path) as connection:
            connection.execute(
                "create table customers (name text)" if kind == "foreign" else "create table study (x)"
            )
        connection.close()
    content = path.read_bytes() if path.is_file() else None
    outcome = cli(*words)
    assert outcome.code == 3, outcome.err  # type: ignore[attr-defined]
    assert "Traceback" not in outcome.err  # type: ignore[attr-defined]
    assert content is None or path.read_bytes() == content


def expected(path: Path) -> str:
    """The fragment that the first line of a corpus file promises: ``# expect: ...``."""
    first = path.read_bytes().partition(b"\n")[0].decode("utf-8", "replace").lstrip("\ufeff").strip()
    assert first.startswith("# expect: "), f"{path} begins with no '# expect: '"
    return first.removeprefix("# expect: ")


@pytest.mark.parametrize("path", sorted((CORPUS / "spaces").glob("*.toml")), ids=lambda p: p.stem)
def test_hostile_space_files(cli: Cli, tmp_path: Path, path: Path) -> None:
    check(cli("search", "--space", str(path)), {2}, expected(path), tmp_path, set())


@pytest.mark.parametrize("path", sorted((CORPUS / "targets").glob("*.toml")), ids=lambda p: p.stem)
def test_hostile_target_files(cli: Cli, tmp_path: Path, path: Path) -> None:
    check(cli("search", "--target", str(path)), {2}, expected(path), tmp_path, set())


@pytest.mark.parametrize("path", sorted((CORPUS / "studies").glob("*.toml")), ids=lambda p: p.stem)
def test_hostile_study_files(cli: Cli, tmp_path: Path, path: Path) -> None:
    check(cli("search", str(path)), {2}, expected(path), tmp_path, set())


def test_an_oversized_space_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_text("# padding\n" * 200_000)
    check(cli("search", "--space", str(path)), {2}, "big.toml", tmp_path, {"big.toml"})


def test_a_space_file_that_is_no_text(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(bytes(range(256)) * 8)
    check(cli("search", "--space", str(path)), {2}, "binary.toml", tmp_path, {"binary.toml"})


def test_a_space_that_is_a_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    check(cli("search", "--space", "folder.toml"), {2}, "folder.toml", tmp_path, {"folder.toml"})
