"""The registry of domains. To add one: write its texts beside ``movies.py`` and name it here, or write a YAML file."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from trackrec.errors import RecipeError
from trackrec.prompts.books import BOOKS
from trackrec.prompts.domain import Domain
from trackrec.prompts.domain_file import SUFFIXES, read_domain
from trackrec.prompts.generic import GENERIC
from trackrec.prompts.movies import MOVIES
from trackrec.prompts.music import MUSIC
from trackrec.prompts.products import PRODUCTS

DOMAINS: dict[str, Domain] = {domain.name: domain for domain in (MOVIES, BOOKS, MUSIC, PRODUCTS, GENERIC)}


def find_domain(name: str) -> Domain:
    """The domain of that name, or the one in the YAML file at that path.

    Raises:
        RecipeError: the name is unknown (the message gives the nearest known one), or the file is no domain.

    Example:
        >>> find_domain("movies").items
        'films'
    """
    if name in DOMAINS:
        return DOMAINS[name]
    if name.endswith(SUFFIXES):
        return read_domain(Path(name))
    nearest = get_close_matches(name, DOMAINS, n=1, cutoff=0.0)[0]
    raise RecipeError(
        f"prompts.domain is {name!r}, which is no known domain; "
        f"the nearest is {nearest!r}. Known: {', '.join(sorted(DOMAINS))}, or a YAML file."
    )
