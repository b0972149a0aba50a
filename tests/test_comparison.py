"""The comparison's settings, verdicts and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from research.comparison.file_arms import file_texts
from research.comparison.job import ComparisonSettings, comparison_settings
from research.comparison.setup import Setup, contrasts
from research.report.comparison import comparison_page, read_comparison, worth_in_events, write_comparison_page
from research.report.contrasts import in_words, primary_section, relative, told, verdict, with_spread
from trackrec.errors import RecipeError, RunError
from trackrec.report.blocks import Table

CTR = Setup("ctr", "din", 3, 2, True)
LISTS = Setup("rerank", "prm", 0, 1, True)


def predictions(probabilities: list[float], seeds: int = 2) -> pl.DataFrame:
    """Four users in two folds, two examples each: one liked, one not."""
    rows = []
    for seed in range(seeds):
        for place, probability in enumerate(probabilities):
            rows.append((seed, place // 4, f"u{place // 2}", place, (place + 1) % 2, probability))
    return pl.DataFrame(rows, schema=["seed", "fold", "user_id", "event_id", "label", "probability"], orient="row")


def contrast(setup: Setup, metric: str, one: pl.DataFrame, other: pl.DataFrame) -> dict[str, Any]:
    """One arm less the other."""
    return contrasts(setup, metric, {"one": one, "other": other}, [("one", "other")], seed=1, draws=100)[0]


def test_a_contrast_is_the_difference_of_the_means_over_seeds() -> None:
    right, wrong = predictions([0.9, 0.1] * 4), predictions([0.1, 0.9] * 4)
    row = contrast(CTR, "gauc", right, wrong)
    assert (row["difference"], row["value"], row["against_value"]) == (1.0, 1.0, 0.0)
    assert (row["folds"], row["seeds"], row["users"], row["examples"]) == (2, 2, 4, 8)
    assert row["lower"] == row["upper"] == 1.0


def test_rows_in_another_order_are_the_same_examples() -> None:
    one, other = predictions([0.9, 0.3, 0.2, 0.6, 0.8, 0.1, 0.4, 0.5]), predictions([0.5, 0.4] * 4)
    expected = contrast(CTR, "auc", one, other)
    assert contrast(CTR, "auc", one.sample(fraction=1.0, shuffle=True, seed=3), other) == expected


def test_lists_without_a_like_do_not_count() -> None:
    lists = pl.DataFrame(
        {
            "seed": [0] * 4,
            "fold": [0] * 4,
            "user_id": ["a", "b", "c", "d"],
            "list": [0] * 4,
            "likes": [1, 2, 0, 1],
            "ndcg_3": [1.0, 0.5, float("nan"), 0.5],
        }
    )
    worse = lists.with_columns(ndcg_3=pl.col("ndcg_3") - 0.25)
    row = contrast(LISTS, "ndcg_3", lists, worse)
    assert row["difference"] == pytest.approx(0.25)
    assert (row["examples"], row["value"]) == (3, pytest.approx(2 / 3))


def test_the_primary_cells_have_all_arms_and_the_others_one_seed() -> None:
    setups = ComparisonSettings().setups()
    assert {setup.name for setup in setups if setup.primary} == {
        *(f"{model}-{recent}" for model in ("din", "dcnv2") for recent in (0, 3, 10)),
        "prm-0",
    }
    assert {setup.seeds for setup in setups if not setup.primary} == {1}
    assert len({setup.model for setup in setups}) == 10 + 4


def row(recent: int, difference: float, half: float, **changes: Any) -> dict[str, Any]:
    value = 0.6 + 0.02 * recent
    return {
        "task": "ctr",
        "model": "din",
        "recent": recent,
        "arm": "final round",
        "against": "no text",
        "family": "primary",
        "metric": "auc",
        "difference": difference,
        "lower": difference - half,
        "upper": difference + half,
        "p": 0.01,
        "p_holm": 0.01,
        "value": value + difference,
        "against_value": value,
        "folds": 5,
        "seeds": 3,
        "users": 40,
        "examples": 90,
    } | changes


def test_verdicts() -> None:
    assert verdict(row(0, 0.01, 0.005)) == "better"
    assert verdict(row(0, -0.01, 0.005)) == "worse"
    assert verdict(row(0, 0.01, 0.005, p_holm=0.2)) == "no difference shown", "Holm decides"
    assert verdict(row(0, -0.01, 0.005, metric="log_loss")) == "better", "a lower loss"
    assert verdict(row(0, 0.01, 0.005, p_holm=None)) == "undefined"
    assert verdict(row(0, 0.01, 0.005, p_holm=None, users=29)) == "too few users"
    assert told(row(0, 0.01, 0.005)) == "+0.0100 [+0.0050, +0.0150]"


def test_a_reccot_is_worth_the_events_that_reach_as_far() -> None:
    # Without text: .60, .66, .80 at 0, 3, 10 events; with the RecCoT and none in view .63: half way to three events.
    rows = [row(0, 0.03, 0.01), row(3, 0.01, 0.01), row(10, 0.0, 0.01)]
    assert worth_in_events(rows, "din", "auc", "final round", "no text") == pytest.approx(1.5)
    assert worth_in_events([row(0, -0.01, 0.01), *rows[1:]], "din", "auc", "final round", "no text") == 0.0
    assert worth_in_events(rows[1:], "din", "auc", "final round", "no text") is None


def test_new_items_stand_beside_all_and_are_not_mixed_with_them() -> None:
    every = row(0, 0.03, 0.01) | {"items": "all"}
    new = row(0, 0.05, 0.01, p_holm=0.3) | {"items": "new"}
    page = comparison_page(told_about([every, new]))
    assert "din, 0 events on new items" in page
    assert "no difference is shown in 1: din with 0 events in view over no text on new items (AUC)." in page
    table = primary_section(told_about([every, new])).blocks[-1]
    assert isinstance(table, Table)
    assert [line[0] for line in table.rows] == ["din, 0 events", "din, 0 events on new items"]
    later = [row(3, 0.0, 0.01), new | {"recent": 3, "against_value": 0.1}]
    assert worth_in_events([every, *later], "din", "auc", "final round", "no text") == pytest.approx(1.5)


def test_a_contrast_on_some_examples_reads_those_alone() -> None:
    right, wrong = predictions([0.9, 0.1] * 4), predictions([0.9, 0.1, 0.1, 0.9] * 2)  # every second user is wrong
    some = right.filter(pl.col("user_id") == "u0").select("user_id", "event_id")
    rows = contrasts(CTR, "gauc", {"one": right, "other": wrong}, [("one", "other")], seed=1, draws=100, counted=some)
    assert (rows[0]["users"], rows[0]["examples"], rows[0]["difference"]) == (1, 2, 0.0)


def told_about(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """What a comparison of one model writes."""
    trials = [{"adaptor": None, "epochs": None}, {"adaptor": "linear", "epochs": 0.6}]
    families = {"primary": {"contrasts": 4, "smallest_p_holm": 0.01}, "other": {"contrasts": 1, "smallest_p_holm": 0.2}}
    head = {"recipe": "made", "seed": 1, "final_round": 2, "primary": "final against none", "rows": rows}
    chosen = {"din-0": {"final round": [0, 1, 1]}}
    return head | {"settings": {"search": trials}, "families": families, "chosen": chosen} | more


def test_the_page_shows_every_contrast_and_escapes_names(tmp_path: Path) -> None:
    rows = [row(recent, 0.01, 0.005, metric=metric) for recent in (0, 10) for metric in ("auc", "gauc")]
    rows.append(row(0, 0.01, 0.005, family="other", against="<b>zero-shot</b>", p_holm=0.5))
    told_of = told_about(rows)
    with pytest.raises(RunError, match="run `python -m research compare`"):
        read_comparison(tmp_path)
    (tmp_path / "compare.json").write_text(json.dumps(told_of))
    page = write_comparison_page(tmp_path).read_text()
    assert page == comparison_page(told_of)
    assert "4 of the 4 contrasts named before the run hold after Holm&#39;s correction." in page
    assert "Of the 1 other contrasts 0 hold." in page
    assert "no p of the 1 other contrasts can fall below 0.20" in page
    assert "2: adaptor linear, epochs 0.6." in page
    assert "1 : 2" in page, "one fold chose the first trial, two the second"
    assert "All 5 contrasts" in page
    assert "<b>zero-shot</b>" not in page


def test_the_verdict_names_what_does_not_hold_and_the_table_shows_all() -> None:
    rows = [row(0, 0.03, 0.005), row(0, 0.01, 0.02, metric="gauc", p_holm=0.2), row(3, 0.02, 0.01)]
    rows += [row(0, -0.01, 0.005, against="another user's"), row(3, 0.01, 0.02, model="prm", p_holm=0.3)]
    rows += [row(3, 0.01, 0.02, model="prm", metric="gauc", p_holm=0.3)]
    undefined = {"difference": None, "lower": None, "upper": None, "p": None, "p_holm": None, "value": None}
    rows.append(row(0, 0.0, 0.0, model="prm") | undefined)
    told_of = told_about(rows)
    sentence = (
        "2 of the 7 contrasts named before the run hold after Holm's correction; no difference is shown in 3: din with "
        "0 events in view over no text (GAUC), prm with 3 events in view over no text (AUC, GAUC); the RecCoT is worse "
        "in 1: din with 0 events in view over another user's (AUC); undefined are 1: prm with 0 events in view over no "
        "text (AUC)."
    )
    assert in_words(told_of)[0] == sentence
    assert in_words(told_about(rows[1:2]))[0].endswith(
        "0 of the 1 contrasts named before the run hold after Holm's correction; no difference is shown in all."
    )
    *_, table = primary_section(told_of).blocks
    assert isinstance(table, Table)
    others = ("less no text", "holds", "less another user's", "holds")
    assert table.head == ("model, in view", "metric", *others)
    against_another = "-0.0100 [-0.0150, -0.0050] -1.67%"
    assert [[setup.replace("\u00a0", " ") for setup in line] for line in table.rows] == [
        ["din, 0 events", "AUC", "+0.0300 [+0.0250, +0.0350] +5.00%", "yes", against_another, "no: worse"],
        ["din, 0 events", "GAUC", "+0.0100 [-0.0100, +0.0300] +1.67%", "no", "–", "–"],
        ["din, 3 events", "AUC", "+0.0200 [+0.0100, +0.0300] +3.03%", "yes", "–", "–"],
        ["prm, 3 events", "AUC", "+0.0100 [-0.0100, +0.0300] +1.52%", "no", "–", "–"],
        ["prm, 3 events", "GAUC", "+0.0100 [-0.0100, +0.0300] +1.52%", "no", "–", "–"],
        ["prm, 0 events", "AUC", "undefined –", "undefined", "–", "–"],
    ]
    assert relative(row(0, 0.01, 0.0, against_value=0.0)) == "–", "a share of nothing"


def test_models_stand_together_in_the_table() -> None:
    rows = [row(recent, 0.01, 0.005, model=model) for recent in (0, 10) for model in ("din", "autoint")]
    *_, table = primary_section(told_about(rows)).blocks
    assert isinstance(table, Table)
    assert [line[0] for line in table.rows] == [
        "din, 0 events",
        "din, 10 events",
        "autoint, 0 events",
        "autoint, 10 events",
    ]


def test_the_spread_over_seeds_stands_beside_the_value() -> None:
    one, other = predictions([0.9, 0.1] * 4), predictions([0.1, 0.9] * 4)
    mixed = pl.concat([one.filter(seed=0), other.filter(seed=1)])
    found = contrast(CTR, "auc", mixed, one)
    assert (found["value"], found["against_value"]) == (0.5, 1.0)
    assert found["deviation"] == pytest.approx(0.5**0.5)
    assert found["against_deviation"] == 0.0
    alone = contrast(CTR, "auc", one.filter(seed=0), other.filter(seed=0))
    assert alone["deviation"] is None
    assert with_spread(found) == "0.5000 ± 0.7071"
    assert with_spread(alone) == "1.0000"


def test_the_page_breaks_the_primary_contrasts_down() -> None:
    cold = {"by": "item_seen", "bucket": "0", "metric": "auc", "users": 3, "examples": 1234}
    cold |= {key: row(0, 0.0, 0.0)[key] for key in ("task", "model", "recent", "arm", "against")}
    known = cold | {"difference": 0.125, "lower": 0.0625, "upper": 0.25}
    empty = cold | {"bucket": "20+", "difference": None, "lower": None, "upper": None}
    rows = [row(0, 0.1, 0.05, metric=metric) for metric in ("auc", "gauc")]
    told_of = told_about(rows)
    assert "New items, new users" not in comparison_page(told_of)
    page = comparison_page(told_of | {"breakdown": [known, known | {"bucket": "1-4"}, empty]})
    assert "New items, new users" in page
    assert "+0.1250 [+0.0625, +0.2500]" in page
    assert "item met 20+" in page
    assert "1,234" in page


def test_settings_come_from_changes() -> None:
    assert comparison_settings(False, ["extra.recent=[3]"]).extra.recent == (3,)
    settings = comparison_settings(True, ["extra.scores=[ranker]", "workers=0"])
    assert (settings.models, settings.extra.scores, settings.workers) == (("din",), ("ranker",), 0)
    assert (settings.zero_shot, settings.other_rounds) == (False, ()), "the short form has nothing written"
    assert comparison_settings(False, []) == ComparisonSettings()
    with pytest.raises(RecipeError, match=r"comparison\.extra\.scores\.0: .*got 'matrix'"):
        comparison_settings(False, ["extra.scores=[matrix]"])
    with pytest.raises(RecipeError, match=r"comparison\.sedes: .*comparison has models, recent"):
        comparison_settings(False, ["sedes=2"])


def test_arms_of_files_are_named_once_and_plainly() -> None:
    found = comparison_settings(True, ["draws=200"], file_texts(["gpt=a.jsonl", "mine_2=b=c.parquet"], "leave_out"))
    assert [(texts.name, texts.path, texts.missing) for texts in found.extra.texts] == [
        ("gpt", "a.jsonl", "leave_out"),
        ("mine_2", "b=c.parquet", "leave_out"),
    ]
    for wrong in ("a.jsonl", "=a.jsonl", "gpt=", "a/b=c.jsonl", "../x=c.jsonl"):
        with pytest.raises(RecipeError, match="expected NAME=FILE"):
            file_texts([wrong], "error")
    with pytest.raises(RecipeError, match="names 'a' twice"):
        file_texts(["a=x", "a=y"], "error")
    with pytest.raises(RecipeError, match="expected error or leave_out"):
        file_texts(["a=x"], "drop")
