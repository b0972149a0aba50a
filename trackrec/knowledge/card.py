"""Knowledge cards: read from a file, checked line by line; whatever is wrong is counted and said, never guessed at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import LogError, RunError
from trackrec.files.tables import read_table
from trackrec.users.catalogue import clean_text

EMBEDDED: Mapping[str, str] = {"lastfm-2k": "lastfm-2k", "movielens-100k": "movielens-100k"}
"""Cards that ship with the package, by name, and the data source whose item ids they speak of."""
MOST_TAGS = 9
"""Most tags of a card; further ones are left out and counted."""
LONGEST_TAG = 40
"""Most characters of a tag; a longer one is a sentence, not a tag."""
LONGEST_GIST = 300
"""Most characters of a gist."""
_EXAMPLES = 3

CARD_SCHEMA: dict[str, Any] = {
    "item_id": pl.String,
    "known": pl.Int8,
    "tags": pl.List(pl.String),
    "gist": pl.String,
    "model": pl.String,
    "prompt_hash": pl.String,
}
"""Columns of a table of cards. ``item_id`` is text here whatever it is in the log; ``known``: 0 not at all, 1 vaguely,
2 well; ``gist``: one sentence; ``model``: who wrote it; ``prompt_hash``: of the prompt, null where none is kept."""


@dataclass(frozen=True)
class Cards:
    """The usable cards of a file, and what was wrong with the others."""

    table: pl.DataFrame
    """One row an item, in the order of the file; columns as in ``CARD_SCHEMA``."""
    counts: dict[str, int] = field(default_factory=dict)
    """``cards`` used, ``not_known`` among them, and a count for each kind of problem that was met."""
    warnings: tuple[str, ...] = ()
    """One line for each kind of problem, with places."""


class _Problems:
    """Counts problems by kind and keeps the first places of each."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.counts = Counter[str]()
        self.places: dict[str, list[str]] = {}

    def add(self, kind: str, place: str, number: int = 1) -> None:
        self.counts[kind] += number
        places = self.places.setdefault(kind, [])
        if len(places) < _EXAMPLES:
            places.append(place)

    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{self.where}: {number:,} {_WORDS[kind]} ({', '.join(self.places[kind])}"
            + (", ...)" if number > len(self.places[kind]) else ")")
            for kind, number in self.counts.items()
        )


_WORDS = {
    "not_json": "lines are no JSON object and were left out",
    "wrong_type": "cards have a field of a wrong type, or lack one, and were left out",
    "same_twice": "cards say the same of an item that a card before them said",
    "contradicting": "cards contradict an earlier one of the same item; the last one counts",
    "tags_left_out": f"tags were left out: a card may have {MOST_TAGS}",
    "bad_tags": f"tags were left out: empty, or longer than {LONGEST_TAG} characters",
    "tags_of_unknown": "tags were left out, since their card says that the item is not known",
}


def embedded_cards(name: str) -> Path:
    """The file of cards that ship with the package."""
    return Path(__file__).parent / f"{name}.jsonl"


def cards_file(name: str) -> Path:
    """The file that a recipe's ``knowledge.cards`` stands for.

    Raises:
        LogError: neither the name of embedded cards nor a file.
    """
    path = embedded_cards(name) if name in EMBEDDED else Path(name)
    if not path.is_file():
        raise LogError(
            f"no knowledge cards {name!r}: expected a file of JSON lines or Parquet, or one of the embedded "
            f"{', '.join(sorted(EMBEDDED))}. `trackrec knowledge` writes such a file"
        )
    return path


def read_cards(path: Path) -> Cards:
    """Read and check a file of cards.

    A card that cannot be used is left out with a count; of a card that says too much, what is too much is left out with
    a count. The file itself stays as it is. Of two cards of one item the last one counts, so that a correction can be
    appended.

    Args:
        path: JSON lines (one card a line), or Parquet with the same columns.

    Raises:
        LogError: the file cannot be read, or holds no usable card.
    """
    problems = _Problems(str(path))
    found: dict[str, tuple[Any, ...]] = {}
    for place, value in _records(path, problems):
        card = _card(value, place, problems)
        if card is None:
            continue
        if (earlier := found.get(card[0])) is not None:
            kind = "same_twice" if earlier[:4] == card[:4] else "contradicting"
            problems.add(kind, f"{place}, item {card[0]!r}")
        found[card[0]] = card
    if not found:
        told = "; ".join(problems.lines()) or f"{path} is empty"
        raise LogError(
            f'no usable card in {path}: expected {{"item_id": ..., "known": 0 to 2, "tags": [...], "gist": "..."}} '
            f"for each item. {told}"
        )
    table = pl.DataFrame(list(found.values()), schema=CARD_SCHEMA, orient="row")
    counts = {"cards": table.height, "not_known": int((table["known"] == 0).sum())}
    return Cards(table, counts | dict(problems.counts), problems.lines())


def check_card(value: Mapping[str, Any], item_id: str) -> dict[str, Any] | None:
    """A card as it may be kept, from what a model answered; None if it cannot be used.

    Args:
        value: ``known``, ``tags`` and ``gist``; nothing else of it is read.
        item_id: whose card it is.
    """
    card = _card({**value, "item_id": item_id}, "the answer", _Problems("the answer"))
    return None if card is None else dict(zip(CARD_SCHEMA, card, strict=True))


def write_cards(path: Path, cards: Iterable[Mapping[str, Any]]) -> None:
    """Write cards as JSON lines."""
    text = "".join(json.dumps(dict(card), ensure_ascii=False) + "\n" for card in cards)
    path.write_text(text, encoding="utf-8")


def _records(path: Path, problems: _Problems) -> Iterator[tuple[str, Any]]:
    try:
        if path.suffix == ".parquet":
            table = read_table(path)
            for number, row in enumerate(table.iter_rows(named=True), start=1):
                yield f"row {number}", row
            return
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    value = None
                if isinstance(value, dict):
                    yield f"line {number}", value
                else:
                    problems.add("not_json", f"line {number}")
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError, RunError) as error:
        why = error.__cause__ or error
        raise LogError(
            f"the cards {path} cannot be read ({why}): expected JSON lines in UTF-8, or a Parquet file that ends in "
            ".parquet"
        ) from error


def _card(value: Mapping[str, Any], place: str, problems: _Problems) -> tuple[Any, ...] | None:
    item, known, tags, gist = (value.get(name) for name in ("item_id", "known", "tags", "gist"))
    model, prompt_hash = value.get("model"), value.get("prompt_hash")
    right = (
        isinstance(item, (int, str))
        and not isinstance(item, bool)
        and str(item).strip() != ""
        and type(known) is int
        and 0 <= known <= 2
        and isinstance(tags, list)
        and all(isinstance(tag, str) for tag in tags)
        and (gist is None or isinstance(gist, str))
        and all(text is None or isinstance(text, str) for text in (model, prompt_hash))
    )
    if not right:
        problems.add("wrong_type", place)
        return None
    kept = _tags(tags or [], known or 0, f"{place}, item {item!r}", problems)
    told = clean_text(gist or "", LONGEST_GIST) or None
    return (str(item).strip(), known, kept, told if known else None, model, prompt_hash)


def _tags(tags: list[str], known: int, place: str, problems: _Problems) -> list[str]:
    cleaned = [clean_text(tag, None) for tag in tags[: MOST_TAGS * 10]]
    good = list(dict.fromkeys(tag for tag in cleaned if 0 < len(tag) <= LONGEST_TAG))
    bad = sum(not 0 < len(tag) <= LONGEST_TAG for tag in cleaned)
    if known == 0:
        if tags:
            problems.add("tags_of_unknown", place, len(tags))
        return []
    if bad:
        problems.add("bad_tags", place, bad)
    if (more := len(good[MOST_TAGS:]) + len(tags[MOST_TAGS * 10 :])) > 0:
        problems.add("tags_left_out", place, more)
    return good[:MOST_TAGS]
