"""The sentences of the template teacher, from the counts of a profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trackrec.prompts.domains import Domain
from trackrec.users.citations import cite
from trackrec.users.counts import FAME, LEVELS, Consumption
from trackrec.users.profile import Age, Profile, Tally

SUBJECTS = ("This", "The")
ABOVE = ("prefer {}", "lean towards {}", "are fonder of {}")
BELOW = ("care less for {}", "think less of {}", "are cooler on {}")
TITLES = ("liked {} | did not like {}", "enjoyed {} | were less keen on {}", "thought well of {} | thought less of {}")
EVIDENCE = ("Of {tag} {items} they {verb} {titles}.", "Among {tag} {items} they {verb} {titles}.")
UNSEEN = (
    "Of {items} not seen yet, {} ones may please them|, {} ones less so.",
    "Among unseen {items}, they may like {} ones|, and be cooler on {} ones.",
)
MOST_CITED = 4
"""So many events a sentence cites; the newest ones in view come first."""
MOST_EVIDENCE = 2
"""So many titles are told of a tag."""


@dataclass(frozen=True)
class Style:
    """The facts, the wording and the examples that the seed chose for one text."""

    told: frozenset[str]
    subject: str
    above: str
    below: str
    below_first: bool
    titles: str
    letdowns_first: bool
    favourites: tuple[str, ...]
    letdowns: tuple[str, ...]
    tags_above: str = ABOVE[0]
    tags_below: str = BELOW[0]
    evidence: str = EVIDENCE[0]
    unseen: str = UNSEEN[0]
    cites: bool = False


@dataclass(frozen=True)
class Plan:
    """How much of the profile the text tells."""

    age: bool = False
    consumption: int = 0
    above: int = 0
    below: int = 0
    favourites: int = 0
    letdowns: int = 0
    tags_above: int = 0
    tags_below: int = 0
    evidence_above: int = 0
    evidence_below: int = 0
    unseen: int = 0


def compose(profile: Profile, style: Style, plan: Plan, domain: Domain) -> str:
    """The text: how the user judges, what the history is made of, what is liked and what not, and what follows."""
    sentences: list[str] = []
    if profile.level is not None and "generosity" in style.told:
        told = _tell_generosity(profile.level, domain)
        sentences.append(_cited(told, profile, style, _of_level(profile)))
    if "habit" in style.told or not profile.rated:
        told = _tell_habit(profile, style, domain)
        sentences.append(_cited(told, profile, style, _of_side(profile, 2 * profile.liked >= profile.rated)))
    if plan.age and profile.age:
        sentences.append(_tell_age(profile.age, domain))
    if "consumption" in style.told and profile.consumption:
        sentences.append(_tell_consumption(profile.consumption, plan.consumption, domain))
    if "genres" in style.told:
        sentences += _tell_genres(profile, style, plan, domain)
    sentences += _tell_tags(profile, style, plan)
    sentences += _tell_evidence(profile, style, plan, domain)
    sentences.append(_tell_titles(profile, style, plan))
    sentences.append(_tell_unseen(profile, style, plan, domain))
    return " ".join(sentence for sentence in sentences if sentence)


def _tell_generosity(level: int, domain: Domain) -> str:
    adjective, meaning = LEVELS[level]
    article = "an" if adjective[0] in "aeiou" else "a"
    return f"This is {article} {adjective} {domain.person}, {meaning}."


def _tell_habit(profile: Profile, style: Style, domain: Domain) -> str:
    subject = f"{style.subject} {domain.person}"
    if not profile.rated:
        return f"{subject} has rated no {domain.items} yet."
    share = profile.share_in_words
    likes = "They like" if "generosity" in style.told else f"{subject} likes"
    return f"{likes} {'none of the' if share == 'none' else share} {domain.items} rated."


def _tell_age(age: Age, domain: Domain) -> str:
    share = age.share_in_words
    how_many = "None of the" if share == "none" else share[0].upper() + share[1:]
    return f"{how_many} {domain.items} are from before {age.year}."


def _tell_consumption(consumption: Consumption, genres: int, domain: Domain) -> str:
    """One sentence: genres that the history has more of than everybody's have, and how well known its items are."""
    if consumption.genres and not genres:
        return ""  # there was no room
    often = domain.often.format(genres=join(consumption.genres[:genres]) or "different")
    return f"{often}, {FAME[consumption.fame]} {domain.items}."


def _tell_genres(profile: Profile, style: Style, plan: Plan, domain: Domain) -> list[str]:
    """A sentence a side; a side on which the history has none says so."""
    if not profile.above and not profile.below:
        return [f"No {domain.attribute} stands out."] if profile.comparable_genres else []
    if not plan.above and not plan.below:
        return []  # there was no room
    sides = [
        _tell_side(profile, style, style.above, profile.above[: plan.above], True)
        or f"No {domain.attribute} is liked more.",
        _tell_side(profile, style, style.below, profile.below[: plan.below], False)
        or f"No {domain.attribute} is liked less.",
    ]
    return sides[::-1] if style.below_first else sides


def _tell_tags(profile: Profile, style: Style, plan: Plan) -> list[str]:
    sides = [
        _tell_side(profile, style, style.tags_above, profile.tags_above[: plan.tags_above], True),
        _tell_side(profile, style, style.tags_below, profile.tags_below[: plan.tags_below], False),
    ]
    return sides[::-1] if style.below_first else sides


def _tell_side(profile: Profile, style: Style, wording: str, tallies: Sequence[Tally], liked: bool) -> str:
    if not tallies:
        return ""
    told = [tally.name for tally in tallies]
    if "counts" in style.told:
        said = (" liked", *[""] * len(tallies))  # said once
        told = [f"{t.name} ({t.liked} of {t.rated}{word})" for t, word in zip(tallies, said, strict=False)]
    sentence = f"They {wording.format(join(told))}."
    return _cited(sentence, profile, style, [_numbers(tally, liked) for tally in tallies])


def _tell_evidence(profile: Profile, style: Style, plan: Plan, domain: Domain) -> list[str]:
    """For a tag the titles that it rests on, as far as they are in view."""
    sentences = []
    sides = ((profile.tags_above[: plan.evidence_above], True), (profile.tags_below[: plan.evidence_below], False))
    for tallies, liked in sides:
        verb = "liked" if liked else "did not like"
        for tally in tallies:
            numbers = evidence_of(profile, tally, liked)
            titles = join(list(dict.fromkeys(profile.titles[number] for number in numbers)))
            if titles:
                told = style.evidence.format(tag=tally.name, items=domain.items, verb=verb, titles=titles)
                # A title may end with a mark of its own.
                told = told[:-1] if titles[-1] in ".!?" else told
                sentences.append(_cited(told, profile, style, [numbers]))
    return sentences


def evidence_of(profile: Profile, tally: Tally, liked: bool) -> tuple[int, ...]:
    """Numbers of the newest events in view that bear a tag out, oldest first."""
    return tuple(number for number in _numbers(tally, liked) if number in profile.titles)[-MOST_EVIDENCE:]


def _tell_titles(profile: Profile, style: Style, plan: Plan) -> str:
    liking, disliking = style.titles.split(" | ")
    clauses = [(liking, style.favourites[: plan.favourites]), (disliking, style.letdowns[: plan.letdowns])]
    if style.letdowns_first:
        clauses.reverse()
    texts = [wording.format(join(titles)) for wording, titles in clauses if titles]
    if not texts:
        return ""
    told = f"They {' but '.join(texts)}"
    named = {title for _, titles in clauses for title in titles}
    numbers = [number for number, title in profile.titles.items() if title in named]
    return _cited(told if told[-1] in ".!?" else f"{told}.", profile, style, [numbers])


def _tell_unseen(profile: Profile, style: Style, plan: Plan, domain: Domain) -> str:
    """What the tags mean for items that the user does not know yet; a guess, so it cites nothing."""
    if not plan.unseen:
        return ""
    above, below = (
        [tally.name for tally in tallies[: plan.unseen]] for tallies in (profile.tags_above, profile.tags_below)
    )
    if not above:
        return f"Of {domain.items} not seen yet, they may be cooler on {join(below)} ones."
    first, _, second = style.unseen.replace("{items}", domain.items).partition("|")
    return f"{first.format(join(above))}{second.format(join(below)) if below else '.'}"


def _of_level(profile: Profile) -> list[tuple[int, ...]]:
    middle = len(LEVELS) // 2
    if profile.level == middle:
        return [profile.overall.liked_events, profile.overall.other_events]
    return _of_side(profile, (profile.level or 0) > middle)


def _of_side(profile: Profile, liked: bool) -> list[tuple[int, ...]]:
    return [_numbers(profile.overall, liked)]


def _numbers(tally: Tally, liked: bool) -> tuple[int, ...]:
    return tally.liked_events if liked else tally.other_events


def _cited(sentence: str, profile: Profile, style: Style, groups: Iterable[Sequence[int]]) -> str:
    """The sentence with its events: some of each group, those in view first, the newest ones."""
    if not style.cites:
        return sentence
    parts = [list(group) for group in groups if group]
    each = max(1, MOST_CITED // max(1, len(parts)))
    found: list[int] = []
    for part in parts:
        seen = [number for number in part if number in profile.titles]
        found += (seen or part)[-each:]
    return cite(sentence, sorted(set(found))[-MOST_CITED:])


def join(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
