"""Ablations: the table of variants, what the checks say, and a page of made-up figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import call_research
from rich.console import Console

from research.ablation.job import ablation_settings
from research.ablation.variants import (
    CHECKS,
    QUICK_AT_MOST,
    VARIANTS,
    Variant,
    chosen_names,
    quick_recipe,
    variant_recipe,
)
from research.report.ablation import print_ablations, told, verdict, write_ablation_page
from trackrec.errors import RecipeError, RunError
from trackrec.recipe import Recipe, load_recipe, make_recipe


def named(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("movielens-100k")


@pytest.mark.parametrize("name", ["movielens-100k", "demo", "paper"])
def test_every_variant_is_a_recipe_or_the_recipe_itself(name: str) -> None:
    recipe = load_recipe(name)
    made = {variant.name: variant_recipe(recipe, variant, recipe.loop.rounds) for variant in VARIANTS}
    left_out = {name for name, other in made.items() if other is None}
    assert left_out, "whatever the recipe does itself is left out"
    for other in made.values():
        if other is not None:
            assert other.observer is None
            assert not other.loop.need_useful_validator
            assert other.roles == recipe.roles
            assert other.evaluation == recipe.evaluation
    one_of_each = (
        {"dpo", "softmax-dpo"},
        {"reward-probability", "reward-log-likelihood"},
        *([{"v-lm", "v-ranker"}] if recipe.judge.type in ("lm", "ranker") else []),
    )
    assert all(len(pair & left_out) == 1 for pair in one_of_each)


def test_a_variant_differs_in_one_respect(recipe: Recipe) -> None:
    other = variant_recipe(recipe, named("v-sees-3"), 2)
    assert other is not None
    before, after = recipe.model_dump(), other.model_dump()
    assert after["prompts"] == before["prompts"] | {"validator_recent": 3}
    assert {key for key in before if before[key] != after[key]} == {"name", "prompts", "loop"}
    assert {key for key in before["loop"] if before["loop"][key] != after["loop"][key]} == {"need_useful_validator"}


@pytest.mark.parametrize(
    ("name", "limit", "rounds"),
    [("dpo", 1, 1), ("dpo", 2, 2), ("v-frozen", 1, 2), ("rounds-3", 1, 3), ("g-frozen", 2, 0)],
)
def test_rounds_of_a_variant(recipe: Recipe, name: str, limit: int, rounds: int) -> None:
    other = variant_recipe(recipe, named(name), limit)
    assert other is not None
    assert other.loop.rounds == rounds


def test_what_cannot_differ_is_left_out(recipe: Recipe) -> None:
    one_round = make_recipe(recipe.model_dump(mode="json") | {"loop": {"rounds": 1}})
    assert variant_recipe(one_round, named("v-frozen"), 1) is None
    assert variant_recipe(one_round, named("rounds-1"), 1) is None


def test_the_short_form_takes_less_and_never_more(recipe: Recipe) -> None:
    quick = quick_recipe(recipe)
    assert quick.roles.lm_users == QUICK_AT_MOST["roles.lm_users"]
    assert quick.prompts == recipe.prompts
    few = make_recipe(recipe.model_dump(mode="json") | {"roles": {"lm_users": 4, "lm_extra_users": 200}})
    assert quick_recipe(few).roles.lm_users == 4
    assert quick_recipe(load_recipe("paper")).evaluation.users == 1, "null means all"
    assert quick_recipe(quick) == quick


def test_names_are_known_and_in_the_order_of_the_work() -> None:
    assert chosen_names([])[:2] == list(CHECKS)
    assert chosen_names(["dpo", "length", "fresh-v"]) == ["fresh-v", "length", "dpo"]
    with pytest.raises(RecipeError, match=r"--only v-frosen: expected one of fresh-v, .*; the nearest is 'v-frozen'"):
        ablation_settings(["v-frosen"], None, None, False)
    with pytest.raises(RecipeError, match=r"--minutes: .*greater than 0, got -1"):
        ablation_settings([], None, -1, False)


def test_a_misspelt_variant_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call_research(monkeypatch, "ablate", "quick", "--only", "dop") == 1
    error = capsys.readouterr().err
    assert "the nearest is 'dpo'" in error
    assert not (tmp_path / "runs").exists()


def row(judge: str, gain: str, metric: str, difference: float, half: float = 0.01) -> dict[str, Any]:
    ends = {"difference": difference, "lower": difference - half, "upper": difference + half}
    return {"judge": judge, "gain": gain, "metric": metric, "users": 40, "examples": 240, "p": 0.5, **ends}


def check(name: str, gain: float, lost: float) -> dict[str, Any]:
    whole = "round 2 less round 0"
    if name == "fresh-v":
        rows = [("feedback", whole, gain), ("fresh", whole, gain - lost), ("feedback less fresh", whole, lost)]
    else:
        rows = [("last", whole, gain), ("last", f"{whole}, cut to equal length", gain - lost)]
        rows.append(("last", f"{whole}: whole less cut", lost))
    return {
        "check": name,
        "question": CHECKS[name],
        "round": 2,
        "rows": [row(*one[:2], metric, one[2]) for one in rows for metric in ("auc", "log_likelihood")],
    } | ({"mean_tokens": {"round 0": 20.0, "round 2": 31.5}} if name == "length" else {})


@pytest.mark.parametrize(
    ("name", "gain", "lost", "words"),
    [
        ("fresh-v", 0.05, 0.03, "part of the gain is a code between G and V (difference +0.0300"),
        ("fresh-v", 0.05, -0.03, "a fresh one finds more (difference"),
        ("fresh-v", 0.05, 0.0, "that a fresh one finds less is not shown"),
        ("fresh-v", 0.0, 0.0, "There is no gain shown that could be explained."),
        ("fresh-v", 0.0, 0.03, "a fresh one finds less (difference +0.0300"),
        ("length", 0.0, 0.03, "less than at whole length (difference +0.0300"),
        ("length", 0.05, 0.03, "part of the gain is length (difference +0.0300"),
        ("length", 0.05, 0.0, "a difference from whole length is not shown"),
        ("length", -0.05, 0.0, "There is no gain shown that could be explained."),
    ],
)
def test_the_verdict_claims_no_more_than_the_intervals(name: str, gain: float, lost: float, words: str) -> None:
    said = verdict(check(name, gain, lost))
    assert words in said
    assert ("no gain shown" in said) == (gain <= 0.01)


def test_the_page_and_the_terminal_show_every_variant_and_check(tmp_path: Path) -> None:
    rows = []
    for variant in ("dpo", "<b>odd</b>"):
        for judge, metric in (("lm", "auc"), ("own", "log_likelihood"), ("din", "gauc"), ("text", "tokens")):
            figures = {"variant": variant, "against_round": 2, "judges": 1, "value": 0.6, "against_value": 0.5}
            rows.append(row(judge, "", metric, 0.1) | figures | {"p_holm": None})
    rows[0] |= {"difference": None, "lower": None, "upper": None, "value": None}
    about = {"variant": "dpo", "question": "one", "changes": ["preferences.loss=dpo"], "rounds": 2, "unfinished": 0.25}
    tree = {
        "recipe": "made-up",
        "seed": 1,
        "rounds": 2,
        "validation_users": 20,
        "draws": 100,
        "variants": [about | {"seconds": 61.0, "shared_seconds": 500.0, "shared_stages": 9}],
        "rows": rows,
        "checks": [check("fresh-v", 0.05, 0.03), check("length", 0.05, 0.0)],
    }
    (tmp_path / "ablations.json").write_text(json.dumps(tree))
    page = write_ablation_page(tmp_path).read_text()
    for text in ("preferences.loss=dpo", "8 min in 9 stages", "25%", CHECKS["length"], "tokens, mean", "By din"):
        assert text in page
    assert "<b>odd</b>" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    console = Console(record=True, width=240)
    print_ablations(tmp_path, console)
    shown = console.export_text()
    assert "<b>odd</b>" in shown
    assert "+0.1000 [+0.0900, +0.1100]" in shown
    assert "code between G and V" in shown
    assert told(rows[0]) == "–"
    with pytest.raises(RunError, match=r"holds no ablations\.json: run `python -m research ablate`"):
        write_ablation_page(tmp_path / "nowhere")
