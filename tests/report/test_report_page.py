"""The page as a browser meets it: complete, offline, escaped, for a study of any size."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_studies import Constraint, architectures, make_spec, make_store, random_results

from nas.errors import UnknownNameError, UsageError
from nas.plugins import Plugin, default_registry
from nas.report import content as content_module
from nas.report import write_report
from nas.report.content import read_content
from nas.report.pages import environment, render
from nas.report.provenance import command
from nas.report.tables import failures, trial_pages
from nas.search.objective import Objective
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store

VOID = {"meta", "br", "img", "circle", "path", "rect", "link", "input", "hr"}
LOADING = {
    "src",
    "srcset",
    "data",
    "action",
    "formaction",
    "poster",
    "background",
    "xlink:href",
    "cite",
    "ping",
}


class Page(HTMLParser):
    """Collects what a page holds, and checks that its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        self.ids += [value or "" for name, value in attributes if name == "id"]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.styles if self._open[-1:] == ["style"] else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(store: Store, folder: Path, study: str = "mobile-a100") -> tuple[Page, str]:
    path = write_report(store, study, folder / "report.html", default_registry())
    text = path.read_text(encoding="utf-8")
    store.close()
    return Page(text), text


def check_offline(page: Page) -> None:
    """No script, nothing a browser would load, no link that leaves the page, and a policy that says so."""
    assert "script" not in page.tags
    assert not {"link", "iframe", "object", "embed", "base", "form", "img", "image", "use"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert name not in LOADING, (tag, name, value)
        assert not name.startswith("on"), (tag, name, value)
        if name == "href":
            assert value.startswith("#")
            assert value[1:] in page.ids
        if name == "style":
            assert re.fullmatch(r"width:[0-9.]+%", value)
    styles = " ".join(page.styles)
    assert "url(" not in styles
    assert "@import" not in styles
    policies = [v for tag, name, v in page.attributes if tag == "meta" and name == "content"]
    assert any(
        policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        for policy in policies
    )


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str]:
    folder = tmp_path_factory.mktemp("normal")
    results = [
        *random_results(25),
        "RuntimeError: CUDA out of memory\n  at line 3",
        "RuntimeError: CUDA out of memory",
    ]
    store = make_store(folder, results, networks=architectures(27))
    store.record_plugins("mobile-a100", [Plugin("base", "nas_base", "nas", "0.1.0")])
    return report(store, folder)


def test_a_page_loads_nothing_and_runs_nothing(normal: tuple[Page, str]) -> None:
    check_offline(normal[0])
    assert re.findall(r"https?://(?!www\.w3\.org)", normal[1]) == []


def test_a_page_holds_every_section(normal: tuple[Page, str]) -> None:
    page, _ = normal
    for heading in (
        "The front",
        "Progress",
        "The networks of the front",
        "What failed",
        "All trials",
        "Where this",
    ):
        assert heading in page.text
    for fact in (
        "mobile-a100",
        "a100-sxm4-80gb/compiled/fp16/b1/nchw",
        "25 of 24",
        "SHA-256 abababab",
        "seed 0",
    ):
        assert fact in page.text
    assert "earliest strides are set to 1 until the last map is at least 4×4" in page.text
    assert "nas_base" in page.text


def test_the_page_has_valid_unique_ids(normal: tuple[Page, str]) -> None:
    assert len(set(normal[0].ids)) == len(normal[0].ids) > 0


def test_the_front_is_in_the_table_and_drawn(normal: tuple[Page, str], tmp_path: Path) -> None:
    page, text = normal
    with make_store(tmp_path, random_results(25)) as store:
        content = read_content(store, "mobile-a100")
    members = {int(content.numbers[i]) for i in content.front}
    assert {i for i in page.ids if i.startswith("front-")} == {f"front-{n}" for n in members}
    assert {i for i in page.ids if i.startswith("network-")} == {f"network-{n}" for n in members}
    assert text.count('class="stairs"') == 4
    assert "conv_stem" in page.text
    assert "launch-bound" in page.text or "memory-bound" in page.text


def test_every_point_tells_its_network_on_hover(normal: tuple[Page, str]) -> None:
    assert normal[1].count("<title>") > 17
    assert len(re.findall(r'<g class="tip"', normal[1])) >= 4


def test_failures_are_grouped_by_their_first_line(normal: tuple[Page, str]) -> None:
    assert "2 RuntimeError: CUDA out of memory #25, #26" in normal[0].text


def test_dark_narrow_and_printed_pages_are_styled(normal: tuple[Page, str]) -> None:
    styles = " ".join(normal[0].styles)
    for query in ("prefers-color-scheme: dark", "max-width: 640px", "@media print"):
        assert query in styles


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "no trials yet. Run it with: nas resume mobile-a100"),
        (["RuntimeError: no"] * 3, "No trial has finished"),
    ],
)
def test_a_study_without_a_front_says_so(results: list[str], message: str, tmp_path: Path) -> None:
    page, _ = report(make_store(tmp_path, results), tmp_path)
    check_offline(page)
    assert message in page.text
    assert "circle" not in page.tags


def test_a_study_of_one_trial_has_a_front_of_one(tmp_path: Path) -> None:
    page, _ = report(make_store(tmp_path, [(0.97, 0.12)], networks=architectures(1, "tiny")), tmp_path)
    check_offline(page)
    assert "97.00 %" in page.text
    assert "Progress" not in page.text


def test_trials_that_break_a_constraint_are_counted_and_kept_off_the_front(tmp_path: Path) -> None:
    spec = make_spec(constraints=(Constraint("latency", "<=", 0.15),))
    networks = architectures(2, "tiny")
    page, _ = report(make_store(tmp_path, [(0.9, 0.1), (0.99, 0.2)], spec, networks), tmp_path)
    assert "1 break a constraint" in page.text or "break a constraint 1" in page.text
    assert [i for i in page.ids if i.startswith("front-")] == ["front-0"]


def test_a_study_in_which_nothing_keeps_the_constraints_says_so(tmp_path: Path) -> None:
    spec = make_spec(constraints=(Constraint("accuracy", ">=", 0.999),))
    page, _ = report(make_store(tmp_path, [(0.9, 0.1)], spec), tmp_path)
    assert "None of the 1 finished trials keeps the constraints." in page.text


@pytest.mark.parametrize(
    "objectives",
    [
        (Objective("accuracy", "max"),),
        (Objective("latency", "min"),),
        (Objective("accuracy", "max"), Objective("latency", "min"), Objective("loss", "min")),
        (Objective("loss", "min"), Objective("latency", "min")),
    ],
)
def test_any_number_of_objectives_has_its_charts(objectives: tuple[Objective, ...], tmp_path: Path) -> None:
    store = make_store(
        tmp_path, random_results(8), make_spec(objectives=objectives), architectures(8, "tiny")
    )
    page, text = report(store, tmp_path)
    check_offline(page)
    pairs = max(1, len(objectives) - 1)
    assert len(re.findall(r'aria-label="[^"]* finished trials of ', text)) == 2 * pairs  # wide and narrow


def test_points_of_a_flat_space_show_their_choices(tmp_path: Path) -> None:
    networks = [Architecture(None, (("lr", 0.1 * i), ("<b>depth</b>", i))) for i in range(1, 4)]
    page, _ = report(make_store(tmp_path, random_results(3), networks=networks), tmp_path)
    assert "<b>depth</b>" in page.text
    assert "b" not in page.tags


HOSTILE = [
    "<script>alert(1)</script>",
    "</title></style><svg onload=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' style='width:1px' onmouseover='alert(1)",
    "{{ 1234567 * 7654321 }}{% raw %}",
    "javascript:alert(1)",
    "</details>--><!--",
    "&lt;b&gt;&#x3c;",
    "\u202egnp.exe\u2066 \x1b[31m \x00 \x07",
    "]]>]]&gt;",
    "x" * 20_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_outside_becomes_markup(text: str, tmp_path: Path) -> None:
    base = make_spec()
    spec = replace(
        base,
        space=text,
        targets=(text,),
        target_names=(text,),
        target_labels=(text,),
        objectives=(Objective("accuracy", "max"), Objective("latency", "min"), Objective(text, "min")),
        target_overrides=(),
        cost_model=text,
        data=text,
        data_fingerprint=text,
        recipe=((text, text),),
        searcher=text,
    )
    network = architectures(2, "tiny")
    store = make_store(tmp_path, [(0.9, 0.1), text], spec, network)
    store.record_plugins(
        spec.name, [Plugin(text[:100].replace("\0", ""), "m", "d", text[:100].replace("\0", ""))]
    )
    page, raw = report(store, tmp_path)
    check_offline(page)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", raw)
    assert str(1234567 * 7654321) not in raw


def test_hostile_blocks_and_choices_are_text(tmp_path: Path) -> None:
    from nas.spaces.architecture import BlockUse, Layer, Network
    from nas.spaces.signature import Signature

    bad = "<script>alert(1)</script>"
    layer = Layer(BlockUse(bad, ((bad, bad),)), 8, slot=f"stages.{bad}.x")
    network = Architecture(Network(Signature("image", 3, (8, 8)), (layer,), 2), ((bad, bad),))
    page, _ = report(make_store(tmp_path, [(0.9, 0.1)], networks=[network]), tmp_path)
    check_offline(page)
    assert bad in page.text


def test_templates_escape_and_refuse_undefined_names() -> None:
    made = environment()
    assert made.from_string("{{ x }}").render(x="<&\"'>") == "&lt;&amp;&#34;&#39;&gt;"
    with pytest.raises(Exception, match="undefined"):
        render("front.svg.html")


def test_a_large_study_is_thinned_and_paged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("POINTS", 30), ("ROWS", 120), ("FRONT_ROWS", 10), ("NETWORKS", 2), ("FAILURES", 5)):
        monkeypatch.setattr(content_module, name, value)
    base = architectures(20, "tiny")
    flat = [Architecture(None, (("i", i),)) for i in range(300)]
    results = [(0.9 + i / 1e4, 0.1 + i / 1e3) if i % 2 else (0.8, 0.5) for i in range(300)]
    page, text = report(make_store(tmp_path, results, networks=[*base, *flat][:300]), tmp_path)
    check_offline(page)
    assert "The last 120 of 300 trials" in page.text
    assert "finished trials are drawn" in page.text
    assert re.search(r"\d+ of 150 members of the front are listed", page.text)
    assert text.count("<details open>") >= 1
    assert len(text) < 700_000


def test_trial_pages_follow_each_other(tmp_path: Path) -> None:
    flat = [Architecture(None, (("i", i),)) for i in range(250)]
    with make_store(tmp_path, random_results(250), networks=flat) as store:
        pages = trial_pages(read_content(store, "mobile-a100"))
    assert [(page.first, page.last, page.is_open) for page in pages] == [
        (0, 99, True),
        (100, 199, False),
        (200, 249, False),
    ]


def test_the_most_frequent_error_comes_first(tmp_path: Path) -> None:
    flat = [Architecture(None, (("i", i),)) for i in range(20)]
    errors = ["B: once", *["A: often\nx"] * 19]
    with make_store(tmp_path, errors, networks=flat) as store:
        found = failures(store.trials("mobile-a100", states=[TrialState.FAILED]))
    assert [(item.error, item.trials) for item in found] == [("A: often", 19), ("B: once", 1)]
    assert found[0].numbers.endswith(", …")


def test_the_command_is_quoted_and_complete() -> None:
    spec = make_spec(
        constraints=(Constraint("latency", "<=", 2.0),),
        objectives=(Objective("accuracy", "max"), Objective("params", "max")),
        target_overrides=(("batch_size", 8),),
        recipe=(("flip", False), ("learning_rate", 0.1)),
        data="folder:my pictures; rm -rf ~",
    )
    text = command(spec, "nas.db")
    words = shlex.split(text)
    assert words[:4] == ["nas", "search", "--space", "mobile"]
    for option, value in (
        ("--data", "folder:my pictures; rm -rf ~"),
        ("--constraint", "latency<=2"),
        ("--batch-size", "8"),
        ("--recipe", "flip=false"),
        ("--seed", "0"),
        ("--store", "nas.db"),
    ):
        assert words[words.index(option) + 1] == value
    assert "max:params" in words
    assert "'folder:my pictures; rm -rf ~'" in text


def test_a_password_never_reaches_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path, [])
    url = "postgresql://me:***@host/nas"
    monkeypatch.setattr(type(store), "display_url", property(lambda self: url))
    _, text = report(store, tmp_path)
    assert url in text


def test_a_page_replaces_an_older_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.html").write_text("old")
    report(make_store(tmp_path, []), folder)
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["missing/report.html", "", "a" * 300 + ".html", "nul\0.html"])
def test_a_path_that_cannot_be_written_is_a_usage_error(name: str, tmp_path: Path) -> None:
    with make_store(tmp_path, []) as store, pytest.raises(UsageError) as raised:
        write_report(store, "mobile-a100", tmp_path / name, default_registry())
    assert len(str(raised.value).splitlines()) <= 2


def test_an_unknown_study_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with make_store(tmp_path, []) as store, pytest.raises(UnknownNameError, match="mobile-a100"):
        write_report(store, "mobile-a10", tmp_path / "report.html", default_registry())
    assert not (tmp_path / "report.html").exists()
