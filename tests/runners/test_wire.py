"""What travels between driver and workers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from nas.runners.wire import decode_evaluator, decode_request, encode_evaluator, encode_request
from nas.search.trial import TrialRequest
from nas.spaces.architecture import Architecture, BlockUse, Layer, Network
from nas.spaces.signature import Signature
from nas.testing.evaluators import make_request

NETWORK = Network(
    Signature("image", 3, (32, 32)), (Layer(BlockUse("conv", (("kernel", 3),)), 16, 2, "stem"),), 10
)
REQUESTS = [
    make_request(0),
    make_request(7, 12, Path("study") / "7", kernel=5, activation="re'\"lü", se=0.25, on=True),
    TrialRequest(2, Architecture(NETWORK, (("width", 16),)), fidelity=8, seed=2**63, attempt=3),
]


@pytest.mark.parametrize("sent", REQUESTS, ids=lambda request: str(request.number))
def test_a_request_arrives_as_it_was_sent(sent: TrialRequest) -> None:
    arrived = decode_request(encode_request(sent))
    assert arrived == sent
    assert arrived.architecture.values() == sent.architecture.values()
    assert arrived.architecture.network == sent.architecture.network


def test_an_evaluator_finds_its_modules_where_the_driver_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_evaluator.py").write_text("def evaluate(request):\n    yield {'answer': 42.0}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sent = encode_evaluator(importlib.import_module("own_evaluator").evaluate)

    monkeypatch.delitem(sys.modules, "own_evaluator")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    evaluate = decode_evaluator(sent)

    assert list(evaluate(make_request(0))) == [{"answer": 42.0}]
    assert sys.path[-1] == str(tmp_path)


def test_folders_that_are_not_here_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(elsewhere)
        sent = encode_evaluator(len)  # type: ignore[arg-type]
    before = list(sys.path)
    decode_evaluator(sent)
    assert sys.path == before
