"""Which plugins a study uses, and what is said where one is missing or has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import MissingPluginError
from nas.plugins import Plugin, default_registry
from nas.search.study import StudySpec
from nas.spaces import Space, load_space
from nas.store import Store, StudyRecord
from nas.studies import SearchOptions, check_options
from nas.studies.plugins import check_plugins, plugins_used, worker_plugins

REGISTRY = default_registry()
GHOST = Plugin("ghost", "nas_ghost", "nas-ghost", "1.4", ("nas_blocks",))
FILE = Plugin("my_block", "/home/me/my_block.py", "my_block.py", "0123456789ab", ("nas_blocks",))


def used(**options: object) -> set[str]:
    spec, space = checked(**options)
    return {plugin.name for plugin in plugins_used(spec, space, REGISTRY)}


def checked(**options: object) -> tuple[StudySpec, Space]:
    return check_options(SearchOptions(**options), REGISTRY)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "nas.db")) as opened:
        opened.create_study(StudyRecord("s", "{}", "2026-01-01T00:00:00+00:00", "0.1"))
        yield opened


def test_a_study_uses_what_provides_its_parts() -> None:
    assert used(space="tiny") == {"base", "hardware", "searchers", "searchspaces", "tasks"}


def test_a_family_is_used_where_the_space_takes_one_of_its_blocks() -> None:
    families = {"large-kernels", "gated-convs", "group-attention", "sparse-ops"}
    assert used(space="hybrid") >= families
    assert not used(space="mobile") & families
    assert used(space="published/hornet_t") & families == {"gated-convs"}


def test_a_task_of_a_plugin_is_used() -> None:
    assert "group-attention" in used(space="tiny", data="cbf")


def test_a_space_file_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(load_space("tiny", REGISTRY).text)
    assert "searchspaces" not in used(space=str(path))


def test_workers_need_the_blocks_and_the_task_alone() -> None:
    spec, space = checked(space="hybrid")
    needed = {plugin.name for plugin in worker_plugins(spec, space, REGISTRY)}
    assert needed == {"base", "large-kernels", "gated-convs", "group-attention", "sparse-ops", "tasks"}


def test_what_is_loaded_is_not_missed(store: Store) -> None:
    spec, space = checked(space="hybrid")
    store.record_plugins("s", plugins_used(spec, space, REGISTRY))
    check_plugins(store, "s", REGISTRY)


def test_a_missing_package_is_named_with_what_installs_it(store: Store) -> None:
    store.record_plugins("s", [GHOST])
    with pytest.raises(MissingPluginError) as caught:
        check_plugins(store, "s", REGISTRY)
    assert str(caught.value).splitlines() == [
        "study 's' uses plugin 'ghost' (package nas-ghost 1.4), not loaded now.",
        "Install it: pip install 'nas-ghost==1.4'. 'nas plugins' shows what is loaded.",
    ]


def test_a_missing_file_is_named_with_its_option(store: Store) -> None:
    store.record_plugins("s", [FILE, GHOST])
    with pytest.raises(MissingPluginError, match=r"Add --plugin /home/me/my_block\.py\.") as caught:
        check_plugins(store, "s", REGISTRY)
    assert "nas-ghost 1.4" in str(caught.value)


def test_another_version_is_one_warning(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    base = REGISTRY.blocks.provider("conv")
    store.record_plugins("s", [replace(base, version="0.0.1")])
    check_plugins(store, "s", REGISTRY)
    assert capsys.readouterr().err == (
        f"warning: study 's' began with plugin base (nas 0.0.1); it is {base.version} now\n"
    )


def test_the_last_version_on_record_counts(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    base = REGISTRY.blocks.provider("conv")
    store.record_plugins("s", [replace(base, version="0.0.1")])
    store.record_plugins("s", [base])
    check_plugins(store, "s", REGISTRY)
    assert capsys.readouterr().err == ""
