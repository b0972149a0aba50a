"""What must hold of the tree as a whole: its layers, its file sizes, its settings, its recipes, its dependencies."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "trackrec"
FILES = sorted(PACKAGE.rglob("*.py"))
STUDIES = sorted((ROOT / "research").rglob("*.py"))
RECIPES = sorted((PACKAGE / "recipes").glob("*.yaml"))
MAX_LINES = 350

BASE = {"errors", "yaml_text", "settings", "assets", "progress", "metrics", "registry", "memory", "files", "terminal"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "yaml_text": {"errors"},
    "settings": {"errors", "yaml_text"},
    "registry": {"errors", "settings"},
    "progress": {"errors"},
    "memory": set(),
    "terminal": set(),
    "files": {"errors", "assets"},
    "assets": {"errors", "settings", "progress"},
    "metrics": {"errors", "files"},
    "data": BASE,
    "users": BASE | {"data"},
    "prompts": BASE | {"data", "users"},
    "lm": BASE | {"data", "users", "prompts"},
    "engines": BASE | {"data", "users", "prompts", "lm"},
    "knowledge": BASE | {"data", "users", "prompts", "engines"},
    "teachers": BASE | {"data", "users", "prompts", "engines", "knowledge"},
    "features": BASE | {"data", "users"},
    "rankers": BASE | {"data", "users", "features"},
    "judges": BASE | {"data", "users", "prompts", "lm", "engines", "features", "rankers"},
    "checks": BASE | {"data", "users", "prompts", "engines", "judges"},
    "store": BASE | {"data", "users", "features"},
    "testing": BASE
    | {"data", "users", "prompts", "lm", "engines", "knowledge", "teachers", "features", "rankers"}
    | {"judges", "checks", "store"},
}
"""Which parts of the package each part may import beside itself. The top, lowest first, is in `TOP`."""

TOP = ("recipe", "run", "report", "pipeline", "writing", "export", "serving", "forgetting", "api", "doctor")
TOP += ("cli_data", "cli_write", "cli_serve", "cli", "__init__", "__main__")
"""Each of these may import everything in `MAY_IMPORT` and the ones before it."""


def part_of(module: str) -> str:
    """The part of the package that a dotted module name belongs to: `trackrec.data.log` is in `data`."""
    return module.split(".")[1] if "." in module else "__init__"


def allowed(part: str) -> set[str]:
    if part in MAY_IMPORT:
        return MAY_IMPORT[part]
    assert part in TOP, f"trackrec.{part} has no layer: name it in MAY_IMPORT or TOP of {Path(__file__).name}"
    return set(MAY_IMPORT) | set(TOP[: TOP.index(part)])


def module_of(path: Path) -> str:
    """`trackrec/data/log.py` is `trackrec.data.log`; a package's `__init__.py` has the package's name."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, also those inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the absolute import"
            if node.module == "trackrec":  # `from trackrec import assets` imports trackrec.assets
                yield from ((node.lineno, f"trackrec.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def layer_breaks(module: str, source: str) -> list[str]:
    """Imports in a module's source that its layer does not allow."""
    part = part_of(module)
    return [
        f"{module}, line {line}: imports {name}, but {part} may import only {sorted(allowed(part))}"
        for line, name in imports(source)
        if name.split(".")[0] in ("trackrec", "research") and name != "trackrec.__version__"
        if name.startswith("research") or part_of(name) not in allowed(part) | {part}
    ]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_lower_parts_never_import_higher_ones(path: Path) -> None:
    assert layer_breaks(module_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "broken"),
    [
        ("trackrec.data.log", "from trackrec.errors import LogError", 0),
        ("trackrec.data.log", "from trackrec.lm.model import LanguageModel", 1),
        ("trackrec.data.log", "def f():\n    from trackrec import judges, assets", 1),
        ("trackrec.rankers.din", "import trackrec.lm.model", 1),
        ("trackrec.pipeline.job", "import research.synthetic_log", 1),
        ("trackrec.judges.lm", "import trackrec.rankers.din, trackrec.lm.model", 0),
        ("trackrec.run", "from trackrec.recipe import Recipe\nfrom trackrec.cli import main", 1),
        ("trackrec.errors", "import trackrec", 1),
    ],
)
def test_layer_breaks_are_found(module: str, source: str, broken: int) -> None:
    assert len(layer_breaks(module, source)) == broken


BY_HAND = sorted(
    path for part in ("research", "benchmarks", "examples", "docs") for path in (ROOT / part).rglob("*.py")
)


def missing_names(source: str) -> list[str]:
    """What a source imports from `trackrec` or `research` that is not there; nothing of it is run."""
    named = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("trackrec", "research")
        for alias in node.names
    ]
    return [
        f"{module}.{name}"
        for module, name in named
        if not hasattr(importlib.import_module(module), name)
        if not [*ROOT.joinpath(*module.split(".")).glob(f"{name}*")]  # a module of that package
    ]


@pytest.mark.parametrize("path", BY_HAND, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_run_by_hand_imports_what_is_there(path: Path) -> None:
    """Benchmarks and examples are run by nobody on a change, so that a name that moved would be missed."""
    assert missing_names(path.read_text(encoding="utf-8")) == []


def test_missing_names_are_found() -> None:
    source = "from trackrec.run import Run, Gone\nfrom trackrec import lm\nfrom polars import DataFrame"
    assert missing_names(source) == ["trackrec.run.Gone"]


def private_uses(source: str) -> list[str]:
    """Private names (``_x``) that a source imports from `trackrec`, or reads of an object other than its own."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trackrec"):
            found += [alias.name for alias in node.names if alias.name.startswith("_")]
        elif isinstance(node, ast.Attribute) and re.fullmatch(r"_[a-z]\w*", node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            found += [] if own or node.attr in ("_asdict", "_replace") else [ast.unparse(node)]
    return found


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_studies_use_public_parts_alone(path: Path) -> None:
    assert private_uses(path.read_text(encoding="utf-8")) == []


def test_private_uses_are_found() -> None:
    assert private_uses("from trackrec.run import Run, _hidden\nRun()._lock\nself._own") == ["_hidden", "Run()._lock"]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < MAX_LINES, f"{path.relative_to(ROOT)} has {lines} lines: one noun a file, under {MAX_LINES} lines"


def test_imported_packages_are_declared() -> None:
    """A package that only happens to come with another one may be gone with its next release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for name, lines in project["optional-dependencies"].items() if name != "dev" for line in lines]
    declared = {re.split(r"[^A-Za-z0-9-]", line)[0].lower() for line in [*project["dependencies"], *extras]}
    distributions = {"yaml": "pyyaml", "sklearn": "scikit-learn"}
    missing = {
        f"{module_of(path)}, line {line}: {name}"
        for path in FILES
        for line, name in imports(path.read_text(encoding="utf-8"))
        if (top := name.split(".")[0]) not in sys.stdlib_module_names | {"trackrec"}
        if distributions.get(top, top.replace("_", "-")) not in declared
    }
    assert missing == set()


def test_locked_versions_are_exact_and_complete() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    assert "torch==2.13.0" in pins, "a looser torch, or one with a build tag, does not install everywhere"
    locked = {re.sub(r"[._-]+", "-", line.split("==")[0]).lower() for line in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.sub(r"[._-]+", "-", re.split(r"[^A-Za-z0-9._-]", line)[0]).lower() for line in needed}
    assert names - locked == set()


def settings_classes() -> list[type]:
    """Every settings class of the package."""
    from trackrec.settings import Settings

    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages([str(PACKAGE)], "trackrec.")
        if not found.name.endswith("__main__")
    ]
    return sorted(
        {
            value
            for module in modules
            for value in vars(module).values()
            if inspect.isclass(value) and issubclass(value, Settings) and value is not Settings
        },
        key=lambda value: (value.__module__, value.__qualname__),
    )


def test_every_setting_is_explained() -> None:
    """Beside its field; a group of settings by the docstring of its class."""
    from trackrec.settings import Settings

    classes = settings_classes()
    assert len(classes) >= 10, "the settings classes were not found"
    unexplained = [f"{found.__module__}.{found.__qualname__}" for found in classes if not vars(found).get("__doc__")]
    for found in classes:
        for name, field in found.model_fields.items():  # type: ignore[attr-defined]
            group = inspect.isclass(field.annotation) and issubclass(field.annotation, Settings)
            if not field.description and not group and name != "type":
                unexplained.append(f"{found.__module__}.{found.__qualname__}.{name}")
    assert unexplained == []


def test_the_promised_recipes_are_shipped() -> None:
    assert {"demo", "quick", "movielens-100k", "paper"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_load(path: Path) -> None:
    """By their path and by their name, and what is written back into a run folder says the same."""
    from trackrec.recipe import dump_recipe, load_recipe, make_recipe

    recipe = load_recipe(path)
    assert load_recipe(path.stem) == recipe
    assert make_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
