"""The template teacher: the counts of a history in short prose, by a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
import polars as pl
from pydantic import BeforeValidator, Field

from trackrec.data.log import stable_hash
from trackrec.prompts.digest import present_name
from trackrec.prompts.domains import Domain
from trackrec.settings import ComponentSettings
from trackrec.teachers.base import TeacherContext
from trackrec.teachers.wording import ABOVE, BELOW, EVIDENCE, SUBJECTS, TITLES, UNSEEN, Plan, Style, compose
from trackrec.users.catalogue import Catalogue
from trackrec.users.counts import ProfileSettings
from trackrec.users.profile import Profile, profiles

Fact = Annotated[
    Literal["generosity", "habit", "age", "consumption", "genres", "counts", "titles", "tags", "evidence", "unseen"],
    BeforeValidator(present_name),
]
"""What a text can tell: how easily the user is pleased, next to others; the share of likes; how old the items are;
what the history is made of (genres, famous or little-known items), next to everybody's; genres liked more and less, and
the counts behind them; example titles; tags of knowledge cards liked more and less; titles as evidence of these; what
they mean for unseen items."""

MOST_LIKED = 2
"""So many genres are told of either side, liked more and liked less."""


class TeacherSettings(ComponentSettings):
    """How the template teacher writes."""

    type: str = "template"
    max_tokens: int = Field(default=60, ge=16)
    """Most tokens of a text, without the end token; clauses are left out to keep to it, never cut. Left out of a
    recipe: 4 less than `prompts.reccot_tokens`."""
    tells: tuple[Fact, ...] = ("generosity", "habit", "age", "genres", "counts", "titles")
    """What it tells. Titles cost many tokens, and a small generator does not read on which side they belong."""
    most_tags: int = Field(default=4, ge=1)
    """So many tags are told of either side, as far as there is room."""
    citations: bool = False
    """Whether a sentence on the user ends with the numbers of events that it rests on, such as [3, 11]. Those on the
    age of items and on consumption, which rest on all of them, have none."""
    omit: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Chance that a text leaves out a fact, drawn for each by the text's seed; one always stays. Texts then differ in
    what they tell, and the loop can find out what is worth telling."""
    omit_genres: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Chance that a text leaves out a genre or tag that it has room for, drawn for each; one of its kind always stays.
    For logs where they are all there is to tell."""


class ProfileTeacher:
    """Turns the counted facts of a history into short prose; claims nothing that the counts do not bear out.

    How easily the user is pleased comes first, since it predicts best, where the history says what others thought of
    the same items; then the share of likes, how many of the items are old ones, what the history is made of next to
    everybody's, genres above and below the user's own average with their counts (a side without any is said to have
    none), tags of knowledge cards likewise with titles as evidence, example titles, and what the tags mean for unseen
    items. The seed varies wording, order and examples.

    Args:
        items: the catalogue: ``item_id``, ``title``, ``year``, ``genres``, ``tags`` (any vocabulary).
        domain: its nouns.
        count_tokens: how many tokens a text takes, such as ``Renderer.count_tokens``.
        settings: length, and what is told.
        profile: how much evidence a claim needs.

    Source:
        The paper starts from GPT-4o's texts; this writer needs no model, and every claim can be checked by counting.
    """

    Settings = TeacherSettings

    @classmethod
    def make(cls, settings: TeacherSettings, context: TeacherContext) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(context.items, context.renderer.domain, context.renderer.count_tokens, settings, context.profile)

    def __init__(
        self,
        items: pl.DataFrame,
        domain: Domain,
        count_tokens: Callable[[str], int],
        settings: TeacherSettings | None = None,
        profile: ProfileSettings | None = None,
    ) -> None:
        self.settings, self.profile = settings or TeacherSettings(), profile or ProfileSettings()
        self.domain = domain
        self._catalogue = Catalogue(items)
        self._count_tokens = count_tokens

    def write(self, histories: pl.DataFrame, seed: int, per_user: int = 1) -> pl.DataFrame:
        """See :class:`trackrec.teachers.base.Teacher`. A text ends as a complete sentence and keeps to ``max_tokens``.

        If even the first sentence is longer than that, it is returned alone. Where the history bears out none of the
        facts that the seed left in, the share of likes is told.

        Raises:
            LogError: an item of a history is not in the catalogue.
        """
        found = profiles(histories, self._catalogue, self.profile)
        rows = [
            (user, number, self.tell(user, profile, seed + number))
            for user, profile in found.items()
            for number in range(per_user)
        ]
        schema = pl.Schema({"user_id": histories.schema["user_id"], "sample": pl.Int16(), "text": pl.String()})
        return pl.DataFrame(rows, schema=schema, orient="row")

    def tell(self, user_id: object, profile: Profile, seed: int) -> str:
        """The text of one user whose history has been counted."""
        rng = np.random.default_rng([seed, stable_hash(user_id)])
        style = _choose_style(profile, rng)
        style = replace(style, told=_choose_facts(self.settings, profile, rng), cites=self.settings.citations)
        if self.settings.omit_genres:
            profile = _choose_names(self.settings, profile, rng)
        plan = Plan()
        text = compose(profile, style, plan, self.domain)
        for larger in _plans(profile, style.told, self.settings.most_tags):
            wider = larger(plan)
            if wider == plan:  # there is no more of it to tell
                continue
            longer = compose(profile, style, wider, self.domain)
            if self._count_tokens(longer) <= self.settings.max_tokens:
                plan, text = wider, longer
        return text


def _choose_style(profile: Profile, rng: np.random.Generator) -> Style:
    def choose(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    def choose_two(titles: Sequence[str]) -> tuple[str, ...]:
        return tuple(titles[int(i)] for i in rng.permutation(len(titles))[:2])

    style = Style(
        told=frozenset(),
        subject=choose(SUBJECTS),
        above=choose(ABOVE),
        below=choose(BELOW),
        below_first=bool(rng.integers(2)),
        titles=choose(TITLES),
        letdowns_first=bool(rng.integers(2)),
        favourites=choose_two(profile.favourites),
        letdowns=choose_two(profile.letdowns),
    )
    if not profile.comparable_tags:  # texts without knowledge cards stay what they were
        return style
    return replace(
        style,
        tags_above=choose([wording for wording in ABOVE if wording != style.above]),
        tags_below=choose([wording for wording in BELOW if wording != style.below]),
        evidence=choose(EVIDENCE),
        unseen=choose(UNSEEN),
    )


def _choose_facts(settings: TeacherSettings, profile: Profile, rng: np.random.Generator) -> frozenset[str]:
    """The facts of one text: of those that the history bears out, each is left out with the settings' chance."""
    tags = bool(profile.tags_above or profile.tags_below)
    has = {
        "generosity": profile.level is not None,
        "habit": True,
        "age": profile.age is not None,
        "consumption": profile.consumption is not None,
        "genres": profile.comparable_genres > 0,
        "titles": bool(profile.favourites or profile.letdowns),
        "tags": tags,
        "evidence": tags,
        "unseen": tags,
    }
    known: list[str] = [fact for fact in settings.tells if has.get(fact)] or ["habit"]
    draws = rng.random(len(known))
    told = [fact for fact, draw in zip(known, draws, strict=True) if draw >= settings.omit]
    told = told or [known[int(draws.argmax())]]
    # Counts are a manner of telling genres, not a fact of their own.
    return frozenset([*told, "counts"] if "counts" in settings.tells else told)


T = TypeVar("T")


def _choose_names(settings: TeacherSettings, profile: Profile, rng: np.random.Generator) -> Profile:
    """The profile with the genres and tags of one text: of those that there is room for, each is left out with the
    settings' chance."""

    def some(listed: Sequence[T], most: int) -> tuple[T, ...]:
        draws = rng.random(min(most, len(listed)))
        highest = draws.max(initial=0.0)
        kept = zip(listed, draws, strict=False)
        return tuple(one for one, draw in kept if draw >= settings.omit_genres or draw == highest)

    consumed = profile.consumption.genres if profile.consumption else ()
    consumption = profile.consumption and replace(profile.consumption, genres=some(consumed, len(consumed)))
    return replace(
        profile,
        consumption=consumption,
        above=some(profile.above, MOST_LIKED),
        below=some(profile.below, MOST_LIKED),
        tags_above=some(profile.tags_above, settings.most_tags),
        tags_below=some(profile.tags_below, settings.most_tags),
    )


def _plans(profile: Profile, told: frozenset[str], most_tags: int) -> list[Callable[[Plan], Plan]]:
    """The steps by which a text grows, the most useful first; each is taken if the text then still fits."""
    steps: list[Callable[[Plan], Plan]] = []
    if "age" in told:
        steps.append(lambda plan: replace(plan, age=True))
    if "consumption" in told and profile.consumption:
        steps += [partial(replace, consumption=n) for n in range(1, len(profile.consumption.genres) + 1)]
    if "genres" in told:
        steps.append(lambda plan: replace(plan, above=min(1, len(profile.above)), below=min(1, len(profile.below))))
        steps.append(lambda plan: replace(plan, above=plan.above and min(MOST_LIKED, len(profile.above))))
        steps.append(lambda plan: replace(plan, below=plan.below and min(MOST_LIKED, len(profile.below))))
    above, below = len(profile.tags_above[:most_tags]), len(profile.tags_below[:most_tags])
    for number in range(1, max(above, below) + 1):
        if "tags" in told and number <= above:
            steps.append(partial(replace, tags_above=number))
        if "tags" in told and number <= below:
            steps.append(partial(replace, tags_below=number))
        if "unseen" in told and number <= 2:
            steps.append(partial(replace, unseen=number))
        if "evidence" in told and number <= above:
            steps.append(partial(replace, evidence_above=number))
        if "evidence" in told and number <= below:
            steps.append(partial(replace, evidence_below=number))
    if "titles" in told:
        steps.append(lambda plan: replace(plan, favourites=min(1, len(profile.favourites))))
        steps.append(lambda plan: replace(plan, letdowns=min(1, len(profile.letdowns))))
        # A second one only beside a first one.
        steps.append(lambda plan: replace(plan, favourites=plan.favourites and min(2, len(profile.favourites))))
        steps.append(lambda plan: replace(plan, letdowns=plan.letdowns and min(2, len(profile.letdowns))))
    return steps
