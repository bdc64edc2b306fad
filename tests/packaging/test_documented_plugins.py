"""The pages of the hooks: whole, linked, and every snippet a plugin that works."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from warm_process import run_warm

from nas.blocks import Block, build, fuse, parameter_count
from nas.blocks.model import build_element
from nas.cli.command import Command
from nas.costs import Cost, CostModel, Device, OperatorCost, OperatorRule, Target, resolve_target
from nas.costs.call import Call
from nas.costs.operators import KINDS, Operator, Trace
from nas.costs.target_file import FIGURES
from nas.costs.trace import trace
from nas.errors import CostError, DataError
from nas.export import Exporter, ExportReport, ExportRequest, export_module
from nas.plugins import Plugin, PluginManager, Registry, default_registry
from nas.plugins.checks import ITEMS, hooks
from nas.search import SearcherFactory, TrialResult, TrialState
from nas.search.searcher import SearcherSetup
from nas.spaces import Architecture, BlockUse, Layer, Network, Signature, SpaceSource, load_space, parse_space
from nas.training import Proxy, ProxyBatch, Task, TaskData, assemble, open_task

ROOT = Path(__file__).parents[2]
OVERVIEW = ROOT / "docs" / "plugins.md"
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.S)
LINK = re.compile(r"\]\(([^)#]+\.md)\)")
CONFORMANCE = {
    "nas_blocks": "BlockConformance",
    "nas_targets": "TargetConformance",
    "nas_cost_models": "CostModelConformance",
    "nas_spaces": "SpaceConformance",
    "nas_tasks": "TaskConformance",
    "nas_searchers": "SearcherConformance",
    "nas_proxies": "ProxyConformance",
}
EXPLAINED: dict[str, tuple[type, ...]] = {
    "nas_blocks": (Block,),
    "nas_targets": (Target, Device),
    "nas_cost_models": (CostModel, Cost, OperatorCost, Operator, Trace),
    "nas_operator_rules": (OperatorRule, Call),
    "nas_spaces": (SpaceSource,),
    "nas_tasks": (Task, TaskData),
    "nas_searchers": (SearcherFactory, SearcherSetup, TrialResult),
    "nas_proxies": (Proxy, ProxyBatch),
    "nas_exporters": (Exporter, ExportRequest, ExportReport),
    "nas_commands": (Command,),
    "nas_trial_finished": (TrialResult,),
}
SAVED_AS = re.compile(r"[Ss]ave (?:it|this) as `(\w+\.py)`")


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """What the snippets bring into this process is taken out again; torch on one thread."""
    before, threads = set(sys.modules), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


def page_of(hook: str) -> str:
    return (ROOT / "docs" / "hooks" / f"{hook}.md").read_text(encoding="utf-8")


def fences(text: str, language: str) -> list[str]:
    return [content for found, content in FENCE.findall(text) if found == language]


def plugin_of(text: str, folder: Path) -> Path:
    """The first snippet of a page, in a file of the name that the page gives it."""
    found = SAVED_AS.search(text)
    assert found is not None, "the page does not say how to save its snippet"
    path = folder / found.group(1)
    path.write_text(fences(text, "python")[0], encoding="utf-8")
    return path


def loaded(text: str, folder: Path) -> tuple[Plugin, Registry]:
    """The plugin of a page, loaded beside everything that is installed."""
    path = plugin_of(text, folder)
    manager = PluginManager(strict=True)
    manager.load_entry_points()
    manager.load_files([path])
    return manager.plugins[-1], Registry(manager)


def offered(plugin: Plugin, registry: Registry, kind: str) -> list[str]:
    return [name for provider, name in getattr(registry, kind).offered() if provider == plugin]


# -- what the pages hold -----------------------------------------------------------------------------------


def test_every_hook_has_a_page_and_every_page_a_hook() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "hooks").glob("*.md")}
    assert pages == set(hooks()) == set(EXPLAINED)


@pytest.mark.parametrize("hook", EXPLAINED)
def test_the_overview_links_every_page_and_gives_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(hooks()[hook]).parameters)
    text = OVERVIEW.read_text(encoding="utf-8")
    assert f"(hooks/{hook}.md)" in text
    assert f"`{hook}({arguments})`" in text
    assert f"`{hook}({arguments})`" in page_of(hook)


@pytest.mark.parametrize("hook", EXPLAINED)
def test_a_page_is_built_like_the_others(hook: str) -> None:
    text = page_of(hook)
    assert text.startswith(f"# {hook}\n")
    for heading in ("## A whole plugin", "## What checks it"):
        assert text.count(f"\n{heading}\n") == 1
    checks = text.partition("## What checks it")[2]
    expected = CONFORMANCE.get(hook)
    assert f"`nas.testing.{expected}`" in checks if expected else "no kit" in checks
    assert "NAS_API_VERSION = 1" in fences(text, "python")[0]


@pytest.mark.parametrize(
    ("hook", "explained"), [(hook, cls) for hook, classes in EXPLAINED.items() for cls in classes]
)
def test_every_field_is_explained(hook: str, explained: type) -> None:
    """In the first column of a table."""
    cells = [line.split("|")[1] for line in page_of(hook).splitlines() if line.startswith("|")]
    named = {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}
    assert [field.name for field in dataclasses.fields(explained) if field.name not in named] == []


def test_the_pages_explain_what_the_hooks_return() -> None:
    for hook, place in ITEMS.items():
        assert place.rpartition(":")[2] in {cls.__name__ for cls in EXPLAINED[hook]}


def test_every_role_is_explained() -> None:
    from nas.blocks import ROLES

    text = page_of("nas_blocks")
    assert [role for role in ROLES if f"`{role}`" not in text] == []


def test_every_optional_method_of_a_module_is_explained() -> None:
    """Those that the core looks for by name."""
    found = set()
    for path in (ROOT / "nas").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found.update(re.findall(r"getattr\((?:part|module|root), \"([a-z]\w+)\", None\)", text))
    assert {"fused", "aux_loss", "on_epoch", "pruned_parameters"} <= found
    assert [name for name in sorted(found) if f"`{name}(" not in page_of("nas_blocks")] == []


def test_every_argument_of_assemble_is_explained() -> None:
    text = page_of("nas_tasks")
    assert [name for name in inspect.signature(assemble).parameters if f"`{name}`" not in text] == []


def test_every_kind_of_operator_is_named() -> None:
    text = page_of("nas_cost_models")
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []


def test_every_fixture_of_the_kit_is_that_of_its_page() -> None:
    from nas import testing
    from nas.testing.check import KITS

    for kit in KITS:
        assert hasattr(testing, kit.conformance)
        checks = page_of(f"nas_{kit.collection}").partition("## What checks it")[2]
        assert f"`nas.testing.{kit.conformance}`, fixture `{kit.fixture}`" in checks


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / link).is_file()
    ]
    assert broken == []


# -- what the snippets do ----------------------------------------------------------------------------------


def test_the_first_block_of_the_overview_is_searched(tmp_path: Path) -> None:
    text = OVERVIEW.read_text(encoding="utf-8")
    plugin, registry = loaded(text, tmp_path)
    assert offered(plugin, registry, "blocks") == ["gated_depthwise"]
    space = parse_space(fences(text, "toml")[0], registry.blocks)
    assert space.size() == 24
    assert "gated_depthwise" in space.block_names


def test_the_blocks_are_built_merged_and_counted(tmp_path: Path) -> None:
    text = page_of("nas_blocks")
    plugin, registry = loaded(text, tmp_path)
    assert offered(plugin, registry, "blocks") == ["two_branch_gate", "mixed_residual"]
    signature = Signature("image", 6, (9, 7))
    block = registry.blocks["two_branch_gate"]
    mixer = build_element(Layer(BlockUse("two_branch_gate", (("kernel", 7),))), signature, registry.blocks)
    mixer = mixer.double().eval()
    x = torch.randn(2, 6, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert block.params is not None
    assert block.macs is not None
    assert parameter_count(mixer) == block.params(signature, None, 1, kernel=7)
    assert trace(fuse(mixer).float(), signature.shape).macs == block.macs(signature, None, 1, kernel=7)
    assert sum(p.numel() for p in fuse(mixer).parameters()) < parameter_count(mixer)
    assert (fuse(mixer)(x) - mixer(x)).abs().max() < 1e-9
    assert not block.accepts(signature, None, 1, {"kernel": 6})


def test_the_operator_rule_is_that_of_its_operator(tmp_path: Path) -> None:
    from nas.costs.rules_of_plugins import working

    plugin, registry = loaded(page_of("nas_operator_rules"), tmp_path)
    (name,) = offered(plugin, registry, "operator_rules")
    x, decay = torch.empty(2, 7, 6, device="meta"), torch.empty(6, 16, device="meta")
    call = Call(name, {"x": x, "decay": decay}, [torch.empty_like(x)], 2)
    work = working(registry.operator_rules[name], plugin)(call)
    assert (name, work.kind) == ("my_library::scan", "rnn")
    assert (work.macs, work.flops, work.moved) == (84 * 16, 2 * 84 * 16, (2 * (84 + 96), 2 * 84))


def test_the_space_of_the_block_page_builds(tmp_path: Path) -> None:
    text = page_of("nas_blocks")
    _, registry = loaded(text, tmp_path)
    space = parse_space(fences(text, "toml")[0], registry.blocks)
    assert {"two_branch_gate", "mixed_residual"} <= set(space.block_names)
    networks = [space.decode(vector).network for vector in space.enumerate()]
    network = next(n for n in networks if n is not None and "two_branch_gate" in str(n))
    assert build(network, registry.blocks, seed=0).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 10)


def test_the_target_resolves_and_is_priced(tmp_path: Path) -> None:
    plugin, registry = loaded(page_of("nas_targets"), tmp_path)
    assert offered(plugin, registry, "targets") == ["example-board-v3"]
    target = resolve_target("example-board", registry)
    assert target.label == "example-board-v3/tflite/int8/b1/nhwc"
    assert set(target.device.figures) <= FIGURES
    found = trace(torch.nn.Conv2d(3, 8, 3), (3, 32, 32), precision=target.precision)
    assert registry.cost_models["roofline"].price(found, target).latency_ms > 0


def test_the_cost_model_prices(tmp_path: Path) -> None:
    plugin, registry = loaded(page_of("nas_cost_models"), tmp_path)
    assert offered(plugin, registry, "cost_models") == ["two_bounds"]
    model = registry.cost_models["two_bounds"]
    found = trace(
        torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()), (3, 32, 32), precision="fp16"
    )
    cost = model.price(found, resolve_target("a100", registry))
    assert cost.low_ms < cost.latency_ms < cost.high_ms
    assert cost.latency_ms == pytest.approx(sum(operator.latency_ms for operator in cost.operators))
    assert cost.macs == found.macs
    with pytest.raises(CostError, match="has no rule for tf32"):
        model.price(found, resolve_target("a100", registry, precision="tf32"))


def test_the_space_loads(tmp_path: Path) -> None:
    text = page_of("nas_spaces")
    plugin, registry = loaded(text, tmp_path)
    assert offered(plugin, registry, "spaces") == ["small-mixers"]
    (tmp_path / "small-mixers.toml").write_text(fences(text, "toml")[0], encoding="utf-8")
    space = load_space("small-mixers", registry)
    assert space.name == "small-mixers"
    assert space.size() == 48


def test_the_task_opens(tmp_path: Path) -> None:
    plugin, registry = loaded(page_of("nas_tasks"), tmp_path)
    assert offered(plugin, registry, "tasks") == ["stripes"]
    data = open_task("stripes:50", registry)
    assert data.input == Signature("image", 3, (8, 8))
    assert (len(data.train_labels), len(data.validation_labels)) == (40, 10)
    assert open_task("stripes:50", registry, split_seed=1).fingerprint != data.fingerprint
    for argument in ("9", "many", "-50"):
        with pytest.raises(DataError, match=f"stripes:{argument}: the argument is a number"):
            open_task(f"stripes:{argument}", registry)


def test_the_searcher_climbs(tmp_path: Path) -> None:
    import nas
    from nas.search import Objective

    plugin, registry = loaded(page_of("nas_searchers"), tmp_path)
    assert offered(plugin, registry, "searchers") == ["hill_climbing"]
    space = nas.Space.flat({name: list(range(8)) for name in "abc"})
    searcher = registry.searchers["hill_climbing"].create(
        SearcherSetup(space, (Objective("score", "max"),), seed=1)
    )
    best = 0.0
    for number in range(80):
        (architecture,) = searcher.ask(1)
        score = float(sum(architecture.values().values()))
        best = max(best, score)
        searcher.tell([TrialResult(architecture, TrialState.FINISHED, {"score": score}, number=number)])
    assert best > 17


def test_the_proxy_scores(tmp_path: Path) -> None:
    plugin, registry = loaded(page_of("nas_proxies"), tmp_path)
    assert offered(plugin, registry, "proxies") == ["score_norm"]
    batch = ProxyBatch(torch.eye(2), torch.tensor([0, 1]), torch.nn.functional.cross_entropy)
    linear = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.constant_(linear.weight, 3.0)
    assert registry.proxies["score_norm"].value(linear, batch) == pytest.approx(18**0.5)


def test_the_exporter_writes(tmp_path: Path) -> None:
    import numpy as np

    plugin, registry = loaded(page_of("nas_exporters"), tmp_path)
    assert offered(plugin, registry, "exporters") == ["numpy"]
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Flatten())
    network = Network(Signature("image", 3, (4, 4)), (), 64)
    path = tmp_path / "weights.npz"
    report = export_module(module, network, (3, 4, 4), "numpy", path, registry)
    assert report.difference == 0
    with np.load(path) as arrays:
        assert sorted(arrays.files) == ["0.bias", "0.weight"]


def test_the_command_runs(tmp_path: Path) -> None:
    plugin, registry = loaded(page_of("nas_commands"), tmp_path)
    assert offered(plugin, registry, "commands") == ["sizes"]
    sizes = registry.commands["sizes"].command
    assert isinstance(sizes, click.Command)
    expected = load_space("tiny", default_registry()).size()
    shown = CliRunner().invoke(sizes, ["tiny"], catch_exceptions=False)
    assert shown.output == f"tiny: {expected:,} architectures\n"
    assert json.loads(CliRunner().invoke(sizes, ["tiny", "--json"]).output) == {"tiny": expected}


def test_the_observer_hears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, registry = loaded(page_of("nas_trial_finished"), tmp_path)
    assert plugin.hooks == ("nas_trial_finished",)
    monkeypatch.setenv("TRIALS_FILE", str(tmp_path / "heard.jsonl"))
    for number in range(2):
        result = TrialResult(Architecture(None), TrialState.FINISHED, {"accuracy": 0.5}, number=number)
        assert registry.manager.notify("nas_trial_finished", study="s", result=result) == []
    lines = [json.loads(line) for line in (tmp_path / "heard.jsonl").read_text().splitlines()]
    assert lines == [
        {"study": "s", "trial": number, "state": "finished", "values": {"accuracy": 0.5}} for number in (0, 1)
    ]


@pytest.mark.parametrize("hook", EXPLAINED)
def test_a_plugin_file_of_a_page_runs_from_the_command_line(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``--plugin FILE`` takes it, in front of the command and behind it."""
    from nas.cli.main import cli
    from nas.plugins.files import VARIABLE

    path = plugin_of(page_of(hook), tmp_path)
    for words in (["--plugin", str(path), "plugins", "--json"], ["plugins", "--json", "--plugin", str(path)]):
        monkeypatch.setenv(VARIABLE, "")
        default_registry.cache_clear()
        result = CliRunner().invoke(cli, words, catch_exceptions=False)
        default_registry.cache_clear()
        found = {plugin["name"]: plugin for plugin in json.loads(result.output)["plugins"]}
        assert found[path.stem]["hooks"] == [hook]
        assert found[path.stem]["error"] is None
        assert os.environ[VARIABLE] == str(path)


def test_the_conformance_snippet_of_the_block_page_names_its_block() -> None:
    _, checked = fences(page_of("nas_blocks"), "python")
    module: dict[str, Any] = {"__name__": "my_tests"}
    exec(compile(checked, "nas_blocks.md", "exec"), module)
    fixture: Callable[..., str] = module["TestTwoBranchGate"].block
    assert 'return "two_branch_gate"' in checked
    assert fixture is not module["BlockConformance"].block


@pytest.mark.slow
@pytest.mark.parametrize("hook", CONFORMANCE)
def test_the_plugin_of_a_page_keeps_its_contract(hook: str, tmp_path: Path) -> None:
    """``nas plugins check`` finds nothing wrong with what the page tells a stranger to write."""
    path = plugin_of(page_of(hook), tmp_path)
    for file in fences(page_of(hook), "toml")[:1]:
        (tmp_path / "small-mixers.toml").write_text(file, encoding="utf-8")
    words = ["--plugin", path.name, "plugins", "check", path.stem, "--json"]
    done = run_warm(words, tmp_path)
    checks = json.loads(done.stdout)["checks"]
    assert [check for check in checks if check["status"] == "failed"] == []
    assert done.returncode == 0, done.stderr
    assert len([check for check in checks if check["status"] == "passed"]) > 5
