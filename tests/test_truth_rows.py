"""The rows about truth: which users each measure read, and that a text which says little takes no interval away."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.metrics.rows import MetricRow, roles_of, write_metrics
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.pipeline.truth import Truth
from trackrec.progress import Reporter
from trackrec.report.blocks import Table
from trackrec.report.run_data import RunData
from trackrec.report.truth import truth as section

WORDS = ("", "Drama.", "They enjoyed {liked}.")
"""What the users are told in turn: nothing, one word, a title that they liked."""


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """A run in which all users have a text of round 0, and the tested ones a text of round 1."""
    folder = tmp_path_factory.mktemp("truth")
    recipe = tiny_recipe(Path("no-model-is-read"), write_tiny_log(folder / "log"))
    run = open_run(recipe, folder / "run", Reporter())
    dataset = prepare(recipe, run)
    titles = {item: title.rpartition(" (")[0] for item, title in dataset.items.select("item_id", "title").iter_rows()}
    rows = []
    for place, (user, history) in enumerate(dataset.history_rows.items()):
        liked = titles[next(row["item_id"] for row in history if row["label"])]
        text = WORDS[place % 3].format(liked=liked)
        for number in (0, 1) if user in {*dataset.users("lm_validation"), *dataset.evaluated} else (0,):
            rows.append({"user_id": user, "round": number, "kind": "kept", "sample": 0, "text": text, "grounded": None})
    pl.DataFrame(rows, schema_overrides={"grounded": pl.Float64}).write_parquet(run.folder / "reccots.parquet")
    return Truth(recipe, run, dataset)


@pytest.fixture(scope="module")
def rows(truth: Truth) -> dict[tuple[str, int | None], MetricRow]:
    truth.collect()
    return {(row.metric, row.round): row for row in truth.rows()}


def told(truth: Truth, number: int, words: int) -> list[object]:
    """Users whose text of a round has so many words or more."""
    table = pl.read_parquet(truth.run.folder / "reccots.parquet").filter(pl.col("round") == number)
    return [user for user, text in table.select("user_id", "text").iter_rows() if len(text.split()) >= words]


def test_a_text_of_one_word_takes_no_interval_away(truth: Truth, rows: dict[tuple[str, int | None], MetricRow]) -> None:
    found = rows["distinct_2", 0]
    assert found.low is not None
    assert found.high is not None
    assert found.users == len(told(truth, 0, words=2))
    assert rows["distinct_1", 0].users == len(told(truth, 0, words=1))


def test_each_measure_states_the_users_that_it_read(
    truth: Truth, rows: dict[tuple[str, int | None], MetricRow]
) -> None:
    roles, everybody = truth.dataset.roles, "lm, lm_extra, lm_validation, ranker"
    tested = {*truth.dataset.users("lm_validation"), *truth.dataset.evaluated}
    with_claims = told(truth, 0, words=2)  # "Drama." is a sentence without a claim
    assert rows["words", 0].users == len(told(truth, 0, words=1)) < roles.height
    assert (rows["words", 0].role, rows["words", 1].role) == (everybody, "lm_validation, ranker")
    assert rows["words", 1].users == len(told(truth, 1, words=1)) < len(tested)
    assert rows["hallucination_rate", 0].examples == len(with_claims)
    assert rows["deletion_test", 0].users == rows["deletion_test", 0].examples == len(with_claims)
    assert rows["deletion_test", 0].value == 1  # a title hangs on its one event
    assert rows["reasons_gauc", 1].users == len(tested)
    assert (
        rows["reasons_gauc", 1].examples == truth.dataset.targets.filter(pl.col("user_id").is_in(list(tested))).height
    )
    assert rows["reasons_gauc", 1].role == "lm_validation, ranker"


def test_the_report_has_a_row_for_horoscopes(truth: Truth, rows: dict[tuple[str, int | None], MetricRow]) -> None:
    found = rows["horoscope_rate", 0]
    assert 0 <= (found.value or 0) <= 1
    assert found.examples > 0
    write_metrics(truth.run.folder / "metrics.json", rows.values())
    table = next(block for block in section(RunData(truth.run.folder)).blocks if isinstance(block, Table))
    (cells,) = [row for row in table.rows if row[0] == "horoscope rate"]
    assert str(cells[1]).startswith(f"{found.value:.2f}"[:3])


def test_measures_of_a_part_say_so(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackrec.pipeline.truth.SPECIFICITY_USERS", 3)
    truth.collect()
    rows = {(row.metric, row.round): row for row in truth.rows()}
    assert rows["specificity", 0].users == 3
    assert rows["deletion_test", 0].users <= 3
    assert rows["words", 0].users > 3


@pytest.mark.parametrize("emptied", [(0,), (1,), (0, 1)])
def test_rounds_of_empty_texts_have_no_figures_but_end(truth: Truth, emptied: tuple[int, ...]) -> None:
    path = truth.run.folder / "reccots.parquet"
    before = pl.read_parquet(path)
    text = pl.when(pl.col("round").is_in(emptied)).then(pl.lit("")).otherwise("text")
    before.with_columns(text=text).write_parquet(path)
    truth.collect()
    rows = {(row.metric, row.round): row for row in truth.rows()}
    before.write_parquet(path)
    for number in emptied:
        for name in ("hallucination_rate", "specificity", "words", "distinct_2", "different_texts"):
            row = rows[name, number]
            assert (row.value, row.low, row.users, row.examples, row.role) == (None, None, 0, 0, "")
            assert row.note == "every text of this round is empty"
    assert rows["hallucination_change", 1].value is None
    assert rows["hallucination_change", 1].note == "no user has a text of both rounds"


def test_roles_are_named_in_the_order_of_the_roles() -> None:
    roles = {1: "ranker", 2: "lm_validation", 3: "lm"}
    assert roles_of([1, 3, 3, 2], roles) == "lm, lm_validation, ranker"
    assert roles_of([], roles) == ""
