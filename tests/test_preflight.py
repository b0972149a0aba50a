"""What rules a run out is said before any language model is loaded, in a sentence; never by a traceback."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tiny_run import tiny_recipe, write_tiny_log

import research.backbones  # noqa: F401  # makes their names known
import trackrec
from trackrec.checks.entailment import read_entailment
from trackrec.data.sources import read_log
from trackrec.errors import RecipeError, RunError, TrackRecError
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run, run_recipe
from trackrec.pipeline.preflight import check_settings, check_tables
from trackrec.pipeline.training_plan import read_card
from trackrec.progress import Reporter
from trackrec.prompts.domains import read_domain
from trackrec.recipe import Recipe, load_recipe, make_recipe, shipped
from trackrec.report.run_data import RunData
from trackrec.writing.engine_pool import read_engines
from trackrec.writing.estimate import read_prices
from trackrec.writing.writing_recipe import WritingRecipe
from trackrec.yaml_text import MOST_VALUES, read_yaml


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_log(tmp_path_factory.mktemp("log"))


@pytest.fixture(autouse=True)
def no_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a language model was loaded")

    monkeypatch.setattr("trackrec.pipeline.components.LanguageModel", never)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text("{}")
    return folder


def changed(model: Path, log: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """The tiny recipe's tree with some settings changed, by their dotted names."""
    tree = tiny_recipe(model, log).model_dump(mode="json")
    for path, value in changes.items():
        *parents, last = path.split(".")
        group = tree
        for parent in parents:
            group = group.setdefault(parent, {})
        if isinstance(value, dict) and isinstance(group.get(last), dict):
            value = group[last] | value
        group[last] = value
    return tree


def test_every_shipped_recipe_passes() -> None:
    for path in sorted(shipped().glob("*.yaml")):
        check_settings(load_recipe(path))


TOGETHER = [
    ({"loop.sampling.temperature": 0}, "loop.sampling.temperature is 0, so that all samples"),
    ({"ranking.recent": 99}, r"ranking.recent is 99, but the split keeps 10 events before an example \(split.recent\)"),
    ({"observer.recent": 11}, "observer.recent is 11, but the split keeps 10"),
    ({"split.recent": 0}, "ranking.recent is 10, but the split keeps 0"),
    ({"ranking.folds": 4}, r"ranking.folds is 4, but there are 3 \(roles.ranker_folds\)"),
    ({"roles.ranker_folds": 2}, "roles.ranker_folds is 2, but rankers are trained, stopped and tested"),
    ({"roles.ranker_users": 5}, "roles.ranker_users is 5, but each of 3 folds needs 2 users"),
    ({"roles.lm_validation_users": 0}, "roles.lm_validation_users is 0"),
    ({"observer.members": 7}, "observer.members is 7, but it learns from 12 users"),
    ({"ranking.backbone": "autoint", "ranking.model": {"heads": 3}}, "ranking.model.heads is 3, which does not divide"),
    ({"model.device": "cuda:77"}, "model.device is 'cuda:77', but torch sees"),
    ({"model.device": "gpu"}, "model.device is 'gpu', which torch does not know"),
    ({"encoder.name": "./no/such/encoder"}, "encoder.name is './no/such/encoder': there is no model"),
    ({"model.name": "/no/such/model"}, "model.name is '/no/such/model': there is no model in that folder"),
    ({"prompts.domain": "mvies"}, "mvies"),
]


@pytest.mark.parametrize(("changes", "said"), TOGETHER)
def test_settings_that_do_not_go_together_are_refused_before_anything_is_read(
    changes: dict[str, Any], said: str, model: Path, log: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(changed(model, log, changes))
    with pytest.raises(RecipeError, match=said):
        run_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_all_that_is_wrong_is_named_at_once(model: Path, log: Path) -> None:
    recipe = make_recipe(changed(model, log, {"ranking.recent": 99, "ranking.folds": 9}))
    with pytest.raises(RecipeError, match=r"ranking\.recent is 99.*; ranking\.folds is 9"):
        check_settings(recipe)


LATER = [
    ({"split.like_threshold": 1}, "all labels alike"),
    ({"split.like_threshold": 9}, "all labels alike"),
    ({"write_for": 2, "evaluation.users": 1}, r"need 3 at least.*write_for is 2: raise it"),
    ({"write_for": 3, "evaluation.users": 1}, "a fold of ranker users has one user"),
]


@pytest.mark.parametrize(("changes", "said"), LATER)
def test_a_log_that_cannot_carry_the_recipe_is_refused_before_any_language_model(
    changes: dict[str, Any], said: str, model: Path, log: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=said):
        run_recipe(make_recipe(changed(model, log, changes)), tmp_path / "run")
    assert [path.stem for path in (tmp_path / "run" / "manifests").glob("*.json")] == ["data"]


WRONG: list[Any] = [-1, 0, 1, 3, 2.5, -0.5, 1e300, math.nan, math.inf, 10**30, "", "x", "1e9", None, True, [], [-1], {}]


def leaves(kind: type[BaseModel], before: str = "") -> Iterator[str]:
    """The dotted names of all settings."""
    for name, field in kind.model_fields.items():
        default = field.default
        if isinstance(default, BaseModel):
            yield from leaves(type(default), f"{before}{name}.")
        else:
            yield f"{before}{name}"


@pytest.mark.parametrize(("part", "read"), [(3, 10), pytest.param(1, 30, marks=pytest.mark.slow)])
def test_a_wrong_value_of_any_setting_is_refused_or_means_something(
    part: int, read: int, model: Path, log: Path, tmp_path: Path
) -> None:
    """A sentence, or a recipe whose data stage works or says why not.

    Every setting takes every wrong value in turn; in the fast test a third of them, neighbours another third.
    """
    names, accepted = list(leaves(Recipe)), []
    assert len(names) > 120
    for place, name in enumerate(names):
        for value in WRONG[place % part :: part]:
            try:
                recipe = make_recipe(changed(model, log, {name: value}))
                check_settings(recipe)
            except TrackRecError:
                continue
            if name != "source.folder":
                accepted.append((name, value, recipe))
    assert 100 / part < len(accepted) < len(names) * len(WRONG) / part / 2
    of_data = ("feedback", "split", "filters", "roles", "statistics", "evaluation", "write_for")
    reading = [case for case in accepted if case[0].startswith(of_data)]
    refused = 0
    for number, (_, _, recipe) in enumerate(random.Random(5).sample(reading, read)):
        try:
            check_tables(recipe, prepare(recipe, open_run(recipe, tmp_path / str(number), Reporter())))
        except TrackRecError:
            refused += 1
    assert refused < read


def test_several_wrong_values_at_once(model: Path, log: Path) -> None:
    names, rng, refused = list(leaves(Recipe)), random.Random(6), 0
    for _ in range(300):
        changes = {rng.choice(names): rng.choice((0, 1, 3, 2.5, True, None)) for _ in range(2)}
        try:
            check_settings(make_recipe(changed(model, log, changes)))
        except TrackRecError:
            refused += 1
    assert 150 < refused < 300


def bomb(levels: int) -> str:
    """Ten times as many values with every level."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_have_a_limit(tmp_path: Path) -> None:
    assert len(read_yaml(bomb(3), "text")["a2"]) == 10
    path = tmp_path / "bomb.yaml"
    path.write_text(bomb(9), encoding="utf-8")
    with pytest.raises(RecipeError, match=rf"bomb.yaml stands for [\d,]+ values, expected at most {MOST_VALUES:,}"):
        load_recipe(path)
    with pytest.raises(RecipeError, match="contains itself by an alias"):
        read_yaml("a: &a [*a]", "the text")
    with pytest.raises(RecipeError, match="nests too deep"):
        read_yaml("[" * 5000 + "]" * 5000, "the text")
    with pytest.raises(RecipeError, match="is not YAML"):
        read_yaml("a: [", "the text")
    with pytest.raises(RecipeError, match="holds a value that YAML cannot read"):
        read_yaml("a: 2024-99-99", "the text")
    with pytest.raises(RecipeError, match="stands for"):
        load_recipe("demo", ["source=" + "{" + bomb(9).replace("\n", ", ") + "}"])


READERS: dict[str, Callable[[Path], Any]] = {
    "engines": read_engines,
    "judge": read_entailment,
    "card": lambda path: read_card(str(path)),
    "prices": lambda path: read_prices([str(path)]),
    "recipe": load_recipe,
    "domain": read_domain,
    "telling": WritingRecipe.read,
    "report": lambda path: RunData(path.parent).recipe,
}


@pytest.mark.parametrize("reader", list(READERS))
@pytest.mark.parametrize(
    "content", [bomb(9).encode(), b"a: [", b"\xff\xfe", b"[" * 5000, b"a: 2024-99-99", b"- 5", b""]
)
def test_every_file_of_yaml_has_a_limit(reader: str, content: bytes, tmp_path: Path) -> None:
    """Whoever reads YAML from outside: aliases without end, and what is no YAML at all, are a sentence."""
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    if (reader, content) in (("report", b"- 5"), ("report", b""), ("recipe", b"")):
        assert not READERS[reader](path) or reader == "recipe"
        return
    with pytest.raises(TrackRecError, match=r"recipe\.yaml"):
        READERS[reader](path)


def test_no_yaml_is_read_past_the_helper() -> None:
    package = Path(trackrec.__file__).parent
    past = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if "yaml.safe_load" in path.read_text(encoding="utf-8") or "yaml.load(" in path.read_text(encoding="utf-8")
    ]
    # The helper, and what ships with the package.
    assert past == ["lm/sizes.py", "pipeline/own_recipe.py", "yaml_text.py"]


def test_the_tiny_log_is_read_at_all(model: Path, log: Path) -> None:
    """So that the refusals above are those of the preflight."""
    assert read_log(tiny_recipe(model, log).source).interactions.height > 0


def test_a_served_judge_is_refused_before_the_hours_of_distillation(model: Path, log: Path) -> None:
    tree = changed(model, log, {})

    def judged(judge: dict[str, Any], **engine: Any) -> Recipe:
        told = {"type": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "v"} | engine
        return make_recipe(tree | {"judge": {"type": "served", "engine": told} | judge})

    with pytest.raises(RecipeError, match=r"judge\.engine\.consent is false, and the judge would send the prompts"):
        check_settings(judged({}, server="vllm"))
    with pytest.raises(RecipeError, match=r"judge needs token_ids of its engine, .* kind 'openai' lacks"):
        check_settings(judged({}, consent=True))
    with pytest.raises(RecipeError, match=r"judge needs messages and scoring of its engine"):
        check_settings(judged({"asks": "messages"}, consent=True, lacks=["messages", "scoring"]))
    check_settings(judged({"asks": "messages"}, consent=True))
    check_settings(judged({}, consent=True, server="vllm"))
