"""Does the new version still help? Events that came after the version before, predicted with its texts and the new."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from trackrec.data.feedback import label_events
from trackrec.data.log import stable_hash
from trackrec.errors import RunError
from trackrec.metrics.intervals import paired_bootstrap
from trackrec.metrics.probability import auc
from trackrec.writing.gates import Gate, GateSettings
from trackrec.writing.partition import draw
from trackrec.writing.place import Place
from trackrec.writing.shard_file import read_shard
from trackrec.writing.version_plan import VersionPlan
from trackrec.writing.writing_recipe import WritingRecipe

NAME = "usefulness"
LEAST_USERS = 30
"""With fewer users nothing is said: the interval would be wider than any drop."""
MOST_EVENTS = 10
"""So many events of a user are predicted, the newest."""
MOST_ROWS = 200_000
"""Versions with other numbers of shards are compared up to so many rows: all of both must be read to find a user."""
_COLUMNS = ["user_id", "raw_vector", "history", "last_event", "version"]


class TextJudge(Protocol):
    """Predicts what a user likes, with the user's text and without: the ranker that the service uses."""

    @property
    def popular(self) -> Sequence[Any]:
        """Items that many have."""
        ...

    def knows(self, item_id: Any) -> bool:
        """Whether it can predict the item."""
        ...

    def rank(
        self,
        raw_vector: npt.NDArray[np.float32] | None,
        events: Sequence[tuple[Any, float | None]],
        candidates: list[Any],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The chance that each candidate is liked, with the text and without, each of shape (candidates,).

        Args:
            raw_vector: of the text, as the encoder gives it.
            events: items and ratings known before, oldest first.
            candidates: items that it knows.
        """
        ...


OpenJudge = Callable[[Path], TextJudge]
"""Opens the judge of a run's folder; raises ``RunError`` where there is none."""


class ShardsOf(NamedTuple):
    """A version, and its shards as its manifest lists them."""

    version: str
    shards: list[dict[str, Any]]


@dataclass(frozen=True)
class UsefulnessResult:
    """How well the events are predicted."""

    users: int
    events: int
    new: float
    """AUC with the new version's texts."""
    old: float
    """AUC with those of the version before."""
    gain: float
    """``new - old``."""
    low: float
    """Lower end of the gain's 95% interval over users."""
    high: float


class _NotLookedAtError(Exception):
    """Why nothing can be compared."""


def usefulness_gate(
    place: Place,
    plan: VersionPlan,
    shards: list[dict[str, Any]],
    before: dict[str, Any] | None,
    recipe: WritingRecipe,
    settings: GateSettings,
    open_judge: OpenJudge | None,
) -> Gate:
    """Whether the new texts predict surely worse than those that readers have.

    A sample of users who were written for anew and have events after the version before: both texts predict these
    events, beside the history that the older text was written from. The older text has seen none of them; the newer one
    has seen them all, so it has no excuse. Texts that went to the wrong users, or lost what they told, show; a slightly
    worse generator may not.

    Args:
        place: where the versions are.
        plan: of the new one.
        shards: its shards, as its manifest will list them.
        before: the manifest of the current version; None: there is none.
        recipe: of the run.
        settings: the limits.
        open_judge: of the run; None: there is none.

    Returns:
        A gate that is passed, and says why, where nothing can be compared.
    """
    limit = settings.usefulness_drop
    try:
        if limit is None:
            raise _NotLookedAtError("there is no limit")
        judge = _judge(plan, before, recipe, open_judge)
        assert before is not None
        old = ShardsOf(str(before["version"]), before["shards"])
        found = compare(place, ShardsOf(plan.version, shards), old, judge, recipe, settings.usefulness_users)
    except _NotLookedAtError as why:
        return Gate(NAME, True, None, limit, f"{NAME}: not looked at: {why}")
    interval = f"{found.gain:+.4f} (95% interval {found.low:+.4f} to {found.high:+.4f})"
    says = (
        f"{found.events} events of {found.users} users after version {old.version}: AUC {found.new:.4f} by the new "
        f"texts, {found.old:.4f} by the old ones, {interval}"
    )
    passed = not found.high < -limit
    return Gate(
        NAME, passed, found.gain, 0.0 - limit, says if passed else f"{says}: surely worse by more than {limit:.4f}"
    )


def _judge(
    plan: VersionPlan, before: dict[str, Any] | None, recipe: WritingRecipe, open_judge: OpenJudge | None
) -> TextJudge:
    if before is None:
        raise _NotLookedAtError("there is no version before")
    if open_judge is None:
        raise _NotLookedAtError("nobody was named who can predict")
    if not plan.encoder == before["encoder"] == recipe.encoder:
        raise _NotLookedAtError(
            f"the ranker reads vectors of {recipe.encoder}, these are of {before['encoder']} and {plan.encoder}"
        )
    try:
        return open_judge(Path(plan.run))
    except RunError as error:
        raise _NotLookedAtError(str(error)) from error


def compare(
    place: Place, new: ShardsOf, old: ShardsOf, judge: TextJudge, recipe: WritingRecipe, wanted: int
) -> UsefulnessResult:
    """Predict what came after the older version with the texts of both.

    Args:
        place: where both are.
        new, old: the versions.
        judge: predicts.
        recipe: of the run: what counts as a like, and the seed of the sample.
        wanted: users that are enough.
    """
    users: list[Any] = []
    labels: list[int] = []
    chances: list[tuple[float, float]] = []
    number, reads = 0, False
    for row in _sample(_pairs(place, new, old, recipe.seed), recipe.seed):
        case = _case(row, judge, recipe)
        if case is None:
            continue
        items, told = case
        known = [(event["item_id"], event["rating"]) for event in row["history_old"]]
        by_new, plain = judge.rank(_vector(row["raw_vector"]), known, items)
        by_old, _ = judge.rank(_vector(row["raw_vector_old"]), known, items)
        reads = reads or not np.array_equal(by_new, plain)
        users += [row["user_id"]] * len(items)
        labels += told
        chances += zip(by_new.tolist(), by_old.tolist(), strict=True)
        number += 1
        if number == wanted:
            break
    if number < LEAST_USERS:
        raise _NotLookedAtError(
            f"{number} users were written for anew and have events after version {old.version}, {LEAST_USERS} needed"
        )
    if len(set(labels)) < 2:
        raise _NotLookedAtError("all of those events are likes, or none is")
    if not reads:
        raise _NotLookedAtError("the ranker reads no such vectors")
    label, both = np.asarray(labels), np.asarray(chances)
    one, other = both[:, 0], both[:, 1]
    interval = paired_bootstrap(auc, np.asarray(users), label, one, other, seed=recipe.seed, draws=500)
    figures = auc(label, one), auc(label, other)
    low, high = (0.0 if math.isnan(end) else end for end in (interval.low, interval.high))
    return UsefulnessResult(number, len(labels), *figures, figures[0] - figures[1], low, high)


def _pairs(place: Place, new: ShardsOf, old: ShardsOf, seed: int) -> Iterator[pl.DataFrame]:
    """Rows of users who are in both versions and were written for in the new one, a shard at a time."""
    names = {shard["name"]: shard for shard in old.shards}
    if {shard["name"] for shard in new.shards} == set(names):
        for shard in sorted(new.shards, key=lambda shard: draw(seed, shard["name"])):
            if "file_version" not in shard:  # else nobody in it was written for
                yield _both(place, ShardsOf(new.version, [shard]), ShardsOf(old.version, [names[shard["name"]]]))
        return
    if sum(shard["rows"] for side in (new, old) for shard in side.shards) > 2 * MOST_ROWS:
        raise _NotLookedAtError(
            f"version {old.version} has {len(old.shards)} shards, the new one {len(new.shards)}: to find users in "
            f"both, all would be read; --set shards={len(old.shards)} keeps the number"
        )
    yield _both(place, new, old)


def _both(place: Place, new: ShardsOf, old: ShardsOf) -> pl.DataFrame:
    here, there = (
        pl.concat([read_shard(place, side.version, shard, _COLUMNS) for shard in side.shards]) for side in (new, old)
    )
    here = here.filter(pl.col("version") == new.version)
    return here.join(there, on="user_id", how="inner", suffix="_old").filter(
        pl.col("last_event") > pl.col("last_event_old"),
        pl.col("raw_vector").is_not_null() & pl.col("raw_vector_old").is_not_null(),
    )


def _sample(parts: Iterator[pl.DataFrame], seed: int) -> Iterator[dict[str, Any]]:
    """The rows of each part, in an order that has nothing to do with the order of ids."""
    for rows in parts:
        for place in sorted(range(rows.height), key=lambda place: draw(seed, rows["user_id"][place])):
            yield rows.row(place, named=True)


def _case(row: dict[str, Any], judge: TextJudge, recipe: WritingRecipe) -> tuple[list[Any], list[int]] | None:
    """Items to predict, and which of them were liked; None: nothing that the judge knows came after."""
    events = pl.DataFrame(row["history"]).with_columns(pl.lit(0).alias("user_id"))
    marked = label_events(events, events, recipe.feedback, recipe.split.like_threshold)
    later = marked.filter(pl.col("timestamp") > row["last_event_old"]).tail(MOST_EVENTS)
    found = [(item, int(label)) for item, label in later.select("item_id", "label").iter_rows() if judge.knows(item)]
    if recipe.feedback.kind == "implicit":
        found += [(item, 0) for item in _others(row, judge, len(found))]
    return ([item for item, _ in found], [label for _, label in found]) if found else None


def _others(row: dict[str, Any], judge: TextJudge, number: int) -> list[Any]:
    """Items that stand for what an implicit log does not tell: some that the user has not touched lately."""
    touched = {event["item_id"] for event in [*row["history"], *row["history_old"]]}
    free = [item for item in judge.popular if item not in touched and judge.knows(item)]
    return sorted(free, key=lambda item: stable_hash(f"{row['user_id']}/{item}"))[:number]


def _vector(values: list[float]) -> npt.NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)
