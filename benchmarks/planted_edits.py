"""How many planted falsehoods the checker finds, and how often it accuses the sentences as they were written.

``python benchmarks/planted_edits.py [--seed 17]``

The shipped teacher texts of MovieLens-100K (by a large language model, with citations) are read sentence by sentence,
without their citations, so that only titles, kinds and stars are left to judge by. Each sentence is altered in each way
that fits it, once:

- ``titles``: a title that was liked (four stars or more) changes places with one of the history that was not (two or
  fewer), which makes the sentence false of the user;
- ``ratings``: a number word of stars in it ("fives for", "at two") becomes the opposite one;
- ``verbs``: its only word of liking becomes one of disliking ("love" to "hate"), or the other way round;
- ``user``: the sentence is held against another user's history, and only counted where none of its titles is in that;
  nothing is known of its truth then, so it is no falsehood that must be found: it must not be borne out.

The truth of an edit is planted, not labelled: a sentence is taken only if it is supported as it was written, so found
counts are conditional on sentences that can be read at all. Prints, as JSON lines, of each kind of edit: sentences,
called contradicted, still called supported, with Wilson's 95% intervals; and of the sentences as they were, how many
are called contradicted.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

import trackrec
from trackrec.assets import movielens_100k
from trackrec.checks.grounding import Checker, Verdict
from trackrec.checks.sentences import split_free_text, without_citations
from trackrec.checks.title_mentions import Name, OwnTitles, find_names
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.sources.movielens import read_movielens_100k
from trackrec.data.split import SplitSettings, split_log
from trackrec.knowledge.card import embedded_cards
from trackrec.metrics.probability import wilson
from trackrec.prompts.domains import find_domain
from trackrec.users.histories import rows_by_user

TEXTS = Path(trackrec.__file__).parent / "teachers" / "movielens-100k.jsonl"
STARS = {"fives": "ones", "ones": "fives", "fours": "twos", "twos": "fours", "five": "one", "one": "five"}
_STARS = re.compile(r"\b(?:fives|ones|fours|twos)\b|(?<=\bat )(?:five|one)\b|(?<=\ba )(?:five|one)\b", re.IGNORECASE)
VERBS = {
    "love": "hate",
    "loves": "hates",
    "loved": "hated",
    "enjoy": "dislike",
    "enjoys": "dislikes",
    "like": "dislike",
    "liked": "disliked",
    "disliked": "liked",
    "dislike": "like",
    "rejected": "loved",
    "reject": "love",
    "delights": "bores",
    "bores": "delights",
}
_VERBS = re.compile(
    rf"\b(?:(?<=they )|(?<=often )|(?<=also )|(?<=was )|(?<=were ))(?:{'|'.join(VERBS)})\b", re.IGNORECASE
)


def swapped_words(sentence: str, pattern: re.Pattern[str], words: dict[str, str]) -> str | None:
    """The sentence with each of its words turned round; None if it has none."""
    if pattern.search(sentence) is None:
        return None
    return pattern.sub(lambda match: words[match.group().lower()], sentence)


def swapped_titles(sentence: str, names: list[Name], rows: list[dict[str, Any]], titles: dict[Any, str]) -> str | None:
    """The sentence with one title in the place of another that was rated the other way; None if it names none."""
    stars = {row["item_id"]: row["rating"] for row in rows}
    for name in names:
        mine = [stars[item] for item in name.items]
        if not name.is_whole or len(mine) != 1 or 2 < mine[0] < 4:
            continue
        named = {item for one in names for item in one.items}
        others = [i for i, star in stars.items() if (star <= 2 if mine[0] >= 4 else star >= 4) and i not in named]
        for item in others[:1]:
            return sentence[: name.start] + titles[item] + sentence[name.end :]
    return None


def main(seed: int) -> None:
    """Alter, judge, and print."""
    log = read_movielens_100k(movielens_100k())
    tags = pl.read_ndjson(embedded_cards("movielens-100k")).select("item_id", "tags")
    vocabulary = Vocabulary(log.items.join(tags, on="item_id", how="left"), find_domain("movies"))
    rows = rows_by_user(split_log(log, SplitSettings()).histories)
    titles = {i: vocabulary.catalogue[i].short_title for i in log.items["item_id"]}
    texts = {one["user_id"]: one["text"] for one in map(json.loads, TEXTS.read_text(encoding="utf-8").splitlines())}
    draw = random.Random(seed)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    checkers = {user: Checker(rows[user], vocabulary) for user in texts}

    def say(kind: str, user: Any, sentence: str) -> str:
        found = {one.verdict for one in checkers[user].check(sentence)}
        order = (Verdict.CONTRADICTED, Verdict.SUPPORTED)
        verdict = str(next((one for one in order if one in found), Verdict.NOT_CHECKABLE))
        counts[kind][verdict] += 1
        return verdict

    def edits(user: Any, sentence: str) -> Iterator[tuple[str, str | None]]:
        own = OwnTitles(vocabulary, [row["item_id"] for row in rows[user]])
        yield "titles", swapped_titles(sentence, find_names(sentence, own), rows[user], titles)
        yield "ratings", swapped_words(sentence, _STARS, STARS)
        yield "verbs", swapped_words(sentence, _VERBS, VERBS)

    for user, text in texts.items():
        for told in split_free_text(text):
            sentence = without_citations(told.text)
            if say("as written", user, sentence) != Verdict.SUPPORTED:
                continue
            for kind, altered in edits(user, sentence):
                if altered is not None and altered != sentence:
                    say(kind, user, altered)
            other = draw.choice([one for one in texts if one != user])
            seen = OwnTitles(vocabulary, [row["item_id"] for row in rows[other]])
            if find_names(sentence, OwnTitles(vocabulary, [row["item_id"] for row in rows[user]])) and not any(
                name.items for name in find_names(sentence, seen)
            ):
                say("another user's", other, sentence)
    for kind, found in counts.items():
        line: dict[str, Any] = {"edit": kind, "sentences": found.total()}
        for verdict in map(str, Verdict):
            value, low, high = (round(number, 3) + 0.0 for number in wilson(found[verdict], found.total()))
            line[verdict] = [found[verdict], value, low, high]
        print(json.dumps(line))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=17)
    main(parser.parse_args().seed)
