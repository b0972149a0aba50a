"""Is it true? Each sentence of a RecCoT against its user's history: supported, contradicted, or not checkable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from trackrec.checks.citations import judge_cited
from trackrec.checks.free import FreeJudge
from trackrec.checks.names import OwnTitles
from trackrec.checks.prose import read_prose
from trackrec.checks.reader import find_claims
from trackrec.checks.rules import History as History
from trackrec.checks.rules import Judged as Judged
from trackrec.checks.rules import Verdict as Verdict
from trackrec.checks.rules import judge as judge
from trackrec.checks.sentences import Told, take_apart
from trackrec.checks.speech import is_about_user
from trackrec.checks.subjects import Subject
from trackrec.checks.vocabulary import Vocabulary
from trackrec.checks.wording import OWN_STYLE, PLAIN_PAST
from trackrec.users.catalogue import Row

Way = Literal["citation", "table", "pattern", ""]
"""How a verdict was reached: by the events that the sentence cites; by the table of the history, from what prose says
of titles, kinds and stars; by the patterns of this project's own sentences; not at all."""
FAMILIAR, FAMILIAR_OWN, FAMILIAR_PLAIN = 0.7, 0.4, 0.85
"""Share of its words that must have been read before a sentence is taken for one of our own, in which every word
counts; where it has a phrase of ours; where it tells plainly what was done, so that an unknown name is invented."""


@dataclass(frozen=True)
class GroundedSentence:
    """A sentence of a RecCoT with its judged claims."""

    text: str
    claims: tuple[Judged, ...]
    way: Way = ""
    cited: tuple[int, ...] = ()
    """Numbers of the events that it cites, 1 the oldest."""
    about_user: bool = True
    """It says something of the user, and is no heading, advice, or fact on an item: so it should cite."""

    @property
    def verdict(self) -> Verdict:
        """Contradicted if one claim is, else supported if one is, else not checkable."""
        verdicts = {judged.verdict for judged in self.claims}
        order = (Verdict.CONTRADICTED, Verdict.SUPPORTED)
        return next((verdict for verdict in order if verdict in verdicts), Verdict.NOT_CHECKABLE)

    @property
    def events(self) -> tuple[int, ...]:
        """Numbers of the events behind it, 1 the oldest: the cited ones, else those that decide its claims."""
        return self.cited or tuple(sorted({place + 1 for one in self.claims for place in one.evidence}))


class Checker:
    """Checks texts against one history.

    Args:
        rows: the user's whole LM history, oldest first.
        vocabulary: made from the items table.

    Raises:
        LogError: an item of the history is not in the catalogue.
    """

    def __init__(self, rows: Sequence[Row], vocabulary: Vocabulary) -> None:
        self.vocabulary, self.history = vocabulary, History(rows, vocabulary.catalogue, vocabulary.profile)
        self._seen = [event.item for event in self.history.events]
        self._free = FreeJudge(self.history, vocabulary, OwnTitles(vocabulary, self._seen))

    def check(self, text: str) -> list[GroundedSentence]:
        """Every sentence of a RecCoT, judged. See `ground`."""
        titles = [(m.start, m.end) for m in self.vocabulary.find(text, self._seen) if m.kind == "title"]
        return [_grounded(told, self.history, self.vocabulary, self._free) for told in take_apart(text, titles)]


def ground(text: str, rows: Sequence[Row], vocabulary: Vocabulary) -> list[GroundedSentence]:
    """Every sentence of a RecCoT, its claims judged against the history.

    In this order: by the events that a sentence cites; by pattern, if it is one of our own sentences; by the table.

    Args:
        text: the RecCoT: prose or markdown, with or without citations.
        rows: the user's whole LM history, oldest first.
        vocabulary: made from the items table.

    Raises:
        LogError: an item of the history is not in the catalogue.
    """
    return Checker(rows, vocabulary).check(text)


def _grounded(told: Told, history: History, vocabulary: Vocabulary, free: FreeJudge) -> GroundedSentence:
    if told.is_heading:
        return GroundedSentence(told.text, (), "", told.cited, about_user=False)
    if told.cited:
        return _sentence(told, judge_cited(told, free), "citation")
    prose = read_prose(told, free.own)
    if told.lead is None and prose.text == told.body:
        for sentence in find_claims(told.body, vocabulary, free.own.seen):
            is_own = OWN_STYLE.search(told.body) is not None
            if sentence.familiar >= (FAMILIAR_OWN if is_own else FAMILIAR):
                claims = [judge(claim, history, vocabulary.catalogue) for claim in sentence.claims]
                is_plain = is_own or (sentence.familiar >= FAMILIAR_PLAIN and PLAIN_PAST.search(told.body) is not None)
                return _sentence(told, *_reconciled(claims, free.judge(prose), vocabulary, is_plain))
    about = is_about_user(prose.text) and bool(prose.text.strip())
    return _sentence(told, free.judge(prose), "table", about)


def _sentence(told: Told, claims: Sequence[Judged], way: Way, about: bool = True) -> GroundedSentence:
    decided = any(one.verdict != Verdict.NOT_CHECKABLE for one in claims)
    return GroundedSentence(told.text, tuple(claims), way if decided else "", told.cited, about)


def _reconciled(
    claims: Sequence[Judged], free: Sequence[Judged], vocabulary: Vocabulary, is_own: bool
) -> tuple[list[Judged], Way]:
    """The claims that patterns found in a sentence, less those that only look like one; of titles the table decides.

    A pattern does not know a shortened title, a director or a tag, and takes "5/5" for a count.
    """
    told = {item: one for one in free for item in one.claim.subject.items if one.claim.kind != "comparison"}
    named = [one.claim.subject.name for one in free if one.claim.subject.kind == "title" and not one.invented]
    kept, is_open = [], False
    for one in claims:
        subject = one.claim.subject
        sure = [told[item] for item in subject.items if item in told and told[item].verdict != Verdict.NOT_CHECKABLE]
        if sure and one.claim.kind in ("direction", "count", "rating") and one.verdict != sure[0].verdict:
            continue
        if one.invented and any(
            subject.name.lower() in name.lower() or name.lower() in subject.name.lower() for name in named
        ):
            continue
        nameless = not subject.items and not subject.attributes and not is_own
        unknown = one.invented and (nameless or _has_tag(subject, vocabulary))
        is_open = is_open or (one.invented and nameless)
        kept.append(one if not unknown else replace(one, verdict=Verdict.NOT_CHECKABLE, invented=False))
    if is_open:  # what is said of a name that nobody knows is half the sentence: the rest bears out nothing
        kept = [one for one in kept if one.verdict != Verdict.SUPPORTED]
        free = [one for one in free if one.verdict != Verdict.SUPPORTED]
    if not any(one.verdict != Verdict.NOT_CHECKABLE for one in kept):
        return [*kept, *free], "table"
    have = {item for one in kept for item in one.claim.subject.items}
    more = [one for one in free if one.claim.subject.kind == "title" and not (one.claim.subject.items & have)]
    return [*kept, *more], "pattern"


def _has_tag(subject: Subject, vocabulary: Vocabulary) -> bool:
    return any(vocabulary.is_tag(value) for value in subject.attributes)
