"""A built wheel holds everything an editable install has: spaces, targets, templates, migrations."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGED = {"nas": ROOT / "nas", "nas_searchspaces": ROOT / "searchspaces"} | {
    folder.name: folder for folder in (ROOT / "plugins").iterdir() if (folder / "__init__.py").exists()
}
DATA = {".py", ".toml", ".html", ".css", ".js", ".json", ".mako", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that nothing is left behind in it."""
    import shutil

    source = tmp_path_factory.mktemp("source")
    for name in ("nas", "plugins", "searchspaces"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(out),
        str(source),
    ]
    subprocess.run(command, check=True)
    (path,) = out.glob("nas-*.whl")
    return path


def test_every_file_of_every_package_is_in_the_wheel(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    missing = [
        name
        for package, folder in PACKAGED.items()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in DATA and "__pycache__" not in path.parts
        for name in [f"{package}/{path.relative_to(folder).as_posix()}"]
        if name not in packed
    ]
    assert missing == []


def test_the_wheel_searches_on_its_own(wheel: Path, tmp_path: Path) -> None:
    """Unpacks the wheel as an installer would, and runs commands from it far from the checkout."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    work = tmp_path / "work"
    work.mkdir()
    script = (
        "import nas, sys; assert nas.__file__.startswith(sys.argv.pop(1)), nas.__file__; "
        "from nas.cli.main import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*words: str) -> str:
        command = [sys.executable, "-c", script, str(site), *words]
        return subprocess.run(
            command, cwd=work, env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert "mobile" in run("spaces")
    assert "a100" in run("targets")
    run("search", "--space", "tiny", "--trials", "2", "--epochs", "1", "--workers", "1", "--study", "small")
    assert '"front"' in run("front", "small", "--json")
    run("report", "small")
    assert (work / "report.html").stat().st_size > 1000
