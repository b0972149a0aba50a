"""Whether a run on a log can mean anything: what rules it out, with the remedy, and what should make one wary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trackrec.data.card import Figures

_FEW_LIKES, _MANY_LIKES = 0.05, 0.95
_HALF = 0.5
_LOST = 0.2
_LONG_AGO = "1990-01-01"
_NOBODY = {"0", "-1", "unknown", "anonymous", "anon", "guest", "nobody", "undefined", "not set", "(not set)"}
_MANY_EVENTS = 10


def find_problems(log: Figures, split: Figures | None, split_error: str, users_needed: int) -> list[str]:
    """Why a run would be meaningless; empty if it would not be.

    Args:
        log: what ``describe_log`` gives.
        split: what ``describe_split`` gives; None: the log cannot be split.
        split_error: why it cannot.
        users_needed: so many users with a history and examples the smallest roles take.
    """
    size = log["size"]
    if size["users"] == 1:
        return ["there is one user: RecCoTs are tuned on some users and tested on others; give a log of many"]
    if size["items_touched"] == 1:
        return ["there is one item, so there is nothing to choose between: is the right column taken for the item?"]
    if log["dates"]["different_times"] == 1:
        return [
            f"all interactions have the same time ({log['dates']['first']}), so none comes after any history: is the "
            "right column taken for the timestamp? A log without times can take its order of rows for it "
            "(--column row_order_as_time=true)"
        ]
    if split is None:
        return [f"no events after histories: {split_error}"]
    found = []
    users = split["users"]["with_history_and_examples"]
    if users < users_needed:
        left = _list(split["users"], skip=("in_log", "with_history_and_examples"))
        found.append(
            f"too few users for the roles: {users} of {split['users']['in_log']} have a history and later examples, "
            f"expected at least {users_needed}{left}; get more data, or shorten the histories "
            "(--set split.min_history=2)"
        )
    return found + find_label_problems(split["labels"], log["ratings"])


def find_label_problems(labels: Figures, ratings: Figures) -> list[str]:
    """Whether likes and dislikes can be told apart at all; empty if they can.

    Args:
        labels: ``feedback, like_threshold, likes_in_histories, likes_in_examples`` (shares).
        ratings: ``different`` (how many values there are) and ``counts`` (value and number of each).
    """
    found = []
    alike = {labels["likes_in_histories"], labels["likes_in_examples"]}
    if labels["feedback"] not in ("implicit", "impressions") and (alike == {1.0} or alike == {0.0}):
        said = f"every rating is {ratings['counts'][0][0]:g}" if ratings["different"] == 1 else "of all ratings"
        found.append(
            f"all labels alike: {said}, each a {'like' if alike == {1.0} else 'dislike'} with the threshold "
            f"{labels['like_threshold']}; change the threshold (--set split.like_threshold=...), or, if ratings say "
            "nothing here, let every interaction be a like (--set feedback.kind=implicit)"
        )
    elif labels["likes_in_examples"] in (0.0, 1.0):
        found.append(
            "all labels of the examples are alike, so nothing can be told apart: change what counts as a like "
            "(--set split.like_threshold=..., --set feedback.kind=user_mean or implicit)"
        )
    return found


def find_warnings(log: Figures, split: Figures | None, counts: Mapping[str, int]) -> list[str]:
    """What does not rule a run out, but should be looked at first."""
    found = []
    lost = {name: number for name, number in counts.items() if name.startswith("dropped_") and number}
    rows = sum(number for name, number in lost.items() if not name.startswith(("dropped_items_", "dropped_users_")))
    if rows > _LOST * counts.get("rows", rows):
        worst = max(lost, key=lambda name: lost[name])
        found.append(f"{rows} of {counts.get('rows', rows)} rows are left out, most as {worst[8:].replace('_', ' ')}")
    if counts.get("kept_items_titled_by_their_id", 0) > _HALF * log["size"]["items_in_catalogue"]:
        found.append(
            "items have no titles, only ids, and a language model can say nothing of an id: give a table of items "
            "(--items FILE) or name the column (--column title=NAME)"
        )
    elif log["titles"]["with_genres"] < _HALF:
        there = "items_with_nothing_in_their_genres" in counts
        found.append(
            "most items have nothing in the column that is taken for genres or categories, or nothing that could be "
            "read as such, and that is what RecCoTs mostly speak of: name another column if there is one (--column "
            "genres=NAME)"
            if there
            else "most items have no genres or categories, which is what RecCoTs mostly speak of: name the column if "
            "there is one (--column genres=NAME)"
        )
    if counts.get("kept_titles_of_several_items", 0) > _HALF * log["size"]["items_in_catalogue"]:
        found.append("most titles belong to several items: is the right column taken for the title?")
    dates = log["dates"]
    if not dates["places"] and dates["last"] < _LONG_AGO:
        found.append(
            f"all times lie before {_LONG_AGO[:4]} (the last is of {dates['last']}): that is right for times that "
            "count from a beginning of the log's own; else their unit is another one (--column timestamp_format=FORMAT)"
        )
    if "times_drawn_since_the_log_has_none" in counts:
        found.append(
            "the log has no times, so histories and examples are parted at random (split.kind: random or "
            "leave_k_out): what depends on time (recency, drift, a temporal split, new items) means nothing here"
        )
    top, events = log["activity"]["most_active"][0]
    if top.casefold() in _NOBODY and events > _MANY_EVENTS * log["activity"]["median"]:
        found.append(f"the user {top!r} has {events:,} interactions: it looks like all who were not logged in")
    if split is None:
        return found
    likes = split["labels"]["likes_in_examples"]
    if not _FEW_LIKES <= likes <= _MANY_LIKES:
        found.append(f"{likes:.1%} of the examples are likes: far more examples than usual are needed to tell anything")
    cold = split["cold"]
    if cold["users_without_history"] > _HALF:
        found.append(
            f"{cold['users_without_history']:.0%} of the users have no history, so no RecCoT is written for them"
        )
    if cold["examples_of_cold_items"] > _HALF:
        found.append(
            f"{cold['examples_of_cold_items']:.0%} of the examples are of items that nobody had touched before"
        )
    if split["users"]["with_history_and_examples"] < 300:
        users = split["users"]["with_history_and_examples"]
        found.append(f"{users} users have a history and examples: figures of a run will have wide intervals")
    return found


def _list(numbers: Mapping[str, Any], skip: tuple[str, ...]) -> str:
    parts = [f"{number} {name.removeprefix('dropped_').replace('_', ' ')}" for name, number in numbers.items()
             if name not in skip and number]  # fmt: skip
    return f" (left out: {', '.join(parts)})" if parts else ""
