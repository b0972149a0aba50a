"""Citations: a sentence on the user ends with the numbers of the events it rests on, and is judged by these events.

Number n is the event at place n - 1 of the history, 1 the oldest. Nothing here is guessed: do the events exist, do
their ratings go the way the sentence says, do the cited items carry what it names?
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from trackrec.checks.claims import Claim
from trackrec.checks.free_text_judge import FreeJudge
from trackrec.checks.free_text_reader import TURN, Prose, read_prose
from trackrec.checks.rules import Judged, Verdict
from trackrec.checks.sentences import TextSentence
from trackrec.checks.sentiment import says_mixed
from trackrec.checks.subjects import Subject

_EXCEPTION = re.compile(r"\b(?:except|exceptions?|only|but|though)\b", re.IGNORECASE)
_MANNER = re.compile(
    r"\b(?:this (?:user|viewer|reader|person) (?:\w+ ){0,2}(?:rates|marks|grades|gives|judges|scores|uses|hands)|rates|scale|extremes|rejections?|exceptions?|with one)\b",
    re.IGNORECASE,
)
"""On how somebody rates: it cites both ends."""
CITED = Subject("all", "the cited events")


def judge_cited(told: TextSentence, judge: FreeJudge) -> list[Judged]:
    """The claims of a sentence that cites events.

    Contradicted: a number that no event has; a cited event, or a named title, whose rating goes clearly the other way;
    ratings that differ from the ones given; titles of which none is cited. Supported: the ratings of the cited events
    go the sentence's way, and they are what it speaks of, as far as it names anything. Else not checkable.
    """
    history = judge.history
    missing = [number for number in told.cited if not 0 < number <= len(history.events)]
    if missing:
        reason = f"cites {', '.join(map(str, missing))}, the history has {len(history.events)} events"
        return [Judged(_claim(told, 1), Verdict.CONTRADICTED, reason, (), invented=True)]
    places = tuple(number - 1 for number in told.cited)
    cited = [history.events[place].item for place in places]
    prose = read_prose(told, judge.own, cited)
    found = judge.judge(prose)
    titles = [one for one in found if one.claim.subject.kind != "group"]
    elsewhere = _elsewhere(prose, cited)
    if elsewhere:
        reason = f"names {elsewhere}, and cites other events"
        return [*found, Judged(_claim(told, 1), Verdict.CONTRADICTED, reason, places)]
    rest = _of_the_rest(told, prose, places, titles, judge)
    return [*titles, *([rest] if rest else [])]


def _claim(told: TextSentence, sign: Literal[-1, 1]) -> Claim:
    return Claim("cited", CITED, told.text, sign=sign)


def _elsewhere(prose: Prose, cited: Sequence[object]) -> str:
    """Titles that are named while none of the cited items is among them."""
    whole = [name for name in prose.names if name.items and name.is_whole]
    mine = [name for name in prose.names if name.items & frozenset(cited)]
    return ", ".join(name.text for name in whole) if len(whole) > 1 and not mine else ""


def _of_the_rest(
    told: TextSentence, prose: Prose, places: tuple[int, ...], titles: Sequence[Judged], judge: FreeJudge
) -> Judged | None:
    """The cited events that no title in the sentence stands for, and whether the whole is borne out."""
    named = {place for name in prose.names for place in judge.history.of(Subject("title", name.text, name.items))}
    rest = [place for place in places if place not in named]
    sides = [judge.scale.side(place) for place in rest]
    told_of = {place: f"{place + 1} rated {judge.history.events[place].rating:g}" for place in places}
    reason = ", ".join(told_of.values())
    sign = prose.sign
    strong = any(one.strong for one in prose.opinions)
    sure = any(not one.weak for one in prose.opinions if one.sign) or prose.lead is not None
    good = sum(one.verdict == Verdict.SUPPORTED for one in titles if one.claim.subject.kind == "title")
    if not sign:
        both = {judge.scale.side(place) > 0 for place in places} == {True, False}
        is_mixed = (says_mixed(prose.masked) or {o.sign for o in prose.opinions} >= {1, -1}) and both
        enough = good * 2 >= len(places) or (is_mixed and (good > 0 or not titles))
        return Judged(_claim(told, 1), Verdict.SUPPORTED if enough else Verdict.NOT_CHECKABLE, reason, places)
    way: Literal[-1, 1] = 1 if sign > 0 else -1
    against = [side for side in sides if side == -way or (side == 0 and way > 0 and strong and not named)]
    if (
        against
        and sure
        and not TURN.search(prose.masked)
        and (not named or len(against) == len(rest))
        and not _counts_exceptions(prose)
    ):
        return Judged(_claim(told, way), Verdict.CONTRADICTED, reason, tuple(rest))
    agree = good + sum(side == way or (side == 0 and way < 0) for side in sides)
    carries = bool(named) or _carries(prose, places, judge)
    enough = agree * 2 > len(places) and carries
    return Judged(_claim(told, way), Verdict.SUPPORTED if enough else Verdict.NOT_CHECKABLE, reason, places)


def _counts_exceptions(prose: Prose) -> bool:
    """A sentence that gives stars, or names an exception, cites both sides on purpose."""
    return any(one.is_rating for one in prose.opinions) or any(
        pattern.search(prose.masked) for pattern in (_EXCEPTION, _MANNER)
    )


def _carries(prose: Prose, places: Sequence[int], judge: FreeJudge) -> bool:
    """Whether a cited item has one of the kinds that the sentence names; also if it names none."""
    groups = judge.groups(prose)
    values = [judge.vocabulary.alike(value) for _, _, group in groups for value in group]
    events = judge.history.events
    return not values or any(value & (events[place].kinds | events[place].tags) for value in values for place in places)
