"""How right the checker is on user profiles by large language models, from files that are not part of this repository.

``python benchmarks/real_profiles.py PROFILES [--movielens-1m FOLDER] [--labels tests/data/real_profile_labels.jsonl]``

PROFILES is one of these, written from MovieLens-100K, or with ``--movielens-1m`` from that log (the folder that
GroupLens distributes):

- a CSV file with ``user_id`` and ``summary``, or ``user_profile`` and ``intermediate_user_profiles``;
- a JSON object of user ids and texts, or JSON lines with ``user_id`` and ``text``;
- a pickled frame of users 1, 2, ..., which is read opcode by opcode: it is never unpickled, so nothing in it runs.

Those of docs/grounding-profiles.md are listed there. The labels name sentences by the first 16 digits of their SHA-256,
so that no text stays here. Sentences are judged by all ratings of their user and, on MovieLens-100K, the tags of the
embedded knowledge cards. Prints, as JSON lines, how many sentences get which verdict, what share of those on the user
is decided, and, for each draw of labels, how many of the labelled ones are right.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import json
import pickletools
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.assets import movielens_100k
from trackrec.checks.grounding import Checker, Verdict
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.sources.movielens import read_movielens_100k, read_movielens_dat
from trackrec.knowledge.card import embedded_cards
from trackrec.metrics.probability import wilson
from trackrec.prompts.domains import find_domain

LABELS = Path(__file__).parents[1] / "tests" / "data" / "real_profile_labels.jsonl"
"""``draw, writer, user_id, sentence`` (hash), ``label``, ``open`` (either the label or "not checkable" is right),
``given`` (the verdict of the checker when the draw was made), ``log`` (if it is not MovieLens-100K)."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """User and profile, the latest and earlier ones."""
    if path.suffix == ".pkl":
        yield from pickled(path)
        return
    if path.suffix in (".json", ".jsonl"):
        told = path.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in told.splitlines()] if path.suffix == ".jsonl" else []
        pairs = json.loads(told).items() if not lines else ((one["user_id"], one["text"]) for one in lines)
        yield from ((int(user), text) for user, text in pairs)
        return
    csv.field_size_limit(10**9)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found = [row.get("user_profile") or row.get("summary") or ""]
            with suppress(SyntaxError, ValueError):  # in some rows quotation marks are broken
                found += ast.literal_eval(row.get("intermediate_user_profiles") or "{}").values()
            yield from ((int(row["user_id"]), text) for text in dict.fromkeys(found) if text)


def pickled(path: Path) -> Iterator[tuple[int, str]]:
    """The profiles of a pickled frame of users 1, 2, ..., read from its opcodes: the list that holds long texts."""
    steps = [(op.name, value) for op, value, _ in pickletools.genops(path.read_bytes())]
    first = next(place for place, (_, value) in enumerate(steps) if isinstance(value, str) and len(value) > 300)
    start = max(place for place in range(first) if steps[place][0] == "MARK")
    end = next(place for place in range(first, len(steps)) if steps[place][0] == "APPENDS")
    column = [value for name, value in steps[start + 1 : end] if name not in ("MEMOIZE", "FRAME")]
    yield from ((user, text) for user, text in enumerate(column, start=1) if isinstance(text, str))


def main(profiles: Path, labels: Path, movielens_1m: Path | None) -> None:
    """Judge, and print the lines."""
    if movielens_1m is None:
        log = read_movielens_100k(movielens_100k())
        tags = pl.read_ndjson(embedded_cards("movielens-100k")).select("item_id", "tags")
        vocabulary = Vocabulary(log.items.join(tags, on="item_id", how="left"), find_domain("movies"))
    else:
        log = read_movielens_dat(movielens_1m)
        vocabulary = Vocabulary(log.items, find_domain("movies"))
    name = "movielens-1m" if movielens_1m else "movielens-100k"
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for user, item, rating in log.interactions.sort("timestamp").select("user_id", "item_id", "rating").iter_rows():
        rows[user].append({"item_id": item, "rating": rating, "label": int(rating >= 4)})
    told = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
    told = [one for one in told if one.get("log", "movielens-100k") == name]
    wanted = {(one["user_id"], one["sentence"]): one for one in told}
    counts: Counter[str] = Counter()
    on_user: Counter[bool] = Counter()
    found: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for user, text in texts(profiles):
        for sentence in Checker(rows[user], vocabulary).check(text):
            counts[str(sentence.verdict)] += 1
            if sentence.about_user:
                on_user[sentence.verdict != Verdict.NOT_CHECKABLE] += 1
            one = wanted.pop((user, hashlib.sha256(sentence.text.encode()).hexdigest()[:16]), None)
            if one is not None:
                key = (one["draw"], one["writer"], str(sentence.verdict))
                found[key].append(one["label"] == sentence.verdict)
    decided = {"on_the_user": on_user.total(), "decided": round(on_user[True] / max(1, on_user.total()), 3)}
    print(json.dumps({"profiles": profiles.name, "sentences": counts.total(), **counts, **decided}))
    for (draw, writer, verdict), right in sorted(found.items()):
        if verdict != Verdict.NOT_CHECKABLE:
            value, low, high = (round(number, 3) + 0.0 for number in wilson(sum(right), len(right)))
            line = {"draw": draw, "writer": writer, "verdict": verdict, "labelled": len(right), "right": sum(right)}
            print(json.dumps(line | {"precision": value, "low": low, "high": high}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profiles", type=Path)
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--movielens-1m", type=Path)
    given = parser.parse_args()
    main(given.profiles, given.labels, given.movielens_1m)
