"""How true, how checkable and how personal a set of RecCoTs is: tables of judged claims, and measures on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from trackrec.checks.grounding import GroundedSentence, History, Judged, Verdict, ground, judge
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.log import stable_hash
from trackrec.metrics.intervals import bootstrap_users
from trackrec.metrics.probability import Interval
from trackrec.users.catalogue import Row

KEY = ("user_id", "round", "kind", "sample")
"""What names a RecCoT."""
RIVALS = 19
"""Histories among which a RecCoT's own one is sought, beside it: chance is 1 in 20."""

Histories = Mapping[Any, Sequence[Row]]


def claims_table(texts: pl.DataFrame, histories: Histories, vocabulary: Vocabulary) -> pl.DataFrame:
    """Every claim of some RecCoTs with its verdict.

    Args:
        texts: ``user_id, round, kind, sample, text``.
        histories: each user's whole LM history, oldest first.
        vocabulary: made from the items.

    Returns:
        The key of the text, ``sentence`` (its number), ``sentence_text``, ``claim`` (its kind; null where a sentence
        makes none), ``verdict``, ``reason``, ``invented``, ``evidence`` (places in the history), ``way`` (how the
        sentence's verdict was reached), ``cited`` (numbers of events, 1 the oldest), ``about_user`` (it says something
        of the user, so it should cite); one row a claim.
    """
    rows = []
    for *key, text in texts.select(*KEY, "text").iter_rows():
        for number, sentence in enumerate(ground(text or "", histories[key[0]], vocabulary)):
            if not sentence.claims:
                none: tuple[Any, ...] = (None, str(Verdict.NOT_CHECKABLE), "", False, [])
                rows.append((*key, number, sentence.text, *none, *_about(sentence)))
            for one in sentence.claims:
                told = (one.claim.kind, str(one.verdict), one.reason, one.invented, list(one.evidence))
                rows.append((*key, number, sentence.text, *told, *_about(sentence)))
    schema: dict[str, Any] = {name: texts.schema[name] for name in KEY}
    schema |= {"sentence": pl.Int16, "sentence_text": pl.String, "claim": pl.String, "verdict": pl.String}
    schema |= {"reason": pl.String, "invented": pl.Boolean, "evidence": pl.List(pl.Int32)}
    schema |= {"way": pl.String, "cited": pl.List(pl.Int32), "about_user": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _about(sentence: GroundedSentence) -> tuple[str, list[int], bool]:
    return sentence.way, list(sentence.cited), sentence.about_user


def counts_table(claims: pl.DataFrame) -> pl.DataFrame:
    """Of each RecCoT: ``sentences, checked_sentences, checkable, supported, contradicted, invented, grounded``, and
    ``on_user``, sentences on the user, of which ``uncited`` cite no event.

    ``grounded`` is supported / checkable, null where nothing is checkable.
    """
    checkable = pl.col("verdict") != Verdict.NOT_CHECKABLE
    return (
        claims.group_by(KEY, maintain_order=True)
        .agg(
            sentences=pl.col("sentence").n_unique(),
            checked_sentences=pl.col("sentence").filter(checkable).n_unique(),
            checkable=checkable.sum(),
            supported=(pl.col("verdict") == Verdict.SUPPORTED).sum(),
            contradicted=(pl.col("verdict") == Verdict.CONTRADICTED).sum(),
            invented=pl.col("invented").sum(),
            on_user=pl.col("sentence").filter("about_user").n_unique(),
            uncited=pl.col("sentence").filter(pl.col("about_user") & (pl.col("cited").list.len() == 0)).n_unique(),
        )
        .with_columns(grounded=pl.when(pl.col("checkable") > 0).then(pl.col("supported") / pl.col("checkable")))
    )


def sample_counts(samples: pl.DataFrame, histories: Histories, vocabulary: Vocabulary) -> pl.DataFrame:
    """The counts of `counts_table` for samples of one round (``user_id, sample, text``), one row for each of them."""
    keyed = samples.select(
        "user_id",
        "sample",
        pl.col("text").fill_null(""),
        round=pl.lit(0, dtype=pl.Int16),
        kind=pl.lit("sample"),
    )
    counts = counts_table(claims_table(keyed, histories, vocabulary)).drop("round", "kind")
    # A text without a sentence makes no row there.
    whole = samples.select("user_id", "sample").join(
        counts, on=["user_id", "sample"], how="left", maintain_order="left"
    )
    return whole.with_columns(pl.col(name).fill_null(0) for name in counts.columns if name not in {*KEY, "grounded"})


def ratio(over: Any, under: Any) -> float:
    """A sum by another sum; NaN where the second is 0."""
    return float(np.sum(over) / total) if (total := np.sum(under)) else float("nan")


def truth_measures(counts: pl.DataFrame, seed: int, draws: int) -> dict[str, Interval]:
    """Measures of a set of RecCoTs (one a user) with intervals over users.

    ``hallucination_rate``: contradicted (invented ones among them) of the checkable claims; ``invented_rate``: of
    these, about what the history does not have; ``claims_per_reccot``: checkable ones, mean; ``claims_median``;
    ``coverage``: sentences with a checkable claim; ``uncited_rate``: sentences on the user that cite no event. All are
    NaN where no text has a sentence.
    """

    def interval(statistic: Callable[..., float], *columns: str) -> Interval:
        if counts.is_empty():
            return Interval(float("nan"), float("nan"), float("nan"))
        arrays: list[ArrayLike] = [counts[name].to_numpy() for name in columns]
        return bootstrap_users(statistic, counts["user_id"].to_numpy(), *arrays, seed=seed, draws=draws)

    return {
        "hallucination_rate": interval(ratio, "contradicted", "checkable"),
        "invented_rate": interval(ratio, "invented", "checkable"),
        "claims_per_reccot": interval(lambda found: float(np.mean(found)), "checkable"),
        "claims_median": interval(lambda found: float(np.median(found)), "checkable"),
        "coverage": interval(ratio, "checked_sentences", "sentences"),
        "uncited_rate": interval(ratio, "uncited", "on_user"),
    }


def masked_fit(sentences: Sequence[GroundedSentence], history: History, vocabulary: Vocabulary) -> int:
    """How well a RecCoT without its titles, numbers and years fits a history: what holds of it, less what does not.

    Counted are likings and comparisons of attributes and, of logs that have nothing but likes, what is gone for more
    often than by everybody, that nothing is, and how well known it is.

    Args:
        sentences: of the RecCoT, read with its own user's history.
        history: the one that it is held against.
        vocabulary: made from the items.
    """
    score = 0
    for sentence in sentences:
        for one in sentence.claims:
            subjects = [one.claim.subject, *([one.claim.other] if one.claim.other else [])]
            plain = all(s.attributes and s.low is None and s.high is None for s in subjects)
            if (one.claim.kind in ("direction", "comparison", "often") and plain) or one.claim.kind in (
                "mixed",
                "fame",
            ):
                verdict = judge(one.claim, history, vocabulary.catalogue).verdict
                score += {Verdict.SUPPORTED: 1, Verdict.CONTRADICTED: -1, Verdict.NOT_CHECKABLE: 0}[verdict]
    return score


def found_among(texts: Mapping[Any, str], histories: Histories, vocabulary: Vocabulary, seed: int) -> dict[Any, float]:
    """Whether each RecCoT's own history is found among 20 by the masked fit: 1, 0, or a share where several tie.

    The rivals are drawn by the user's own seed from the other users of ``texts``.
    """
    users = sorted(texts, key=str)
    found: dict[Any, float] = {}
    made = {user: History(histories[user], vocabulary.catalogue, vocabulary.profile) for user in users}
    for user in users:
        rng = np.random.default_rng([seed, stable_hash(user)])
        others = [other for other in users if other != user]
        rivals = [others[int(i)] for i in rng.permutation(len(others))[:RIVALS]]
        sentences = ground(texts[user], histories[user], vocabulary)
        scores = [masked_fit(sentences, made[it], vocabulary) for it in (user, *rivals)]
        best = max(scores)
        found[user] = 1 / scores.count(best) if scores[0] == best else 0.0
    return found


class Deletion(NamedTuple):
    """A supported claim, and histories that a generator is to write from once more."""

    judged: Judged
    rest: list[Row]
    """The history without the events that decide the claim."""
    control: list[Row]
    """The history without as many of the other events, drawn by chance."""


def deletions(user: Any, text: str, rows: Sequence[Row], vocabulary: Vocabulary, seed: int) -> list[Deletion]:
    """The supported claims of a RecCoT whose evidence can be taken out of the history.

    Claims that rest on more than half of the history are left out: there are not as many other events.

    Args:
        user: with the seed it decides which other events the control lacks.
        text: the RecCoT.
        rows: its history.
        vocabulary: made from the items.
        seed: of the draws.
    """
    rng, found = np.random.default_rng([seed, stable_hash(user)]), []
    for one in _supported(ground(text, rows, vocabulary)):
        others = [place for place in range(len(rows)) if place not in one.evidence]
        if len(others) < len(one.evidence):
            continue
        out = {others[int(i)] for i in rng.permutation(len(others))[: len(one.evidence)]}
        control = [row for place, row in enumerate(rows) if place not in out]
        found.append(Deletion(one, [rows[place] for place in others], control))
    return found


def rests_on_evidence(case: Deletion, vocabulary: Vocabulary) -> bool:
    """Whether a claim hangs on its own evidence: true no more without it, still true without as many other events.

    The first half alone would say nothing: by the rules hardly any claim stays true of a history that has nothing of
    its subject. A claim that other events decide as well (a kind liked more than the rest, by a hair) fails the second.
    """
    catalogue = vocabulary.catalogue
    without, control = (
        judge(case.judged.claim, History(rows, catalogue, vocabulary.profile), catalogue).verdict
        for rows in (case.rest, case.control)
    )
    return without != Verdict.SUPPORTED and control == Verdict.SUPPORTED


def is_gone(judged: Judged, text: str, rows: Sequence[Row], vocabulary: Vocabulary) -> bool:
    """Whether a text that was written from other rows no longer makes a claim, whatever numbers it puts to it."""
    return _gist(judged) not in {_gist(it) for sentence in ground(text, rows, vocabulary) for it in sentence.claims}


def _gist(one: Judged) -> tuple[Any, ...]:
    claim = one.claim
    return (
        claim.kind,
        claim.subject.items,
        claim.subject.attributes,
        claim.subject.low,
        claim.subject.high,
        claim.sign,
    )


def _supported(sentences: Sequence[GroundedSentence]) -> list[Judged]:
    return [one for s in sentences for one in s.claims if one.verdict == Verdict.SUPPORTED and one.evidence]


def publishable(sentences: Sequence[GroundedSentence], fallback: Callable[[], str], may_accuse: bool = True) -> str:
    """The supported sentences alone; where none is left, another text (the profile writer's).

    Args:
        sentences: of a RecCoT, judged.
        fallback: writes the other text.
        may_accuse: whether the checker's word counts on such texts (see `trackrec.checks.gate.may_accuse`). If not,
            nothing is withheld.
    """
    kept = [sentence.text for sentence in sentences if not may_accuse or sentence.verdict == Verdict.SUPPORTED]
    return " ".join(kept) or fallback()


def distinct(texts: Sequence[str], size: int) -> float:
    """Different word n-grams of all n-grams in some texts together (distinct-n, Li et al. 2016).

    >>> distinct(["a b a b"], 2)
    0.6666666666666666
    """
    grams = [gram for text in texts for gram in zip(*(_words(text)[i:] for i in range(size)), strict=False)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def word_count(text: str) -> int:
    """Words of a text."""
    return len(_words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’]\w+)*", text.lower())
