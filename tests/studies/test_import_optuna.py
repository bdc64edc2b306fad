"""Optuna studies made on the fly, read back as plain values; what is no Optuna study is refused untouched."""

from __future__ import annotations

import math
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState as Optuna

from nas.errors import UnknownNameError, UsageError
from nas.search.trial import TrialState
from nas.studies.foreign import ForeignStudy
from nas.studies.import_optuna import read_optuna

Make = Callable[..., optuna.Study]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Optuna without its log lines and notes."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A journal: much quicker than a database."""
    return str(tmp_path / "journal.log")


def make_study(url: str, name: str = "theirs", **settings: Any) -> optuna.Study:
    """An Optuna study; its sampler is random and repeatable."""
    storage: Any = url if "://" in url else optuna.storages.JournalStorage(JournalFileBackend(url))
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(storage=storage, study_name=name, sampler=sampler, **settings)


@pytest.fixture
def study(url: str) -> Make:
    return partial(make_study, url)


def options(found: ForeignStudy) -> dict[str, tuple[Any, ...]]:
    return dict(found.options)


def test_parameters_become_lists_of_values(study: Make, url: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("kind", ["b", "a", None, True, 3])
        trial.suggest_int("depth", 2, 8, step=3)
        trial.suggest_float("rate", 0.1, 0.4, step=0.1)
        trial.suggest_int("width", 1, 4, log=True)
        return trial.suggest_float("fixed", 0.5, 0.5)

    study().optimize(objective, n_trials=6)
    found = read_optuna(url)
    assert options(found) == {
        "depth": (2, 5, 8),
        "fixed": (0.5,),
        "kind": ("b", "a", "None", True, 3),
        "rate": (0.1, 0.2, 0.3, 0.4),
        "width": (1, 2, 3, 4),
    }
    assert found.notes == ()
    for trial in found.trials:
        assert all(value in options(found)[name] for name, value in trial.params.items())
        assert trial.seconds is not None
        assert trial.seconds >= 0


def test_of_a_continuous_parameter_the_values_seen_are_options(study: Make, url: str) -> None:
    study().optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("n", 0, 10**6), n_trials=5)
    found = read_optuna(url)
    assert options(found)["x"] == tuple(sorted(trial.params["x"] for trial in found.trials))
    assert len(options(found)["n"]) == 5
    assert [note.partition(":")[0] for note in found.notes] == ["n", "x"]


def test_ranges_that_changed_are_joined(study: Make, url: str) -> None:
    made = study()
    made.optimize(lambda t: t.suggest_int("n", 5, 7), n_trials=1)
    made.optimize(lambda t: t.suggest_int("n", 1, 6), n_trials=1)
    assert options(read_optuna(url))["n"] == (1, 2, 3, 4, 5, 6, 7)


def test_a_value_outside_its_range_is_an_option_too(study: Make, url: str) -> None:
    made = study()
    made.enqueue_trial({"n": 9})
    made.optimize(lambda t: t.suggest_int("n", 1, 3), n_trials=2)
    found = read_optuna(url)
    assert all(trial.params["n"] in options(found)["n"] for trial in found.trials)


def test_states_values_and_steps(study: Make, url: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_int("n", 0, 9)
        for step in range(3):
            trial.report(float(10 - step), step)
            if trial.number == 1 and step == 1:
                raise optuna.TrialPruned
        if trial.number == 2:
            raise ValueError("no")
        return math.inf if trial.number == 3 else 7.5

    made = study()
    made.optimize(objective, n_trials=4, catch=(ValueError,))
    made.ask()
    found = read_optuna(url)
    states = [TrialState.FINISHED, TrialState.STOPPED, TrialState.FAILED, TrialState.FINISHED]
    assert [trial.state for trial in found.trials] == states
    assert found.trials[0].values == (7.5,)
    assert found.trials[0].steps == ((0, 10.0), (1, 9.0), (2, 8.0))
    assert found.trials[1].values == ()
    assert found.trials[1].steps == ((0, 10.0), (1, 9.0))
    assert found.trials[2].values == ()
    assert found.trials[3].values == (math.inf,)
    assert found.waiting == 1


def test_directions_and_names_of_several_objectives(study: Make, url: str) -> None:
    made = study(directions=["minimize", "maximize"])
    made.set_metric_names(["error", "accuracy"])
    made.optimize(lambda t: (t.suggest_int("n", 0, 3), 1.0), n_trials=2)
    found = read_optuna(url)
    assert found.directions == ("min", "max")
    assert found.metric_names == ("error", "accuracy")
    assert (found.program, found.name, found.source) == ("optuna", "theirs", url)


def test_a_database_by_url_and_by_file(tmp_path: Path) -> None:
    """Nothing is written to it."""
    url = f"sqlite:///{tmp_path}/study.db"
    made = make_study(url, directions=["minimize", "maximize"])
    made.set_metric_names(["error", "accuracy"])
    made.optimize(lambda t: (1.0, float(t.suggest_int("n", 0, 3))), n_trials=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    found = read_optuna(url)
    assert [trial.params for trial in found.trials] == [trial.params for trial in made.trials]
    assert (found.metric_names, found.source) == (("error", "accuracy"), url)
    assert read_optuna(str(tmp_path / "study.db")).trials == found.trials
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_journal_is_only_read(study: Make, url: str) -> None:
    made = study()
    made.optimize(lambda t: t.suggest_int("n", 0, 3), n_trials=3)
    before = Path(url).read_bytes()
    assert [trial.params for trial in read_optuna(url).trials] == [t.params for t in made.trials]
    assert Path(url).read_bytes() == before


def test_one_of_several_studies_is_chosen_by_name(study: Make, url: str) -> None:
    for name in ("one", "two"):
        study(name).optimize(lambda t: t.suggest_int("n", 0, 3), n_trials=1)
    with pytest.raises(UsageError, match="2 studies: choose one by --study-name: 'one', 'two'"):
        read_optuna(url)
    assert read_optuna(url, "two").name == "two"
    with pytest.raises(UnknownNameError, match="Did you mean 'one'"):
        read_optuna(url, "onne")


@pytest.mark.parametrize("url", ["sqlite:///no.db", "no.db", "sqlite:////no/such/folder/x.db"])
def test_what_does_not_exist_is_not_made(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="there is no file"):
        read_optuna(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "neither a SQLite database nor a journal"),
        (b"hello", "neither a SQLite database nor a journal"),
        (b"{]\n", "cannot be read as a storage of Optuna|holds no study"),
        (b'{"op_code": 99}\n', "cannot be read as a storage of Optuna|holds no study"),
        (b"SQLite format 3\0" + b"\xff" * 200, "cannot be read as a storage of Optuna"),
    ],
)
def test_other_files_are_refused_and_left_alone(content: bytes, fragment: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=fragment):
        read_optuna(str(path))
    assert path.read_bytes() == content


def test_a_database_of_another_program_gets_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE studies (id INTEGER)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="not one of Optuna"):
        read_optuna(f"sqlite:///{path}")
    assert path.read_bytes() == before


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="read from a file"):
        read_optuna(url)


@pytest.mark.parametrize("url", ["nosuch://me:secret@host/db", "mysql+nodriver://me:secret@host/db"])
def test_a_password_is_never_shown(url: str) -> None:
    with pytest.raises(UsageError) as error:
        read_optuna(url)
    assert "secret" not in str(error.value)
    assert "***" in str(error.value)


def test_a_study_without_trials(study: Make, url: str) -> None:
    study()
    found = read_optuna(url)
    assert (found.trials, options(found)) == ((), {})


def test_a_trial_told_from_outside(study: Make, url: str) -> None:
    """Added ready-made, without times of its own."""
    distributions = {"n": optuna.distributions.IntDistribution(0, 3)}
    made = study()
    made.add_trial(optuna.trial.create_trial(params={"n": 1}, distributions=distributions, value=2.0))
    made.add_trial(optuna.trial.create_trial(state=Optuna.FAIL, params={"n": 1}, distributions=distributions))
    found = read_optuna(url)
    assert [trial.state for trial in found.trials] == [TrialState.FINISHED, TrialState.FAILED]
