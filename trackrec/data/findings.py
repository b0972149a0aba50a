"""What becomes of everything that is counted: the words behind names such as ``dropped_without_user_id``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_ROWS = "rows, left out"
_ID_ALONE = "kept by their id alone, as a value may be misplaced"
_WORDS: dict[str, tuple[str, str]] = {
    "dropped_without_user_id": ("rows without a user", _ROWS),
    "dropped_without_item_id": ("rows without an item", _ROWS),
    "dropped_without_rating": ("rows whose rating is missing or no number", _ROWS),
    "dropped_rating_not_finite": ("rows whose rating is infinite or not a number", _ROWS),
    "dropped_rating_zero": ("rows with a rating of 0, which says nothing of liking", _ROWS),
    "dropped_rating_that_says_none": ("rows with a rating that says there is none (columns.no_rating)", _ROWS),
    "dropped_too_few_fields": ("rows with fewer fields than the header, so that a value may be misplaced", _ROWS),
    "items_rows_with_too_few_fields": ("rows of items with fewer fields than the header", _ID_ALONE),
    "users_rows_with_too_few_fields": ("rows of users with fewer fields than the header", _ID_ALONE),
    "items_with_nothing_in_their_genres": ("items with nothing in the column of genres", "kept, without genres"),
    "dropped_event_without_weight": ("events of a kind without a weight (columns.event_weights)", _ROWS),
    "dropped_without_quantity": ("rows without a quantity", _ROWS),
    "dropped_quantity_not_positive": ("rows with a quantity of 0 or less (returns)", _ROWS),
    "dropped_zero_timestamp": ("rows with a time of 0", _ROWS),
    "dropped_future_timestamp": ("rows later than tomorrow (tables.latest_day)", _ROWS),
    "dropped_timestamp_in_another_unit": ("rows whose time is in another unit than the others'", _ROWS),
    "dropped_bad_timestamp": ("rows without a time that can be read", _ROWS),
    "dropped_repeated_row": ("rows that repeat an earlier one", _ROWS),
    "dropped_item_not_in_catalogue": ("rows with an item that the table of items lacks", _ROWS),
    "dropped_items_without_id": ("items without an id", "left out"),
    "dropped_items_with_repeated_id": ("further rows of an item", "left out; the first row counts"),
    "dropped_users_without_id": ("rows of the users' table without an id", "left out"),
    "dropped_users_with_repeated_id": ("further rows of a user in the users' table", "left out; the first counts"),
    "kept_items_without_title": ("items without a title", 'kept, called "untitled"'),
    "kept_items_titled_by_their_id": ("items for which there is no title", "kept; their id is the title"),
    "kept_items_with_several_titles": ("items with several titles", "kept; the first title counts"),
    "kept_titles_of_several_items": ("titles that several items have", "kept; prompts cannot tell these items apart"),
    "kept_titles_with_line_breaks": ("titles with line breaks", "kept; prompts show them on one line"),
    "kept_titles_over_1000_characters": ("titles of more than 1000 characters", "kept; prompts show the first 120"),
    "kept_user_without_attributes": ("users whom the users' table lacks", "kept"),
    "kept_repeated_pairs": ("interactions with an item that the user had touched before", "kept, each an event"),
    "kept_repeated_rows": ("rows that repeat user, item, rating and time", "kept (tables.repeated_rows: drop)"),
    "kept_negative_ratings": ("negative ratings", "kept as they are"),
    "kept_users_with_one_event": ("users with one interaction", "read; no history can be made of one"),
    "times_drawn_since_the_log_has_none": ("interactions, as the log has no times", "their order is drawn"),
    "kept_items_without_genres": ("items that no usual tag describes", "kept, without genres"),
    "rows_without_ratings_taken_as_1": ("rows, as there is no column of ratings", "each counts as a rating of 1"),
    "times_from_the_order_of_rows": ("rows whose place stands for their time", "as row_order_as_time says"),
    "dropped_without_boundary": ("users with too few interactions, or all at one time", "users, left out"),
    "dropped_short_history": ("users with too few interactions before their examples", "users, left out"),
    "dropped_without_examples": ("users with nothing after their history", "users, left out"),
    "left_out_not_before_examples": ("interactions not strictly before the user's examples", "in no history"),
    "cold_users": ("users without a history", "no RecCoT is written for them"),
    "cold_items": ("items that nobody had touched before some example", "kept; nothing is known of them there"),
    "examples_of_cold_items": ("examples of such items", "kept"),
    "missing_negatives": ("dislikes that could not be drawn", "the examples have fewer of them"),
    "sampled_negatives": ("items drawn to stand for dislikes", "added to the examples"),
}
_PATTERNS: tuple[tuple[str, str, str], ...] = (
    (r"(user|item)_ids_with_spaces_in_(\w+)", r"\1 ids of the \2 with spaces around them", "the spaces are taken off"),
    (r"(user|item)_ids_made_text_in_(\w+)", r"\1 ids of the \2 that are numbers, and text elsewhere", "made text"),
    (r"(user|item)_ids_as_lists_or_objects_in_(\w+)", r"\1 ids of the \2 that are lists or objects", "kept as text"),
    (r"times_(.*)", r"times \1", "read as seconds since 1970, UTC"),
    (r"dropped_(rows|users|items)_by_(\w+)", r"\1 that the filter of \2 leaves out", "left out"),
    (r"dropped_(.*)", r"\1", "left out"),
    (r"kept_(.*)", r"\1", "kept as they are"),
)
_SIZES = {"rows", "interactions", "items", "users", "users_in_log", "histories", "examples", "distinct_ratings"}


class Finding(NamedTuple):
    """Something that was counted."""

    name: str
    """As in ``Log.counts``."""
    what: str
    """The same in words."""
    number: int
    outcome: str
    """What becomes of it."""


def describe_findings(counts: Mapping[str, int]) -> list[Finding]:
    """What becomes of what was counted, without the plain sizes and the zeros; what is left out comes first.

    Example:
        >>> describe_findings({"rows": 9, "dropped_without_user_id": 2})[0].what
        'rows without a user'
    """
    told = [Finding(name, *_words(name, number)) for name, number in counts.items() if number and name not in _SIZES]
    return sorted(told, key=lambda finding: not finding.name.startswith("dropped_"))


def _words(name: str, number: int) -> tuple[str, int, str]:
    if name in _WORDS:
        what, outcome = _WORDS[name]
        return what, number, outcome
    for pattern, words, outcome in _PATTERNS:
        if found := re.fullmatch(pattern, name):
            return found.expand(words).replace("_", " "), number, outcome
    return name.replace("_", " "), number, "kept"
