"""Modules named on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from nas.costs import load_module
from nas.errors import InputError

SOURCE = """
from torch import nn

ready = nn.Linear(4, 4)
number = 5

class Net(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)

def build():
    return nn.Linear(4, 3)

def wrong():
    return "no module"

def fails():
    raise RuntimeError("out of luck\\nindeed")

def leaves():
    raise SystemExit(3)

def needs(width):
    return nn.Linear(width, width)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "costs_user_models.py").write_text(SOURCE)
    (tmp_path / "costs_broken.py").write_text("import no_such_library_at_all")
    (tmp_path / "costs_raising.py").write_text("1 / 0")
    (tmp_path / "costs_leaving.py").write_text("raise SystemExit(0)")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("costs_")]:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize(("name", "outputs"), [("ready", 4), ("Net", 2), ("build", 3)])
def test_functions_classes_and_modules(folder, name, outputs):
    module = load_module(f"costs_user_models:{name}")
    assert isinstance(module, nn.Linear)
    assert module.out_features == outputs


def test_installed_modules():
    assert isinstance(load_module("torch.nn:Identity"), nn.Identity)


def test_the_import_path_is_left_as_it_was(folder):
    before = list(sys.path)
    load_module("costs_user_models:build")
    assert sys.path == before


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("costs_user_models:nothing", "has no 'nothing'"),
        ("costs_user_models:number", "is a int, not a torch module"),
        ("costs_user_models:wrong", "returned str"),
        ("costs_user_models:fails", "RuntimeError: out of luck indeed"),
        ("costs_user_models:leaves", "SystemExit: 3"),
        ("costs_user_models:needs", "missing 1 required positional argument"),
        ("costs_absent:build", "no module 'costs_absent'"),
        ("costs_broken:build", "no module 'no_such_library_at_all'"),
        ("costs_raising:build", "ZeroDivisionError"),
        ("costs_leaving:build", "SystemExit"),
        ("costs_user_models", "package.module:callable"),
        ("costs_user_models:", "package.module:callable"),
        (":build", "package.module:callable"),
        ("../x:build", "package.module:callable"),
        ("a b:c d", "package.module:callable"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder, reference, reason):
    with pytest.raises(InputError, match=reason) as caught:
        load_module(reference)
    assert "\n" not in str(caught.value)
    assert repr(reference)[1:-1] in str(caught.value)


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("costs_user_models.py", "costs_user_models"),
        ("./costs_user_models.py", "costs_user_models"),
        ("nets/costs_user_models.py", "nets.costs_user_models"),
        ("/nets/costs_user_models.py", "costs_user_models"),
        ("../costs_user_models.py", "costs_user_models"),
    ],
)
def test_the_name_of_a_file_is_turned_into_that_of_its_module(folder, file, module):
    with pytest.raises(InputError, match=f"not its file, {module}:build$"):
        load_module(f"{file}:build")
