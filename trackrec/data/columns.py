"""Which column of a table holds what: the mapping that a user may give, and the guess by name where it is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from trackrec.errors import LogError
from trackrec.settings import Settings

NO_COLUMN = "-"
"""In place of a column's name: there is none, whatever the names look like."""

_USUAL = {
    "user": """user_id user uid user_name customer customer_id customer_no customer_number reviewer reviewer_id
        visitor_id visitor member_id member account_id client_id buyer_id person_id viewer_id reader_id listener_id
        session_id""",
    "item": """item_id item iid movie_id movie film_id film product_id product sku stock_code article_id article book_id
        book isbn isbn13 asin parent_asin track_id track song_id song artist_id video_id show_id game_id app_id
        business_id gmap_id recipe_id place_id news_id post_id content_id""",
    "rating": "rating ratings overall stars star_rating score book_rating user_rating review_rating",
    "timestamp": """timestamp time datetime date_time date unix_time unix_timestamp unix_review_time review_time
        review_date event_time event_date created_at created_on created rated_at rating_date order_date purchase_date
        invoice_date purchased_at bought_at ts time_stamp""",
    "quantity": "quantity qty units amount_bought",
    "title": """title item_title movie_title film_title book_title product_title name item_name movie_name book_name
        product_name game_name track_name song_name article_name headline""",
    "year": "year release_year year_of_publication publication_year published_year original_publication_year",
    "genres": "genres genre categories category item_category product_category tags",
    "creator": "creator brand author authors book_author artist artist_name director store maker manufacturer",
}
USUAL_NAMES: dict[str, list[str]] = {role: names.split() for role, names in _USUAL.items()} | {"part": [], "event": []}
"""Per role the names that are understood, usual ones first. A part and a kind of event are never guessed.
Case and punctuation do not count."""

_OWN_ID = {"items": ("item", "id"), "users": ("user", "id")}
"""In a table of its own, an entity's id is often called id alone."""

NEEDED = {"interactions": ("user", "item", "timestamp"), "items": ("item",), "users": ("user",)}
OPTIONAL = {
    "interactions": ("rating", "quantity", "event", "part", "title", "year", "genres", "creator"),
    "items": ("title", "year", "genres", "creator"),
    "users": (),
}
_DESCRIPTIVE = ("title", "year", "genres", "creator")
"""Where several names fit one of these, the more usual name is taken; elsewhere that is an error."""


class ColumnMapping(Settings):
    """The columns' names. One that is left empty is guessed by name; "-" says that there is none."""

    user: str = ""
    """Who acted: a column of the interactions."""
    item: str = ""
    """What was acted on: a column of the interactions."""
    rating: str = ""
    """How it was rated, a number. Without one, each interaction counts as a rating of 1."""
    timestamp: str = ""
    """When: seconds, milliseconds or microseconds since 1970, or a date as text."""
    timestamp_format: str = ""
    """How a date as text is to be read, such as "%d.%m.%Y %H:%M". Empty: found from the values."""
    zero_is_no_rating: bool = False
    """A rating of 0 says that there was an interaction, not how it was liked: left out and counted."""
    row_order_as_time: bool = False
    """For logs without times alone: the order of the rows stands for time."""
    quantity: str = ""
    """How many were bought. Rows with none or fewer (returns) are left out and counted."""
    event: str = ""
    """What kind of event it is (view, cart, purchase): its weight, from ``event_weights``, then stands for a rating."""
    event_weights: dict[str, Annotated[float, Field(ge=-1e6)]] = Field(default_factory=dict)
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


@dataclass(frozen=True)
class Columns:
    """What the columns of one table were taken for."""

    table: str
    """interactions, items or users."""
    roles: Mapping[str, str]
    """Role (user, item, rating, ...) to the column's name in the file."""
    guessed: frozenset[str]
    """The roles that were guessed by name."""
    attributes: tuple[str, ...]
    """Further columns that are kept."""
    unused: tuple[str, ...]
    """Columns that are not."""

    def __str__(self) -> str:
        """One line to show, such as ``interactions: user = uid (guessed), item = sku``."""
        parts = [f"{role} = {name}{' (guessed)' * (role in self.guessed)}" for role, name in self.roles.items()]
        more = [f"further columns kept: {', '.join(self.attributes)}"] if self.attributes else []
        rest = [f"not used: {', '.join(self.unused)}"] if self.unused else []
        return f"{self.table}: " + "; ".join([", ".join(parts), *more, *rest])


def find_columns(
    table: str, names: Sequence[str], mapping: ColumnMapping, *, where: str, catalogue: bool = False
) -> Columns:
    """What each column of a table is taken for, as mapped, else by its name.

    Args:
        table: interactions, items or users.
        names: the columns of the file, in its order.
        mapping: what the user says.
        where: the file, for messages.
        catalogue: there is a table of items, so that the interactions' columns are not looked at for titles.

    Raises:
        LogError: a mapped column is not there, a needed one cannot be found, or several fit.

    Example:
        >>> print(find_columns("interactions", ["Customer ID", "SKU", "Date"], ColumnMapping(), where="shop.csv"))
        interactions: user = Customer ID (guessed), item = SKU (guessed), timestamp = Date (guessed)
    """
    roles: dict[str, str] = {}
    guessed = set()
    for role in (*NEEDED[table], *OPTIONAL[table]):
        asked = _asked(table, role, names, mapping)
        if catalogue and table == "interactions" and role in _DESCRIPTIVE:
            continue
        if asked == NO_COLUMN or (role == "timestamp" and mapping.row_order_as_time):
            continue
        if asked and asked in names:
            roles[role] = asked
        elif asked:
            raise LogError(
                f"{where} has no column {asked!r}, which {_setting(table, role)} names: found {', '.join(names)}"
            )
        elif fits := _fitting(table, role, names):
            if len(fits) > 1 and role not in _DESCRIPTIVE:
                raise LogError(
                    f"{where}: the columns {', '.join(fits)} all look like the {role}; "
                    f"name one in {_setting(table, role)} (found {', '.join(names)})"
                )
            roles[role] = fits[0]
            guessed.add(role)
        if role in NEEDED[table] and role not in roles:
            hint = " (or set columns.row_order_as_time for a log without times)" if role == "timestamp" else ""
            raise LogError(
                f"{where} has no column that looks like the {role}: found {', '.join(names) or 'none'}; "
                f"name it in {_setting(table, role)}{hint}"
            )
    free = [name for name in names if name not in roles.values()]
    kept = {"items": mapping.attributes, "users": mapping.user_attributes}.get(table, ())
    attributes = tuple(free if kept is None else kept)
    if absent := [name for name in attributes if name not in names]:
        raise LogError(f"{where} has no column {', '.join(absent)} among its attributes: found {', '.join(names)}")
    unused = tuple(name for name in free if name not in attributes)
    return Columns(table=table, roles=roles, guessed=frozenset(guessed), attributes=attributes, unused=unused)


def plain(name: str) -> str:
    """A column's name without case and punctuation.

    Example:
        >>> plain(" User-ID ")
        'userid'
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _asked(table: str, role: str, names: Sequence[str], mapping: ColumnMapping) -> str:
    """The name that the mapping gives; an id's name in a table of its own may be the one in the interactions."""
    asked = str(getattr(mapping, role))
    own = {("items", "item"): mapping.item_in_items, ("users", "user"): mapping.user_in_users}
    if (table, role) in own:
        return own[table, role] or (asked if asked in names else "")
    return asked


def _setting(table: str, role: str) -> str:
    own = {("items", "item"): "item_in_items", ("users", "user"): "user_in_users"}
    return f"columns.{own.get((table, role), role)}"


def _fitting(table: str, role: str, names: Sequence[str]) -> list[str]:
    """The columns whose names fit, the most usual first; the standard name (user_id, rating, ...) beats all others."""
    usual = [plain(name) for name in USUAL_NAMES[role]]
    if table == "interactions" and role == "title":
        usual.remove("name")  # in a table of acts, a bare name is a person's as often as an item's
    if _OWN_ID.get(table, ("", ""))[0] == role:
        usual.append("id")
    fits = sorted((name for name in names if plain(name) in usual), key=lambda name: usual.index(plain(name)))
    standard = [name for name in fits if plain(name) == usual[0]]
    own_id = [name for name in fits if plain(name) != "id"]
    return standard if len(standard) == 1 else own_id or fits
