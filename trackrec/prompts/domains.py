"""Domains: what differs between prompts on films, books, products. To add one: a constant here, or a YAML file."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trackrec.errors import RecipeError
from trackrec.yaml_text import read_yaml


@dataclass(frozen=True)
class Domain:
    """The fixed texts of one domain; everything the prompts say beside the data comes from here.

    Texts are short on purpose: the time on a CPU goes with the tokens.
    """

    name: str
    """How recipes call the domain, such as ``movies``."""
    item: str
    """One item, such as ``film``."""
    items: str
    """Several items, such as ``films``."""
    person: str
    """One user, such as ``viewer``."""
    people: str
    """Several users, such as ``viewers``."""
    attribute: str
    """What the catalogue's ``genres`` column holds, such as ``genre``."""
    genre_separator: str
    """What stands between two genres in an item's line; a space is the shortest, where no genre has one inside."""
    generator_instruction: str
    """What the generator is asked to do with the history."""
    validator_instruction: str
    """What the validator is asked to do with the last events, the RecCoT and the target."""
    reccot_label: str
    """What stands before the RecCoT in the validator's prompt."""
    placeholder: str
    """What stands in the RecCoT's place where there is none."""
    liked_by: str
    """Statistics of a target that others rated, with the field ``{tenths}``: how many of ten liked it."""
    unrated: str
    """Statistics of a target that nobody else rated."""
    question: str
    """What is asked about the target; the answer follows."""
    often: str = "Chooses many {genres} items"
    """What somebody often goes for, with the field ``{genres}``: the beginning of a sentence of a RecCoT."""
    answers: tuple[str, str] = ("Yes", "No")
    """The two answers, the liking one first; of one token each they are scored the quickest."""


SUFFIXES = (".yaml", ".yml")
"""By these a domain's file is told from a domain's name."""


def read_domain(path: Path) -> Domain:
    """The domain that a file describes.

    Raises:
        RecipeError: there is no such file, it is not YAML, a key is unknown (the nearest known one is named), keys are
            missing (all are named), or a value is not the text that is expected.
    """
    try:
        tree = read_yaml(path.read_text(encoding="utf-8"), f"the domain file {path}")
    except OSError as error:
        raise RecipeError(
            f"prompts.domain names the file {path}, which cannot be read ({error.strerror}): expected a YAML file with "
            "a domain's texts, or the name of a known domain"
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"the domain file {path} is not YAML in UTF-8: {error}") from error
    if not isinstance(tree, Mapping):
        raise RecipeError(f"the domain file {path} holds {type(tree).__name__}, expected texts (key: value)")
    known = {field.name: field for field in fields(Domain)}
    for key in tree:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise RecipeError(f"the domain file {path} has an unknown key {key!r}; the nearest known one is {near!r}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in tree]
    if missing:
        raise RecipeError(f"the domain file {path} lacks {', '.join(missing)}: expected a text for each")
    values: dict[str, Any] = {
        key: _answers(value, path) if key == "answers" else _text(key, value, path) for key, value in tree.items()
    }
    _check_field(path, "liked_by", values["liked_by"], "tenths")
    _check_field(path, "often", values.get("often", Domain.often), "genres")
    return Domain(**values)


def _text(key: str, value: Any, path: Path) -> str:
    if not isinstance(value, str) or not value:
        raise RecipeError(f"the domain file {path} has {key}: {value!r}, expected a text; put it in quotes")
    return value


def _answers(value: Any, path: Path) -> tuple[str, str]:
    texts = value if isinstance(value, list) else []
    if len(texts) != 2 or not all(isinstance(text, str) and text for text in texts) or texts[0] == texts[1]:
        raise RecipeError(
            f"the domain file {path} has answers: {value!r}, expected two different texts, the liking one first; "
            'YAML reads a bare Yes as true, so put them in quotes: ["Yes", "No"]'
        )
    return texts[0], texts[1]


def _check_field(path: Path, key: str, text: str, field: str) -> None:
    """Such a text is filled in for every target or user, so what is wrong with it is said before the first one."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        text.format(**{field: 5})
    except (ValueError, LookupError, AttributeError):
        names = []
    if names != [field]:
        raise RecipeError(
            f"the domain file {path} has {key}: {text!r}, expected a text with the field {{{field}}} once and no "
            "other; write other braces twice"
        )


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
