"""Why this item? Supported claims of a user's RecCoT that bear on an item, with the events that decide them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trackrec.checks.claims import Claim
from trackrec.checks.grounding import GroundedSentence, History, Judged, Verdict
from trackrec.checks.subjects import Subject
from trackrec.checks.vocabulary import Vocabulary
from trackrec.users.catalogue import Item

TELLING = frozenset({"direction", "count", "share", "average", "rating", "comparison"})
"""Kinds of claims that say how something was liked; sizes, portions and years say only what was seen."""


@dataclass(frozen=True)
class Reason:
    """A claim that speaks for an item, or against it."""

    judged: Judged
    """The claim; the history supports it."""
    sentence: str
    """Where the RecCoT makes it; the history supports all that this sentence says."""
    speaks_for: bool
    link: str
    """What ties the item to the claim: "is Drama", "shares Crime and Drama with Fargo", "is from 1990 on"."""

    @property
    def evidence(self) -> tuple[int, ...]:
        """Places in the history of the events that decide the claim."""
        return self.judged.evidence


def reasons_for(
    item_id: Any, sentences: Sequence[GroundedSentence], history: History, vocabulary: Vocabulary
) -> list[Reason]:
    """What a RecCoT's supported sentences say for and against an item.

    A claim on attributes or years bears on the items that have all of them; a claim on a title bears on the items that
    share an attribute with it. Whether it speaks for the item follows from the history that bears it out: events of
    the claim's subject liked more often than the user's own share, less often, or, of a title, liked or not. Where
    they are liked exactly as often as everything else, it says nothing. Of several claims with one link the first
    stands.

    Args:
        item_id: of the catalogue; it need not be in the history.
        sentences: of the RecCoT, judged against ``history``.
        history: the user's.
        vocabulary: that judged them.

    Returns:
        Reasons that speak for the item first, each kind in the order of the text.

    Raises:
        LogError: the item is not in the catalogue.
    """
    item = vocabulary.catalogue[item_id]
    found: dict[tuple[str, bool], Reason] = {}
    for sentence in sentences:
        if sentence.verdict != Verdict.SUPPORTED:
            continue
        for judged in sentence.claims:
            if judged.verdict != Verdict.SUPPORTED or judged.claim.kind not in TELLING:
                continue
            for subject in _subjects(judged.claim):
                link, lean = _link(subject, item, vocabulary), _lean(subject, history)
                if judged.claim.kind == "direction" and lean * judged.claim.sign < 0:
                    continue  # "they like dramas": true of half of them, though they like the rest more
                if link and lean:
                    found.setdefault((link, lean > 0), Reason(judged, sentence.text, lean > 0, link))
    return sorted(found.values(), key=lambda reason: not reason.speaks_for)


def reason_text(reason: Reason) -> str:
    """A reason in a line: what ties the item to it, and what the history says.

    The wording is the same in every domain, and names nothing that was not counted.
    """
    return f"{'for' if reason.speaks_for else 'against'}: it {reason.link} ({reason.judged.reason})"


def _subjects(claim: Claim) -> list[Subject]:
    return [claim.subject] if claim.other is None else [claim.subject, claim.other]


def _link(subject: Subject, item: Item, vocabulary: Vocabulary) -> str:
    """What an item has in common with a subject; nothing if that does not tie them."""
    kinds = dict.fromkeys((*item.genres, *item.attributes))
    if subject.kind == "title":
        shared: dict[str, None] = {}
        for other in sorted(subject.items, key=str):
            theirs = vocabulary.catalogue[other]
            if theirs is item or (theirs.title, theirs.year) == (item.title, item.year):
                return ""
            shared |= dict.fromkeys(kind for kind in kinds if kind in (*theirs.genres, *theirs.attributes))
        name = vocabulary.catalogue[min(subject.items, key=str)].short_title if subject.items else subject.name
        return f"shares {_join(list(shared))} with {name}" if shared else ""
    if subject.kind != "group" or not all(kind in kinds for kind in subject.attributes):
        return ""
    parts = [f"is {_join(list(subject.attributes))}"] if subject.attributes else []
    if subject.low is not None or subject.high is not None:
        low, high = subject.low, subject.high
        if item.year is None or (low is not None and item.year < low) or (high is not None and item.year > high):
            return ""
        span = (
            f"from {low} on" if high is None else f"from {high} or before" if low is None else f"from {low} to {high}"
        )
        parts.append(span if parts else f"is {span}")
    return " ".join(parts)


def _lean(subject: Subject, history: History) -> float:
    """How the events of a subject lie to the user's own share of likes: above 0 speaks for, below 0 against."""
    places = history.of(subject)
    if not places:
        return 0.0
    liked = history.count(places)
    if subject.kind == "title":
        return 1.0 if 2 * liked >= len(places) else -1.0
    # In whole numbers: liked / rated against all liked / all rated.
    return float(liked * len(history.events) - history.liked * len(places))


def _join(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
