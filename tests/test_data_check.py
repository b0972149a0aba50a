"""`trackrec data check` on odd logs: what it says of each, that its own files are no input, and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import call

from trackrec.data.sources import read_log
from trackrec.recipe import load_recipe

START = 1_600_000_000


def card_of(
    monkeypatch: pytest.MonkeyPatch, folder: Path, log: str, *options: str, name: str = "log.csv"
) -> dict[str, Any]:
    """The card of a log that is written into a folder."""
    (folder / name).write_text(log, encoding="utf-8")
    call(monkeypatch, "data", "check", str(folder / name), "--out", str(folder), *options)
    card: dict[str, Any] = json.loads((folder / "log.card.json").read_text(encoding="utf-8"))
    return card


def rows(head: str, *values: Any, users: int = 40, events: int = 16) -> str:
    """A log whose further columns take the given values in turn."""
    lines = [
        ",".join(
            map(
                str,
                (user, event + 100, START + 60 * event, *(column[(user + event) % len(column)] for column in values)),
            )
        )
        for user in range(users)
        for event in range(events)
    ]
    return "\n".join([f"user_id,item_id,time_ms,{head}".replace("time_ms", "time"), *lines]) + "\n"


def test_own_files_are_no_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "All Beauty"
    folder.mkdir()
    reviews = [
        {"rating": 1.0 + (user + event) % 5, "title": "t", "text": "x", "images": [], "asin": f"B{event}",
         "parent_asin": f"B{event}", "user_id": f"A{user}", "timestamp": 1000 * (START + event), "helpful_vote": 0}
        for user in range(40) for event in range(16)
    ]  # fmt: skip
    goods = [{"main_category": "Beauty", "title": f"L {n}", "categories": ["A", "B"], "store": "X", "price": None,
              "parent_asin": f"B{n}"} for n in range(16)]  # fmt: skip
    (folder / "All_Beauty.jsonl").write_text("\n".join(map(json.dumps, reviews)))
    (folder / "meta_All_Beauty.jsonl").write_text("\n".join(map(json.dumps, goods)))
    monkeypatch.chdir(folder)
    for _ in range(2):
        assert call(monkeypatch, "data", "check", ".", "--source", "amazon-2023") == 0
    assert {file.name for file in folder.iterdir()} == {
        "All_Beauty.jsonl", "meta_All_Beauty.jsonl", "All Beauty.card.json", "All Beauty.card.html",
        "All Beauty.recipe.yaml",
    }  # fmt: skip
    recipe = load_recipe(folder / "All Beauty.recipe.yaml")
    assert recipe.name == "All Beauty"
    assert read_log(recipe.source).interactions.height == 640


@pytest.mark.parametrize("path", ["logs", "logs/", "./logs/.", "logs/../logs", "logs/*.csv"])
def test_a_log_is_called_as_its_folder(path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text(rows("rating", [1, 3, 5], users=25))
    (tmp_path / "logs" / "b.csv").write_text(rows("rating", [1, 3, 5]).replace("\n", "\n9", 600))
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "data", "check", path) == 0
    assert (tmp_path / "logs.recipe.yaml").is_file()
    assert read_log(load_recipe(tmp_path / "logs.recipe.yaml").source).interactions.height == 25 * 16 + 640


def test_exposures_are_proposed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    card = card_of(monkeypatch, tmp_path, rows("is_click,is_like", [0, 1, 0], [0, 0, 1]))
    assert (card["liking"]["kind"], card["verdict"]) == ("impressions", "ready")
    assert any(note.startswith("interactions: is_click holds truth values alone") for note in card["unsure"])
    assert any("is_like holds truth values alone, and is not used" in note for note in card["unsure"])
    recipe = load_recipe(tmp_path / "log.recipe.yaml")
    assert recipe.feedback.kind == "impressions"
    assert card["split"]["labels"]["sampled_negatives"] == 0
    assert 0 < card["split"]["labels"]["likes_in_examples"] < 1


def test_amounts_are_taken_as_implicit_and_returns_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = rows("pieces", [1, 2, 6, 1, 24, -1, 12]) + f"3,104,{START},80995\n3,104,{START},-80995\n"
    card = card_of(monkeypatch, tmp_path, text, "--column", "rating=pieces")
    assert (card["liking"]["kind"], card["liking"]["like_weight"]) == ("implicit", 1.0)
    warning = next(warning for warning in card["warnings"] if "no scale of opinion" in warning)
    assert "pieces goes from -80,995 to 80,995" in warning
    assert "--column quantity=pieces --column rating=- leaves them out" in warning
    recipe = load_recipe(tmp_path / "log.recipe.yaml")
    assert (recipe.feedback.kind, recipe.feedback.like_weight) == ("implicit", 1.0)
    assert card["split"]["labels"]["likes_in_histories"] < 1
    card = card_of(monkeypatch, tmp_path, text, "--column", "quantity=pieces")
    assert card["split"]["labels"]["likes_in_histories"] == 1
    found = {finding["name"]: finding["number"] for finding in card["findings"]}
    assert found["dropped_quantity_not_positive"] > 1


def test_a_rating_that_stands_apart_is_told_with_its_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = rows("rating", [0, 5, 4, 3, 0, 1])
    card = card_of(monkeypatch, tmp_path, text)
    warning = next(warning for warning in card["warnings"] if "stands apart" in warning)
    assert "--column zero_is_no_rating=true" in warning
    card = card_of(monkeypatch, tmp_path, text, "--column", "zero_is_no_rating=true")
    assert not any("stands apart" in warning for warning in card["warnings"])
    card = card_of(monkeypatch, tmp_path, text.replace(",0\n", ",-1\n"))
    assert any("--column no_rating=-1 leaves them out" in warning for warning in card["warnings"])
    card = card_of(monkeypatch, tmp_path, text.replace(",0\n", ",-1\n"), "--column", "no_rating=-1,99")
    assert not any("stands apart" in warning for warning in card["warnings"])


def test_what_was_decided_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = rows("rating,date,category", [1, 3, 5], ["2020-09-13"], ["A;B", "A", "B"])
    card = card_of(monkeypatch, tmp_path, text)
    assert card["unsure"] == [
        "interactions: time is taken for the time, as it tells moments apart more finely than date",
        "genres in category: cut at ';', which 1 of 3 different texts have (columns.genre_separator)",
    ]
    assert "Unsure: genres in category: cut at ';'" in capsys.readouterr().out
    assert "genres in category: cut at" in (tmp_path / "log.card.html").read_text(encoding="utf-8")


def test_a_log_without_times_says_what_then_means_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = rows("rating", [1, 3, 5]).replace(",time,", ",nothing,")
    (tmp_path / "log.csv").write_text(text)
    assert call(monkeypatch, "data", "check", str(tmp_path / "log.csv"), "--out", str(tmp_path)) == 1
    assert "columns.timestamp to '-'" in capsys.readouterr().err
    card = card_of(monkeypatch, tmp_path, text, "--column", "timestamp=-", "--set", "split.kind=random")
    assert card["verdict"] == "ready"
    assert any("parted at random" in warning and "means nothing here" in warning for warning in card["warnings"])
    assert card["log"]["dates"]["places"]
    assert load_recipe(tmp_path / "log.recipe.yaml").split.kind == "random"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("split.min_histroy=3", "unknown setting 'split.min_histroy'; the nearest known one is 'split.min_history'"),
        ("loop.roundz=3", "unknown setting 'loop.roundz'; the nearest known one is 'loop.rounds'"),
        ("feedback.kind=clicks", "feedback.kind"),
    ],
)
def test_settings_are_checked_as_in_a_recipe(
    change: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.csv").write_text(rows("rating", [1, 3, 5]))
    assert call(monkeypatch, "data", "check", str(tmp_path / "log.csv"), "--set", change) != 0
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_check_loads_no_model_library(tmp_path: Path) -> None:
    """Half of its time was that."""
    (tmp_path / "log.csv").write_text(rows("rating", [1, 3, 5]))
    code = (
        "import sys; from pathlib import Path; from trackrec.pipeline.log_check import check_log; "
        "from trackrec.report.data_card import card_page; "
        f"card = check_log('x', {{'source': 'tables', 'tables': {{'interactions': {str(tmp_path / 'log.csv')!r}}}}}, "
        "{}, 'short'); assert card.recipe and card_page(card.as_json(), ''); "
        "print(sorted({'torch', 'transformers', 'peft', 'datasets', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_errors_say_what_helps_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'user,item,time,note\n1,2,1600000000,"open\n1,3,1600000001,x\n'
    for log, expected in ((text, "--set source.tables.interactions.quote=none"), (text.replace('"', "a,"), "fields")):
        (tmp_path / "log.csv").write_text(log)
        assert call(monkeypatch, "data", "check", str(tmp_path / "log.csv")) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert expected in said
        assert "encoding" not in said
