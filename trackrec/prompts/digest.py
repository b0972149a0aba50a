"""A history's counts as one line of the generator's prompt: what a small model would otherwise have to count itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from trackrec.users.counts import FAME, LEVELS
from trackrec.users.profile import Profile, Tally


def present_name(name: Any) -> Any:
    """A fact's name as it is now: recipes of earlier runs say "watched" where it is "consumption"."""
    return "consumption" if name == "watched" else name


DigestFact = Annotated[
    Literal["generosity", "habit", "age", "consumption", "genres", "tags"], BeforeValidator(present_name)
]
"""What a line of counts can tell; the same words as of ``teacher.tells``."""
DIGEST_FACTS: tuple[DigestFact, ...] = ("generosity", "habit", "age", "genres")
"""What it tells if nothing else is asked for."""

MOST_GENRES = 2
"""So many genres above the user's own average are told, and as many below."""
MOST_TAGS = 4
"""Likewise tags."""


def digest_line(profile: Profile, facts: Collection[DigestFact] = DIGEST_FACTS) -> str:
    """The counted facts on one line, in the words that a RecCoT may take over.

    A side without any genre says so: a small model that finds nothing to copy there makes something up.

    Args:
        profile: what was counted.
        facts: those that are told, as far as the history bears them out; always in the same order.

    >>> from trackrec.users.profile import Age
    >>> digest_line(Profile(8, 10, 5, (Tally("Drama", 3, 3),), (), 2, Age(1990, 3, 10), (), ()))
    'Kind: generous. Of 10 liked: about 8 in 10. From before 1990: about 3 in 10. More: Drama (3 of 3). Less: none.\\n'
    """
    if not profile.rated:
        return "Nothing rated.\n"
    parts = []
    if "generosity" in facts and profile.level is not None:
        parts.append(f"Kind: {LEVELS[profile.level][0]}.")
    if "habit" in facts:
        parts.append(f"Of {profile.rated} liked: {profile.share_in_words}.")
    if "age" in facts and profile.age:
        parts.append(f"From before {profile.age.year}: {profile.age.share_in_words}.")
    if "consumption" in facts and profile.consumption:
        often = ", ".join(profile.consumption.genres) or "different"
        parts.append(f"Often: {often}. Fame: {FAME[profile.consumption.fame]}.")
    if "genres" in facts and profile.comparable_genres:
        for word, tallies in (("More", profile.above), ("Less", profile.below)):
            parts.append(f"{word}: {_tell(tallies[:MOST_GENRES])}.")
    if "tags" in facts and profile.comparable_tags:
        for word, tallies in (("Tags more", profile.tags_above), ("Tags less", profile.tags_below)):
            parts.append(f"{word}: {_tell(tallies[:MOST_TAGS])}.")
    return " ".join(parts) + "\n"


def _tell(tallies: Sequence[Tally]) -> str:
    return ", ".join(f"{tally.name} ({tally.liked} of {tally.rated})" for tally in tallies) or "none"
