"""The domains that ship. To add one: name its texts here, or write a YAML file."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from trackrec.errors import RecipeError
from trackrec.prompts.domain import Domain
from trackrec.prompts.domain_file import SUFFIXES, read_domain


def _rated(name: str, item: str, person: str, attribute: str) -> Domain:
    """A domain where people rate items, from its nouns, whose plural ends in s."""
    article = "an" if item[0] in "aeiou" else "a"
    return Domain(
        name=name,
        item=item,
        items=f"{item}s",
        person=person,
        people=f"{person}s",
        attribute=attribute,
        genre_separator=", ",
        generator_instruction=f"From a {person}'s ratings (oldest first), describe what they like and dislike.",
        validator_instruction=f"Predict whether a {person} will like {article} {item}. Answer Yes or No.",
        reccot_label=f"About the {person}:",
        placeholder="Nothing is known.",
        liked_by=f"Liked by {{tenths}} in 10 {person}s.",
        unrated="Not rated.",
        question="Like it?",
    )


MOVIES = replace(
    _rated("movies", "film", "viewer", "genre"),
    genre_separator=" ",
    generator_instruction="From a viewer's ratings (1 to 5, oldest first), describe what they like and dislike.",
    often="Watches many {genres} films",
)
BOOKS = replace(_rated("books", "book", "reader", "subject"), often="Reads many {genres} books")
MUSIC = replace(
    _rated("music", "artist", "listener", "genre"),
    generator_instruction="From what a listener plays (oldest first), describe their taste in music.",
    validator_instruction="Predict whether a listener will play an artist. Answer Yes or No.",
    question="Play it?",
    often="Listens to a lot of {genres} music",
)
PRODUCTS = replace(_rated("products", "product", "customer", "category"), often="Buys many {genres} products")
GENERIC = _rated("generic", "item", "user", "category")
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
