"""The teacher: a writer of the RecCoTs that the generator is distilled from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import polars as pl

from trackrec.prompts.lengths import PromptLengths
from trackrec.prompts.renderer import Renderer
from trackrec.users.counts import ProfileSettings


class TeacherContext(NamedTuple):
    """What a teacher may ask for when it is made."""

    items: pl.DataFrame
    """The catalogue, with ``tags`` where there are knowledge cards."""
    renderer: Renderer
    """Its domain, how it counts tokens, and what of a history the generator sees."""
    profile: ProfileSettings
    """How much evidence a claim about a user needs."""


class Teacher(Protocol):
    """Writes RecCoTs from users' histories alone: frames in, frames out, nothing kept about anybody."""

    def write(self, histories: pl.DataFrame, seed: int, per_user: int = 1) -> pl.DataFrame:
        """The RecCoTs of some users.

        Args:
            histories: ``user_id, position, item_id, rating, label`` and, where known, ``expected`` and ``shown``
                (whether the generator sees the event one by one; it knows no other titles). What is in it is what the
                generator will be told of.
            seed: chooses what is told and how; the same seed, user and history give the same text.
            per_user: so many texts of each user, which differ by their seed, ``seed`` + sample.

        Returns:
            ``user_id, sample`` (Int16) ``, text``, users in the order of the frame.
        """
        ...


def write_texts(
    teacher: Teacher,
    histories: pl.DataFrame,
    renderer: Renderer,
    seed: int,
    per_user: int = 1,
    users: Sequence[Any] | None = None,
) -> pl.DataFrame:
    """A teacher's RecCoTs, written from what the generator is told.

    Args:
        teacher: writes.
        histories: ``user_id, position, item_id, rating, label`` and, where known, ``expected``.
        renderer: its prompts decide which events the generator sees.
        seed: see :meth:`Teacher.write`.
        per_user: how many texts each.
        users: for whom, in this order; None: for all of the frame.
    """
    if users is not None:
        order = pl.DataFrame([pl.Series("user_id", list(users), dtype=histories.schema["user_id"])])
        histories = order.join(histories, on="user_id", how="inner", maintain_order="left_right")
    told = PromptLengths(renderer).with_shown(histories)
    if not renderer.settings.digest:
        told = told.filter("shown")
    return teacher.write(told, seed, per_user)
