"""Judges free text by the table of the history, and calls it false only on sure ground."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from trackrec.checks.claims import Claim
from trackrec.checks.count_claims import counts_in
from trackrec.checks.cue_scope import SOUND, direct_cue, is_part
from trackrec.checks.evidence_strength import (
    DISLIKED_SHARE,
    LIKED_SHARE,
    SURE_DISLIKED,
    SURE_EVENTS,
    SURE_LIKED,
    Kind,
    is_borne_out,
    is_denied,
)
from trackrec.checks.free_text_reader import NEAR, TURN, WORD, Prose, Statement, gap_between, is_cut, words_between
from trackrec.checks.modality import is_about_user, speaks_of_others
from trackrec.checks.rating_polarity import RatingPolarity
from trackrec.checks.rules import MIN_EVENTS, History, Judged, Verdict, without_support
from trackrec.checks.sentiment import Opinion, says_mixed
from trackrec.checks.subjects import HIDDEN, Subject
from trackrec.checks.title_mentions import OwnTitles
from trackrec.checks.vocabulary import Vocabulary

_SEEN = re.compile(r"\b(?:watched|saw|seen|rated|read|bought|gave|loved|enjoyed|liked|disliked|hated)\b", re.IGNORECASE)
_OWN_HISTORY = re.compile(r"(?i)\b(?:their|his|her|the|(?:user|viewer)['’]s|viewing|watch|reading|rating) (?:\w+ )?history$")  # fmt: skip
_EXAMPLE = re.compile(r"\b(?:like|such as|akin to)\b", re.IGNORECASE)
_EVENT = re.compile(r"\b(?:watched|saw|seen|rat(?:ed|ings?)|read|bought|gave|given|scor\w+|stars?)\b", re.IGNORECASE)
"""Something that was done: what is liked "like X" may be named from elsewhere."""
_COMPARED = re.compile(
    rf"{HIDDEN}[^{HIDDEN}]*?\b(?:(?P<more>higher|better|more)|(?P<less>lower|worse|less))\b[^{HIDDEN},;]{{0,30}}\bthan (?:the |a )?(?:\w+ )?{HIDDEN}"
    rf"|\b(?P<prefer>prefer(?:s|red)?)\s[^{HIDDEN},;]{{0,20}}{HIDDEN}+ (?:to|over|rather than|than|above) (?:the |a )?{HIDDEN}",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\b(?:which|that|who|whose|by|from|starring|since|because|of|as)\b", re.IGNORECASE)
_PLAIN = frozenset(
    ["the", "a", "and", "or", "both", "all", "of", "for", "to", "film", "movie", "book", "their", "also"]
)
"""Words between a verb and what it speaks of that narrow nothing down."""
_BLENDED = re.compile(
    r"\b(?:blend(?:s|ed|ing)?|mix(?:es|ed|ing|ture)?|combin\w+|incorporat\w+|featur\w+|intertwin\w+|elements?|touch|hints?|aspects?)\b[^.;:]*$",
    re.IGNORECASE,
)
"""A kind that is one part of something: "films that blend comedy and romance"."""
_QUALIFIED = re.compile(
    r"\b(?:pure(?:ly)?|dark(?:er)?|light(?:er)?|heavy|slow(?:er)?|deep(?:er)?|serious|intense|certain|some|typical(?:ly)?|traditional|mindless|low-?brow|\w+ier|\w+-(?:packed|paced|driven|oriented)),? $",
    re.IGNORECASE,
)
"""A word that narrows the kind behind it down: "darker Sci-Fi"."""
_INFERS = re.compile(r"\b(?:suggest|indicat|imply|impli|hint|signal|point)\w* (?!by\b)", re.IGNORECASE)
_GENERAL = frozenset(
    [
        "in",
        "on",
        "with",
        "most",
        "any",
        "many",
        "other",
        "every",
        "such",
        "genre",
        "genres",
        "watching",
        "reading",
        "his",
        "her",
    ]
)
_AND = re.compile(r"\s*(?:,|,? and|,? or|/)\s*")
_RESTRICTED = re.compile(
    r"\s*(?:\w+ ){0,2}(?:like|such as|with|that|which|about|from|set|where|by|of|in|on|when|who|whose|starring|featuring|based|if|without|over|than|including|for|to|made|having|(?:elements?|aspects?|undertones?|themes?|sequences?|flair|scenes?|narratives?|plots?|stories|storylines?)\b)\b"
    r"|-\w+|(?: \w+){0,2},? (?:particularly|especially|specifically|mainly|mostly) (?:those|ones|when|if|in)\b",
    re.IGNORECASE,
)


class FreeJudge:
    """Judges what free text says of a user, by the table of the user's history.

    Args:
        history: the user's.
        vocabulary: what can be named.
        own: the titles of the history.
    """

    def __init__(self, history: History, vocabulary: Vocabulary, own: OwnTitles) -> None:
        self.history, self.vocabulary, self.own = history, vocabulary, own
        self.scale = RatingPolarity(history)

    def judge(self, prose: Prose) -> list[Judged]:
        """Every claim that can be read; none of a sentence that is not on the user."""
        given = any(one.is_rating for one in prose.opinions)
        if not (is_about_user(prose.text) or given or prose.lead or prose.opinions):
            return []
        if speaks_of_others(prose.masked):
            return []
        found = self._compared(prose)
        if not found:
            found = self._titles(prose)
        groups = [(prose.text[a:b], self.of_kind(values)) for a, b, values in self.groups(prose)]
        blurred = any(
            _QUALIFIED.search(prose.masked[:a]) or any(self.vocabulary.is_tag(value) for value in values)
            for a, _, values in self.groups(prose)
        )
        counted = counts_in(prose.masked, prose.opinions, self.history, groups, blurred) if self.scale.has_stars else []
        kinds = self.kinds(prose)
        if self.doubts([*found, *kinds]) or self._turns_on_itself(found, prose):
            found, kinds = without_support(found), without_support(kinds)
        return [*found, *counted, *(kinds if not counted else ())]

    def doubts(self, found: Sequence[Judged]) -> bool:
        """Whether part of a sentence is likely false, though not surely: the rest of it then bears out nothing."""
        return any(self._is_far_off(one) for one in found)

    def _turns_on_itself(self, found: Sequence[Judged], prose: Prose) -> bool:
        """Whether stars go against all that the sentence says of liking: "they hate style: X and Y get fives"."""
        signs = {one.sign for one in prose.opinions if one.sign and not one.is_rating}
        given = [place for one in found if one.claim.kind == "rating" for place in one.evidence]
        if len(signs) != 1 or not given or TURN.search(prose.masked):
            return False
        return all(self.scale.side(place) == -next(iter(signs)) for place in given)

    def _is_far_off(self, one: Judged) -> bool:
        """Whether the history goes the other way on a title, or by far on a kind, even where that is not denied."""
        if one.claim.subject.kind == "title":
            against = all(self.scale.side(place) == -one.claim.sign for place in one.evidence)
            return one.claim.kind == "direction" and bool(one.evidence) and against
        if len(one.evidence) < SURE_EVENTS:
            return False
        share = sum(self.scale.side(place) > 0 for place in one.evidence) / len(one.evidence)
        return share <= SURE_DISLIKED if one.claim.sign > 0 else share >= SURE_LIKED

    def _titles(self, prose: Prose) -> list[Judged]:
        """What is said of each title; of several that one verb speaks of none is borne out if the history goes the other
        way on another one."""
        found: dict[tuple[int, int], list[Judged]] = {}
        for said in prose.said:
            if (judged := self.title(said, prose)) is not None:
                verb = said.sign if judged.claim.kind == "direction" else None
                found.setdefault((verb.start, verb.end) if verb else (-1, said.name.start), []).append(judged)
        return [judged for of_one_verb in found.values() for judged in self._of_one_mind(of_one_verb)]

    def title(self, said: Statement, prose: Prose) -> Judged | None:
        """What is said of one title."""
        name = said.name
        subject = Subject("title", name.text, name.items, invented=not name.items)
        if not name.items:
            verbs: list[re.Match[str] | Opinion] = [*_SEEN.finditer(prose.masked, 0, name.start)]
            verbs += [one for one in (said.sign, said.rating) if one]
            gaps = [gap_between(name, verb, prose.masked) for verb in verbs]
            is_object = any(len(WORD.findall(gap)) <= NEAR and not _ASIDE.search(gap) for gap in gaps)
            sure = name.is_surely_missing and is_object and is_about_user(prose.masked)
            if not sure or (_EXAMPLE.search(prose.masked, 0, name.start) and not _EVENT.search(prose.masked)):
                return None
            reason = f"{name.text!r} is not in the history"
            return Judged(Claim("seen", subject, name.text), Verdict.CONTRADICTED, reason, (), invented=True)
        places = self.history.of(subject)
        told = "rated " + ", ".join(f"{self.history.events[place].rating:g}" for place in places)
        if said.rating is not None and said.rating.low is not None and self.scale.has_stars:
            low, high = said.rating.low, said.rating.high or said.rating.low
            right = any(low - 0.01 <= self.history.events[place].rating <= high + 0.01 for place in places)
            claim = Claim("rating", subject, self._words(said, said.rating, prose), value=high)
            denied = right and self._denied(said, places, prose)
            if denied and not self._is_blunt(said, prose):
                return None
            right = right and not denied
            if not right and said.rating.weak:
                return None
            if right or (said.is_near and (name.is_whole or len(places) == 1)):
                return Judged(claim, Verdict.SUPPORTED if right else Verdict.CONTRADICTED, told, places)
            return None
        if said.sign is None:
            return None
        sides = {self.scale.side(place) for place in places}
        sign: Literal[-1, 1] = 1 if said.sign.sign > 0 else -1
        claim = Claim("direction", subject, self._words(said, said.sign, prose), sign=sign)
        if sign in sides or (sign < 0 and 0 in sides and not said.sign.strong):
            return Judged(claim, Verdict.SUPPORTED, told, places)
        whole = name.is_whole or name.is_quoted or " " in name.text.strip()  # a lone word may be another's
        accuse = whole and not said.sign.weak and sides == {-sign}
        verdict = Verdict.CONTRADICTED if accuse and not says_mixed(prose.masked) else Verdict.NOT_CHECKABLE
        return Judged(claim, verdict, told, places)

    def _denied(self, said: Statement, places: Sequence[int], prose: Prose) -> bool:
        """Whether the words go against the stars that the same sentence rightly gives: "Disliked: Fargo (5)"."""
        sign = prose.lead if prose.lead is not None and not prose.lead.is_rating else said.sign
        if sign is None or sign.weak or not sign.sign:
            return False
        if sign is not prose.lead and (
            is_cut(words_between(said.name, sign, prose.masked)) or says_mixed(prose.masked)
        ):
            return False
        return all(self.scale.side(place) == -sign.sign for place in places)

    def _is_blunt(self, said: Statement, prose: Prose) -> bool:
        """Whether the words that go against the stars stand right by the title, or are the list's heading."""
        if prose.lead is not None and not prose.lead.is_rating:
            return True
        others = [one.name for one in prose.said if one.sign == said.sign and one is not said]
        along = [place for name in others for place in self.history.of(Subject("title", name.text, name.items))]
        if said.sign and any(self.scale.side(place) == said.sign.sign for place in along):
            return False
        gap = words_between(said.name, said.sign, prose.masked) if said.sign else ""
        return not set(WORD.findall(gap.replace(HIDDEN, " ").lower())) - _PLAIN

    def _words(self, said: Statement, one: Opinion, prose: Prose) -> str:
        start, end = min(said.name.start, max(one.start, 0)), max(said.name.end, one.end)
        return prose.text[start:end].strip()

    def _compared(self, prose: Prose) -> list[Judged]:
        """ "They prefer X to Y", "they rated X higher than Y", of two titles."""
        match = _COMPARED.search(prose.masked)
        if match is None or len(prose.names) != 2 or not all(name.items for name in prose.names):
            return []
        first, second = (Subject("title", name.text, name.items) for name in prose.names)
        places = [self.history.of(subject) for subject in (first, second)]
        mine, theirs = (max(self.history.events[place].rating for place in found) for found in places)
        less = match["less"] is not None
        sign: Literal[-1, 1] = -1 if less else 1
        right = (mine - theirs) * sign > 0
        verdict = Verdict.SUPPORTED if right else Verdict.CONTRADICTED if mine != theirs else Verdict.NOT_CHECKABLE
        claim = Claim("comparison", first, prose.text.strip(), sign=sign, other=second)
        return [Judged(claim, verdict, f"rated {mine:g} and {theirs:g}", tuple(sorted({*places[0], *places[1]})))]

    def kinds(self, prose: Prose) -> list[Judged]:
        """What is said of kinds of items: genres, attributes, tags."""
        found: dict[Opinion, list[Judged]] = {}
        groups = self.groups(prose)
        opinions = [direct_cue(start, end, prose, self.vocabulary) for start, end, _ in groups]
        for place in range(len(groups) - 2, -1, -1):  # "Drama and Crime receive low ratings"
            behind, joined = opinions[place + 1], _AND.fullmatch(prose.masked, groups[place][1], groups[place + 1][0])
            if opinions[place] is None and joined and behind is not None and behind.side == "before":
                opinions[place] = behind
        for (start, end, values), opinion in zip(groups, opinions, strict=True):
            if opinion is not None:
                judged = self._kind(start, end, values, opinion, prose)
                found.setdefault(opinion, []).extend([judged] if judged else [])
        return [judged for of_one_verb in found.values() for judged in self._of_one_mind(of_one_verb)]

    def _of_one_mind(self, found: list[Judged]) -> list[Judged]:
        """Of a list none is borne out while the history goes the other way on another one."""

        def is_opposed(one: Judged) -> bool:
            good = sum(self.scale.side(place) > 0 for place in one.evidence) / len(one.evidence)
            if one.claim.subject.kind == "title" and one.claim.sign > 0:  # a three is no dislike
                good = 1 - sum(self.scale.side(place) < 0 for place in one.evidence) / len(one.evidence)
            return good <= DISLIKED_SHARE if one.claim.sign > 0 else good >= LIKED_SHARE

        open_ones = [one for one in found if one.verdict == Verdict.NOT_CHECKABLE and one.evidence]
        titles = sum(one.claim.subject.kind == "title" for one in open_ones)
        if 2 * titles < len(found) and not any(is_opposed(one) for one in open_ones):
            return found
        return [
            replace(one, verdict=Verdict.NOT_CHECKABLE) if one.verdict == Verdict.SUPPORTED else one for one in found
        ]

    def groups(self, prose: Prose) -> list[tuple[int, int, tuple[str, ...]]]:
        """Attribute values that stand side by side, as one kind: "crime dramas"."""
        mentions = [one for one in self.vocabulary.find(prose.masked, ()) if one.kind == "attribute"]
        mentions = [one for one in mentions if not _OWN_HISTORY.search(prose.masked[: one.end])]
        mentions = [one for one in mentions if not SOUND.match(prose.masked, one.start)]
        groups: list[tuple[int, int, tuple[str, ...]]] = []
        for one in mentions:
            if groups and not prose.masked[groups[-1][1] : one.start].strip(" -"):
                start, _, values = groups[-1]
                groups[-1] = (start, one.end, (*values, one.name))
            else:
                groups.append((one.start, one.end, (one.name,)))
        return groups

    def of_kind(self, values: Sequence[str]) -> tuple[int, ...]:
        """Places of the events that have all of some values; by their tags only where the catalogue has none."""
        wanted, events = [self.vocabulary.alike(value) for value in values], self.history.events
        bare = tuple(p for p in self.history.everything if events[p].kinds.issuperset(values))
        return bare or tuple(
            p for p in self.history.everything if all(one & (events[p].kinds | events[p].tags) for one in wanted)
        )

    def _kind(self, start: int, end: int, values: tuple[str, ...], opinion: Opinion, prose: Prose) -> Judged | None:
        places = self.of_kind(values)
        if not places or says_mixed(prose.masked):
            return None
        good = sum(self.scale.side(place) > 0 for place in places)
        share = good / len(places)
        sign: Literal[-1, 1] = 1 if opinion.sign > 0 else -1
        claim = Claim(
            "direction", Subject("group", prose.text[start:end], frozenset(), values), prose.text.strip(), sign=sign
        )
        reason = f"{good} of {len(places)} liked"
        if len(places) < MIN_EVENTS:
            return Judged(claim, Verdict.NOT_CHECKABLE, reason, places)
        likes = [self.scale.side(place) > 0 for place in self.history.everything]
        tagged = not any(self.history.events[place].kinds.issuperset(values) for place in places)
        if tagged and (len(places) < SURE_EVENTS or (sign > 0 and share < LIKED_SHARE)):
            return Judged(claim, Verdict.NOT_CHECKABLE, reason, places)  # cards name a tag of few that it fits
        if is_borne_out(good, len(places), sum(likes) / len(likes), sign):
            return Judged(claim, Verdict.SUPPORTED, reason, places)
        mine, events = set(places), self.history.events
        rest = [place for place in self.history.everything if place not in mine]
        kind = Kind(
            tuple(events[place].rating for place in places),
            tuple(likes[place] for place in places),
            tuple(events[place].rating for place in rest),
            tuple(likes[place] for place in rest),
        )
        words = prose.text[max(0, opinion.start) : opinion.end]
        denied = is_denied(kind, sign, words, prose.masked, opinion.strong, len(self.groups(prose)))
        narrowed = _RESTRICTED.match(prose.masked, self._end_of_list(end, prose)) is not None
        narrowed |= self._is_narrowed(start, opinion, prose) or is_part(start, end, opinion, prose, self.vocabulary)
        accuse = denied and not narrowed and not opinion.weak and not tagged and not _inferred(start, prose)
        verdict = Verdict.CONTRADICTED if accuse else Verdict.NOT_CHECKABLE
        return Judged(claim, verdict, reason, places)

    def _end_of_list(self, end: int, prose: Prose) -> int:
        """Where the list of kinds ends that a kind is part of: "action and sci-fi elements"."""
        for start, stop, _ in self.groups(prose):
            gap = re.sub(r"-?\w+", lambda word: self._bare(word.group()), prose.masked[end:start])
            if start > end and _AND.fullmatch(re.sub(r"\s+", " ", gap)):
                end = stop
        return end

    def _bare(self, word: str) -> str:
        """Nothing for a word that belongs to a kind: "action-oriented films and thrillers"."""
        return "" if word.startswith("-") or self.vocabulary.is_noun(word) else word

    def _is_narrowed(self, start: int, opinion: Opinion, prose: Prose) -> bool:
        """Whether words before a kind narrow it down: "aversion to poorly made comedies"."""
        gap = prose.masked[opinion.end : start] if 0 <= opinion.end <= start else ""
        if _BLENDED.search(prose.masked[:start]):
            return True
        joined = re.split(r",| and | or ", gap)[-1]
        return any(
            word.lower() not in _PLAIN | _GENERAL and not self.vocabulary.is_noun(word) for word in WORD.findall(joined)
        )


def _inferred(start: int, prose: Prose) -> bool:
    """Whether a kind stands in what a sentence only infers: "..., suggesting a taste for comedies"."""
    return _INFERS.search(prose.masked, 0, start) is not None
