"""A recipe for a log of one's own: a shipped one, with its sizes fitted to the users there are."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from importlib.resources import files
from typing import Any, Literal

import polars as pl
import yaml

from trackrec.data.columns import Columns, plain
from trackrec.data.feedback import Liking
from trackrec.pipeline.log_settings import needs_whole_recipe

Form = Literal["short", "long"]
_SHIPPED = {"short": "quick", "long": "movielens-100k"}
_RANKER_USERS = {"short": 600, "long": 3000}
"""Most ranker users; more take time and, at some point, tell no more."""
_A_FOLD = 4
"""Fewest ranker users in a fold."""
_HINTS = {
    "books": "isbn isbn10 isbn13 book bookid booktitle bookname author authors publisher",
    "movies": "movie movieid movietitle moviename film filmid filmtitle director imdbid tmdbid",
    "products": """sku product productid productname producttitle asin parentasin brand store price quantity qty
        stockcode unitprice customer customerid aisle department basket orderid invoiceno""",
}


def users_needed(form: Form) -> int:
    """The fewest users with a history and examples for which the roles can be filled."""
    roles = _shipped(form)["roles"]
    if form == "short":
        return int(roles["lm_users"] + roles["lm_validation_users"] + _A_FOLD * roles["ranker_folds"])
    return 120


def fit_recipe(
    form: Form,
    name: str,
    source: Mapping[str, Any],
    users: int,
    liking: Liking,
    domain: str,
    attributes: tuple[str, ...],
    changes: Mapping[str, Any],
) -> dict[str, Any]:
    """The tree of a recipe that runs on a log.

    Args:
        form: which shipped recipe it starts from: the short form of the demo, or the full one.
        name: of the recipe, and so of its run folder.
        source: the tree of its source.
        users: how many users have a history and examples.
        liking: what counts as a like.
        domain: of the prompts.
        attributes: of the items' lines.
        changes: settings that the user asked for; they come last.

    Raises:
        RecipeError: a change names an unknown setting.
    """
    tree = _shipped(form) | {"name": name, "source": dict(source)}
    weight = {} if liking.like_weight is None else {"like_weight": liking.like_weight}
    tree["feedback"] = {"kind": liking.kind} | weight
    tree["split"] = tree.get("split", {}) | {"like_threshold": liking.like_threshold}
    tree["prompts"] = tree["prompts"] | {"domain": domain} | ({"attributes": list(attributes)} if attributes else {})
    if liking.kind == "implicit" and changes.get("feedback", {}).get("like_weight") is None:
        # Where every event is a like, what is gone for is all that a history tells.
        tree["prompts"] |= {"digest": ["consumption"]}
        tree["teacher"] = tree["teacher"] | {"tells": ["consumption"]}
    roles = tree["roles"]
    roles["lm_users"] = min(roles["lm_users"], max(4, users // 8))
    roles["lm_validation_users"] = min(roles["lm_validation_users"], max(2, users // 20))
    spare = users - roles["lm_users"] - roles["lm_validation_users"] - _A_FOLD * roles["ranker_folds"]
    roles["lm_extra_users"] = max(0, min(roles["lm_extra_users"], users // 4, spare))
    rest = users - roles["lm_users"] - roles["lm_validation_users"] - roles["lm_extra_users"]
    if rest > _RANKER_USERS[form]:
        roles["ranker_users"] = _RANKER_USERS[form]
    for part, key in (
        ("distillation", "extra_users"), ("judge", "extra_users"), ("judge", "warm_up_users"),
    ):  # fmt: skip
        if tree.get(part, {}).get(key, 0) > roles["lm_extra_users"]:
            tree[part][key] = roles["lm_extra_users"]
    tree = merged(tree, changes)
    if needs_whole_recipe(changes):  # the rest is a shipped recipe, fitted
        from trackrec.recipe import make_recipe

        make_recipe(tree, "the recipe for this log")
    return tree


def merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A tree with another laid over it.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    whole = deepcopy(dict(tree))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(whole.get(key), Mapping)
        whole[key] = merged(whole[key], value) if both else value
    return whole


def write_recipe(tree: Mapping[str, Any], command: str) -> str:
    """The recipe as a file's text."""
    head = (
        f"# Written by `{command}`. Every setting that is not here has its default:\n"
        "# `trackrec settings <this file>` writes all of them out.\n"
    )
    return head + yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def guess_domain(columns: list[Columns]) -> str:
    """The domain that the columns' names speak of; ``generic`` if none does, or several do alike.

    Of several kinds of names the one with the most counts.
    """
    names = {
        plain(name) for part in columns for name in (*part.roles.values(), *part.attributes, *part.unused)
    }  # fmt: skip
    votes = {domain: len(names & set(words.split())) for domain, words in _HINTS.items()}
    best = max(votes.values())
    leading = [domain for domain, number in votes.items() if number == best]
    return leading[0] if best and len(leading) == 1 else "generic"


def choose_attributes(items: pl.DataFrame) -> tuple[str, ...]:
    """Who made the items, if most of them say so."""
    if "creator" not in items.columns or items.is_empty():
        return ()
    return ("creator",) if items["creator"].null_count() * 2 < items.height else ()


def _shipped(form: Form) -> dict[str, Any]:
    text = (files("trackrec") / "recipes" / f"{_SHIPPED[form]}.yaml").read_text(encoding="utf-8")
    tree: dict[str, Any] = yaml.safe_load(text)
    return tree
