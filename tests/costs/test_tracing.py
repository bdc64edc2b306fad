"""Layers are traced once: in the cache of a table, over worker processes, and never wrongly."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.costs import CostTable, deployed, resolve_target, tracing, tracing_pool
from nas.costs.trace_codec import decode, encode
from nas.costs.trace_keys import Border, Key, Profile, TraceKeys, code_digest
from nas.costs.tracing_pool import CHUNK, TracingPool, worker_count
from nas.errors import BlockError
from nas.plugins import default_registry
from nas.plugins.plugin import Plugin
from nas.spaces import load_space

REGISTRY = default_registry()
TINY = load_space("tiny", REGISTRY)
VECTORS = TINY.sample_vectors(40, np.random.default_rng(0))
PROFILES = [Profile(1, "fp16"), Profile(4, "fp32"), Profile(1, "amp-fp16", Border(True))]


class Memory:
    """A cache in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        return {key: self.kept[key] for key in keys if key in self.kept}

    def write(self, traces: Mapping[str, bytes]) -> None:
        self.kept.update(traces)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    """The layers that this process traces from now on."""
    found: list[Key] = []
    trace = deployed.trace_element

    def counted(element, signature, blocks, classes, profiles):
        found.append((element, signature, classes))
        return trace(element, signature, blocks, classes, profiles)

    monkeypatch.setattr(deployed, "trace_element", counted)
    return found


def layers(count: int) -> list[Key]:
    instances = (one for vector in VECTORS for one in TINY.instances(vector) if one is not None)
    keys = dict.fromkeys((one.element, one.signature, TINY.classes) for one in instances)
    return list(keys)[:count]


def table(cache: Memory | None, *targets: str, batch_size: int = 1) -> CostTable:
    found = [resolve_target(name, REGISTRY, batch_size=batch_size) for name in targets or ("a100",)]
    return CostTable(TINY, found, REGISTRY, cache=cache)


def test_a_second_table_traces_nothing(traced: list[Key]) -> None:
    cache = Memory()
    first = table(cache).costs(VECTORS)
    count = len(traced)
    assert count == len(set(traced)) == len(cache.kept) > 10
    again = table(cache)
    assert (again.costs(VECTORS).values == first.values).all()
    assert (table(None).costs(VECTORS).values == first.values).all()
    assert len(traced) == 2 * count


def test_another_target_of_the_same_batch_and_precision_traces_nothing(traced: list[Key]) -> None:
    cache = Memory()
    table(cache).costs(VECTORS)
    count = len(traced)
    table(cache, "h100").costs(VECTORS)
    assert resolve_target("h100", REGISTRY).precision == resolve_target("a100", REGISTRY).precision
    assert len(traced) == count
    table(cache, "a100", "pixel6").costs(VECTORS)
    assert len(traced) == 2 * count
    table(cache, batch_size=2).costs(VECTORS)
    assert len(traced) == 3 * count


def test_what_cannot_be_read_is_traced_again_and_replaced(traced: list[Key]) -> None:
    cache = Memory()
    first = table(cache).costs(VECTORS)
    good = dict(cache.kept)
    keys = sorted(good)
    cache.kept |= {keys[0]: b"", keys[1]: b"junk", keys[2]: good[keys[2]][:-3], keys[3]: good[keys[3]][::-1]}
    traced.clear()
    assert (table(cache).costs(VECTORS).values == first.values).all()
    assert len(traced) == 4
    assert cache.kept == good


def test_prices_of_architectures_use_the_cache_too(traced: list[Key]) -> None:
    cache = Memory()
    architectures = [TINY.decode(vector) for vector in VECTORS[:5]]
    values = table(cache).price("latency")(architectures)
    traced.clear()
    again = table(cache)
    assert again.price("latency")(architectures) == values
    assert again.cost(architectures[0], "a100").latency_ms == values[0]
    assert traced == []


def test_traces_survive_the_way_into_a_cache() -> None:
    for element, signature, classes in layers(12):
        for trace in deployed.trace_element(element, signature, REGISTRY.blocks, classes, PROFILES):
            assert decode(encode(trace)) == trace
            assert encode(decode(encode(trace))) == encode(trace)


def test_what_is_no_trace_is_none() -> None:
    element, signature, classes = layers(1)[0]
    trace = deployed.trace_element(element, signature, REGISTRY.blocks, classes, PROFILES)[0]
    operator = trace.operators[0]
    wrong = [
        replace(trace, params="many"),
        replace(trace, params=True),
        replace(trace, operators=(replace(operator, macs=1.5),)),
        replace(trace, operators=(replace(operator, known=1),)),
        replace(trace, operators=(replace(operator, name=None),)),
    ]
    assert [decode(encode(one)) for one in wrong] == [None] * len(wrong)


# -- keys --------------------------------------------------------------------------------------------------


def test_a_key_covers_all_that_a_trace_depends_on() -> None:
    keys = TraceKeys(REGISTRY)
    first, second = layers(2)
    element, signature, classes = first
    found = [
        keys.key(first, Profile(1, "fp16")),
        keys.key(second, Profile(1, "fp16")),
        keys.key(first, Profile(2, "fp16")),
        keys.key(first, Profile(1, "fp32")),
        keys.key((element, signature, classes + 1), Profile(1, "fp16")),
        keys.key((element, replace(signature, channels=signature.channels + 1), classes), Profile(1, "fp16")),
    ]
    assert None not in found
    assert len(set(found)) == len(found)


def test_where_a_layer_stands_does_not_matter() -> None:
    keys = TraceKeys(REGISTRY)
    element, signature, classes = layers(1)[0]
    moved = (replace(element, slot="elsewhere"), signature, classes)
    assert keys.key(moved, Profile(1, "fp16")) == keys.key((element, signature, classes), Profile(1, "fp16"))


def test_other_code_has_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = tuple(REGISTRY.manager.plugins)
    code = code_digest(plugins)
    assert code == TraceKeys(REGISTRY).code
    assert code_digest((*plugins[:-1], replace(plugins[-1], version="0.1.1"))) != code
    assert code_digest(plugins[:-1]) != code
    code_digest.cache_clear()
    assert code_digest(plugins) == code
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == "convolution.py"))
    code_digest.cache_clear()
    assert code_digest(plugins) != code
    code_digest.cache_clear()


class FilePlugin:
    """A registry in which one block comes from a plugin file."""

    def __init__(self, block: str) -> None:
        self.manager = REGISTRY.manager
        self.blocks = self
        self._block = block

    def provider(self, name: str) -> Plugin:
        return (
            Plugin("mine", "/mine.py", "mine", "1") if name == self._block else REGISTRY.blocks.provider(name)
        )


def test_a_layer_of_a_plugin_file_has_no_key() -> None:
    for layer in layers(8):
        block = layer[0].block
        inner = [value.use for _, value in block.knobs if hasattr(value, "use")]
        for name in (block.use, *inner):
            assert TraceKeys(FilePlugin(name)).key(layer, Profile(1, "fp16")) is None
        assert TraceKeys(FilePlugin("another")).key(layer, Profile(1, "fp16")) is not None


# -- worker processes --------------------------------------------------------------------------------------


def test_workers_are_only_for_many_layers_and_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_pool.os, "sched_getaffinity", lambda process: set(range(4)), raising=False)
    assert [worker_count(n) for n in (0, 511, 512, 1024, 100_000)] == [0, 0, 1, 2, 3]
    monkeypatch.setattr(tracing_pool.os, "sched_getaffinity", lambda process: {7}, raising=False)
    assert worker_count(100_000) == 0
    monkeypatch.setattr(tracing_pool.os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert worker_count(100_000) == tracing_pool.MOST_WORKERS


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set when a worker has given back its first layers."""
    event = threading.Event()
    done = tracing_pool._Work.done

    def told(work, layers, traces):
        done(work, layers, traces)
        event.set()

    monkeypatch.setattr(tracing_pool._Work, "done", told)
    yield event


def test_a_worker_finds_what_this_process_finds(waiting: threading.Event) -> None:
    wanted = layers(CHUNK + 4)
    here = []

    def trace(layer: Key) -> list:
        assert waiting.wait(120)
        here.append(layer)
        return deployed.trace_element(*layer[:2], REGISTRY.blocks, layer[2], PROFILES)

    with TracingPool(1, PROFILES, TraceKeys(REGISTRY).code or "") as pool:
        found = pool.traces(wanted, trace)
    assert here == wanted[:4]
    for element, signature, classes in wanted:
        expected = deployed.trace_element(element, signature, REGISTRY.blocks, classes, PROFILES)
        assert found[element, signature, classes] == expected


def test_a_worker_of_other_code_is_not_asked() -> None:
    wanted = layers(CHUNK)
    with TracingPool(1, PROFILES, "another code") as pool:
        pool._workers[0]._thread.join(120)
        assert pool.traces(wanted, lambda layer: [layer]) == {layer: [layer] for layer in wanted}


@pytest.mark.parametrize("answer", ["", "nothing\n", "[]\n", "[null]\n", '[["AAAA"]]\n'])
def test_what_a_worker_cannot_do_is_done_here(monkeypatch, waiting: threading.Event, answer: str) -> None:
    lines = iter(["the code\n", answer])
    monkeypatch.setattr(tracing_pool._Worker, "_line", lambda worker: next(lines))
    wanted = layers(CHUNK)

    def trace(layer: Key) -> list:
        return [layer]

    with TracingPool(1, PROFILES, "the code") as pool:
        assert pool.traces(wanted, trace) == {layer: [layer] for layer in wanted}


def test_a_python_that_cannot_be_started_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_pool.sys, "executable", "/nowhere/python")
    with TracingPool(2, PROFILES, "code") as pool:
        assert pool.traces(layers(3), lambda layer: [layer]).keys() == set(layers(3))


def test_an_error_here_ends_the_workers() -> None:
    def trace(layer: Key) -> list:
        raise BlockError("broken")

    with pytest.raises(BlockError, match="broken"), TracingPool(1, PROFILES, "code") as pool:
        pool.traces(layers(3), trace)
    assert pool._workers[0]._process.returncode is not None
    assert not pool._workers[0]._thread.is_alive()


def test_a_table_without_cores_has_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(tracing, "worker_count", lambda count: asked.append(count) or 0)
    table(None).costs(VECTORS)
    assert len(asked) == 1
    assert asked[0] > 10
