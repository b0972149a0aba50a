"""The registry of domains. To add one: write its texts beside ``movies.py`` and name it here."""

from __future__ import annotations

from difflib import get_close_matches

from trackrec.errors import RecipeError
from trackrec.prompts.domain import Domain
from trackrec.prompts.movies import MOVIES

DOMAINS: dict[str, Domain] = {MOVIES.name: MOVIES}


def find_domain(name: str) -> Domain:
    """The domain of that name.

    Raises:
        RecipeError: the name is unknown; the message gives the nearest known one.

    Example:
        >>> find_domain("movies").items
        'films'
    """
    if name in DOMAINS:
        return DOMAINS[name]
    nearest = get_close_matches(name, DOMAINS, n=1, cutoff=0.0)[0]
    raise RecipeError(
        f"prompts.domain is {name!r}, which is no known domain; "
        f"the nearest is {nearest!r}. Known: {', '.join(sorted(DOMAINS))}."
    )
