"""Knowledge cards: hard input counted and said, tags merged by hand, the embedded cards, the items table of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tiny_run import tiny_recipe, write_tiny_log

from trackrec.errors import LogError, RecipeError
from trackrec.knowledge.card import MOST_TAGS, cards_file, check_card, embedded_cards, read_cards, write_cards
from trackrec.knowledge.catalogue import KnowledgeSettings, add_knowledge, load_cards
from trackrec.knowledge.vocabulary import build_vocabulary, tag_key
from trackrec.pipeline.dataset import prepare
from trackrec.progress import Reporter
from trackrec.recipe import make_recipe
from trackrec.run import Run

ITEMS = pl.DataFrame({"item_id": [1, 2, 3], "title": ["Aa", "Bb", "Cc"], "genres": [["Drama"], ["Film-Noir"], None]})


def card(item: Any, tags: Any = ("spy", "heist"), known: Any = 2, gist: Any = "A thing happens.") -> dict[str, Any]:
    return {"item_id": item, "known": known, "tags": list(tags) if isinstance(tags, tuple) else tags, "gist": gist}


def file_of(folder: Path, *lines: Any) -> Path:
    path = folder / "cards.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_good_cards_are_read_as_they_stand_from_either_format(tmp_path: Path) -> None:
    path = file_of(tmp_path, card(1), "", card("b", (), 0, None))
    cards = read_cards(path)
    assert cards.table.rows() == [
        ("1", 2, ["spy", "heist"], "A thing happens.", None, None),
        ("b", 0, [], None, None, None),
    ]
    assert cards.counts == {"cards": 2, "not_known": 1}
    assert cards.warnings == ()
    cards.table.write_parquet(tmp_path / "cards.parquet")
    assert read_cards(tmp_path / "cards.parquet").table.equals(cards.table)
    write_cards(tmp_path / "again.jsonl", cards.table.to_dicts())
    assert read_cards(tmp_path / "again.jsonl").table.equals(cards.table)


@pytest.mark.parametrize(
    "broken",
    [
        card(None),
        card(True),
        card(" "),
        card(1.5),
        card(1, known=3),
        card(1, known=True),
        card(1, known="2"),
        card(1, tags="spy"),
        card(1, tags=["spy", 3]),
        card(1, tags={"spy": 1}),
        card(1, tags=None),
        card(1, gist=["x"]),
        card(1) | {"model": 7},
        {"item_id": 1},
    ],
)
def test_a_card_of_wrong_types_is_left_out_and_counted(tmp_path: Path, broken: dict[str, Any]) -> None:
    cards = read_cards(file_of(tmp_path, card(9), broken))
    assert cards.table["item_id"].to_list() == ["9"]
    assert cards.counts == {"cards": 1, "not_known": 0, "wrong_type": 1}
    assert cards.warnings == (
        f"{tmp_path}/cards.jsonl: 1 cards have a field of a wrong type, or lack one, and were left out (line 2)",
    )


def test_too_much_is_left_out_and_counted(tmp_path: Path) -> None:
    """10,000 tags, tags that are sentences, tags of an item that is not known, control characters."""
    many = tuple(f"tag {n}" for n in range(10_000))
    long = "this is a whole sentence and by no means a tag of an item"
    cards = read_cards(file_of(tmp_path, card(1, many), card(2, (long, "", "a\nb")), card(3, ("spy",), 0)))
    tags = cards.table["tags"].to_list()
    assert tags == [list(many[:MOST_TAGS]), ["a b"], []]
    assert cards.table["gist"].to_list()[2] is None
    wanted = {"cards": 3, "not_known": 1, "tags_left_out": 9_991, "bad_tags": 2, "tags_of_unknown": 1}
    assert cards.counts == wanted


def test_of_two_cards_of_an_item_the_last_one_counts(tmp_path: Path) -> None:
    cards = read_cards(file_of(tmp_path, card(1), card(1), card(1, ("war",)), "[]", "{not json"))
    assert cards.table["tags"].to_list() == [["war"]]
    wanted = {"cards": 1, "not_known": 0, "same_twice": 1, "contradicting": 1, "not_json": 2}
    assert cards.counts == wanted
    assert "the last one counts (line 3, item '1')" in cards.warnings[1]


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"no usable card in .* 1 lines are no JSON object"):
        read_cards(file_of(tmp_path, "hello"))
    with pytest.raises(LogError, match=r"no usable card in .* is empty"):
        read_cards(file_of(tmp_path))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(LogError, match="cannot be read"):
        read_cards(tmp_path / "bad.parquet")
    (tmp_path / "latin.jsonl").write_bytes(b'{"item_id": "\xe9"}\n')
    with pytest.raises(LogError, match="expected JSON lines in UTF-8"):
        read_cards(tmp_path / "latin.jsonl")
    with pytest.raises(LogError, match="no knowledge cards 'nowhere': expected a file"):
        cards_file("nowhere")


def test_a_models_answer_is_checked_as_a_line_is() -> None:
    assert check_card({"known": 2, "tags": ["spy"], "gist": "x", "item_id": "other"}, "7") == {
        "item_id": "7",
        "known": 2,
        "tags": ["spy"],
        "gist": "x",
        "model": None,
        "prompt_hash": None,
    }
    assert check_card({"known": 0, "tags": ["spy"], "gist": "x"}, "7")["tags"] == []  # type: ignore[index]
    assert check_card({"tags": ["spy"]}, "7") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Con Artists", "con artist", True),
        ("slow-paced", "slow paced", True),
        ("hit man", "hitman", True),
        ("spies", "spy", True),
        ("R & B", "r and b", True),
        ("world war i", "world war ii", False),
        ("bus", "bu", False),
        ("1950s", "1960s", False),
    ],
)
def test_keys_of_tags(one: str, other: str, same: bool) -> None:
    assert (tag_key(one) == tag_key(other)) == same


def test_tags_are_merged_by_hand() -> None:
    """nostalgic 3 > nostalgia 1; dataset wars, decades and "marble"/"garbled" stay apart; rare and genres go."""
    tags = [
        ["nostalgic", "world war i", "spies", "spy"],
        ["nostalgic", "world war ii", "Spies"],
        ["nostalgia", "world war i", "film noir"],
        ["nostalgic", "world war ii", "set in 1950s", "once"],
        ["set in 1960s", "set in 1950s", "cult classic"],
        ["set in 1960s", "cult classic"],
    ]
    found = build_vocabulary(tags, 2, True, ["Film-Noir"], ["Cult classics"])
    assert found.frequency == {
        "nostalgic": 4,
        "set in 1950s": 2,
        "set in 1960s": 2,
        "Spies": 2,
        "world war i": 2,
        "world war ii": 2,
    }
    assert found(["spy", "nostalgia", "nostalgic", "once"]) == ["Spies", "nostalgic"]
    counts = {"tags_found": 12, "tags": 6, "merged": 3, "rare": 1, "genres": 1, "left_out": 1}
    assert found.counts == counts
    apart = build_vocabulary(tags, 1, False)
    assert {"nostalgic", "nostalgia", "once"} <= set(apart.frequency)


def test_merging_does_not_depend_on_the_order_of_items() -> None:
    tags = [["nostalgic", "b"], ["nostalgia"], ["nostalgia", "B"], ["nostalgic"]]
    assert dict(build_vocabulary(tags).spelling) == dict(build_vocabulary(tags[::-1]).spelling)


def test_tags_take_the_place_of_genres_where_that_is_asked(tmp_path: Path) -> None:
    path = file_of(tmp_path, card(1, ("spy", "drama")), card(2, ("drama", "heist")), card(3, ("spy",)))
    settings = KnowledgeSettings(cards=str(path), min_items=2, as_genres=True)
    cards = load_cards(settings, "tabular")
    assert cards is not None
    items, counts = add_knowledge(ITEMS, cards, settings)
    assert items["genres"].to_list() == [["spy", "drama"], ["drama"], ["spy"]]  # of the catalogue's own none is left
    assert "tags" not in items.columns
    assert counts["rare"] == 1


def test_cards_are_joined_to_the_items(tmp_path: Path) -> None:
    path = file_of(tmp_path, card(2, ("Spies", "film noir")), card("1", ("spy", "war")), card(77), card("03"))
    settings = KnowledgeSettings(cards=str(path))
    cards = load_cards(settings, "tables")
    assert cards is not None
    items, counts = add_knowledge(ITEMS, cards, settings)
    assert items.columns == ["item_id", "title", "genres", "tags", "gist", "known"]
    assert items["tags"].to_list() == [["Spies"], ["Spies"], []]
    assert items["known"].to_list() == [2, 2, 0]
    assert counts["cards"] == 4
    assert counts["unknown_ids"] == 2
    assert counts["items_without_card"] == 1
    with pytest.raises(LogError, match="already has the columns tags, gist, known"):
        add_knowledge(items, cards, settings)
    strangers = read_cards(file_of(tmp_path, card("x")))
    with pytest.raises(LogError, match=r"none of 1 knowledge cards is of one of the 3 items: .* such as 'x'"):
        add_knowledge(ITEMS, strangers, settings)


def test_overrides_take_the_place_of_cards(tmp_path: Path) -> None:
    over = file_of(tmp_path, card(1, ("my own",)))
    settings = KnowledgeSettings(cards="movielens-100k", overrides=str(over))
    cards = load_cards(settings, "movielens-100k")
    assert cards is not None
    assert cards.table.filter(item_id="1")["tags"].to_list() == [["my own"]]
    assert cards.counts["cards"] == 1682
    with pytest.raises(RecipeError, match="cards is null: name the cards"):
        load_cards(KnowledgeSettings(overrides=str(over)), "movielens-100k")


@pytest.mark.parametrize(("name", "items", "not_known"), [("movielens-100k", 1682, 17), ("lastfm-2k", 2828, 9)])
def test_embedded_cards_are_whole_and_refused_where_ids_mean_others(name: str, items: int, not_known: int) -> None:
    cards = read_cards(embedded_cards(name))
    assert cards.counts == {"cards": items, "not_known": not_known}
    assert cards.warnings == ()
    assert set(cards.table["model"]) == {"a large language model"}
    known = cards.table.filter(pl.col("known") > 0)
    assert known["tags"].list.len().is_between(3, 9).all()
    with pytest.raises(RecipeError, match=r"another item\. Write cards for it"):
        load_cards(KnowledgeSettings(cards=name), "movielens-1m")
    assert load_cards(KnowledgeSettings(), "tables") is None


def test_a_run_reads_the_cards_and_reads_them_again_once_they_change(tmp_path: Path) -> None:
    """Without cards the data stage's fingerprint and tables say nothing of them."""
    recipe = tiny_recipe(Path("unused"), write_tiny_log(tmp_path / "log"))
    plain = Run(tmp_path / "plain", Reporter(), 17)
    assert "tags" not in prepare(recipe, plain).items.columns
    assert "knowledge" not in plain.manifest("data")["fingerprint"]["settings"]
    path = file_of(tmp_path, *(card(n, ("spy", f"only {n}")) for n in range(1, 40)))
    recipe = make_recipe(recipe.model_dump(mode="json") | {"knowledge": {"cards": str(path)}})
    run = Run(tmp_path / "run", Reporter(), 17)
    assert prepare(recipe, run).items["tags"].to_list() == [["spy"]] * 39 + [[]]
    told = run.manifest("data")["counts"]["knowledge"]
    assert (told["cards"], told["items_without_card"], told["tags"], told["rare"]) == (39, 1, 1, 39)
    file_of(tmp_path, *(card(n, ("war",)) for n in range(1, 41)))
    assert prepare(recipe, Run(tmp_path / "run", Reporter(), 17)).items["tags"].to_list() == [["war"]] * 40
