"""Patterns and table, two readings of one sentence: which of the claims that patterns find may stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from trackrec.checks.claims import Sentence
from trackrec.checks.cue_patterns import OWN_STYLE, PLAIN_PAST
from trackrec.checks.rules import Judged, Verdict, without_support
from trackrec.checks.subjects import Subject
from trackrec.checks.vocabulary import Vocabulary

Way = Literal["citation", "table", "pattern", "entailment", ""]
"""How a verdict was reached: by the events that the sentence cites; by the table of the history, from what prose says
of titles, kinds and stars; by the patterns of this project's own sentences; by an engine that was asked; not at all."""
Style = Literal["own", "plain", "prose"]
"""With a phrase of ours; telling plainly what was done ("They enjoyed X but did not like Y"); anything else."""
FAMILIAR, FAMILIAR_OWN, FAMILIAR_PLAIN = 0.7, 0.4, 0.85
"""Share of its words that must have been read before the patterns may speak of a sentence; with a phrase of ours; and
before every name in it is taken for a title."""
SHORT = 16
"""Most words of a sentence that a single unknown name leaves open; in a longer one it is one thing among others."""
_BLUNT = 3
"""Most words of a claim that likes a kind and says no more of it: "like poetry"."""
_PLAINLY = 8
"""Most words of a comparison that is one for sure: "prefer mystery to drama"."""
_COUNTED = frozenset({"count", "size", "average", "rating", "portion"})
_COMPARES = re.compile(r"\b(?:prefer\w*|than|over|more|less|above|higher|lower|better|worse)\b", re.IGNORECASE)
_BARE = re.compile(r"[\w' ]+")
_FROM_TO = re.compile(r"\bfrom\b", re.IGNORECASE)


def style_of(text: str, sentence: Sentence, is_ours: bool = False) -> Style | None:
    """The style of a sentence; None if so much of it was not read that the patterns must not speak of it.

    Args:
        text: without citations.
        sentence: as the patterns read it.
        is_ours: whether the text is known to be this project's own: whatever the patterns read then counts.
    """
    familiar = sentence.familiar
    if is_ours and sentence.claims:
        return "own"
    if OWN_STYLE.search(text):
        return "own" if familiar >= FAMILIAR_OWN else None
    if familiar >= FAMILIAR_PLAIN and PLAIN_PAST.search(text):
        return "plain"
    return "prose" if familiar >= FAMILIAR else None


def names_unknown(sentence: Sentence, text: str, known: Sequence[str], seen: Sequence[Any]) -> bool:
    """Whether a short sentence likes, or does not, a name that nobody knows, or that is not in the history: the rest of
    it then bears out nothing.

    Args:
        sentence: as the patterns read it.
        text: of it, without citations.
        known: names in it that the history has.
        seen: the items of the history.
    """
    if len(text.split()) > SHORT or re.search(r"\d|[\"“:]", text):
        return False
    unknown = [
        claim.subject
        for claim in sentence.claims
        if claim.kind == "direction"
        and claim.subject.kind == "title"
        and (claim.subject.invented or claim.subject.items)
        and not claim.subject.items.intersection(seen)
    ]
    names = [Subject("title", name) for name in known]
    return any(
        not any(_same_name(subject, name) for name in names) and f"by {subject.name}" not in text for subject in unknown
    )


def merge_readings(
    claims: Sequence[Judged],
    free: Sequence[Judged],
    vocabulary: Vocabulary,
    style: Style,
    missing: Sequence[str] = (),
) -> tuple[list[Judged], Way]:
    """The claims that patterns found in a sentence, less those that only look like one; of titles the table decides.

    A pattern does not know a shortened title, a director or a tag, and takes "5/5" for a count. In our own sentences
    every word is known, so there it may call a thing invented; in prose its accusations need the table's word.

    Args:
        claims: that patterns found, judged.
        free: what the table says of the same sentence.
        vocabulary: what can be named.
        style: of the sentence.
        missing: names in it that can be nothing but titles which the history does not have.
    """
    named = [one.claim.subject for one in free if one.claim.subject.kind == "title"]
    absent = [Subject("title", name) for name in missing]
    kept, is_open = [], False
    for one in claims:
        subject = one.claim.subject
        theirs = [other for other in free if other.claim.subject.items & subject.items]
        decided = [other for other in theirs if other.verdict != Verdict.NOT_CHECKABLE]
        overruled = ("count",) if style == "own" else ("direction", "count", "rating")
        if decided and one.claim.kind in overruled and one.verdict not in {other.verdict for other in decided}:
            continue
        if style == "prose" and one.verdict == Verdict.SUPPORTED and _is_doubted(one, free):
            kept.append(replace(one, verdict=Verdict.NOT_CHECKABLE))
            continue
        if style == "prose" and one.claim.kind == "average" and one.claim.subject.attributes:
            continue  # of the last of several kinds: the table reads it of all of them
        if one.invented and any(_same_name(subject, other) for other in named if other.items):
            continue
        nameless = one.invented and not subject.items and not subject.attributes and style == "prose"
        nameless = nameless and not any(_same_name(subject, other) for other in absent)
        is_open = is_open or nameless
        accuses = one.verdict == Verdict.CONTRADICTED
        if nameless or (accuses and not _may_accuse(one, free, theirs, vocabulary, style)):
            kept.append(replace(one, verdict=Verdict.NOT_CHECKABLE, invented=False))
            is_open = is_open or not any(other.verdict == Verdict.SUPPORTED for other in free)
        else:
            kept.append(one)
    if is_open:  # half the sentence is a name that nobody knows, or is likely false: the rest bears out nothing
        kept, free = without_support(kept), without_support(free)
    if not any(one.verdict != Verdict.NOT_CHECKABLE for one in kept):
        return [*kept, *free], "table"
    have = {item for one in kept for item in one.claim.subject.items}
    more = [one for one in free if one.claim.subject.kind == "title" and not one.claim.subject.items & have]
    return [*kept, *more], "pattern"


def _may_accuse(
    one: Judged, free: Sequence[Judged], theirs: Sequence[Judged], vocabulary: Vocabulary, style: Style
) -> bool:
    """Whether the ground is sure enough for what a pattern denies."""
    subjects = [one.claim.subject, *([one.claim.other] if one.claim.other else [])]
    tagged = any(vocabulary.is_tag(value) for subject in subjects for value in subject.attributes)
    if one.invented and tagged:
        return False
    if style == "own":
        return True
    if tagged or (one.claim.kind == "comparison" and _FROM_TO.search(one.claim.text)):
        return False
    if one.claim.kind == "year":
        return True
    titles = any(other.claim.subject.kind == "title" for other in free)
    if one.claim.subject.kind == "title":
        agreed = any(other.verdict == Verdict.CONTRADICTED for other in theirs)
        spoken_of = titles or one.claim.kind == "direction"
        misread = style == "prose" and one.claim.kind == "rating" and not one.invented  # "Cruel Intentions 2"
        return agreed or not (spoken_of or misread) or (style == "plain" and one.claim.kind == "direction")
    if one.claim.kind == "direction" and one.claim.subject.attributes:
        if one.invented:  # "like poetry"; a single word may be one of a list, and who avoids a kind has none of it
            is_blunt = 1 < len(one.claim.text.split()) <= _BLUNT and _BARE.fullmatch(one.claim.text) is not None
            return is_blunt and not titles and one.claim.sign > 0 and len(one.claim.subject.attributes) == 1
        return any(
            other.verdict == Verdict.CONTRADICTED and other.claim.kind == "direction"
            for other in free
            if set(other.claim.subject.attributes) & set(one.claim.subject.attributes)
        )
    if one.claim.kind == "comparison":
        return len(one.claim.text.split()) <= _PLAINLY and _COMPARES.search(one.claim.text) is not None
    if one.claim.kind == "average":
        return any(other.verdict == Verdict.CONTRADICTED and other.claim.kind == "average" for other in free)
    if one.claim.kind in ("direction", "most", "often") or one.claim.subject.attributes:
        return one.claim.kind in _COUNTED
    return one.claim.kind in _COUNTED or not titles


def _is_doubted(one: Judged, free: Sequence[Judged]) -> bool:
    """Whether the table, which asks for more than a share a little above the own one, does not bear a kind out, or
    the average that is told with it."""
    if one.claim.kind != "direction" or not one.claim.subject.attributes:
        return False
    if any(other.claim.kind == "average" and other.verdict != Verdict.SUPPORTED for other in free):
        return True
    theirs = [
        other.verdict
        for other in free
        if other.claim.kind == "direction" and set(other.claim.subject.attributes) & set(one.claim.subject.attributes)
    ]
    return bool(theirs) and Verdict.SUPPORTED not in theirs


def _same_name(one: Subject, other: Subject) -> bool:
    mine, theirs = one.name.lower(), other.name.lower()
    return mine in theirs or theirs in mine
