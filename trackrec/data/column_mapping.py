"""Which column of a table holds what, as far as the user says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trackrec.settings import Settings

NO_COLUMN = "-"
"""In place of a column's name: there is none, whatever the names look like."""


Number = Annotated[float, Field(ge=-1e6)]
"""A number that a log may hold."""


class ColumnMapping(Settings):
    """The columns' names. One that is left empty is guessed by name; "-" says that there is none."""

    user: str = ""
    """Who acted: a column of the interactions."""
    item: str = ""
    """What was acted on: a column of the interactions."""
    rating: str = ""
    """How it was rated, a number. Without one, each interaction counts as a rating of 1."""
    timestamp: str = ""
    """When: seconds, milliseconds or microseconds since 1970, or a date as text. "-": there are no times; the order of
    a user's interactions is then drawn, so that a split is one at random, and nothing that depends on time means
    anything."""
    clock: str = ""
    """The time of day, such as 18:30, 18:30:05 or 1830, where it has a column of its own beside a date."""
    timestamp_format: str = ""
    """How a date as text is to be read, such as "%d.%m.%Y %H:%M". Empty: found from the values."""
    zero_is_no_rating: bool = False
    """A rating of 0 says that there was an interaction, not how it was liked: left out and counted."""
    no_rating: tuple[Number, ...] = ()
    """Other ratings that say that there is none, such as -1 or 99: left out and counted."""
    decimal: Literal["", ".", ","] = ""
    """What stands before a number's fraction; the other mark then groups thousands. Empty: found from the values, or
    asked for where they do not tell."""
    signals: dict[str, Number] = Field(default_factory=dict)
    """Several columns in place of one rating, each with its weight, such as {is_click: 1, is_like: 3, watch_share: 2}:
    the rating is the weighted sum, and each is kept as ``signal_NAME``. Truth values count as 0 and 1."""
    nested: str = ""
    """A column of the interactions that holds a list of objects in each row: each object becomes an interaction of its
    own, with its keys as columns beside those of the row."""
    shown: str = ""
    """Exposures alone: the column that lists what was shown in one row, such as ``N1-1 N2-0`` (what follows the last
    "-" says whether it was clicked) or a list of ids; each becomes an interaction of its own."""
    shown_clicked: str = ""
    """Exposures alone: the column that lists which of ``shown`` were clicked."""
    row_order_as_time: bool = False
    """For logs without times alone: the order of the rows stands for time."""
    quantity: str = ""
    """How many were bought. Rows with none or fewer (returns) are left out and counted."""
    event: str = ""
    """What kind of event it is (view, cart, purchase): its weight, from ``event_weights``, then stands for a rating."""
    event_weights: dict[str, Number] = Field(default_factory=dict)
    """What each kind of event weighs, such as {view: 1, cart: 3, purchase: 5}; the more, the surer a sign of liking.
    Events of a kind that is not here are left out and counted."""
    part: str = ""
    """For ``split.kind: column`` alone: the interactions' column that says history, train, example or test."""
    title: str = ""
    """The item's title, in the items' table or, without one, in the interactions."""
    year: str = ""
    """The year in which the item came out, or a date with it."""
    genres: str = ""
    """What kind of item it is: genres or categories, as a list or as text with a separator."""
    genre_separator: str | None = None
    """What stands between two genres in text. Null: found from the values; "" if each text is one genre."""
    creator: str = ""
    """Who made the item: author, artist, director, brand or shop."""
    attributes: tuple[str, ...] | None = None
    """Further columns of the items' table that are kept under their own names. Null: all."""
    item_in_items: str = ""
    """The item's id in the items' table, if it has another name there."""
    user_in_users: str = ""
    """The user's id in the users' table, if it has another name there."""
    user_attributes: tuple[str, ...] | None = None
    """Further columns of the users' table that are kept. Null: all."""
