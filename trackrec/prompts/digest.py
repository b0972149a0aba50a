"""A history's counts as one line of the generator's prompt: what a small model would otherwise have to count itself."""

from __future__ import annotations

from collections.abc import Sequence

from trackrec.prompts.generosity import LEVELS
from trackrec.prompts.profile import Profile, Tally

MOST_GENRES = 2
"""So many genres above the user's own average are told, and as many below."""


def tell_digest(profile: Profile) -> str:
    """The counted facts on one line, in the words that a RecCoT may take over.

    A side without any genre says so: a small model that finds nothing to copy there makes something up.

    >>> from trackrec.prompts.profile import Age
    >>> tell_digest(Profile(8, 10, 5, (Tally("Drama", 3, 3),), (), 2, Age(1990, 3, 10), (), ()))
    'Kind: generous. Of 10 liked: about 8 in 10. From before 1990: about 3 in 10. More: Drama (3 of 3). Less: none.\\n'
    """
    if not profile.rated:
        return "Nothing rated.\n"
    parts = [] if profile.level is None else [f"Kind: {LEVELS[profile.level][0]}."]
    parts += [f"Of {profile.rated} liked: {profile.share_in_words}."]
    if profile.age:
        parts.append(f"From before {profile.age.year}: {profile.age.share_in_words}.")
    if profile.comparable_genres:
        for word, tallies in (("More", profile.above), ("Less", profile.below)):
            parts.append(f"{word}: {_tell(tallies[:MOST_GENRES])}.")
    return " ".join(parts) + "\n"


def _tell(tallies: Sequence[Tally]) -> str:
    return ", ".join(f"{tally.name} ({tally.liked} of {tally.rated})" for tally in tallies) or "none"
