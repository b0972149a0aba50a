"""Variants of a whole run of the tiny model: what is shared is what would have been made; whom the checks see."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console
from safetensors.torch import load_file
from tiny_run import tiny_recipe, write_tiny_log

from research.ablation.job import AblationSettings, ablate_recipe
from research.ablation.variants import CHECKS, VARIANTS, variant_recipe
from research.report.ablation import print_ablations, write_ablation_page
from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.metrics.probability import auc
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import TABLES, Dataset, prepare
from trackrec.pipeline.forget import forget_user
from trackrec.pipeline.job import open_run, run_recipe
from trackrec.pipeline.loop import Loop
from trackrec.progress import Reporter
from trackrec.recipe import Recipe
from trackrec.report import write_report
from trackrec.run import file_hash

pytestmark = pytest.mark.slow

NAMES = (
    "dpo",
    "g-frozen",
    "rounds-1",
    "v-frozen",
    "v-ranker",
    "v-sees-0",
    "no-distillation",
    "targets-2",
    "fresh-v",
    "length",
)


class Done(NamedTuple):
    recipe: Recipe
    folder: Path
    told_of: dict[str, Any]

    def manifests(self, variant: str) -> dict[str, dict[str, Any]]:
        folder = self.folder / "ablations" / variant / "manifests"
        return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}

    def shared(self, variant: str) -> set[str]:
        return {name for name, manifest in self.manifests(variant).items() if "borrowed_from" in manifest}

    def table(self, name: str, variant: str | None = None) -> pl.DataFrame:
        folder = self.folder / "ablations" / variant if variant else self.folder
        return pl.read_parquet(folder / "tables" / f"{name}.parquet")

    def dataset(self) -> Dataset:
        return Dataset(*(self.table(name) for name in TABLES))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Done:
    root = tmp_path_factory.mktemp("ablation")
    roles = {"lm_users": 8, "lm_extra_users": 6, "lm_validation_users": 5, "ranker_folds": 4}
    recipe = tiny_recipe(tiny_model_folder, write_tiny_log(root / "log"), roles=roles)
    path = ablate_recipe(recipe, root / "run", AblationSettings(only=NAMES))
    return Done(recipe, root / "run", json.loads(path.read_text()))


@pytest.mark.parametrize("name", ["dpo", "v-sees-0"])
def test_a_variant_that_shares_stages_is_the_one_that_shares_none(name: str, done: Done, tmp_path: Path) -> None:
    variant = next(variant for variant in VARIANTS if variant.name == name)
    recipe = variant_recipe(done.recipe, variant, 2)
    assert recipe is not None
    run = open_run(recipe, tmp_path / "alone", Reporter())
    Loop(Components(recipe, run, prepare(recipe, run))).all_rounds()
    tables = sorted((run.folder / "tables").glob("*.parquet"))
    assert len(tables) > 15
    for path in tables:
        assert_frame_equal(done.table(path.stem, name), pl.read_parquet(path), check_exact=True)


def test_only_what_differs_is_made(done: Done) -> None:
    loop_of_one = {"data", "teach", "distil", "write-0", "tune-lm-start", "tune-lm-0", "check"}
    one_round = {"sample-1", "score-lm-1", "prefer-lm-1", "align-lm-1", "write-1", "tune-lm-1"}
    assert done.shared("g-frozen") == loop_of_one
    assert done.shared("rounds-1") == loop_of_one | one_round
    assert done.shared("v-frozen") == loop_of_one | one_round - {"tune-lm-1"} | {"sample-2"}
    assert done.shared("dpo") == loop_of_one | {"sample-1", "score-lm-1"}
    assert done.shared("v-ranker") == {"data", "teach", "distil", "write-0", "sample-1"} | {
        "tune-ranker-0", "score-ranker-1", "prefer-ranker-1"
    }, "the trial of the observer's feedback is another stage than an alignment to it"  # fmt: skip
    assert done.shared("v-sees-0") == {"data", "distil", "write-0", "sample-1"}
    assert done.shared("targets-2") == {"teach", "distil", "write-0", "sample-1"}
    assert done.shared("no-distillation") == {"data", "teach", "tune-lm-start"}
    cost = {about["variant"]: about for about in done.told_of["variants"]}
    assert cost["rounds-1"]["shared_stages"] == 13
    assert cost["v-sees-0"]["seconds"] > cost["rounds-1"]["seconds"]


def test_one_validator_for_all_rounds(done: Done) -> None:
    scored_by = done.manifests("v-frozen")["score-lm-2"]["counts"]["scored_by"]
    assert set(scored_by) == {"lm-0-0", "lm-0-1"}
    adapters = {path.name for path in (done.folder / "ablations" / "v-frozen" / "adapters").iterdir()}
    assert not {name for name in adapters if name.startswith(("validator-lm-1", "validator-lm-2"))}


def test_without_distillation_the_generator_is_the_base_model(done: Done) -> None:
    weights = load_file(
        done.folder / "ablations" / "no-distillation" / "adapters" / "generator-0" / "adapter_model.safetensors"
    )
    assert not any(weight.abs().sum() for name, weight in weights.items() if "lora_B" in name)
    assert done.manifests("no-distillation")["distil"]["counts"]["tuned_on"] == []
    assert done.table("write-0", "no-distillation")["text"].to_list() != done.table("write-0")["text"].to_list()


def test_a_row_is_the_difference_under_the_same_validators(done: Done) -> None:
    rows = {(row["variant"], row["judge"], row["metric"]): row for row in done.told_of["rows"]}
    for variant, number, against in (("g-frozen", 0, 2), ("rounds-1", 1, 2)):
        values = []
        for generator in (number, against):
            parts = [done.table(f"matrix-lm-{judge}").filter(pl.col("sample") == generator) for judge in range(3)]
            values.append(sum(auc(part["label"], part["yes_probability"]) for part in parts) / 3)
        found = rows[variant, "lm", "auc"]
        assert found["difference"] == pytest.approx(values[0] - values[1])
        assert found["against_value"] == pytest.approx(values[1])
        assert found["users"] == 5
        assert found["lower"] <= found["upper"]
        own = [
            done.table(f"matrix-lm-{generator}").filter(pl.col("sample") == generator)
            for generator in (number, against)
        ]
        values = [auc(part["label"], part["yes_probability"]) for part in own]
        assert rows[variant, "own", "auc"]["difference"] == pytest.approx(values[0] - values[1])
    assert {judge for _, judge, _ in rows} == {"lm", "ranker", "own", "text"}
    assert {variant for variant, _, _ in rows} == set(NAMES) - {"fresh-v", "length"}


def test_the_fresh_validator_learnt_from_other_users_and_draws(done: Done) -> None:
    dataset = done.dataset()
    tuned = json.loads((done.folder / "manifests" / "tune-lm-fresh.json").read_text())["counts"]["fold-1"]
    loop = json.loads((done.folder / "manifests" / "tune-lm-2.json").read_text())["counts"]["fold-0"]
    assert set(tuned["tuned_on"]) == set(dataset.users(Role.LM, fold=0))
    assert set(loop["tuned_on"]) == set(dataset.users(Role.LM, fold=1)), "who judges validation users in the loop"
    assert tuned["starts_from"] == "validator-lm-start-fresh"
    scored = set(done.table("check-scores-fresh")["user_id"])
    assert scored == set(dataset.users(Role.LM_VALIDATION))
    for stage in ("tune-lm-start-fresh", "tune-lm-start"):
        users = json.loads((done.folder / "manifests" / f"{stage}.json").read_text())["counts"]["tuned_on"]
        assert not set(users) & scored
    last, fresh = (done.table(f"check-scores-{judge}")["yes_probability"].to_list() for judge in ("last", "fresh"))
    assert last != fresh


def test_the_gains_are_those_of_the_scores(done: Done) -> None:
    rows = {
        (check["check"], row["judge"], row["gain"]): row["difference"]
        for check in done.told_of["checks"]
        for row in check["rows"]
        if row["metric"] == "auc"
    }

    def area(table: str, sample: int) -> float:
        part = done.table(table).filter(pl.col("sample") == sample)
        return auc(part["label"], part["yes_probability"])

    whole = "round 2 less round 0"
    fresh = area("check-scores-fresh", 1) - area("check-scores-fresh", 0)
    feedback = sum(area(f"matrix-lm-{judge}", 2) - area(f"matrix-lm-{judge}", 0) for judge in (0, 1)) / 2
    assert rows["fresh-v", "fresh", whole] == pytest.approx(fresh)
    assert rows["fresh-v", "feedback", whole] == pytest.approx(feedback)
    assert rows["fresh-v", "feedback less fresh", whole] == pytest.approx(feedback - fresh)
    # The loop's own last validator gave the same figures when the matrix was made.
    last = area("matrix-lm-2", 2) - area("matrix-lm-2", 0)
    assert rows["fresh-v", "last", whole] == pytest.approx(last)
    assert rows["length", "last", whole] == pytest.approx(last)
    cut = area("check-scores-last", 4) - area("check-scores-last", 3)
    assert rows["length", "last", f"{whole}: whole less cut"] == pytest.approx(last - cut)
    assert ("length", "fresh", whole) in rows, "the length is also judged by the fresh one"


def test_the_cut_texts_are_of_like_length_and_strangers_are_strangers(done: Done) -> None:
    texts = done.table("check-texts")
    by_user = {(user, sample): (text, tokens) for user, sample, text, tokens in texts.iter_rows()}
    kept = {number: dict(done.table(f"write-{number}").select("user_id", "text").iter_rows()) for number in (0, 2)}
    for user in done.dataset().users(Role.LM_VALIDATION):
        assert by_user[user, 0][0] == kept[0][user]
        assert by_user[user, 1][0] == kept[2][user]
        shorter = min(by_user[user, 0][1], by_user[user, 1][1])
        assert max(by_user[user, 3][1], by_user[user, 4][1]) <= shorter
        others = {kept[2][other] for other in kept[2] if other != user}
        assert by_user[user, 2][0] in others
        assert by_user[user, -1] == (None, None)


def test_a_second_call_does_nothing_and_keeps_what_was_there(done: Done) -> None:
    watched = [path for name in ("tables", "adapters", "manifests") for path in done.folder.rglob(f"{name}/*")]
    times = {path: path.stat().st_mtime_ns for path in watched}
    path = ablate_recipe(done.recipe, done.folder, AblationSettings(only=("dpo",)))
    assert {path: path.stat().st_mtime_ns for path in watched} == times
    assert json.loads(path.read_text()) == done.told_of
    write_ablation_page(done.folder)
    console = Console(record=True, width=200)
    print_ablations(done.folder, console)
    assert "v-frozen" in console.export_text()


def test_fewer_rounds_are_compared_with_as_many(done: Done) -> None:
    path = ablate_recipe(done.recipe, done.folder, AblationSettings(only=("dpo", "v-frozen"), rounds=1))
    told_of = json.loads(path.read_text())
    added = [about for about in told_of["variants"] if about not in done.told_of["variants"]]
    assert [(about["variant"], about["rounds"], about["against_round"]) for about in added] == [("dpo-after-1", 1, 1)]
    names = [about["variant"] for about in told_of["variants"]]
    assert names[names.index("dpo") + 1] == "dpo-after-1"


def test_the_clock_stops_it_between_variants(done: Done, tmp_path: Path) -> None:
    lines: list[str] = []

    class Listener(Reporter):
        def line(self, text: str) -> None:
            lines.append(text)

    ablate_recipe(done.recipe, done.folder, AblationSettings(only=("k-1",), minutes=1e-9), Listener())
    assert "minutes are over before k-1: start again to go on" in lines[-1]
    assert not (done.folder / "ablations" / "k-1").exists()


def test_din_judges_on_users_who_are_not_tested(done: Done) -> None:
    path = ablate_recipe(done.recipe, done.folder, AblationSettings(only=("g-frozen",), din=True))
    rows = [row for row in json.loads(path.read_text())["rows"] if row["judge"] == "din"]
    assert [(row["variant"], row["metric"]) for row in rows] == [("g-frozen", "auc"), ("g-frozen", "gauc")]
    roles = done.table("roles").filter(pl.col("role") == Role.RANKER)
    judged = done.table("ablated-din-g-frozen")
    assert set(judged["user_id"]) <= set(roles.filter(pl.col("fold") == 1)["user_id"])
    assert judged.height == rows[0]["examples"]


def test_what_cannot_be_judged_is_refused(done: Done, tmp_path: Path) -> None:
    few = tiny_recipe(Path(done.recipe.model.name), Path(str(done.recipe.source.folder)), loop={"rounds": 0} | LOOP)
    with pytest.raises(RunError, match=r"the recipe has no rounds \(loop.rounds: 0\)"):
        ablate_recipe(few, tmp_path / "none", AblationSettings(only=("length",)))
    with pytest.raises(RunError, match=r"--din needs 4 folds of ranker users .*, the recipe has 3"):
        ablate_recipe(few, tmp_path / "none", AblationSettings(only=("v-sees-0",), din=True))


def test_a_whole_run_with_one_validator_and_no_distillation_ends(done: Done, tmp_path: Path) -> None:
    loop = {"rounds": 1, "retunes": False, "distils": False, "samples_per_user": 2} | LOOP
    recipe = tiny_recipe(Path(done.recipe.model.name), Path(str(done.recipe.source.folder)), loop=loop)
    folder = run_recipe(recipe, tmp_path / "run")
    both = [pl.read_parquet(folder / "tables" / f"matrix-lm-{number}.parquet") for number in (0, 1)]
    assert_frame_equal(both[0].drop("validator"), both[1].drop("validator"))
    assert "Not there" in write_report(folder).read_text()


def test_the_ranker_as_validator_is_checked_too(done: Done, tmp_path: Path) -> None:
    loop = {"rounds": 1, "samples_per_user": 2} | LOOP
    judge = {"type": "ranker"}
    recipe = tiny_recipe(
        Path(done.recipe.model.name), Path(str(done.recipe.source.folder)), loop=loop, judge=judge, observer=None
    )
    path = ablate_recipe(recipe, tmp_path / "run", AblationSettings(only=tuple(CHECKS)))
    told_of = json.loads(path.read_text())
    assert [check["check"] for check in told_of["checks"]] == list(CHECKS)
    assert {row["judge"] for check in told_of["checks"] for row in check["rows"]} >= {"feedback", "last", "fresh"}


def test_a_forgotten_user_is_gone_from_variants_too(done: Done, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(done.folder, folder)
    user = done.dataset().users(Role.LM_VALIDATION)[0]
    forget_user(str(user), folder)
    tables = [pl.read_parquet(path) for path in folder.rglob("*.parquet")]
    assert len(tables) > 100
    assert not any("user_id" in table.columns and user in table["user_id"] for table in tables)
    path = folder / "ablations" / "dpo" / "manifests" / "write-2.json"
    output = "tables/write-2.parquet"
    assert json.loads(path.read_text())["outputs"][output] == file_hash(folder / "ablations" / "dpo" / output)
    assert write_report(folder).is_file(), "the report of the run does not mind the stages of the ablation"


LOOP = {
    "targets_per_user": 3,
    "sampling": {"max_new_tokens": 10},
    "writing": {"temperature": 0, "max_new_tokens": 10},
    "need_useful_validator": False,
}
