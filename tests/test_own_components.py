"""The files of docs/components.md, run as they stand there against the shared suites."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from trackrec.errors import RecipeError
from trackrec.recipe import make_recipe
from trackrec.registry import make
from trackrec.testing.component_suites import (
    check_backbone,
    check_encoder,
    check_executor,
    check_judge,
    check_reward,
    check_source,
    check_teacher,
)
from trackrec.testing.engine_suite import check_engine
from trackrec.testing.synthetic import make_synthetic
from trackrec.writing.executor import make_executor

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "components.md").read_text(encoding="utf-8")
FILES = {match[1]: match[2] for match in re.finditer(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL)}


@pytest.fixture(autouse=True)
def my_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with all the files, on the path."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield folder
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


def component(place: str, tree: dict[str, Any], context: Any = None) -> Any:
    settings = getattr(make_recipe({place: tree}), place)
    settings = settings[0] if isinstance(settings, tuple) else settings
    kind = {"extra_rewards": "reward"}.get(place, place)
    return make(kind, settings, context)  # type: ignore[arg-type]


def test_the_page_shows_each_kind_in_a_short_file() -> None:
    kinds = {"source", "teacher", "reward", "judge", "engine", "encoder", "ranker", "executor"}
    assert {name.removeprefix("my_shop_").removesuffix(".py") for name in FILES} == kinds
    lengths = {name: len([line for line in text.splitlines() if line.strip()]) for name, text in FILES.items()}
    assert max(lengths.values()) <= 22, lengths


def test_source(tmp_path: Path) -> None:
    pl.DataFrame({"customer": [1, 1, 2], "sku": ["a", "b", "a"], "stars": [5, 2, 4], "at": [10, 20, 30]}).write_csv(
        tmp_path / "orders.csv"
    )
    pl.DataFrame({"sku": ["a", "b"], "name": ["Apple", "Pear"]}).write_csv(tmp_path / "skus.csv")
    log = check_source(importlib.import_module("my_shop_source").read, tmp_path)
    assert log.interactions["rating"].to_list() == [5.0, 2.0, 4.0]


def test_teacher() -> None:
    tree = {"type": "my_shop_teacher:Newest", "opening": "Last they gave"}
    teacher = component("teacher", tree, SimpleNamespace(items=make_synthetic().items))
    check_teacher(teacher)
    text = teacher.write(make_synthetic(users=1).histories, seed=1)["text"][0]
    assert re.fullmatch(r"Last they gave [25]\.0 stars to Film \d+ \(\d{4}\) \[6\]\.", text)


def test_reward() -> None:
    check_reward(component("extra_rewards", [{"type": "my_shop_reward:Brevity", "weight": 0.1}]), by_target=False)


def test_judge(tmp_path: Path) -> None:
    check_judge(
        lambda world: component("judge", {"type": "my_shop_judge:Words"}, SimpleNamespace(items=world.items)), tmp_path
    )


def test_engine() -> None:
    settings = make_recipe({"teacher": {"type": "llm", "engine": {"type": "my_shop_engine:Gateway"}}}).teacher
    done = check_engine(lambda: make("engine", settings.engine))  # type: ignore[attr-defined]
    assert any("shapes" in name for name in done), done


def test_encoder() -> None:
    encoder = component("encoder", {"type": "my_shop_encoder:Letters"})
    check_encoder(encoder)
    assert encoder.encode(["ab", "a"])[1].sum() == pytest.approx(1)


def test_executor(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    check_executor(make_executor({"type": "my_shop_executor:Threads", "threads": 2}), tmp_path / "shards")
    with pytest.raises(
        RecipeError, match=r"executor\.thread: Extra inputs are not permitted, got 2; known: type, threads"
    ):
        make_executor({"type": "my_shop_executor:Threads", "thread": 2})


def test_backbone(tmp_path: Path) -> None:
    assert make_recipe({"ranking": {"backbone": "my_shop_ranker:Sum"}}).ranking.backbone == "my_shop_ranker:Sum"
    check_backbone("my_shop_ranker:Sum", tmp_path)


@pytest.mark.parametrize("name", ["din", "dcnv2"])
def test_the_built_in_backbones_pass_the_same_suite(name: str, tmp_path: Path) -> None:
    check_backbone(name, tmp_path)
