"""Every format is written whole, read back, compared with torch, and left out where it differs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from export_toys import SHAPE, Fixed, make
from torch import Tensor, nn

from nas.errors import ExportError
from nas.export import ExportRequest, onnx_file, program_file, python_file, weights_file
from nas.plugins import default_registry

MakeRequest = Callable[[nn.Module, str], ExportRequest]
FORMATS = {
    "onnx": "nas.export.onnx_file:write",
    "exported-program": "nas.export.program_file:write",
    "weights": "nas.export.weights_file:write",
    "python": "nas.export.python_file:write",
}


def batch(size: int) -> Tensor:
    return torch.randn((size, *SHAPE), generator=torch.Generator().manual_seed(size))


def test_the_formats_are_offered_by_name() -> None:
    offered = default_registry().exporters
    assert {name: offered[name].write for name in FORMATS} == FORMATS
    assert len({offered[name].suffix for name in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize("name", ["inverted", "metaformer"])
def test_onnx_gives_the_same_scores_in_onnx_runtime(
    name: str, request_for: MakeRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    request = request_for(make(name), "network.onnx")
    report = onnx_file.write(request)
    assert report.difference is not None
    assert report.difference <= 1e-4
    assert [path.name for path in report.path.parent.iterdir()] == ["network.onnx"]
    session = onnxruntime.InferenceSession(report.path, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["input"]
    found = session.run(["scores"], {"input": batch(4).numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), request.module(batch(4)), atol=1e-4, rtol=1e-4)
    assert capfd.readouterr() == ("", "")


def test_onnx_names_the_extra_where_a_package_is_missing(
    request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(ExportError, match=r"no_such_package: pip install 'nas\[onnx\]'"):
        onnx_file.write(request_for(make("conv"), "network.onnx"))


def test_onnx_refuses_what_one_file_cannot_hold(
    request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", 10)
    with pytest.raises(ExportError, match="more than one ONNX file holds"):
        onnx_file.write(request_for(make("conv"), "network.onnx"))


@pytest.mark.parametrize("name", ["conv", "metaformer"])
def test_an_exported_program_is_loaded_by_torch(name: str, request_for: MakeRequest) -> None:
    request = request_for(make(name), "network.pt2")
    report = program_file.write(request)
    assert report.difference == pytest.approx(0.0, abs=1e-5)
    loaded = torch.export.load(str(report.path)).module()
    torch.testing.assert_close(loaded(batch(4)), request.module(batch(4)))


def test_a_batch_that_cannot_vary_is_said(request_for: MakeRequest) -> None:
    report = program_file.write(request_for(Fixed().eval(), "network.pt2"))
    assert any("batch size is fixed at 1" in note for note in report.notes)


def test_weights_hold_the_network_in_their_header(request_for: MakeRequest) -> None:
    from safetensors import safe_open

    from nas.spaces.architecture import network_from_dict

    request = request_for(make("conv"), "network.safetensors")
    report = weights_file.write(request)
    assert report.difference == pytest.approx(0.0, abs=1e-5)
    with safe_open(report.path, framework="pt") as file:
        header = json.loads(file.metadata()["nas"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert network_from_dict(header["network"]) == request.network
    assert header["input"] == list(SHAPE)
    assert state.keys() == request.module.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in request.module.state_dict().items())


class WithTable(nn.Module):
    """A buffer that its state leaves out, since the module makes it anew."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.register_buffer("table", torch.arange(3.0).reshape(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.table


def test_weights_leave_out_what_a_module_makes_anew(request_for: MakeRequest) -> None:
    from safetensors.torch import load_file

    report = weights_file.write(request_for(WithTable().eval(), "w.safetensors"))
    assert set(load_file(report.path)) == {"conv.weight", "conv.bias"}


def test_weights_that_two_layers_share_are_written(request_for: MakeRequest) -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    module[1].weight = module[0].weight
    assert weights_file.write(request_for(module.eval(), "w.safetensors")).path.is_file()


def test_the_python_file_needs_torch_alone(request_for: MakeRequest) -> None:
    request = request_for(make("metaformer"), "my_network.py")
    report = python_file.write(request)
    assert report.difference == pytest.approx(0.0, abs=1e-5)
    text = report.path.read_text(encoding="utf-8")
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert imports == [
        "import base64",
        "import io",
        "import torch",
        "from torch import nn",
        "from torch.nn import functional as F",
    ]
    script = "import my_network, torch; torch.save(my_network.load()(torch.load('x.pt')), 'y.pt')"
    folder = report.path.parent
    torch.save(batch(2), folder / "x.pt")
    subprocess.run([sys.executable, "-B", "-c", script], check=True, cwd=folder)
    torch.testing.assert_close(torch.load(folder / "y.pt"), request.module(batch(2)), atol=1e-5, rtol=0)


def test_a_python_file_that_does_not_run_is_not_written(
    request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_file, "encode", lambda state: "AAAA")
    request = request_for(make("conv"), "network.py")
    with pytest.raises(ExportError, match="does not run with torch alone") as raised:
        python_file.write(request)
    assert "\n" not in str(raised.value)
    assert list(request.path.parent.iterdir()) == []


def test_what_stands_in_the_docstring_cannot_end_it() -> None:
    from nas.export.python_file import comment

    assert comment('a"""\nimport os\\') == "a''' import os/"


def test_weights_too_large_for_a_python_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_file, "LARGEST", 100)
    with pytest.raises(ExportError, match="export 'weights'"):
        python_file.encode({"weight": torch.zeros(1000)})


@pytest.mark.parametrize(
    ("writer", "name", "function"),
    [
        (python_file, "network.py", "run_file"),
        (onnx_file, "network.onnx", "_run"),
        (weights_file, "network.safetensors", "_run"),
    ],
)
def test_a_file_that_disagrees_with_torch_is_an_error_and_is_not_left_behind(
    writer: object, name: str, function: str, request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(make("conv"), name)

    def wrong(*arguments: object) -> list[Tensor]:
        inputs = arguments[-1]
        assert isinstance(inputs, list)
        return [request.module(x) + 0.01 for x in inputs]

    monkeypatch.setattr(writer, function, wrong)
    with pytest.raises(ExportError, match=r"does not agree with torch: the largest difference is 0\.01"):
        writer.write(request)  # type: ignore[attr-defined]
    assert list(request.path.parent.iterdir()) == []


def test_a_network_of_nan_is_no_export(request_for: MakeRequest) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 1)).eval()
    nn.init.constant_(module[0].weight, float("nan"))
    with pytest.raises(ExportError, match="NaN or infinity"):
        program_file.write(request_for(module, "network.pt2"))


def test_an_existing_file_is_replaced_only_by_a_good_one(
    request_for: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(make("conv"), "network.safetensors")
    request.path.write_text("mine")
    monkeypatch.setattr(weights_file, "_run", lambda module, state, inputs: [x + 1 for x in inputs])
    with pytest.raises(ExportError):
        weights_file.write(request)
    assert request.path.read_text() == "mine"
    monkeypatch.undo()
    weights_file.write(request)
    assert request.path.stat().st_size > 1000
    assert len(list(tmp_path.iterdir())) == 1
