"""The package as others get it: what the wheel holds, that it works alone, and that asking for help loads little."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "transformers", "sklearn", "scipy", "polars", "pyarrow", "numpy", "pydantic", "matplotlib", "peft"}
MOST_MODULES = 400
"""About what typer and rich load by themselves (Python's own modules counted); a library more shows at once."""


def loaded(statement: str) -> set[str]:
    """The modules in a fresh interpreter after a statement."""
    code = f"import sys, json\n{statement}\nsys.stderr.write(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


def test_importing_the_package_loads_nothing_else() -> None:
    assert {name for name in loaded("import trackrec") if name.startswith("trackrec.")} == set()


def test_help_loads_no_heavy_library() -> None:
    """Seconds hang on the machine; what is loaded does not."""
    modules = loaded("import trackrec.cli\ntrackrec.cli.app(['--help'], standalone_mode=False)")
    assert {name.split(".")[0] for name in modules} & HEAVY == set()
    assert len(modules) < MOST_MODULES


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(shell: str) -> None:
    environment = os.environ | {"_TRACKREC_COMPLETE": f"source_{shell}", "PYTHONPATH": str(ROOT)}
    code = "import sys; sys.argv = ['trackrec']; from trackrec.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "TRACKREC_COMPLETE" in done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that no build folder is left here."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md", "constraints.txt"):
        shutil.copy(ROOT / name, copy)
    for name in ("trackrec", "research", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(copy / "dist"), str(copy))
    (made,) = (copy / "dist").glob("*.whl")
    return made


def pip(python: str | Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "trackrec").rglob("*") if path.is_file()}
    ours = {name for name in files if "__pycache__" not in name}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == ours


@pytest.mark.slow
def test_the_wheel_works_alone(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, with no checkout around; only the libraries are borrowed from this one."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip(python, "install", "--no-deps", str(wheel))
    (site,) = (tmp_path / "env").rglob("site-packages")
    # A path of its own, not a site folder: an editable install of the checkout is not picked up with it.
    (site / "zz-borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def trackrec(*arguments: str) -> str:
        command = [str(python.with_name("trackrec")), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Run a recipe" in trackrec("--help")
    assert yaml.safe_load(trackrec("settings", "demo"))["name"] == "demo"
    found = json.loads(trackrec("doctor", "--json"))
    (here,) = [one for one in found if one["name"] == "trackrec"]
    assert str(site) in here["says"]
    assert here["says"].startswith(wheel.name.split("-")[1])
