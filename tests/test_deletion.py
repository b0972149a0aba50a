"""The deletion test of the generator and the measures beside it, on a run folder with a tiny generator."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.metrics.rows import read_metrics
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import Dataset, prepare
from trackrec.pipeline.grounding import as_tree, ground_run, print_grounding
from trackrec.pipeline.job import open_run
from trackrec.pipeline.truth import ARM
from trackrec.progress import Reporter


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> tuple[Path, Dataset, dict[int, str]]:
    """A run that has written two rounds: in both, everybody is told to have enjoyed a film that they liked."""
    folder = tmp_path_factory.mktemp("deletion")
    recipe = tiny_recipe(tiny_model_folder, write_tiny_log(folder / "log"))
    run = open_run(recipe, folder / "run", Reporter())
    dataset = prepare(recipe, run)
    components = Components(recipe, run, dataset)
    components.model.add("generator-1", seed=3)
    components.generator_folder(1).parent.mkdir()
    components.model.save("generator-1", components.generator_folder(1))
    titles = {item: title.rpartition(" (")[0] for item, title in dataset.items.select("item_id", "title").iter_rows()}
    liked = {u: titles[next(r["item_id"] for r in rows if r["label"])] for u, rows in dataset.history_rows.items()}
    rows = [
        {
            "user_id": user,
            "round": number,
            "kind": "kept",
            "sample": 0,
            "text": f"They enjoyed {liked[user]}.",
            "grounded": None,
        }
        for number in (0, 1)
        for user in components.everybody_tested
    ]
    pl.DataFrame(rows, schema_overrides={"grounded": pl.Float64}).write_parquet(folder / "run" / "reccots.parquet")
    return folder / "run", dataset, liked


def test_the_generator_writes_again_without_the_evidence(written: tuple[Path, Dataset, dict[int, str]]) -> None:
    folder, dataset, liked = written
    rows = {(row.metric, row.round): row for row in ground_run(folder, rewrite=3)}
    table = pl.read_parquet(folder / "tables" / "deletion.parquet")
    assert table["user_id"].to_list() == dataset.users(Role.LM_VALIDATION)[:3]
    assert table["events"].to_list() == [1, 1, 1]
    assert table["text"].str.len_chars().min() > 0  # type: ignore[operator]
    assert table["gone"].to_list() == [liked[u] not in text for u, text in table.select("user_id", "text").rows()]
    drops = rows["deletion_drops", 1]
    assert (drops.value, drops.users) == (table["gone"].mean(), 3)
    control = rows["deletion_control", 1].value
    assert drops.value is not None
    assert control is not None
    assert rows["deletion_difference", 1].value == pytest.approx(drops.value - control)
    again = {(row.metric, row.round): row for row in ground_run(folder)}
    assert again == rows, "what the generator wrote stays until it writes again"
    assert set(again) == {(row.metric, row.round) for row in read_metrics(folder / "metrics.json") if row.arm == ARM}
    with pytest.raises(RunError, match="--deletion got -1"):
        ground_run(folder, rewrite=-1)


def test_rounds_that_say_the_same_do_not_differ_in_truth(written: tuple[Path, Dataset, dict[int, str]]) -> None:
    folder, dataset, _ = written
    rows = {(row.metric, row.round): row for row in ground_run(folder)}
    change = rows["hallucination_change", 1]
    assert (change.value, change.low, change.high) == (0, 0, 0)
    assert rows["hallucination_rate", 0].value == 0
    # All films of this log have the same two genres, so a title that was enjoyed speaks for every other film.
    assert rows["reasons_coverage", 1].value == 1
    assert rows["reasons_gauc", 1].value == 0.5
    reasons = pl.read_parquet(folder / "tables" / "reasons.parquet")
    assert (
        reasons.select("user_id", "event_id").n_unique()
        == dataset.targets.filter(pl.col("role").is_in(["lm_validation", "ranker"])).height
    )
    tree = as_tree(list(rows.values()))
    assert {"hallucination_rate", "specificity", "deletion_test", "reasons_gauc"} <= set(tree["by_round"]["1"])
    console = Console(record=True, width=140, file=io.StringIO())
    print_grounding(list(rows.values()), console)
    assert "hallucination change" in console.export_text()
