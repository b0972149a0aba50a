"""A whole small comparison on a run of the tiny model, in one process: with few arms, with all, and again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_run import FILMS, tiny_recipe, write_tiny_log

from research.comparison.arms import Arms
from research.comparison.extra_arms import ExtraArms, ExtraSettings, score_names
from research.comparison.file_arms import file_texts
from research.comparison.job import ComparisonSettings, compare_recipe, comparison_settings
from research.report.comparison import write_comparison_page
from research.report.contrasts import in_words
from trackrec.errors import RecipeError, RunError
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset
from trackrec.pipeline.job import open_run
from trackrec.progress import Reporter
from trackrec.recipe import Recipe

pytestmark = pytest.mark.slow

CHANGES = ["models=[din]", "recent=[0]", "others=false", "seeds=1", "draws=100", "workers=0"]
Compared = tuple[Path, dict[str, int], dict[str, Any]]
EXTRA = ["extra.scores=[lm, ranker]", "extra.score_examples=2", "extra.items=[text, knowledge]"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Recipe:
    return tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path_factory.mktemp("log")))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Compared:
    """A run folder compared without the extra arms and then with them; and what it held in between."""
    folder = tmp_path_factory.mktemp("compared") / "run"
    path = compare_recipe(recipe, folder, comparison_settings(False, CHANGES))
    before = json.loads(path.read_text())
    times = written(folder)
    compare_recipe(recipe, folder, settings())
    return folder, times, before


def settings() -> ComparisonSettings:
    return comparison_settings(False, CHANGES + EXTRA)


def written(folder: Path) -> dict[str, int]:
    """When each table was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "tables").glob("*.parquet")}


def test_extra_arms_are_added_to_a_finished_comparison(compared: Compared) -> None:
    folder, times, before = compared
    after = json.loads((folder / "compare.json").read_text())
    now = written(folder)
    again = {name for name, time in times.items() if now[name] != time}
    assert again == {"compare-din-0-contrasts.parquet", "compare-din-0-breakdown.parquet"} | {
        "compare-prm-0-contrasts.parquet"
    }, "nothing was trained a second time"
    assert not any("V's score" in row["arm"] or "items" in row["arm"] for row in before["rows"])
    keys = ("task", "arm", "against", "metric")
    old = {tuple(row[key] for key in keys): row["difference"] for row in before["rows"]}
    new = {tuple(row[key] for key in keys): row["difference"] for row in after["rows"]}
    assert {key: new[key] for key in old} == old
    added = {(row["task"], row["arm"], row["against"]) for row in after["rows"] if row["metric"] in ("auc", "ndcg_3")}
    for kind in ("lm", "ranker"):
        assert ("ctr", f"final + V's score ({kind})", "final round") in added
        assert ("ctr", f"V's score alone ({kind})", "no text") in added
        placebo = f"final + V's score, another user's ({kind})"
        assert (("ctr", f"final + V's score ({kind})", placebo) in added) == (kind == "ranker")
        assert ("rerank", f"V's score alone ({kind})", "no text") not in added
    for task in ("ctr", "rerank"):
        assert (task, "items: text + final", "final round") in added
        assert (task, "items: knowledge", "no text") in added


def test_scores_are_of_final_reccots_and_limited_for_the_language_model(
    compared: Compared,
) -> None:
    folder = compared[0]
    roles = pl.read_parquet(folder / "tables" / "roles.parquet").filter(role="ranker")
    examples = pl.read_parquet(folder / "tables" / "examples.parquet").join(roles, on="user_id", how="semi")
    lm, ranker = (pl.read_parquet(folder / "tables" / f"compare-score-{kind}.parquet") for kind in ("lm", "ranker"))
    assert lm.group_by("user_id").len()["len"].unique().to_list() == [2]
    assert ranker.height == examples.height
    assert set(lm["user_id"]) == set(ranker["user_id"]) == set(roles["user_id"])
    assert ranker["yes_probability"].is_between(0, 1).all()
    swapped = pl.read_parquet(folder / "tables" / "compare-score-ranker-swapped.parquet")
    both = ranker.join(swapped, on=["user_id", "event_id"], suffix="_swapped")
    assert both.height == ranker.height
    assert (both["yes_probability"] != both["yes_probability_swapped"]).any(), "another text gives another score"
    coverage = json.loads((folder / "compare.json").read_text())["coverage"]
    assert coverage["V's score (lm)"] == {"users": 14, "examples": examples.height, "with_score": 28}
    assert coverage["items: text"] == {"items": 40, "with_vector": 40}


def test_every_row_is_whole_and_the_primary_contrast_is_broken_down(
    compared: Compared,
) -> None:
    folder = compared[0]
    told_of = json.loads((folder / "compare.json").read_text())
    primary = [row for row in told_of["rows"] if row["family"] == "primary"]
    assert {(row["model"], row["against"], row["metric"]) for row in primary} == {
        (model, against, metric)
        for model, metrics in (("din", ("auc", "gauc")), ("prm", ("ndcg_3", "ndcg_7")))
        for against in ("no text", "another user's")
        for metric in metrics
    }
    assert {row["p"] for row in told_of["rows"]} == {None}, "14 users support no claim"
    assert {row["p_holm"] for row in told_of["rows"]} == {None}
    assert {family["contrasts"] for family in told_of["families"].values()} == {0}
    assert "nothing is claimed with fewer than 30 users in all" in " ".join(in_words(told_of))
    for row in told_of["rows"]:
        assert row["seeds"] == 1
        assert row["deviation"] is None
    calibration = [row["against"] for row in told_of["rows"] if row["metric"] == "calibration_error"]
    assert calibration == ["no text", "another user's"]
    cold = [row for row in told_of["breakdown"] if row["by"] != "scored"]
    assert {row["against"] for row in cold} == {"no text", "another user's"}
    whole = next(row["examples"] for row in primary if row["model"] == "din")
    for by in ("item_seen", "user_seen"):
        found = [row for row in cold if (row["by"], row["metric"], row["against"]) == (by, "auc", "no text")]
        assert sum(row["examples"] for row in found) == whole, "each example is in one bucket"
    scored = [row for row in told_of["breakdown"] if row["by"] == "scored" and row["metric"] == "auc"]
    assert {row["arm"] for row in scored} == set(score_names("lm")), "the other kind scores all examples"
    (given,) = {(row["users"], row["examples"]) for row in scored if row["bucket"] == "yes"}
    assert given[1] == 2 * given[0], "two a user"
    assert {row["examples"] for row in scored if row["bucket"] == "no"} == {whole - given[1]}
    assert "final + V&#x27;s score (lm)" in write_comparison_page(folder).read_text().replace("&#39;", "&#x27;")


def test_a_second_call_does_nothing(compared: Compared, recipe: Recipe) -> None:
    folder = compared[0]
    times, told_of = written(folder), (folder / "compare.json").read_text()
    manifests = {path.name: path.stat().st_mtime_ns for path in (folder / "manifests").glob("*.json")}
    compare_recipe(recipe, folder, settings())
    assert written(folder) == times
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "manifests").glob("*.json")} == manifests
    assert (folder / "compare.json").read_text() == told_of


def test_a_validator_that_the_run_has_not_is_refused(recipe: Recipe, compared: Compared) -> None:
    run = open_run(recipe, compared[0], Reporter())
    components = Components(recipe, run, Dataset.of(run))
    components.kinds = ["lm"]
    with pytest.raises(RecipeError, match="asks for the validator 'ranker', but this run tuned lm"):
        ExtraArms(Arms(components, 2), ExtraSettings(scores=("ranker",)))


def test_a_file_of_texts_is_an_arm(compared: Compared, recipe: Recipe, tmp_path: Path) -> None:
    folder = shutil.copytree(compared[0], tmp_path / "run")
    users = pl.read_parquet(folder / "tables/roles.parquet").filter(pl.col("role") == "ranker")["user_id"].to_list()
    path = tmp_path / "mine.jsonl"

    def write(told: list[Any]) -> None:
        path.write_text("".join(json.dumps({"user_id": user, "text": f"Likes film {user}."}) + "\n" for user in told))

    write([*users[1:], users[1], "nobody"])
    mine = comparison_settings(False, CHANGES + EXTRA, file_texts([f"mine={path}"], "error"))
    with pytest.raises(RunError, match=r"lack 1 of 14 users.*--texts-missing leave_out"):
        compare_recipe(recipe, folder, mine)
    mine = comparison_settings(False, CHANGES + EXTRA, file_texts([f"mine={path}"], "leave_out"))
    told = json.loads(compare_recipe(recipe, folder, mine).read_text())
    counts = {"users": 14, "with_vector": 13, "texts_beyond_the_first": 1, "texts_of_others": 1}
    assert told["coverage"]["texts: mine"] == counts
    added = {(row["task"], row["against"]) for row in told["rows"] if row["arm"] == "texts: mine"}
    assert added == {(task, against) for task in ("ctr", "rerank") for against in ("no text", "final round")}
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "manifests").glob("compare-texts-*")}
    write(users)  # another content under the same name is seen
    told = json.loads(compare_recipe(recipe, folder, mine).read_text())
    assert told["coverage"]["texts: mine"] == counts | {
        "with_vector": 14,
        "texts_beyond_the_first": 0,
        "texts_of_others": 0,
    }
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "manifests").glob("compare-texts-*")} != before


def test_new_items_and_cards_have_rows_and_arms_of_their_own(tmp_path: Path, tiny_model_folder: Path) -> None:
    log, cards = write_tiny_log(tmp_path / "log"), tmp_path / "cards.jsonl"
    told = [
        {"item_id": item, "known": 2, "tags": ["dry", "slow"][item % 2 :], "gist": ""} for item in range(1, FILMS + 1)
    ]
    cards.write_text("".join(json.dumps(card) + "\n" for card in told))
    knowledge, split = {"cards": str(cards), "min_items": 1}, {"new_items": 0.3}
    prompts = {"history_tokens": 60, "reccot_tokens": 16, "validator_recent": 1, "item_tags": 2}
    all_judged = {"users": 14, "targets_per_user": 3, "validation_targets_per_user": 3, "bootstrap": 100}
    recipe = tiny_recipe(
        tiny_model_folder, log, knowledge=knowledge, split=split, prompts=prompts, evaluation=all_judged
    )
    compare_recipe(recipe, tmp_path / "run", comparison_settings(False, CHANGES))
    found = json.loads((tmp_path / "run" / "compare.json").read_text())
    rows = {(row["items"], row["against"], row["metric"]): row for row in found["rows"] if row["arm"] == "final round"}
    arms = {against for _, against, _ in rows}
    assert {"raw history with cards", "genres as numbers"} <= arms
    assert len(arms & {"distilled", "round 1", "round 2"}) == 2, "all but the final one"
    assert not list((tmp_path / "run/tables").glob("compare-write-*")), (
        "the run judged every ranker user: all have texts"
    )
    for metric in ("auc", "gauc"):
        counts = [rows[items, "no text", metric]["examples"] for items in ("all", "new", "known")]
        assert counts[0] == counts[1] + counts[2]
        assert counts[1] > 0
    primary = {(row["task"], row["items"]) for row in found["rows"] if row["family"] == "primary"}
    assert primary == {("ctr", "all"), ("ctr", "new"), ("rerank", "all")}
    vectors = pl.read_parquet(tmp_path / "run/tables/compare-vectors.parquet")
    length = {arm: len(vectors.filter(arm=arm)["vector"][0]) for arm in ("profile as numbers", "genres as numbers")}
    assert length["profile as numbers"] == length["genres as numbers"] + 2, "a number for each of two tags"
