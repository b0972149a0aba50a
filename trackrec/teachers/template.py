"""Teachers: writers of the RecCoTs that the generator is distilled from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol, Self, TypeVar

import numpy as np
import polars as pl
from pydantic import Field

from trackrec.data.log import stable_hash
from trackrec.prompts.domain import Domain
from trackrec.prompts.renderer import Renderer
from trackrec.settings import ComponentSettings
from trackrec.teachers.base import TeacherContext
from trackrec.users.catalogue import Catalogue, Row
from trackrec.users.consumption import FAME, MOST_WATCHED, Watched
from trackrec.users.generosity import LEVELS
from trackrec.users.profile import Age, Profile, ProfileSettings, Tally, profile_history

Fact = Literal["generosity", "habit", "age", "watched", "genres", "counts", "titles"]
"""What a text can tell: how easily the user is pleased, next to others; the share of likes; how old the items are;
what is gone for (genres, famous or little-known items), next to everybody; genres liked more and less, and the counts
behind them; example titles."""


MOST_LIKED = 2
"""So many genres are told of either side, liked more and liked less."""


class TeacherSettings(ComponentSettings):
    """How the profile teacher writes."""

    type: str = "template"
    max_tokens: int = Field(default=60, ge=16)
    """Most tokens of a text, without the end token; clauses are left out to keep to it, never cut."""
    tells: tuple[Fact, ...] = ("generosity", "habit", "age", "genres", "counts", "titles")
    """What it tells. Titles cost many tokens, and a small generator does not read on which side they belong."""
    omit: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Chance that a text leaves out a fact, drawn for each by the text's seed; one always stays. Texts then differ in
    what they tell, and the loop can find out what is worth telling."""
    omit_genres: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Chance that a text leaves out a genre that it has room for, drawn for each; one of its kind always stays. For
    logs where genres are all there is to tell."""
    profile: ProfileSettings = ProfileSettings()
    """How much evidence a claim needs."""


class Teacher(Protocol):
    """Writes a RecCoT from a user's history alone."""

    def write(self, user_id: object, history: Sequence[Row], seed: int, recent: int | None = None) -> str:
        """The RecCoT of one user.

        Args:
            user_id: whose history it is.
            history: the events that the generator will be told of, oldest first.
            recent: how many of the newest it will see one by one; it knows no other titles. None: all.
            seed: chooses among wordings; the same seed, user and history give the same text.
        """
        ...


def write_texts(
    teacher: Teacher,
    users: Sequence[Any],
    histories: Mapping[Any, Sequence[Row]],
    renderer: Renderer,
    seed: int,
    per_user: int = 1,
) -> pl.DataFrame:
    """A teacher's RecCoTs, written from what the generator is told.

    Returns:
        ``user_id, sample, text``; a user's texts differ by their seed, ``seed`` + sample.
    """
    rows = []
    for user in users:
        seen = renderer.visible_history(histories[user])
        told = histories[user] if renderer.settings.digest else seen
        rows += [(user, number, teacher.write(user, told, seed + number, len(seen))) for number in range(per_user)]
    schema = pl.Schema({"user_id": pl.Series(list(users)).dtype, "sample": pl.Int16(), "text": pl.String()})
    return pl.DataFrame(rows, schema=schema, orient="row")


@dataclass(frozen=True)
class _Style:
    """The facts, the wording and the examples that the seed chose for one text."""

    told: frozenset[Fact]
    subject: str
    above: str
    below: str
    below_first: bool
    titles: str
    letdowns_first: bool
    favourites: tuple[str, ...]
    letdowns: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """How much of the profile the text tells."""

    age: bool = False
    watched: int = 0
    above: int = 0
    below: int = 0
    favourites: int = 0
    letdowns: int = 0


_SUBJECTS = ("This", "The")
_ABOVE = ("prefer {}", "lean towards {}", "are fonder of {}")
_BELOW = ("care less for {}", "think less of {}", "are cooler on {}")
_TITLES = ("liked {} | did not like {}", "enjoyed {} | were less keen on {}", "thought well of {} | thought less of {}")


class ProfileTeacher:
    """Turns the counted facts of a history into short prose; claims nothing that the counts do not bear out.

    How easily the user is pleased comes first, since it predicts best, where the history says what others thought of
    the same items; then the share of likes, how many of the items are old ones, what is gone for next to everybody,
    genres above and below the user's own average with their counts (a side without any is said to have none), and
    example titles. The seed varies wording, order and examples.

    Args:
        items: the catalogue: ``item_id``, ``title``, ``year``, ``genres`` (any vocabulary).
        domain: its nouns.
        count_tokens: how many tokens a text takes, such as ``Renderer.count_tokens``.
        settings: length and evidence.

    Source:
        The paper starts from GPT-4o's texts; this writer needs no model, and every claim can be checked by counting.
    """

    Settings = TeacherSettings

    @classmethod
    def make(cls, settings: TeacherSettings, context: TeacherContext) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(context.items, context.renderer.domain, context.renderer.count_tokens, settings)

    def __init__(
        self,
        items: pl.DataFrame,
        domain: Domain,
        count_tokens: Callable[[str], int],
        settings: TeacherSettings | None = None,
    ) -> None:
        self.settings = settings or TeacherSettings()
        self.domain = domain
        self._catalogue = Catalogue(items)
        self._count_tokens = count_tokens

    def write(self, user_id: object, history: Sequence[Row], seed: int, recent: int | None = None) -> str:
        """See :class:`Teacher`. The result ends as a complete sentence and keeps to ``max_tokens``.

        If even the first sentence is longer than that, it is returned alone. Where the history bears out none of the
        facts that the seed left in, the share of likes is told.

        Raises:
            LogError: an item of the history is not in the catalogue.
        """
        profile = profile_history(history, self._catalogue, self.settings.profile)
        if recent is not None and recent < len(history):
            seen = profile_history(history[len(history) - recent :], self._catalogue, self.settings.profile)
            profile = replace(profile, favourites=seen.favourites, letdowns=seen.letdowns)
        rng = np.random.default_rng([seed, stable_hash(user_id)])
        style = _choose_style(profile, rng)
        style = replace(style, told=_choose_facts(self.settings, profile, rng))
        if self.settings.omit_genres:
            profile = _choose_genres(self.settings.omit_genres, profile, rng)
        plan = _Plan()
        for larger in _plans(profile, style.told):
            wider = larger(plan)
            if self._count_tokens(_compose(profile, style, wider, self.domain)) <= self.settings.max_tokens:
                plan = wider
        return _compose(profile, style, plan, self.domain)


def _choose_style(profile: Profile, rng: np.random.Generator) -> _Style:
    def choose(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    def choose_two(titles: Sequence[str]) -> tuple[str, ...]:
        return tuple(titles[int(i)] for i in rng.permutation(len(titles))[:2])

    return _Style(
        told=frozenset(),
        subject=choose(_SUBJECTS),
        above=choose(_ABOVE),
        below=choose(_BELOW),
        below_first=bool(rng.integers(2)),
        titles=choose(_TITLES),
        letdowns_first=bool(rng.integers(2)),
        favourites=choose_two(profile.favourites),
        letdowns=choose_two(profile.letdowns),
    )


def _choose_facts(settings: TeacherSettings, profile: Profile, rng: np.random.Generator) -> frozenset[Fact]:
    """The facts of one text: of those that the history bears out, each is left out with the settings' chance."""
    has = {
        "generosity": profile.level is not None,
        "habit": True,
        "age": profile.age is not None,
        "watched": profile.watched is not None,
        "genres": profile.comparable_genres > 0,
        "titles": bool(profile.favourites or profile.letdowns),
    }
    known: list[Fact] = [fact for fact in settings.tells if has.get(fact)] or ["habit"]
    draws = rng.random(len(known))
    told = [fact for fact, draw in zip(known, draws, strict=True) if draw >= settings.omit]
    told = told or [known[int(draws.argmax())]]
    # Counts are a manner of telling genres, not a fact of their own.
    return frozenset([*told, "counts"] if "counts" in settings.tells else told)


T = TypeVar("T")


def _choose_genres(omit: float, profile: Profile, rng: np.random.Generator) -> Profile:
    """The profile with the genres of one text: of those that there is room for, each is left out with that chance."""

    def some(listed: Sequence[T], most: int) -> tuple[T, ...]:
        draws = rng.random(min(most, len(listed)))
        highest = draws.max(initial=0.0)
        return tuple(one for one, draw in zip(listed, draws, strict=False) if draw >= omit or draw == highest)

    watched = profile.watched and replace(profile.watched, genres=some(profile.watched.genres, MOST_WATCHED))
    return replace(
        profile, watched=watched, above=some(profile.above, MOST_LIKED), below=some(profile.below, MOST_LIKED)
    )


def _plans(profile: Profile, told: frozenset[Fact]) -> list[Callable[[_Plan], _Plan]]:
    """The steps by which a text grows, the most useful first; each is taken if the text then still fits."""
    steps: list[Callable[[_Plan], _Plan]] = []
    if "age" in told:
        steps.append(lambda plan: replace(plan, age=True))
    if "watched" in told and profile.watched:
        most = min(MOST_WATCHED, len(profile.watched.genres))
        steps += [partial(replace, watched=number) for number in range(1, most + 1)]
    if "genres" in told:
        steps.append(lambda plan: replace(plan, above=min(1, len(profile.above)), below=min(1, len(profile.below))))
        steps.append(lambda plan: replace(plan, above=plan.above and min(MOST_LIKED, len(profile.above))))
        steps.append(lambda plan: replace(plan, below=plan.below and min(MOST_LIKED, len(profile.below))))
    if "titles" in told:
        steps.append(lambda plan: replace(plan, favourites=min(1, len(profile.favourites))))
        steps.append(lambda plan: replace(plan, letdowns=min(1, len(profile.letdowns))))
        # A second one only beside a first one.
        steps.append(lambda plan: replace(plan, favourites=plan.favourites and min(2, len(profile.favourites))))
        steps.append(lambda plan: replace(plan, letdowns=plan.letdowns and min(2, len(profile.letdowns))))
    return steps


def _compose(profile: Profile, style: _Style, plan: _Plan, domain: Domain) -> str:
    sentences = []
    if profile.level is not None and "generosity" in style.told:
        sentences.append(_tell_generosity(profile.level, domain))
    if "habit" in style.told or not profile.rated:
        sentences.append(_tell_habit(profile, style, domain))
    if plan.age and profile.age:
        sentences.append(_tell_age(profile.age, domain))
    if "watched" in style.told and profile.watched:
        sentences.append(_tell_watched(profile.watched, plan.watched, domain))
    if "genres" in style.told:
        sentences.append(_tell_genres(profile, style, plan, domain))
    sentences.append(_tell_titles(style, plan))
    return " ".join(sentence for sentence in sentences if sentence)


def _tell_generosity(level: int, domain: Domain) -> str:
    adjective, meaning = LEVELS[level]
    article = "an" if adjective[0] in "aeiou" else "a"
    return f"This is {article} {adjective} {domain.person}, {meaning}."


def _tell_habit(profile: Profile, style: _Style, domain: Domain) -> str:
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


def _tell_watched(watched: Watched, genres: int, domain: Domain) -> str:
    """One sentence: genres that the history has more of than everybody's have, and how well known its items are."""
    if watched.genres and not genres:
        return ""  # there was no room
    often = domain.often.format(genres=_join(watched.genres[:genres]) or "different")
    return f"{often}, {FAME[watched.fame]} {domain.items}."


def _tell_genres(profile: Profile, style: _Style, plan: _Plan, domain: Domain) -> str:
    """A sentence a side; a side on which the history has none says so."""
    if not profile.above and not profile.below:
        return f"No {domain.attribute} stands out." if profile.comparable_genres else ""
    if not plan.above and not plan.below:
        return ""  # there was no room
    sides = [
        _tell_side(style.above, profile.above[: plan.above], "counts" in style.told)
        or f"No {domain.attribute} is liked more.",
        _tell_side(style.below, profile.below[: plan.below], "counts" in style.told)
        or f"No {domain.attribute} is liked less.",
    ]
    return " ".join(reversed(sides) if style.below_first else sides)


def _tell_side(wording: str, tallies: Sequence[Tally], counts: bool) -> str:
    if not tallies:
        return ""
    told = [tally.name for tally in tallies]
    if counts:
        liked = (" liked", *[""] * len(tallies))  # said once
        told = [f"{t.name} ({t.liked} of {t.rated}{word})" for t, word in zip(tallies, liked, strict=False)]
    return f"They {wording.format(_join(told))}."


def _tell_titles(style: _Style, plan: _Plan) -> str:
    liking, disliking = style.titles.split(" | ")
    clauses = [
        (liking, style.favourites[: plan.favourites]),
        (disliking, style.letdowns[: plan.letdowns]),
    ]
    if style.letdowns_first:
        clauses.reverse()
    texts = [wording.format(_join(titles)) for wording, titles in clauses if titles]
    if not texts:
        return ""
    told = f"They {' but '.join(texts)}"
    return told if told[-1] in ".!?" else f"{told}."


def _join(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
