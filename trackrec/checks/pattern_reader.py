"""Reads a RecCoT: takes it apart into sentences, and these into claims."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from trackrec.checks.claims import Claim, ClaimKind, Sentence
from trackrec.checks.cue_patterns import Cue, Sign
from trackrec.checks.spans import Span, find_spans
from trackrec.checks.subjects import ALL, Subject
from trackrec.checks.vocabulary import Mention, Vocabulary

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'’)\]]*\s+(?=[\"'‘(\[]?[A-Z0-9])|\s*\n+\s*")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|vs|No|Jr|Sr|Prof|Vol)|\b[A-Z])\.$")


def split_sentences(text: str, mentions: Iterable[Mention] = ()) -> list[tuple[int, int]]:
    """Start and end of each sentence; neither titles ("Mr. Wrong", "Help! The Movie") nor initials end one."""
    inside = [(mention.start, mention.end) for mention in mentions]
    spans, start = [], 0
    for found in _SENTENCE_END.finditer(text):
        in_title = any(low <= found.start() < high for low, high in inside)
        if in_title or (_ABBREVIATION.search(text[: found.start()]) and "\n" not in found.group()):
            continue
        spans.append((start, found.start()))
        start = found.end()
    spans.append((start, len(text)))
    return [(low, high) for low, high in spans if text[low:high].strip()]


def find_claims(text: str, vocabulary: Vocabulary, seen: Iterable[Any]) -> list[Sentence]:
    """The sentences of a RecCoT, each with its claims.

    Args:
        text: the RecCoT.
        vocabulary: what may be named.
        seen: ids of the items in the user's history, which a shortened or misspelt title is sought among.
    """
    seen = list(seen)
    mentions = vocabulary.find(text, seen)
    sentences = []
    for low, high in split_sentences(text, mentions):
        mine = [mention for mention in mentions if low <= mention.start < high]
        sentences.append(Sentence(text[low:high].strip(), *_read(text, low, high, mine, vocabulary, seen)))
    return sentences


def _read(
    text: str, low: int, high: int, mentions: list[Mention], vocabulary: Vocabulary, seen: list[Any]
) -> tuple[tuple[Claim, ...], float]:
    reader = _Reader(text[:high])
    pieces, familiar = find_spans(text, low, high, mentions, vocabulary, seen)
    reader.average = any(piece.kind == "average" for piece in pieces)
    for piece in pieces:
        reader.take(piece)
    reader.finish()
    return tuple(dict.fromkeys(reader.claims)), familiar


@dataclass
class _Reader:
    """Goes through the pieces of one sentence from left to right and remembers what is being said of what."""

    text: str
    claims: list[Claim] = field(default_factory=list)
    cue: Cue | None = None
    waiting: list[tuple[Subject, Span]] = field(default_factory=list)
    """Subjects of this clause that no cue has said anything of."""
    recent: list[tuple[Subject, Span]] = field(default_factory=list)
    """Subjects that a count may belong to."""
    counts: list[Span] = field(default_factory=list)
    quantity: Span | None = None
    """A count, share or number that stands before what it belongs to."""
    over: Span | None = None
    """A comparing word, such as "over", since the last subject."""
    average: bool = False
    mostly: bool = False
    last: Span | None = None
    cue_end: int = 0
    portion: Span | None = None
    rating_first: Span | None = None
    counted: Subject | None = None
    """The subject that a count led to: "3 of 4 thrillers were liked" says no more than the count."""
    total: tuple[Subject, int] | None = None
    """A subject and how many there are of it: "of 4 thrillers"."""
    part: Span | None = None
    """How many of that total, before it is said what of them."""
    orphans: list[tuple[Subject, Span]] = field(default_factory=list)
    """What a cue found waiting; if nothing follows the cue, it speaks of them."""
    against: Subject | None = None
    """What the coming subject is compared with."""
    next_is_against: bool = False
    compares: bool = False
    """A word of liking has been read, so that "over" compares."""
    sign: Sign = 1
    """What that word said."""

    def take(self, piece: Span) -> None:
        if self.counts and piece.kind != "count":
            self._settle_counts()
        getattr(self, f"_{piece.kind}")(piece)
        self.last = piece

    def finish(self) -> None:
        self._settle_counts()
        if self.quantity is not None and self.quantity.kind == "share":
            self._settle_share(self.quantity)
        else:
            self._settle_orphans()

    def _say(self, kind: ClaimKind, subject: Subject, piece: Span, **more: Any) -> None:
        start = min(piece.start, self.cue_end or piece.start)
        self.claims.append(Claim(kind, subject, self.text[start : piece.end].strip(), **more))

    def _cue(self, piece: Span) -> None:
        cue: Cue = piece.value
        if not cue.seen and not cue.often:
            self.compares, self.sign = True, cue.sign
        if not cue.before:
            self.orphans = self.waiting
            self.cue, self.waiting, self.recent, self.cue_end = cue, [], [], piece.start
            self.over = None
            return
        if self.portion is not None:
            self.cue, share, self.portion = cue, self.portion, None
            self._say_share(ALL, share)
            self.cue, self.waiting = None, []
            return
        if self.part is not None:
            self._count_of_total(self.part, cue)
            self.cue, self.waiting = None, []
            return
        for subject, place in self.waiting or [pair for pair in self.recent[-1:] if pair[0] != self.counted]:
            if not self.waiting:
                self.claims = [c for c in self.claims if not (c.kind == "direction" and c.subject == subject)]
            self._direct(subject, place, cue)
        self.waiting, self.cue = [], None

    def _against(self, piece: Span) -> None:
        self.next_is_against = True

    def _beats(self, piece: Span) -> None:
        self.compares, self.sign = True, 1
        if self.waiting:
            self.over = piece
        else:
            self.cue, self.recent = Cue(1, True), []

    def _settle_orphans(self) -> None:
        """ "Fargo is among the films they liked": nothing follows the cue but items in general."""
        if self.cue is not None and not self.cue.seen and all(s.kind == "all" for s, _ in self.recent):
            for subject, place in self.orphans:
                if subject != self.counted:
                    self._direct(subject, place, self.cue)
        self.orphans = []

    def _split(self, piece: Span) -> None:
        self._settle_orphans()
        self.cue, self.waiting, self.recent, self.over, self.cue_end = None, [], [], None, 0
        self.portion = None

    def _negation(self, piece: Span) -> None:
        if self.cue is not None and not self.cue.seen and self.recent:
            self.cue = Cue(-1 if self.cue.sign > 0 else 1)

    def _over(self, piece: Span) -> None:
        self.over = piece
        if self.recent and self.claims and self.claims[-1].kind == "direction":
            last = self.claims[-1]
            self.claims[-1] = Claim("direction", last.subject, last.text, sign=last.sign, relative=True)

    def _even(self, piece: Span) -> None:
        side = (piece.value or "").lower()
        self._say("even", ALL, piece, bound={"more": "most", "less": "least"}.get(side, ""))

    def _generosity(self, piece: Span) -> None:
        self._say("generosity", ALL, piece, levels=piece.value)

    def _mixed(self, piece: Span) -> None:
        self._say("mixed", ALL, piece)

    def _fame(self, piece: Span) -> None:
        self._say("fame", ALL, piece, levels=piece.value)
        self.cue = None  # a clause of its own

    def _average(self, piece: Span) -> None:
        """Known before the sentence is read: the number may stand before the word."""

    def _mostly(self, piece: Span) -> None:
        self.mostly = True

    def _share(self, piece: Span) -> None:
        if piece.inside and self.recent:
            self._say_share(self.recent[-1][0], piece)
        else:
            self.quantity = piece

    def _number(self, piece: Span) -> None:
        if piece.leads:
            self.quantity = piece
        elif self.total is not None and self.cue is not None and not self.cue.seen:
            self._count_of_total(piece, self.cue)
        elif self.total is not None:
            self.part = piece

    def _count_of_total(self, piece: Span, cue: Cue) -> None:
        """ "Of 4 thrillers they liked 3", "of 4 thrillers, 3 were liked"."""
        assert self.total is not None
        subject, rated = self.total
        liked = piece.value if cue.sign > 0 else rated - piece.value
        self._say("count", subject, piece, liked=liked, rated=rated)
        self.counted, self.part = subject, None

    def _count(self, piece: Span) -> None:
        if piece.leads:
            self.quantity = piece
        else:
            self.counts.append(piece)

    def _rating(self, piece: Span) -> None:
        if self.average:
            subject = self.recent[-1][0] if self.recent else ALL
            if subject.kind in ("all", "group"):
                self._say("average", subject, piece, value=piece.value.value, tolerance=piece.value.tolerance)
                self.average = False
        elif self.recent and self.recent[-1][0].kind == "title" and piece.near:
            subject = self.recent[-1][0]
            self._say("rating", subject, piece, value=piece.value.value, tolerance=piece.value.tolerance)
        elif piece.leads:
            self.rating_first = piece

    def _year(self, piece: Span) -> None:
        if self.recent and self.recent[-1][0].kind == "title" and self.claims and not self.recent[-1][0].invented:
            self._say("year", self.recent[-1][0], piece, value=float(piece.value))

    def _subject(self, piece: Span) -> None:
        subject: Subject = piece.value
        quantity, self.quantity = self.quantity, None
        if quantity is not None and piece.start - quantity.end > 28:
            quantity = None
        if self.rating_first is not None and subject.kind == "title":
            self._say("rating", subject, piece, value=self.rating_first.value.value)
            self.rating_first = None
            return
        if self.next_is_against:
            self.against, self.next_is_against = subject, False
            return
        if self.against is not None and self.cue is not None and subject.kind in ("title", "group"):
            self._say("comparison", subject, piece, sign=self.cue.sign, other=self.against)
            self.against = None
        elif self.over is not None and self.recent:
            self._compare(subject, piece)
        elif quantity is not None:
            self._quantify(quantity, subject, piece)
        elif self.portion is not None and subject.kind == "group":
            share = self.portion.value
            self._say("portion", subject, piece, value=share.value, tolerance=share.tolerance, bound=share.bound)
            self.portion = None
        elif self.mostly and subject.kind == "group" and (self.cue is None or self.cue.seen):
            self._say("most", subject, piece)
            self.mostly = False
        elif self.cue is not None:
            self._direct(subject, piece, self.cue)
        else:
            self.waiting.append((subject, piece))
        self.over = None
        self.recent.append((subject, piece))

    def _compare(self, subject: Subject, piece: Span) -> None:
        first, over = self.recent[-1][0], self.over
        if subject.kind in ("all", "unknown") or over is None or not self.compares:
            return
        self.claims = [claim for claim in self.claims if not (claim.kind == "direction" and claim.subject == first)]
        sign = self.sign
        if over.value == "less":
            sign = -1
        self._say("comparison", first, piece, sign=sign, other=subject)

    def _quantify(self, quantity: Span, subject: Subject, piece: Span) -> None:
        """A number before its subject: "3 of 4 thrillers", "6 in 10 films", "liked twelve comedies"."""
        if quantity.kind == "share":
            if subject.kind == "all" and (self.cue is None or self.cue.seen) and not piece.is_rated:
                self.portion = quantity
                return
            self._say_share(subject, quantity)
            return
        if quantity.kind == "count":
            liked, rated = quantity.value
            self.counted = subject
            disliked = self.cue is not None and self.cue.sign < 0
            self._say("count", subject, piece, liked=rated - liked if disliked else liked, rated=rated)
            return
        number = quantity.value
        if self.cue is None or self.cue.seen:
            if self.cue is not None:
                self._say("size", subject, piece, rated=number)
            self.total = (subject, number)
        elif subject.kind in ("group", "all"):
            self._say("count", subject, piece, liked=number, sign=self.cue.sign)

    def _say_share(self, subject: Subject, piece: Span) -> None:
        share = piece.value
        value = share.value
        bound = share.bound
        if self.cue is not None and self.cue.sign < 0 and not self.cue.seen:
            value, bound = 1 - value, {"least": "most", "most": "least", "": ""}[bound]
        self._say("share", subject, piece, value=value, tolerance=share.tolerance, bound=bound)

    def _settle_share(self, piece: Span) -> None:
        """A share that nothing follows: of what came before it in the clause, or of everything."""
        self.quantity = None
        if self.cue is not None and not self.cue.seen:
            self._say_share(self.recent[-1][0] if self.recent else ALL, piece)

    def _settle_counts(self) -> None:
        counts, self.counts = self.counts, []
        if not counts:
            return
        owners = self.recent[-len(counts) :]
        if not owners:
            if self.cue is None:
                return
            name = self.text[self.cue_end : counts[0].start].strip(" (")
            owners = [(Subject("unknown", name, invented=True), counts[0])]
        for (subject, _), piece in zip(owners, counts, strict=False):
            liked, rated = piece.value
            self._say("count", subject, piece, liked=liked, rated=rated)

    def _direct(self, subject: Subject, piece: Span, cue: Cue) -> None:
        if subject.kind == "all" or (subject.kind == "unknown" and not subject.items and not subject.invented):
            return
        if cue.seen or cue.often:
            if subject.kind != "unknown":
                self._say("seen" if cue.seen or subject.kind == "title" else "often", subject, piece)
            return
        if subject.kind != "unknown":
            self._say("direction", subject, piece, sign=cue.sign, relative=cue.relative)
