"""Every number of every settings class has a bound where it is declared; what lies beyond is refused in a sentence."""

from __future__ import annotations

import importlib
import math
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from annotated_types import Ge, Gt
from pydantic import Field
from pydantic.fields import FieldInfo

import trackrec
from trackrec.errors import RecipeError
from trackrec.recipe import make_recipe
from trackrec.settings import LARGEST, Settings


def all_settings() -> list[type[Settings]]:
    for module in pkgutil.walk_packages(trackrec.__path__, "trackrec."):
        importlib.import_module(module.name)

    def below(kind: type[Settings]) -> Iterator[type[Settings]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    return [kind for kind in below(Settings) if kind.__module__.startswith("trackrec.")]


def unbounded(annotation: Any, metadata: list[Any]) -> bool:
    """Whether a type holds a number without a lower bound."""
    bounded = any(isinstance(m, Ge | Gt) for m in metadata)
    if annotation in (int, float):
        return not bounded
    if typing.get_origin(annotation) is typing.Literal:
        return False
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        spread = [m for one in more for m in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return unbounded(inner, [*metadata, *spread])
    return any(unbounded(part, metadata) for part in typing.get_args(annotation))


def test_every_number_is_bounded_where_it_is_declared() -> None:
    classes = all_settings()
    assert len(classes) > 35
    found = [
        f"{kind.__module__}.{kind.__name__}.{name}"
        for kind in classes
        for name, field in kind.model_fields.items()
        if unbounded(field.annotation, list(field.metadata))
    ]
    assert found == []


def test_the_walk_finds_a_number_without_a_bound() -> None:
    class Loose(Settings):
        one: int = 1
        many: tuple[int, ...] = ()
        maybe: float | None = None
        named: dict[str, float] = Field(default_factory=dict)

    assert all(unbounded(field.annotation, list(field.metadata)) for field in Loose.model_fields.values())


WRONG = {
    "seed": -1,
    "model.threads": 0,
    "adapter.rank": 0,
    "adapter.alpha": 0,
    "loop.rounds": -1,
    "loop.sampling.temperature": -0.1,
    "loop.sampling.top_p": 2,
    "loop.writing.top_p": 0,
    "loop.sampling.max_new_tokens": 0,
    "alignment.beta": 0,
    "alignment.training.epochs": -1,
    "alignment.training.learning_rate": -1e-3,
    "alignment.training.max_grad_norm": 0,
    "judge.token_budget": 0,
    "ranking.components": 0,
    "ranking.recent": -1,
    "ranking.model.dropout": 1,
    "ranking.model.hidden_units": [0],
    "ranking.fit.epochs": 0,
    "ranking.fit.batch": 0,
    "observer": {"type": "ranker", "members": 0},
    "write_for": 0,
    "shard_users": 0,
}


def tree_of(path: str, value: Any) -> dict[str, Any]:
    tree: Any = value
    for part in reversed(path.split(".")):
        tree = {part: tree}
    return tree  # type: ignore[no-any-return]


@pytest.mark.parametrize(("path", "value"), WRONG.items())
def test_what_means_nothing_is_refused_by_name(path: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=path.replace(".", r"\.")):
        make_recipe(tree_of(path, value))


@pytest.mark.parametrize("path", ["model.threads", "seed", "loop.targets_per_user", "split.max_history"])
def test_numbers_that_nothing_can_count_to_are_refused(path: str) -> None:
    with pytest.raises(RecipeError, match=path.replace(".", r"\.")):
        make_recipe(tree_of(path, LARGEST + 1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("path", ["alignment.beta", "split.like_threshold", "ranking.fit.learning_rate"])
def test_no_number_is_nan_or_infinite(path: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"{path.replace('.', '[.]')}: Input should be a finite number"):
        make_recipe(tree_of(path, value))
