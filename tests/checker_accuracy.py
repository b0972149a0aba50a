"""How often the checker is right: precision and recall of each verdict, with Wilson's 95% intervals.

``python tests/checker_accuracy.py`` prints all measures on MovieLens-100K: made claims, hand-labelled sentences of this
project's own models, and free sentences of other writers (``--free CARDS`` prints these alone, with the tags of the
knowledge cards in that file).
The latter are held against two labellers, and these against each other (Cohen's kappa); the second one knew neither
the checker nor the first one's labels. ``--sentences`` leaves the made claims out. ``--judge FILE N`` asks the engine
that a file names about N free sentences, and prints how right it is as entailment judge.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from claim_maker import ClaimMaker, Made
from sklearn.metrics import cohen_kappa_score

from trackrec.checks.entailment import Asked, EntailmentJudge, read_entailment
from trackrec.checks.grounding import GroundedSentence, Verdict, ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.split import SplitSettings, split_log
from trackrec.metrics.intervals import bootstrap_users
from trackrec.metrics.probability import Interval, wilson
from trackrec.prompts.domains import find_domain
from trackrec.registry import make
from trackrec.users.histories import rows_by_user

SENTENCES = Path(__file__).parent / "data" / "labelled_sentences.jsonl"
SECOND = Path(__file__).parent / "data" / "second_labels.jsonl"
"""The second labeller's verdicts of the held-out half: ``id`` (line in `SENTENCES`, from 0), ``verdict``, ``note``."""


FREE = Path(__file__).parent / "data" / "free_sentences.jsonl"
"""Free sentences: ``writer, user_id, history, sentence, label, split``. ``no_claim``: it says nothing of the user."""


class Accuracy(NamedTuple):
    """Of one verdict."""

    precision: Interval
    recall: Interval
    given: int
    """How often the checker gave it."""
    true: int
    """How often it was right to give it."""


def text_verdict(text: str, rows: list[dict[str, object]], vocabulary: Vocabulary) -> str:
    """The verdict on a short text: contradicted if a sentence is, else supported if one is."""
    found = {sentence.verdict for sentence in ground(text, rows, vocabulary)}
    order = (Verdict.CONTRADICTED, Verdict.SUPPORTED)
    return str(next((verdict for verdict in order if verdict in found), Verdict.NOT_CHECKABLE))


def accuracy(pairs: Iterable[tuple[str, str]]) -> dict[str, Accuracy]:
    """Accuracy of each verdict from pairs of true and given verdicts."""
    table = list(pairs)
    result = {}
    for verdict in map(str, Verdict):
        right = sum(true == given == verdict for true, given in table)
        given, true = (sum(pair[side] == verdict for pair in table) for side in (1, 0))
        result[verdict] = Accuracy(wilson(right, given), wilson(right, true), given, true)
    return result


def movielens() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The LM histories of MovieLens-100K under the shipped split, and its items."""
    from trackrec.assets import movielens_100k
    from trackrec.data.sources.movielens import read_movielens_100k

    log = read_movielens_100k(movielens_100k())
    return split_log(log, SplitSettings()).histories, log.items


def check_made(made: Iterable[Made], histories: pl.DataFrame, vocabulary: Vocabulary) -> list[tuple[Made, str]]:
    """Made claims with the checker's verdicts."""
    rows = rows_by_user(histories)
    return [(claim, text_verdict(claim.text, rows[claim.user_id], vocabulary)) for claim in made]


class Labelled(NamedTuple):
    """A sentence with what each labeller and the checker say."""

    user_id: int
    half: str
    first: str
    second: str | None
    """None: the second labeller has not seen it (the development half)."""
    checker: str


def check_labelled(histories: pl.DataFrame, vocabulary: Vocabulary, ours: Vocabulary | None = None) -> list[Labelled]:
    """Every hand-labelled sentence with the checker's verdict.

    Args:
        histories: of all users.
        vocabulary: what can be named.
        ours: likewise, for sentences of generators that were tuned on this project's template, as their run knows them
            to be; None: the checker is not told who wrote them.
    """
    rows = rows_by_user(histories)
    second = {line["id"]: line["verdict"] for line in read_lines(SECOND)}
    return [
        Labelled(
            line["user_id"],
            line["half"],
            line["verdict"],
            second.get(number),
            text_verdict(
                line["sentence"],
                rows[line["user_id"]],
                vocabulary if ours is None or line["source"].startswith("zero-shot") else ours,
            ),
        )
        for number, line in enumerate(read_lines(SENTENCES))
    ]


class Free(NamedTuple):
    """A free sentence with its label, and how the checker reached which verdict."""

    writer: str
    split: str
    label: str
    verdict: str
    way: str


def check_free(histories: pl.DataFrame, vocabulary: Vocabulary, split: str) -> list[Free]:
    """The free sentences of one split with the checker's verdicts."""
    rows, found = rows_by_user(histories), []
    for line in read_lines(FREE):
        if line["split"] == split:
            sentences = ground(line["sentence"], rows[line["user_id"]], vocabulary)
            verdict = text_verdict(line["sentence"], rows[line["user_id"]], vocabulary)
            way = next((one.way for one in sentences if one.verdict == verdict and one.way), "")
            found.append(Free(line["writer"], split, line["label"], verdict, way))
    return found


def print_free(found: Sequence[Free]) -> None:
    """Per verdict, and per way of reaching it; and how many sentences on the user are decided."""
    on_user = [one for one in found if one.label != "no_claim"]
    decided = sum(one.verdict != Verdict.NOT_CHECKABLE for one in on_user)
    value, low, high = wilson(decided, len(on_user))
    print(f"free sentences, {found[0].split}: {len(found)}, {len(on_user)} on the user")
    print(f"  decided {value:.3f} [{low:.3f}, {high:.3f}]")
    for verdict in (Verdict.SUPPORTED, Verdict.CONTRADICTED):
        for name in ("", "citation", "table", "pattern"):
            given = [one for one in found if one.verdict == verdict and name in ("", one.way)]
            right = sum(one.label == verdict for one in given)
            true = sum(one.label == verdict for one in found)
            told = [
                f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in (wilson(right, len(given)), wilson(right, true))
            ]
            print(
                f"  {verdict:13} {name or 'all':8} precision {told[0]} of {len(given):3}, recall {told[1]} of {true:3}"
            )
    for writer in sorted({one.writer for one in found}):
        mine = [one for one in found if one.writer == writer]
        false = sum(one.verdict == Verdict.CONTRADICTED != one.label for one in mine)
        wrong = sum(one.verdict == Verdict.SUPPORTED != one.label for one in mine)
        print(f"  {writer:42} {len(mine):4} sentences, false accusations {false}, falsely supported {wrong}")


def print_judge(file: Path, sentences: int, histories: pl.DataFrame, vocabulary: Vocabulary) -> None:
    """How right an engine is as entailment judge: on free sentences drawn with seed 17, whatever the other ways say."""
    lines = random.Random(17).sample(read_lines(FREE), sentences)
    rows, settings = rows_by_user(histories), read_entailment(file)
    judge = EntailmentJudge(make("engine", settings.engine), settings, find_domain("movies"), vocabulary)
    asked = [Asked(one["user_id"], [GroundedSentence(one["sentence"], ())], rows[one["user_id"]]) for one in lines]
    given = [str(found[0].verdict) for found in judge.judge(asked)]
    labels = [{"no_claim": str(Verdict.NOT_CHECKABLE)}.get(one["label"], one["label"]) for one in lines]
    print(f"{judge.engine.name} on {sentences} free sentences: {dict(judge.counts)}")
    print(f"labels: {dict(Counter(labels))}")
    _print("entailment judge", accuracy(zip(labels, given, strict=True)))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one in each line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def kappa(users: Sequence[int], one: Sequence[str], other: Sequence[str], draws: int = 1000) -> Interval:
    """Cohen's kappa of two labellers, its interval over users: sentences of one user are not independent."""
    codes = {str(verdict): number for number, verdict in enumerate(Verdict)}
    both = ([codes[verdict] for verdict in side] for side in (one, other))
    return bootstrap_users(lambda a, b: float(cohen_kappa_score(a, b)), users, *both, seed=17, draws=draws)


def _print(title: str, result: dict[str, Accuracy]) -> None:
    print(title)
    for verdict, one in result.items():
        told = [f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in (one.precision, one.recall)]
        print(f"  {verdict:14} precision {told[0]} of {one.given:4}, recall {told[1]} of {one.true:4}")


def print_labelled(found: Sequence[Labelled]) -> None:
    """The checker against both labellers, and these against each other."""
    for half in ("development", "held_out"):
        mine = [(one.first, one.checker) for one in found if one.half == half]
        _print(f"labelled sentences, {half}: {len(mine)}", accuracy(mine))
    both = [(one, one.second) for one in found if one.second is not None]
    if len({one.user_id for one, _ in both}) < 2:
        return
    _print(f"sentences by the second labeller: {len(both)}", accuracy((second, one.checker) for one, second in both))
    users = [one.user_id for one, _ in both]
    second, sides = [label for _, label in both], {"first": "first labeller", "checker": "checker"}
    for name, words in sides.items():
        other = [getattr(one, name) for one, _ in both]
        value, low, high = kappa(users, second, other)
        print(f"second labeller and {words}: kappa {value:.3f} [{low:.3f}, {high:.3f}]")
        for pair, count in sorted(Counter(zip(second, other, strict=True)).items()):
            print(f"  second {pair[0]:14} {name} {pair[1]:14} {count:4}")


def main(show: bool, sentences_only: bool = False) -> None:
    """Print the figures; ``show``: also the mistakes on development wordings."""
    histories, items = movielens()
    vocabulary = Vocabulary(items, find_domain("movies"))
    if "--judge" in sys.argv:
        place = sys.argv.index("--judge")
        print_judge(Path(sys.argv[place + 1]), int(sys.argv[place + 2]), histories, vocabulary)
        return
    if "--free" in sys.argv:
        cards = pl.read_ndjson(sys.argv[sys.argv.index("--free") + 1]).select("item_id", "tags")
        tagged = Vocabulary(items.join(cards, on="item_id", how="left"), find_domain("movies"))
        for split in ("dev", "held_out"):
            print_free(check_free(histories, tagged, split))
        return
    ours = Vocabulary(items, find_domain("movies"), is_ours=True)
    print("The checker knows which sentences are of generators tuned on the template:")
    print_labelled(check_labelled(histories, vocabulary, ours))
    print("It is not told who wrote them:")
    print_labelled(check_labelled(histories, vocabulary))
    if sentences_only:
        return
    made = ClaimMaker(histories, items, ("film", "films", "viewer"), seed=17).make(4000)
    checked = check_made(made, histories, ours)
    late = ClaimMaker(histories, items, ("film", "films", "viewer"), seed=18, late=True).make(4000)
    fresh = check_made([claim for claim in late if claim.half == "fresh"], histories, ours)
    _print(f"made claims, late wordings: {len(fresh)}", accuracy((c.verdict, given) for c, given in fresh))
    for half in ("development", "held_out"):
        mine = [(claim, given) for claim, given in checked if claim.half == half]
        _print(f"made claims, {half} wordings: {len(mine)}", accuracy((c.verdict, given) for c, given in mine))
        if show and half == "development":
            wrong = [(c, given) for c, given in mine if given != c.verdict]
            for wording in sorted({c.wording for c, _ in wrong}):
                first = next((c, given) for c, given in wrong if c.wording == wording)
                count = sum(c.wording == wording for c, _ in wrong)
                total = sum(c.wording == wording for c, _ in mine)
                print(f"{count}/{total} {wording} | {first[0].text} | {first[0].verdict} -> {first[1]}")


if __name__ == "__main__":
    main("--show" in sys.argv, "--sentences" in sys.argv)
