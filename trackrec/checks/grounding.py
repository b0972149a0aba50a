"""Is it true? Each sentence of a RecCoT against its user's history: supported, contradicted, or not checkable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trackrec.checks.citations import judge_cited
from trackrec.checks.free_text_judge import FreeJudge
from trackrec.checks.free_text_reader import Prose, read_prose
from trackrec.checks.merged_readings import Way, merge_readings, names_unknown, style_of
from trackrec.checks.modality import is_about_user
from trackrec.checks.pattern_reader import find_claims
from trackrec.checks.rules import History as History
from trackrec.checks.rules import Judged as Judged
from trackrec.checks.rules import Verdict as Verdict
from trackrec.checks.rules import judge as judge
from trackrec.checks.rules import without_support
from trackrec.checks.sentences import TextSentence, split_free_text
from trackrec.checks.title_mentions import OwnTitles
from trackrec.checks.vocabulary import Vocabulary
from trackrec.users.catalogue import Row


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
        return [_grounded(told, self.history, self.vocabulary, self._free) for told in split_free_text(text, titles)]


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


def _grounded(told: TextSentence, history: History, vocabulary: Vocabulary, free: FreeJudge) -> GroundedSentence:
    if told.is_heading:
        return GroundedSentence(told.text, (), "", told.cited, about_user=False)
    prose = read_prose(told, free.own)
    if told.cited:
        exist = all(1 <= number <= len(history.events) for number in told.cited)
        ours = _own(told, prose, history, vocabulary, free) if exist else None
        return ours or _sentence(told, judge_cited(told, free), "citation")
    if told.lead is None and prose.text == told.body:
        for sentence in find_claims(told.body, vocabulary, free.own.seen):
            style = style_of(told.body, sentence, vocabulary.is_ours)
            if style is not None:
                claims = [judge(claim, history, vocabulary.catalogue) for claim in sentence.claims]
                found = free.judge(prose)
                kept, way = merge_readings(claims, found, vocabulary, style, prose.missing)
                doubted = style != "own" and free.doubts(found)
                return _sentence(told, without_support(kept) if doubted else kept, way)
            if names_unknown(sentence, told.body, [name.text for name in prose.names if name.items], free.own.seen):
                return _sentence(told, without_support(free.judge(prose)), "table")
    about = is_about_user(prose.text) and bool(prose.text.strip())
    return _sentence(told, free.judge(prose), "table", about)


def _own(
    told: TextSentence, prose: Prose, history: History, vocabulary: Vocabulary, free: FreeJudge
) -> GroundedSentence | None:
    """A cited sentence with a phrase of ours, judged by its pattern: its counts speak of the whole history, of which it
    cites a part. None: it is no such sentence."""
    if told.lead is None:
        for sentence in find_claims(told.body, vocabulary, free.own.seen):
            if style_of(told.body, sentence) == "own":
                claims = [judge(claim, history, vocabulary.catalogue) for claim in sentence.claims]
                kept, way = merge_readings(claims, free.judge(prose), vocabulary, "own", prose.missing)
                return _sentence(told, kept, way) if kept else None
    return None


def _sentence(told: TextSentence, claims: Sequence[Judged], way: Way, about: bool = True) -> GroundedSentence:
    decided = any(one.verdict != Verdict.NOT_CHECKABLE for one in claims)
    return GroundedSentence(told.text, tuple(claims), way if decided else "", told.cited, about)
