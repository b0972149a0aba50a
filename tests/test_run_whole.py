"""A whole run with the tiny model: what it leaves, what it may see, and that it can be killed at any moment."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from described_tables import wrong_tables
from peft import PeftModel
from polars.testing import assert_frame_equal
from rich.console import Console
from tiny_run import tiny_recipe, write_tiny_log
from transformers import AutoModelForCausalLM

from trackrec.checks.truth_measures import sample_counts
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.judges.preferences import build_groups
from trackrec.judges.rewards import LogLikelihood, grounding_penalty
from trackrec.metrics.rows import read_metrics
from trackrec.pipeline.dataset import TABLES, Dataset
from trackrec.pipeline.explain import explain_user
from trackrec.pipeline.job import run_recipe
from trackrec.pipeline.summary import print_summary
from trackrec.prompts.domains import find_domain
from trackrec.recipe import load_recipe
from trackrec.report import write_report

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "tiny_run.py"
KILLS = [("training", 9), ("sampling", 5), ("scoring", 3), ("table", 12)]
"""In the middle of which so-manieth call of a start it is killed."""


def run_script(folder: Path, model: Path, log: Path, *kill: object) -> int:
    command = [sys.executable, str(SCRIPT), str(folder), str(model), str(log), *map(str, kill)]
    return subprocess.run(command, capture_output=True, text=True, check=False).returncode


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_log(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path, log: Path) -> Path:
    """In this process, unlike those that are killed: what a run leaves does not hang on what ran before it."""
    return run_recipe(tiny_recipe(tiny_model_folder, log), tmp_path_factory.mktemp("run") / "undisturbed")


def tables(folder: Path) -> dict[str, pl.DataFrame]:
    return {str(p.relative_to(folder)): pl.read_parquet(p) for p in sorted(folder.rglob("*.parquet"))}


def manifests(folder: Path) -> dict[str, dict[str, object]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((folder / "manifests").glob("*.json"))}


def test_a_run_killed_again_and_again_ends_as_an_undisturbed_one(
    finished: Path, tmp_path: Path, tiny_model_folder: Path, log: Path
) -> None:
    """Each start is killed in the middle of other work, later than the one before; the last one ends."""
    folder = tmp_path / "killed"
    done: dict[Path, int] = {}
    for function, call in KILLS:
        assert run_script(folder, tiny_model_folder, log, function, call) == -signal.SIGKILL, function
        assert not (folder / "metrics.json").exists()
        assert all(path.stat().st_mtime_ns == time for path, time in done.items()), f"made again before {function}"
        before = len(done)
        # A stage of several tables is done when all are: then its manifest names them.
        whole = {folder / name for manifest in manifests(folder).values() for name in manifest["outputs"]}  # type: ignore[attr-defined]
        done = {path: path.stat().st_mtime_ns for path in whole if path.suffix == ".parquet"}
        assert len(done) > before, f"nothing came between the kills before {function}"
    assert run_script(folder, tiny_model_folder, log) == 0
    assert all(path.stat().st_mtime_ns == time for path, time in done.items()), "a finished table was made again"
    expected, got = tables(finished), tables(folder)
    assert list(expected) == list(got)
    for name, table in expected.items():
        assert_frame_equal(got[name], table, check_exact=True)
    assert (folder / "metrics.json").read_bytes() == (finished / "metrics.json").read_bytes()


def test_no_validator_scores_a_user_whom_it_was_tuned_on(finished: Path) -> None:
    stages = manifests(finished)
    seen = 0
    for name, manifest in stages.items():
        if not name.startswith("score-"):
            continue
        for version, users in manifest["counts"]["scored_by"].items():  # type: ignore[index]
            kind, number, fold = version.split("-")
            tuned = stages[f"tune-{kind}-{number}"]["counts"][f"fold-{fold}"]  # type: ignore[index]
            ancestors = [tuned]
            while ancestors[-1]["starts_from"] != "base model":
                start = ancestors[-1]["starts_from"].removeprefix("validator-")
                ancestors.append(stages[f"tune-{start}"]["counts"])
            assert len(ancestors) == (2 if kind == "lm" else 1)
            for ancestor in ancestors:
                assert ancestor["tuned_on"]
                assert not set(ancestor["tuned_on"]) & set(users)
            seen += len(users)
    assert seen == 2 * 2 * 12  # two rounds, two kinds, 8 LM and 4 validation users


def test_false_claims_are_paid_for_in_the_loop(finished: Path) -> None:
    dataset = Dataset(*(pl.read_parquet(finished / "tables" / f"{name}.parquet") for name in TABLES))
    recipe = load_recipe(finished / "recipe.yaml")
    samples = pl.read_parquet(finished / "tables" / "sample-1.parquet")
    counts = sample_counts(samples, dataset.history_rows, Vocabulary(dataset.items, find_domain("movies")))
    told = manifests(finished)["prefer-lm-1"]["counts"]
    for name in ("checkable", "contradicted"):
        assert told[f"{name}_claims"] == counts[name].sum()  # type: ignore[index]
    taken = grounding_penalty(counts["contradicted"], counts["checkable"], 0.5)
    mine = pl.col("user_id").is_in(dataset.users(Role.LM))
    groups, _ = build_groups(
        pl.read_parquet(finished / "tables" / "score-lm-1.parquet").filter(mine),
        samples.with_columns(penalty=pl.Series(taken)).filter(mine),
        recipe.preferences,
        LogLikelihood(),
    )
    assert_frame_equal(groups, pl.read_parquet(finished / "tables" / "groups-lm-1.parquet"))


def test_nothing_was_tuned_on_validation_or_ranker_users(finished: Path) -> None:
    roles = dict(pl.read_parquet(finished / "tables" / "roles.parquet").select("user_id", "role").iter_rows())

    def tuned(value: object) -> list[object]:
        if isinstance(value, dict):
            mine = value.get("tuned_on", [])
            return [*mine, *(user for inner in value.values() for user in tuned(inner))]
        return []

    users = [user for manifest in manifests(finished).values() for user in tuned(manifest["counts"])]
    assert users
    assert {roles[user] for user in users} == {"lm", "lm_extra"}


def test_the_tables_have_their_columns(finished: Path) -> None:
    reccots = pl.read_parquet(finished / "reccots.parquet")
    expected = {"user_id", "role", "round", "kind", "sample", "text", "token_ids", "token_logprobs", "seed"}
    assert expected | {"prompt_hash", "adapter_hash", "reward", "gain", "grounded"} <= set(reccots.columns)
    assert set(reccots["role"].unique()) == {"lm", "lm_extra", "lm_validation", "ranker"}
    vectors = pl.read_parquet(finished / "vectors.parquet")
    assert vectors.columns == ["user_id", "vector", "raw_vector", "has_reccot"]
    assert vectors["has_reccot"].all()
    assert vectors["raw_vector"].list.len().unique().to_list() == [384]
    assert vectors["vector"].list.len().unique().to_list() == [load_recipe(finished / "recipe.yaml").ranking.components]
    arms = {row.arm for row in read_metrics(finished / "metrics.json")}
    assert {"v_own", "v_swapped", "v_without_reccot", "v_zero_shot", "item_user_mean", "din_own", "matrix"} <= arms
    assert not list((finished / "shards").glob("*")), "shards of finished stages are taken away"


def test_adapters_load_with_plain_transformers_and_peft(finished: Path, tiny_model_folder: Path) -> None:
    for name in ("generator", "validator"):
        model = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
        model = PeftModel.from_pretrained(model, str(finished / name))
        assert any(weight.abs().sum() > 0 for key, weight in model.state_dict().items() if "lora_B" in key)
        assert "TrackRec" in (finished / name / "README.md").read_text()
    assert not [p for p in finished.rglob("*") if p.suffix in {".bin", ".pt", ".pth", ".pkl", ".pickle"}]


def test_the_report_opens_without_a_network(finished: Path) -> None:
    page = write_report(finished).read_text(encoding="utf-8")
    assert 'src="http' not in page
    assert "tiny" in page


def test_a_folder_keeps_its_recipe(finished: Path, tiny_model_folder: Path, log: Path) -> None:
    other = tiny_recipe(tiny_model_folder, log, seed=3)
    with pytest.raises(RunError, match=r"run of another recipe: it differs in seed \(17 there, 3 now\)"):
        run_recipe(other, finished)


def test_explain_shows_history_reccot_and_predictions(finished: Path) -> None:
    user = pl.read_parquet(finished / "reccots.parquet").filter(pl.col("kind") == "kept")["user_id"][0]
    console = Console(record=True, width=140, file=io.StringIO())
    explain_user(str(user), finished, 3, console)
    text = console.export_text()
    assert "History that the generator reads" in text
    assert f"RecCoT of user {user}" in text
    assert "with the RecCoT" in text
    assert text.count("Film ") >= 4
    assert "what the published text says" in text
    explain_user(str(user), finished, 3, console, item="7")
    assert "Why Film 7" in console.export_text()
    with pytest.raises(RunError, match="--item got 'none'"):
        explain_user(str(user), finished, 3, console, item="none")
    with pytest.raises(RunError, match="wrote no RecCoT for user 'nobody'; it did for"):
        explain_user("nobody", finished, 3, console)
    with pytest.raises(RunError, match="holds no finished run"):
        explain_user(str(user), finished / "tables", 3, console)


def test_the_summary_names_every_arm(finished: Path) -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    print_summary(finished, console)
    text = console.export_text()
    assert "V tuned without any RecCoT" in text
    assert "DIN with the RecCoT less DIN, another user's RecCoT" in text


def test_every_metric_row_says_how_many(finished: Path) -> None:
    rows = [row for row in read_metrics(finished / "metrics.json") if row.arm.startswith(("v_", "din_"))]
    assert rows
    for row in rows:
        assert row.users > 0
        assert row.examples >= row.users
        if row.value is not None and row.low is not None and row.high is not None:
            assert row.low <= row.value <= row.high


def test_a_second_start_computes_nothing(
    finished: Path, tiny_model_folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("finished work was begun again")

    for target in (
        "trackrec.run.Stage",
        "trackrec.pipeline.components.LanguageModel",
        "trackrec.lm.model.LanguageModel",
    ):
        monkeypatch.setattr(target, never)
    for name in ("features.shared_encoder", "components.shared_encoder", "truth.claims_table", "truth.found_among"):
        monkeypatch.setattr(f"trackrec.pipeline.{name}", never)
    before = {path: path.stat().st_mtime_ns for path in sorted(finished.rglob("*"))}
    run_recipe(tiny_recipe(tiny_model_folder, log), finished)
    assert {path: path.stat().st_mtime_ns for path in sorted(finished.rglob("*"))} == before


@pytest.mark.parametrize("lost", ["vectors.parquet", "metrics.json", "reccots.parquet", "tables/reasons.parquet"])
def test_what_was_lost_is_made_again_and_nothing_else(
    lost: str, finished: Path, tmp_path: Path, tiny_model_folder: Path, log: Path
) -> None:
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    (folder / lost).unlink()
    before = {p: p.stat().st_mtime_ns for p in (folder / "manifests").glob("*.json")}
    run_recipe(tiny_recipe(tiny_model_folder, log), folder)
    assert (folder / lost).read_bytes() == (finished / lost).read_bytes()
    made = {path.stem for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert made == {Path(lost).stem}


def test_every_table_is_as_the_page_describes_it(finished: Path) -> None:
    assert wrong_tables(finished) == []
