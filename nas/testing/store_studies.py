"""What every store promises of studies, what was installed, and the files that trials leave."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest

from nas.errors import StoreError, UnknownNameError, UsageError
from nas.plugins import Plugin
from nas.store import ArtifactRecord, Store, StudyRecord
from nas.testing.store_fixtures import COST, STUDY, StoreFixtures, candidate, running

SHA = "0123456789abcdef" * 4
DRIVERS = 4
FORBIDDEN_NAMES = ("", "A", "a b", "../a", "a/b", "-a", "x" * 65, "🙂", "a'; drop table study; --")
FORBIDDEN_PATHS = ("", "/etc/passwd", "../x", "a/../../x", "..\\x", "C:\\x", "a\0b", "a\nb")


class StudyTests(StoreFixtures):
    """Studies, claims, plugins, artifacts."""

    def test_begins_empty(self, store: Store) -> None:
        """The fixture gives a store without studies."""
        assert store.studies() == [], "the store is not empty: these tests need one of their own each"

    def test_a_study_comes_back_as_it_was(self, made: Store) -> None:
        """Whatever its settings hold."""
        hostile = '{"name": "</script> \\u202e \'; DROP TABLE study -- 🙂"}'
        record = StudyRecord("second", hostile, "2026-01-01T00:00:00+00:00", "9.9")
        made.create_study(record)
        assert made.study("second") == record
        made.update_study_spec("second", '{"trials": 99}')
        assert made.study("second").spec == '{"trials": 99}', "settings cannot be replaced"
        assert made.study(STUDY).spec == "{}", "replacing the settings of one study changes another one"

    def test_time_and_version_are_filled_in(self, made: Store) -> None:
        """Where the record leaves them out; times are UTC."""
        record = made.study(STUDY)
        assert record.version, "`version` is empty"
        assert datetime.fromisoformat(record.created).utcoffset() == timedelta(0), "`created` is not UTC"

    def test_studies_stay_in_their_order(self, store: Store) -> None:
        """That in which they were made."""
        names = ["second", "first", "zebra", "ant"]
        for name in names:
            store.create_study(StudyRecord(name, "{}"))
        assert [record.name for record in store.studies()] == names

    def test_a_name_is_taken_once(self, made: Store) -> None:
        """And the study of that name stays what it is."""
        with pytest.raises(StoreError, match=STUDY):
            made.create_study(StudyRecord(STUDY, '{"other": 1}'))
        assert made.study(STUDY).spec == "{}", "a refused study replaces the one of that name"

    @pytest.mark.parametrize(
        "name", ["", "A", "a b", "../a", "a/b", "-a", "x" * 65, "🙂", "a'; drop table x"]
    )
    def test_names_that_are_not_allowed(self, store: Store, name: str) -> None:
        """Names become folder names and keys."""
        with pytest.raises(UsageError):
            store.create_study(StudyRecord(name, "{}"))
        assert store.studies() == [], f"keeps a study named {name!r}"

    def test_an_unknown_study_offers_the_nearest(self, made: Store) -> None:
        """Whatever is asked of it."""
        calls: list[Callable[[], object]] = [
            lambda: made.study("fist"),
            lambda: made.trials("fist"),
            lambda: made.plugins("fist"),
            lambda: made.artifacts("fist"),
            lambda: made.update_study_spec("fist", "{}"),
            lambda: made.add_trial("fist", candidate(0), fidelity=1, seed=0),
        ]
        for call in calls:
            with pytest.raises(UnknownNameError, match="'first'"):
                call()

    def test_plugins_stay_on_record_when_versions_change(self, made: Store) -> None:
        """A result is explained by what was installed then."""
        old = Plugin("base", "nas_base", "nas", "0.1", ("nas_blocks", "nas_tasks"))
        broken = Plugin("odd", "nas_odd", "nas-odd", "1.0", error="ImportError: no torch")
        made.record_plugins(STUDY, [old, broken])
        made.record_plugins(STUDY, [old, broken])
        assert sorted(made.plugins(STUDY), key=str) == [old, broken], "records the same plugins twice"
        new = Plugin("base", "nas_base", "nas", "0.2", ("nas_blocks",))
        made.record_plugins(STUDY, [new])
        assert set(made.plugins(STUDY)) == {old, broken, new}, "a new version replaces the old record"

    def test_artifacts_of_a_trial(self, made: Store) -> None:
        """Each with its sum and its size; one that is written again is replaced."""
        for index in range(2):
            made.add_trial(STUDY, candidate(index), fidelity=1, seed=0)
        made.add_artifact(STUDY, 1, "weights", "1/weights.safetensors", SHA, 2**40)
        made.add_artifact(STUDY, 0, "weights", "0/weights.safetensors", SHA, 5)
        found = made.artifacts(STUDY)
        assert [(record.number, record.path, record.size) for record in found] == [
            (0, "0/weights.safetensors", 5),
            (1, "1/weights.safetensors", 2**40),
        ]
        kept = ArtifactRecord(STUDY, 1, "weights", "1/weights.safetensors", SHA, 2**40, found[1].created)
        assert made.artifacts(STUDY, 1) == [kept]
        made.add_artifact(STUDY, 0, "weights", "0/weights.safetensors", SHA[::-1], 6)
        assert [(record.sha256, record.size) for record in made.artifacts(STUDY, 0)] == [(SHA[::-1], 6)]

    @pytest.mark.parametrize(
        "path", ["", "/etc/passwd", "../x", "a/../../x", "..\\x", "C:\\x", "a\0b", "a\nb"]
    )
    def test_a_path_that_leaves_its_folder_is_refused(self, made: Store, path: str) -> None:
        """An artifact lies in the folder of its study."""
        made.add_trial(STUDY, candidate(0), fidelity=1, seed=0)
        with pytest.raises(StoreError):
            made.add_artifact(STUDY, 0, "weights", path, SHA, 1)
        assert made.artifacts(STUDY) == [], f"keeps the path {path!r}"

    @pytest.mark.parametrize(("kind", "sha", "size"), [("We", SHA, 1), ("w", "abc", 1), ("w", SHA, -1)])
    def test_other_bad_artifacts_are_refused(self, made: Store, kind: str, sha: str, size: int) -> None:
        """Kinds are words, sums are SHA-256 in hex, sizes count bytes."""
        made.add_trial(STUDY, candidate(0), fidelity=1, seed=0)
        with pytest.raises(StoreError):
            made.add_artifact(STUDY, 0, kind, "0/w", sha, size)
        assert made.artifacts(STUDY) == []

    def test_one_driver_runs_a_study(self, made: Store, reopen: Callable[[], Store]) -> None:
        """A second one is refused until the first gives the study back; other studies are free."""
        with reopen() as other:
            with made.claim_study(STUDY):
                with pytest.raises(StoreError, match=STUDY):
                    other.claim_study(STUDY)
                other.claim_study("second").release()
            claim = other.claim_study(STUDY)
            with pytest.raises(StoreError, match=STUDY):
                made.claim_study(STUDY)
            claim.release()
            claim.release()
            made.claim_study(STUDY).release()
            other.claim_study(STUDY)
        made.claim_study(STUDY).release()

    def test_of_several_drivers_at_once_one_runs(self, made: Store, reopen: Callable[[], Store]) -> None:
        """However close they come."""
        stores = [reopen() for _ in range(DRIVERS)]

        def claims(store: Store) -> bool:
            try:
                store.claim_study(STUDY)
            except StoreError:
                return False
            return True

        try:
            with ThreadPoolExecutor(DRIVERS) as pool:
                assert sum(pool.map(claims, stores)) == 1, "two drivers run one study"
        finally:
            for store in stores:
                store.close()

    def test_shows_no_password(self, made: Store) -> None:
        """`display_url` and the representation are for eyes, `url` is not."""
        assert made.display_url, "`display_url` is empty"
        password = urlsplit(made.url).password
        for shown in (made.display_url, repr(made)):
            assert not password or password not in shown, "shows the password of its URL"

    def test_a_closed_store_says_so(self, made: Store) -> None:
        """It is no use any more, and no surprise."""
        made.close()
        with pytest.raises(StoreError):
            made.studies()
        with pytest.raises(StoreError):
            made.add_trial(STUDY, candidate(0), fidelity=1, seed=0)

    def test_opened_again_it_holds_everything(self, made: Store, reopen: Callable[[], Store]) -> None:
        """Each call is one transaction: what it stored is there for everyone when it returns."""
        number = running(made, 0, latency=2.0)
        made.record_step(STUDY, number, attempt=1, step=1, metrics={"accuracy": 0.5})
        made.finish_trial(STUDY, number, attempt=1, seconds=1.0)
        made.add_trial(STUDY, candidate(1), fidelity=1, seed=0, costs=[COST])
        made.add_artifact(STUDY, number, "weights", "0/w", SHA, 1)
        made.record_plugins(STUDY, [Plugin("base", "nas_base", "nas", "0.1")])

        def content(store: Store) -> list[object]:
            artifacts, plugins = store.artifacts(STUDY), store.plugins(STUDY)
            return [store.studies(), store.trials(STUDY), store.steps(STUDY, number), artifacts, plugins]

        before = content(made)
        with reopen() as beside:
            assert content(beside) == before, "what was stored cannot be seen from beside"
        made.close()
        with reopen() as again:
            assert content(again) == before, "what was stored is gone, or changed, after opening it again"
            assert again.add_trial(STUDY, candidate(2), fidelity=1, seed=0) == 2, "numbers begin again"
