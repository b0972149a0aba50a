"""The gate: drawn sentences, labels, figures worked out by hand, and what an open or closed gate does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console
from test_grounding import HISTORY, ITEMS
from typer.testing import CliRunner

from trackrec.checks.gate import GATE_FILE, Labelled, may_accuse, measure, opens, write_gate
from trackrec.checks.grounding import ground
from trackrec.checks.label_page import label_page
from trackrec.checks.truth_measures import publishable
from trackrec.checks.vocabulary import Vocabulary
from trackrec.cli import app
from trackrec.errors import RunError
from trackrec.pipeline.check_the_checker import draw_by_verdict, draw_sentences, print_measures, read_labels
from trackrec.pipeline.forget import forget_user
from trackrec.prompts.domains import find_domain
from trackrec.recipe import dump_recipe, make_recipe

S, C, N = "supported", "contradicted", "not_checkable"


def labelled(*counts: tuple[str, str, int]) -> list[Labelled]:
    return [Labelled(verdict, label) for verdict, label, number in counts for _ in range(number)]


def test_precision_and_recall_by_hand() -> None:
    told = [*labelled((C, C, 9), (C, S, 1), (S, S, 8)), *[Labelled(N, C, weight=3.0), Labelled(N, N, weight=3.0)]]
    supported, contradicted = measure(told)
    assert contradicted.precision.value == pytest.approx(0.9)
    assert contradicted.precision.low == pytest.approx(0.5958, abs=1e-4)  # Wilson, 9 of 10
    assert contradicted.recall.value == pytest.approx(9 / 12)  # 9 found; one missed sentence stands for three
    assert contradicted.recall.low < 9 / 12 < contradicted.recall.high
    assert (supported.precision.value, supported.recall.value) == (1.0, pytest.approx(8 / 9))


@pytest.mark.parametrize(
    ("right", "wrong", "accusations", "is_open"),
    [
        (20, 0, 300, True),
        (20, 1, 300, True),
        (19, 1, 300, False),
        (9, 0, 300, False),
        (4, 0, 4, True),
        (0, 0, 0, False),
    ],
)
def test_the_gate_needs_enough_labels_and_few_false_accusations(
    right: int, wrong: int, accusations: int, is_open: bool
) -> None:
    assert opens(measure(labelled((C, C, right), (C, N, wrong), (S, S, 3))), accusations) == is_open


def test_unknown_corpora_are_not_accused(tmp_path: Path) -> None:
    assert may_accuse(tmp_path, "template")
    assert not may_accuse(tmp_path, "template", distils=False)
    assert not may_accuse(tmp_path, "llm")
    write_gate(tmp_path, measure(labelled((C, C, 20), (S, S, 3))), 300)
    assert may_accuse(tmp_path, "llm")
    write_gate(tmp_path, measure(labelled((C, S, 20), (S, S, 3))), 300)
    assert not may_accuse(tmp_path, "template")
    (tmp_path / GATE_FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match="remove it and label again"):
        may_accuse(tmp_path, "llm")


def test_nothing_is_withheld_while_the_gate_is_closed() -> None:
    text = "They enjoyed Mr. Wrong. They prefer Mystery books."
    sentences = ground(text, HISTORY, Vocabulary(ITEMS, find_domain("books"), ("author",)))
    assert publishable(sentences, str) == "They prefer Mystery books."
    assert publishable(sentences, str, may_accuse=False) == text


def test_a_third_of_each_verdict_and_more_where_one_lacks() -> None:
    rows = [(n, f"sentence {n}", C if n < 2 else S if n < 22 else N, "table") for n in range(62)]
    judged = pl.DataFrame(rows, schema=["user_id", "sentence", "verdict", "way"], orient="row")
    drawn = draw_by_verdict(judged, 30, seed=1)
    sizes = dict(drawn.group_by("verdict").len().iter_rows())
    assert sizes == {C: 2, S: 14, N: 14}
    weights = dict(drawn.group_by("verdict").agg(pl.col("weight").sum()).iter_rows())
    assert {name: round(total) for name, total in weights.items()} == {C: 2, S: 20, N: 40}
    assert drawn["id"].to_list() == list(range(30))
    assert draw_by_verdict(judged, 30, seed=1).equals(drawn)
    assert draw_by_verdict(judged, 1000, seed=1).height == 62


@pytest.fixture
def run(tmp_path: Path, tiny_model_folder: Path) -> Path:
    """A run of one user with a true, a false and an uncheckable sentence."""
    folder = tmp_path / "run"
    (folder / "tables").mkdir(parents=True)
    model = {"name": str(tiny_model_folder), "threads": 1, "device": "cpu"}
    recipe = {"name": "one", "model": model, "prompts": {"domain": "books", "attributes": ["author"]}}
    (folder / "recipe.yaml").write_text(dump_recipe(make_recipe(recipe)), encoding="utf-8")
    text = "They prefer Mystery books. They enjoyed Mr. Wrong. They like <b>rich</b> stories."
    pl.DataFrame([{"user_id": 1, "round": 0, "kind": "kept", "sample": 0, "text": text}]).write_parquet(
        folder / "reccots.parquet"
    )
    history = pl.DataFrame([{"user_id": 1, "position": n, "timestamp": n, **row} for n, row in enumerate(HISTORY)])
    empty = pl.DataFrame({"user_id": pl.Series([], dtype=pl.Int64)})
    made = {"items": ITEMS, "histories": history}
    for name in ("items", "histories", "examples", "roles", "targets", "baselines"):
        made.get(name, empty).write_parquet(folder / "tables" / f"{name}.parquet")
    return folder


def test_drawn_labelled_and_read_back(run: Path) -> None:
    page = draw_sentences(run, 3).read_text(encoding="utf-8")
    drawn = pl.read_parquet(run / "checker" / "drawn.parquet")
    verdicts = dict(drawn.select("sentence", "verdict").iter_rows())
    assert verdicts == {
        "They prefer Mystery books.": S,
        "They enjoyed Mr. Wrong.": C,
        "They like <b>rich</b> stories.": N,
    }
    assert "<b>" not in page  # text of a model is no markup
    assert "\\u003cb\\u003erich" in page
    task = json.loads(page.partition("const {title, tasks} = ")[2].partition(";\n")[0])["tasks"][0]
    assert set(task) == {"id", "sentence", "history"}  # a labeller sees no verdict
    labels = run / "labels.jsonl"
    lines = [{"id": row["id"], "label": row["verdict"]} for row in drawn.iter_rows(named=True)]
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    measures, is_open = read_labels(run, labels)
    assert [one.precision.value for one in measures] == [1.0, 1.0]
    assert is_open  # the run's only accusation was labelled, and is right
    assert may_accuse(run, "llm")
    console = Console(record=True, width=120)
    print_measures(measures, is_open, console)
    assert "The gate is open" in console.export_text()


def test_who_is_forgotten_leaves_the_page_and_labels_stay_readable(run: Path) -> None:
    """Of two users, one by one; the labels that were given before are read all the same."""
    kept = pl.read_parquet(run / "reccots.parquet")
    other = kept.with_columns(user_id=pl.lit(22_447_711, pl.Int64), text=pl.lit("They like quiet heroines."))
    pl.concat([kept, other]).write_parquet(run / "reccots.parquet")
    histories = pl.read_parquet(run / "tables" / "histories.parquet")
    both = [histories, histories.with_columns(user_id=pl.lit(22_447_711, pl.Int64))]
    pl.concat(both).write_parquet(run / "tables" / "histories.parquet")
    page = draw_sentences(run, 9)
    assert "quiet heroines" in page.read_text(encoding="utf-8")
    labels = run / "labels.jsonl"
    labels.write_text("".join(f'{{"id": {n}, "label": "not_checkable"}}\n' for n in range(4)), encoding="utf-8")
    before, _ = read_labels(run, labels)
    forget_user("22447711", run)
    left = page.read_text(encoding="utf-8")
    assert "quiet heroines" not in left
    assert "Mr. Wrong" in left
    after, _ = read_labels(run, labels)
    assert after[0].given == before[0].given
    forget_user("1", run)
    assert not page.exists(), "nothing is left to label"


def test_a_page_of_another_version_is_removed(run: Path) -> None:
    page = draw_sentences(run, 3)
    page.write_text("<p>Mr. Wrong</p>", encoding="utf-8")
    assert f"could not be searched: {page}" in forget_user("1", run)
    assert not page.exists()


def test_the_command(run: Path) -> None:
    ask = CliRunner()
    drawn = ask.invoke(app, ["check-the-checker", str(run), "--sentences", "2"])
    assert drawn.exit_code == 0, drawn.output
    labels = run / "labels.jsonl"
    labels.write_text('{"id": 0, "label": "supported"}\n{"id": 1, "label": "supported"}\n', encoding="utf-8")
    told = ask.invoke(app, ["check-the-checker", str(run), "--labels", str(labels)])
    assert told.exit_code == 0, told.output
    assert "precision" in told.output


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "holds no labels"),
        ("nonsense", "line 1: expected"),
        ('{"id": 0, "label": "maybe"}', "expected one of supported, contradicted, not_checkable"),
        ('{"id": 77, "label": "supported"}', "no sentence 77 was drawn"),
    ],
)
def test_labels_that_do_not_fit(run: Path, lines: str, message: str) -> None:
    with pytest.raises(RunError, match="nothing was drawn"):
        read_labels(run, run / "labels.jsonl")
    draw_sentences(run, 3)
    (run / "labels.jsonl").write_text(lines, encoding="utf-8")
    with pytest.raises(RunError, match=message):
        read_labels(run, run / "labels.jsonl")


@pytest.mark.slow
def test_two_keys_in_a_browser(browser: Any, tmp_path: Path) -> None:
    """Labels by keys, kept over a reload, saved as JSON lines."""
    event = {"number": 1, "rating": 5.0, "title": "Fargo </script>", "kinds": "Crime"}
    tasks = [{"id": n, "sentence": f"Sentence {n} [1].", "history": [event]} for n in range(3)]
    page_file = tmp_path / "label.html"
    page_file.write_text(label_page("three", tasks), encoding="utf-8")
    page = browser.new_page()
    page.goto(page_file.as_uri())
    for key in ("j", "f"):
        page.keyboard.press(key)
    page.reload()
    assert page.inner_text("#place") == "3 of 3, 2 labelled"
    assert page.inner_text("tr.cited td:nth-child(3)") == "Fargo </script>"
    page.keyboard.press("Space")
    with page.expect_download() as download:
        page.click("#save")
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    page.close()
    lines = [json.loads(line) for line in saved.splitlines()]
    assert lines == [{"id": 0, "label": S}, {"id": 1, "label": C}, {"id": 2, "label": N}]
