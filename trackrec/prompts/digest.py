"""A history's counts as one line of the generator's prompt: what a small model would otherwise have to count itself."""

from __future__ import annotations

from collections.abc import Sequence

from trackrec.prompts.profile import Profile, Tally

MOST_GENRES = 2
"""So many genres above the user's own average are told, and as many below."""


def tell_digest(profile: Profile) -> str:
    """The counted facts on one line, in the words that a RecCoT may take over.

    >>> tell_digest(Profile(8, 10, (Tally("Drama", 3, 3),), (), 2, None, (), ()))
    'Of 10 liked: about 8 in 10. More: Drama (3 of 3).\\n'
    """
    if not profile.rated:
        return "Nothing rated.\n"
    parts = [f"Of {profile.rated} liked: {profile.share_in_words}."]
    for word, tallies in (("More", profile.above), ("Less", profile.below)):
        if tallies:
            parts.append(f"{word}: {_tell(tallies[:MOST_GENRES])}.")
    if profile.era:
        side = "Before" if profile.era.before else "From"
        parts.append(f"{side} {profile.era.year}: {profile.era.liked} of {profile.era.rated}.")
    return " ".join(parts) + "\n"


def _tell(tallies: Sequence[Tally]) -> str:
    return ", ".join(f"{tally.name} ({tally.liked} of {tally.rated})" for tally in tallies)
