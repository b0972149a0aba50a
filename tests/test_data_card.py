"""The data card: figures by hand, problems that rule a run out, and the way from a CSV to a recipe by the messages."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
import yaml
from command_line import call

from trackrec.data.card import describe_log
from trackrec.data.feedback import guess_liking
from trackrec.data.findings import describe_findings
from trackrec.data.log import Log
from trackrec.data.sources import SOURCES, Source
from trackrec.pipeline.log_check import check_log
from trackrec.pipeline.own_recipe import fit_recipe, guess_domain, merged, users_needed
from trackrec.recipe import load_recipe, make_recipe

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "own_logs.py"
HEADER = "customer,sku,stars,when_it_was,product_name,category\n"
DAY = 86_400


@pytest.fixture(scope="module")
def logs() -> dict[str, object]:
    return runpy.run_path(str(EXAMPLES))


def test_figures_by_hand() -> None:
    rows = [(1, 7, 5.0, 0), (1, 7, 5.0, 0), (1, 8, 2.0, 9 * DAY), (2, 7, 3.0, 10 * DAY)]
    schema = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
    items = pl.DataFrame({"item_id": [7, 8, 9], "title": ["a", "b" * 130, "c"], "genres": [["x"], [], ["y"]]})
    log = Log.checked(pl.DataFrame(rows, schema=schema, orient="row"), items, where="test")
    found = describe_log(log)
    assert found["size"] == {
        "interactions": 4, "users": 2, "items_touched": 2, "items_in_catalogue": 3, "items_never_touched": 1,
        "density": 3 / 4,
    }  # fmt: skip
    assert found["dates"]["first"] == "1970-01-01"
    assert found["dates"]["longest_gaps"][0] == {"from": "1970-01-01", "to": "1970-01-10", "days": 9.0}
    assert found["by_period"]["counts"][:2] == [["1970-01-01", 2], ["1970-01-02", 0]]
    assert found["activity"]["most_active"] == [["1", 3], ["2", 1]]
    assert found["activity"]["histogram"] == [[1, 1], [2, 1]]
    assert found["ratings"]["counts"] == [[2.0, 1], [3.0, 1], [5.0, 2]]
    assert found["titles"]["cut_in_prompts"] == 1
    assert found["titles"]["with_genres"] == pytest.approx(2 / 3)


def test_liking_is_found_from_the_ratings() -> None:
    assert guess_liking(pl.Series([3.0, 4.0, 5.0, 2.0]), True)[:2] == ("threshold", 4.0)
    assert guess_liking(pl.Series([1.0, 5.0, 8.0, 9.0]), True)[:2] == ("threshold", 8.0)
    assert guess_liking(pl.Series([4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]), True)[:2] == ("threshold", 5.0)
    assert guess_liking(pl.Series([1.0]), False).kind == "implicit"


def test_every_count_has_words() -> None:
    counts = {
        "rows": 3,
        "dropped_rows_by_core": 2,
        "user_ids_made_text_in_items": 1,
        "dropped_new_reason": 4,
        "kept_x": 0,
    }
    told = {finding.name: (finding.what, finding.outcome) for finding in describe_findings(counts)}
    assert told == {
        "dropped_rows_by_core": ("rows that the filter of core leaves out", "left out"),
        "user_ids_made_text_in_items": ("user ids of the items that are numbers, and text elsewhere", "made text"),
        "dropped_new_reason": ("new reason", "left out"),
    }


@pytest.mark.parametrize("form", ["short", "long"])
@pytest.mark.parametrize("users", [0, 40, 500, 10**6])
def test_a_fitted_recipe_asks_for_no_more_users_than_there_are(form: str, users: int) -> None:
    users = max(users, users_needed(form))  # type: ignore[arg-type]
    liking = guess_liking(pl.Series([1.0, 2.0]), True)
    tree = fit_recipe(form, "x", {"source": "movielens-100k"}, users, liking, "generic", (), {})  # type: ignore[arg-type]
    roles = make_recipe(tree).roles
    rest = users - roles.lm_users - roles.lm_extra_users - roles.lm_validation_users
    assert rest >= roles.ranker_folds * 4
    assert (roles.ranker_users or 0) <= rest


def test_from_a_csv_to_a_recipe_by_the_messages(
    logs: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    logs["write_books"](tmp_path / "books.csv")  # type: ignore[operator]
    assert call(monkeypatch, "data", "check", "books.csv") == 1
    assert "no column that looks like the user: found Reader" in (said := capsys.readouterr().err)
    assert "--column user=NAME for columns.user" in said
    assert not list(tmp_path.glob("books.*.*"))
    (tmp_path / "plays.csv").write_text("listener_id,artist_id,day,month,year\n1,2,3,4,2009\n", encoding="utf-8")
    assert call(monkeypatch, "data", "check", "plays.csv") == 1
    assert "--column row_order_as_time=true" in capsys.readouterr().err
    call(monkeypatch, "data", "check", "plays.csv", "--column", "row_order_as_time=true")
    assert "the log has no times" in (said := capsys.readouterr().out)
    assert "1970" not in said
    assert "1970" not in (tmp_path / "plays.card.html").read_text(encoding="utf-8")
    assert call(monkeypatch, "data", "check", "books.csv", "--column", "user=Reader", "--set", "loop.rounds=1") == 0
    out = capsys.readouterr().out
    assert "Prompts speak of: books" in out
    assert "trackrec run books.recipe.yaml" in out
    card = json.loads((tmp_path / "books.card.json").read_text(encoding="utf-8"))
    assert card["verdict"] == "ready"
    found = {finding["name"]: finding["number"] for finding in card["findings"]}
    assert found["dropped_without_user_id"] == found["dropped_without_rating"] == found["dropped_bad_timestamp"] == 1
    assert found["kept_repeated_rows"] == 1
    page = (tmp_path / "books.card.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 6
    assert "http" not in page.replace("http-equiv", "").split("<main>")[1].split("xmlns")[0]
    recipe = load_recipe(tmp_path / "books.recipe.yaml")
    assert (recipe.split.like_threshold, recipe.loop.rounds, recipe.prompts.attributes) == (7.0, 1, ("creator",))
    assert Path(recipe.source.tables.interactions.path) == tmp_path / "books.csv"


def test_a_log_without_ratings(
    logs: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs["write_groceries"](tmp_path / "groceries.csv")  # type: ignore[operator]
    assert call(monkeypatch, "data", "check", str(tmp_path / "groceries.csv"), "--out", str(tmp_path)) == 0
    tree = yaml.safe_load((tmp_path / "groceries.recipe.yaml").read_text(encoding="utf-8"))
    assert tree["feedback"] == {"kind": "implicit"}
    assert (tree["teacher"]["tells"], tree["prompts"]["digest"]) == (["consumption"], ["consumption"])
    assert tree["prompts"]["domain"] == "products"
    assert "quantity of 0 or less" in capsys.readouterr().out


def rows(users: int, events: int, stars: str = "", start: int = 1_600_000_000, step: int = 60) -> str:
    lines = [
        f"u{user},i{event},{stars or 1 + (user + event) % 5},{start + step * event},T{event},C"
        for user in range(users)
        for event in range(events)
    ]
    return HEADER + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows(1, 40), "there is one user"),
        (rows(40, 20, stars="5"), r"all labels alike: every rating is 5, each a like .*--set feedback.kind=implicit"),
        (rows(10, 20), r"too few users for the roles: 10 of 10 have a history .* expected at least 18"),
        (rows(40, 20, step=0), "all interactions have the same time .*--column row_order_as_time=true"),
        (rows(40, 1), r"no events after histories|there is one item"),
        (rows(40, 4), r"no events after histories: .*with --set split.min_history=3 there would be 40 users"),
    ],
)
def test_a_meaningless_log_is_refused_with_the_reason(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop.csv").write_text(text, encoding="utf-8")
    arguments = [
        "data",
        "check",
        str(tmp_path / "shop.csv"),
        "--out",
        str(tmp_path),
        "--column",
        "timestamp=when_it_was",
    ]
    assert call(monkeypatch, *arguments) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "a run on this log would be meaningless: " in error
    assert re.search(message, error), error
    assert json.loads((tmp_path / "shop.card.json").read_text(encoding="utf-8"))["verdict"] == "meaningless"
    assert not (tmp_path / "shop.recipe.yaml").exists()


def test_trees_and_domains() -> None:
    assert merged({"a": 1}, {"a": {"b": 2}}) == {"a": {"b": 2}}
    assert guess_domain([]) == "generic"


@pytest.mark.parametrize(("feedback", "kind"), [("graded", "threshold"), ("implicit", "implicit")])
def test_what_is_said_of_a_source_is_in_its_recipe(
    feedback: Literal["graded", "implicit"], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record alone: nothing else knows its name."""
    events = [(user, (user + place) % 50, 1.0 + place % 5, place) for user in range(40) for place in range(20)]
    schema = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
    items = pl.DataFrame({"item_id": range(50), "title": [f"Song {number}" for number in range(50)]})
    log = Log.checked(pl.DataFrame(events, schema=schema, orient="row"), items, where="test")
    monkeypatch.setitem(SOURCES, "radio", Source("radio", lambda _: log, "music", feedback))
    card = check_log("radio", {"source": "radio", "folder": str(tmp_path)}, {}, "short")
    assert (card.problems, card.domain, card.liking.kind) == ([], "music", kind)
    assert card.recipe is not None
    assert (card.recipe["prompts"]["domain"], card.recipe["feedback"]) == ("music", {"kind": kind})
