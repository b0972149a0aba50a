"""Teachers: writers of the RecCoTs that the generator is distilled from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import polars as pl
from pydantic import Field

from trackrec.data.log import stable_hash
from trackrec.prompts.catalogue import Catalogue, Row
from trackrec.prompts.domain import Domain
from trackrec.prompts.profile import Era, Profile, ProfileSettings, Tally, profile_history
from trackrec.prompts.renderer import Renderer
from trackrec.settings import Settings


class TeacherSettings(Settings):
    """How the profile teacher writes."""

    max_tokens: int = Field(default=60, ge=16)
    """Most tokens of a text, without the end token; clauses are left out to keep to it, never cut."""
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
    """The wording and the examples that the seed chose for one text."""

    subject: str
    above: str
    below: str
    below_first: bool
    era: str
    titles: str
    letdowns_first: bool
    favourites: tuple[str, ...] = field(default=())
    letdowns: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Plan:
    """How much of the profile the text tells."""

    above: int = 0
    below: int = 0
    era: bool = False
    favourites: int = 0
    letdowns: int = 0


_SUBJECTS = ("This", "The")
_ABOVE = ("prefer {}", "lean towards {}", "are fonder of {}")
_BELOW = ("care less for {}", "are harder to please with {}", "are cooler on {}")
_ERA = (
    "They like {items} {side} more than {other} ones ({liked} of {rated} liked).",
    "{Items} {side} go down better than {other} ones ({liked} of {rated} liked).",
    "They favour {items} {side} over {other} ones ({liked} of {rated} liked).",
)
_TITLES = ("liked {} | did not like {}", "enjoyed {} | were less keen on {}", "thought well of {} | thought less of {}")


class ProfileTeacher:
    """Turns the counted facts of a history into short prose; claims nothing that the counts do not bear out.

    The share of likes comes first, since it predicts best; then genres above and below the user's own average with
    their counts, a preferred era, and example titles. The seed varies wording, order and examples.

    Args:
        items: the catalogue: ``item_id``, ``title``, ``year``, ``genres`` (any vocabulary).
        domain: its nouns.
        count_tokens: how many tokens a text takes, such as ``Renderer.count_tokens``.
        settings: length and evidence.

    Source:
        The paper starts from GPT-4o's texts; this writer needs no model, and every claim can be checked by counting.
    """

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

        If even the first sentence is longer than that, it is returned alone.

        Raises:
            LogError: an item of the history is not in the catalogue.
        """
        profile = profile_history(history, self._catalogue, self.settings.profile)
        if recent is not None and recent < len(history):
            seen = profile_history(history[len(history) - recent :], self._catalogue, self.settings.profile)
            profile = replace(profile, favourites=seen.favourites, letdowns=seen.letdowns)
        style = _choose_style(profile, np.random.default_rng([seed, stable_hash(user_id)]))
        plan = _Plan()
        for larger in _plans(profile):
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
        subject=choose(_SUBJECTS),
        above=choose(_ABOVE),
        below=choose(_BELOW),
        below_first=bool(rng.integers(2)),
        era=choose(_ERA),
        titles=choose(_TITLES),
        letdowns_first=bool(rng.integers(2)),
        favourites=choose_two(profile.favourites),
        letdowns=choose_two(profile.letdowns),
    )


def _plans(profile: Profile) -> list[Callable[[_Plan], _Plan]]:
    """The steps by which a text grows, the most useful first; each is taken if the text then still fits."""
    steps: list[Callable[[_Plan], _Plan]] = []
    if profile.above:
        steps.append(lambda plan: replace(plan, above=1))
    if profile.era:
        steps.append(lambda plan: replace(plan, era=True))
    if profile.below:
        steps.append(lambda plan: replace(plan, below=1))
    if profile.favourites:
        steps.append(lambda plan: replace(plan, favourites=1))
    if profile.letdowns:
        steps.append(lambda plan: replace(plan, letdowns=1))
    # A second one only beside a first one.
    if len(profile.above) > 1:
        steps.append(lambda plan: replace(plan, above=plan.above and 2))
    if len(profile.below) > 1:
        steps.append(lambda plan: replace(plan, below=plan.below and 2))
    if len(profile.favourites) > 1:
        steps.append(lambda plan: replace(plan, favourites=plan.favourites and 2))
    if len(profile.letdowns) > 1:
        steps.append(lambda plan: replace(plan, letdowns=plan.letdowns and 2))
    return steps


def _compose(profile: Profile, style: _Style, plan: _Plan, domain: Domain) -> str:
    sentences = [_tell_habit(profile, style, domain), _tell_genres(profile, style, plan, domain)]
    if plan.era and profile.era:
        sentences.append(_tell_era(profile.era, style, domain))
    sentences.append(_tell_titles(style, plan))
    return " ".join(sentence for sentence in sentences if sentence)


def _tell_habit(profile: Profile, style: _Style, domain: Domain) -> str:
    subject = f"{style.subject} {domain.person}"
    if not profile.rated:
        return f"{subject} has rated no {domain.items} yet."
    share = profile.share_in_words
    return f"{subject} likes {'none of the' if share == 'none' else share} {domain.items} rated."


def _tell_genres(profile: Profile, style: _Style, plan: _Plan, domain: Domain) -> str:
    if not profile.above and not profile.below:
        return f"No {domain.attribute} stands out." if profile.comparable_genres else ""
    clauses = [
        (style.above, profile.above[: plan.above]),
        (style.below, profile.below[: plan.below]),
    ]
    if style.below_first:
        clauses.reverse()
    told = [(wording, tallies) for wording, tallies in clauses if tallies]
    if not told:
        return ""
    texts = [
        wording.format(_name_genres(tallies, domain, with_verb=position == 0))
        for position, (wording, tallies) in enumerate(told)
    ]
    return f"They {', but '.join(texts)}."


def _name_genres(tallies: Sequence[Tally], domain: Domain, with_verb: bool) -> str:
    names = _join([tally.name for tally in tallies])
    counts = _join([f"{tally.liked} of {tally.rated}" for tally in tallies])
    return f"{names} {domain.items} ({counts}{' liked' if with_verb else ''})"


def _tell_era(era: Era, style: _Style, domain: Domain) -> str:
    return style.era.format(
        items=domain.items,
        Items=domain.items[:1].upper() + domain.items[1:],
        side=f"from before {era.year}" if era.before else f"from {era.year} on",
        other="newer" if era.before else "older",
        liked=era.liked,
        rated=era.rated,
    )


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
