"""The rules: a single claim against its user's history is supported, contradicted, or not checkable.

With their tolerances they stand in ``docs/grounding-rules.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from trackrec.checks.claims import Claim
from trackrec.checks.subjects import Subject
from trackrec.users.catalogue import Catalogue, Row
from trackrec.users.counts import FAME, LEVELS, MIN_ITEMS, ProfileSettings, consumption_surplus
from trackrec.users.profile import Profile, profile_history

MIN_EVENTS = 2
"""Fewest events of a kind before it can be said to be liked more, or less, than the rest."""
_NOISE = 1e-9


class Verdict(StrEnum):
    """What a history says of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NOT_CHECKABLE = "not_checkable"


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict."""

    claim: Claim
    verdict: Verdict
    reason: str
    """In a few words."""
    evidence: tuple[int, ...]
    """Places in the history (0: the oldest event) of the events that decide it."""
    invented: bool = False
    """Contradicted because the history has nothing of that name or kind."""


@dataclass(frozen=True)
class Event:
    """One event of a history as a claim sees it."""

    item: Any
    rating: float
    liked: bool
    year: int | None
    kinds: frozenset[str]
    tags: frozenset[str] = frozenset()
    """Of its knowledge card. They can be named, but "no genre stands out" and "mostly" do not speak of them."""


class History:
    """A user's history, ready to be asked.

    Args:
        rows: the LM history, oldest first: ``item_id``, ``rating``, ``label``, and ``expected`` where others are known.
        catalogue: titles, years, attributes, tags.
        settings: how much evidence a claim of the writer's needed; None: the default.
    """

    def __init__(self, rows: Sequence[Row], catalogue: Catalogue, settings: ProfileSettings | None = None) -> None:
        self.rows, self.catalogue, self.settings = rows, catalogue, settings or ProfileSettings()
        self.events = []
        for row in rows:
            item = catalogue[row["item_id"]]
            kinds = frozenset((*item.genres, *item.attributes))
            rating, liked = float(row["rating"]), bool(row["label"])
            self.events.append(Event(row["item_id"], rating, liked, item.year, kinds, frozenset(item.tags)))
        self.everything = tuple(range(len(self.events)))
        self.liked = self.count(self.everything)

    @cached_property
    def profile(self) -> Profile:
        """What the writers of RecCoTs read of it."""
        return profile_history(self.rows, self.catalogue, self.settings)

    def count(self, places: Sequence[int]) -> int:
        """How many of these events are liked."""
        return sum(self.events[place].liked for place in places)

    def of(self, subject: Subject) -> tuple[int, ...]:
        """Places of the events that a subject means."""
        if subject.kind == "title":
            return tuple(place for place in self.everything if self.events[place].item in subject.items)
        wanted = frozenset(subject.attributes)
        return tuple(
            place
            for place in self.everything
            if wanted <= (event := self.events[place]).kinds | event.tags
            and (subject.low is None or (event.year is not None and event.year >= subject.low))
            and (subject.high is None or (event.year is not None and event.year <= subject.high))
        )

    @cached_property
    def kinds(self) -> dict[str, tuple[int, ...]]:
        """Every attribute value, in order, with the places of its events; tags are not among them."""
        found: dict[str, list[int]] = {}
        for place, event in enumerate(self.events):
            for kind in event.kinds:
                found.setdefault(kind, []).append(place)
        return {name: tuple(found[name]) for name in sorted(found)}


def without_support(claims: Sequence[Judged]) -> list[Judged]:
    """The claims that do not bear a sentence out."""
    return [one for one in claims if one.verdict != Verdict.SUPPORTED]


def judge(claim: Claim, history: History, catalogue: Catalogue) -> Judged:
    """One claim against a history."""
    subject = claim.subject
    places = history.of(subject) if subject.kind != "unknown" else ()

    def say(verdict: bool | None, reason: str, evidence: Sequence[int] = places, invented: bool = False) -> Judged:
        found = {True: Verdict.SUPPORTED, False: Verdict.CONTRADICTED, None: Verdict.NOT_CHECKABLE}[verdict]
        return Judged(claim, found, reason, tuple(evidence), invented)

    if claim.kind == "generosity":
        return _judge_generosity(claim, history)
    if claim.kind == "even":
        return _judge_even(claim, history)
    if claim.kind in ("mixed", "fame"):
        return _judge_choice(claim, history)
    if subject.kind == "unknown" and claim.kind != "count":
        return say(None, f"{subject.name!r} is nothing that the tables hold")
    if subject.kind == "unknown":
        return say(False, f"a count of {subject.name!r}, which the tables do not hold", invented=True)
    if claim.kind == "size":
        return say(len(places) == claim.rated, f"{len(places)} in the history")
    if not places and claim.kind != "portion" and not (claim.kind == "count" and claim.rated == 0):
        if claim.kind in ("share", "average") and subject.kind == "all":
            return say(None, "the history is empty")
        what = "is in no catalogue" if subject.invented else "is not in the history"
        return say(False, f"{subject.name!r} {what}", invented=True)
    liked, rated = history.count(places), len(places)
    if claim.kind == "often":
        return _judge_often(claim, history, catalogue, places)
    if claim.kind == "direction":
        return _judge_direction(claim, history, places)
    if claim.kind == "seen":
        return say(True, "it is in the history")
    if claim.kind == "count":
        wrong = (claim.liked is not None and claim.liked != (liked if claim.sign > 0 else rated - liked)) or (
            claim.rated is not None and claim.rated != rated
        )
        return say(not wrong, f"{liked} of {rated} liked")
    if claim.kind in ("share", "portion"):
        share = liked / rated if claim.kind == "share" else rated / max(1, len(history.events))
        word = f"{liked} of {rated} liked" if claim.kind == "share" else f"{rated} of {len(history.events)} are of it"
        return say(_within(claim, share), word)
    if claim.kind == "average":
        mean = sum(history.events[place].rating for place in places) / rated
        return say(_within(claim, mean), f"the mean rating is {mean:.2f}")
    if claim.kind == "rating":
        right = any(_within(claim, history.events[place].rating) for place in places)
        return say(right, "rated " + ", ".join(f"{history.events[place].rating:g}" for place in places))
    if claim.kind == "year":
        years = {catalogue[item].year for item in subject.items}
        return say(int(claim.value) in years or None in years, "the catalogue's year")
    if claim.kind == "most":
        top = max(len(found) for found in history.kinds.values())
        return say(rated == top, f"{rated} of it; the most of any kind is {top}")
    return _judge_comparison(claim, history, places)


def _within(claim: Claim, value: float) -> bool:
    if claim.bound == "least":
        return value >= claim.value - _NOISE
    if claim.bound == "most":
        return value <= claim.value + _NOISE
    return abs(value - claim.value) <= claim.tolerance + _NOISE


def _judge_direction(claim: Claim, history: History, places: tuple[int, ...]) -> Judged:
    liked, rated = history.count(places), len(places)
    if claim.subject.kind == "title":
        right = liked > 0 if claim.sign > 0 else liked < rated
        ratings = ", ".join(f"{history.events[place].rating:g}" for place in places)
        return Judged(claim, Verdict.SUPPORTED if right else Verdict.CONTRADICTED, f"rated {ratings}", places)
    dated = history.everything
    if claim.subject.low is not None or claim.subject.high is not None:
        dated = tuple(place for place in dated if history.events[place].year is not None)
    share, own = liked / rated, history.count(dated) / len(dated)
    if claim.relative:
        right = (share - own) * claim.sign > _NOISE
    elif claim.sign > 0:
        right = share >= 0.5 or share > own + _NOISE
    else:
        right = share < 0.5
    reason = f"{liked} of {rated} liked, {history.count(dated)} of {len(dated)} over all"
    if rated < history.settings.min_items:
        against = (liked == 0) if claim.sign > 0 else (liked > 0)
        verdict = Verdict.CONTRADICTED if against else Verdict.NOT_CHECKABLE
        return Judged(claim, verdict, f"{reason}: one event is too few", places)
    return Judged(claim, Verdict.SUPPORTED if right else Verdict.CONTRADICTED, reason, places)


def _judge_comparison(claim: Claim, history: History, places: tuple[int, ...]) -> Judged:
    if claim.other is None:  # a sentence that was read in part: no ground to accuse on
        return Judged(claim, Verdict.NOT_CHECKABLE, "nothing is named to compare with", places)
    others = history.of(claim.other)
    if not others:
        return Judged(claim, Verdict.CONTRADICTED, f"{claim.other.name!r} is not in the history", places, True)
    mine, theirs = history.count(places) / len(places), history.count(others) / len(others)
    if claim.subject.kind == claim.other.kind == "title":
        mine = max(history.events[place].rating for place in places)
        theirs = max(history.events[place].rating for place in others)
    right = (mine - theirs) * claim.sign > _NOISE
    reason = f"{history.count(places)} of {len(places)} against {history.count(others)} of {len(others)} liked"
    verdict = Verdict.SUPPORTED if right else Verdict.CONTRADICTED
    return Judged(claim, verdict, reason, tuple(sorted({*places, *others})))


def _judge_generosity(claim: Claim, history: History) -> Judged:
    level = history.profile.level
    if level is None:
        return Judged(claim, Verdict.NOT_CHECKABLE, "the history does not say what others thought", ())
    expected = sum(row["expected"] for row in history.rows)
    reason = f"{history.liked} of {len(history.rows)} liked, others would like {expected:.1f}: {LEVELS[level][0]}"
    verdict = Verdict.SUPPORTED if level in claim.levels else Verdict.CONTRADICTED
    return Judged(claim, verdict, reason, history.everything)


def _judge_often(claim: Claim, history: History, catalogue: Catalogue, places: tuple[int, ...]) -> Judged:
    """More of it than everybody has: by name for a single attribute; nobody counted combinations and years."""
    subject = claim.subject
    if len(subject.attributes) != 1 or subject.low is not None or subject.high is not None or not catalogue.fame:
        return Judged(claim, Verdict.NOT_CHECKABLE, "nobody counted how much of it everybody has", places)
    name, events = subject.attributes[0], len(history.events)
    share = catalogue.genre_shares.get(name) or catalogue.tag_shares.get(name, 0.0)
    more = len(places) >= MIN_ITEMS and consumption_surplus(events, len(places), share) > _NOISE
    reason = f"{len(places)} of {events} are of it, of everybody's {share:.0%}"
    return Judged(claim, Verdict.SUPPORTED if more else Verdict.CONTRADICTED, reason, places)


def _judge_choice(claim: Claim, history: History) -> Judged:
    """How well known the items are, or that of no genre there are more than everybody has."""
    consumption = history.profile.consumption
    if consumption is None:
        return Judged(claim, Verdict.NOT_CHECKABLE, "the catalogue does not say what everybody goes for", ())
    if claim.kind == "fame":
        right, reason = consumption.fame in claim.levels, FAME[consumption.fame]
    else:
        names = ", ".join(consumption.genres)
        right, reason = not names, names or "of no genre more than everybody has"
    return Judged(claim, Verdict.SUPPORTED if right else Verdict.CONTRADICTED, reason, history.everything)


def _judge_even(claim: Claim, history: History) -> Judged:
    if not history.events:
        return Judged(claim, Verdict.NOT_CHECKABLE, "the history is empty", ())
    own, evidence = history.liked / len(history.events), history.settings
    for kind, places in history.kinds.items():
        shift = (history.count(places) - len(places) * own) / (len(places) + evidence.prior_items)
        height = {"": abs(shift), "most": shift, "least": -shift}[claim.bound]
        if len(places) >= evidence.min_items and height >= evidence.min_shift - _NOISE:
            reason = f"{kind}: {history.count(places)} of {len(places)} liked"
            return Judged(claim, Verdict.CONTRADICTED, reason, places)
    side = {"": "far from", "most": "far above", "least": "far below"}[claim.bound]
    return Judged(claim, Verdict.SUPPORTED, f"no kind lies {side} the own share", history.everything)
