"""What each column of a table is taken for: as the mapping says, else by its name and, where need be, its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from trackrec.data.column_mapping import NO_COLUMN, ColumnMapping
from trackrec.data.column_values import clicked, few_words, finest, first_clicked, is_clock, is_day, may_be_truth
from trackrec.errors import LogError

__all__ = ["NEEDED", "NO_COLUMN", "OPTIONAL", "USUAL_NAMES", "ColumnMapping", "Columns", "find_columns", "plain"]

Peek = Callable[[Sequence[str]], pl.DataFrame]
"""Gives the first rows of some columns, for what their names alone do not tell."""
Distinct = Callable[[str], pl.Series]
"""Gives the different values of a column, or the first some thousands of them."""

_USUAL = {
    "user": """user_id user uid user_name customer customer_id customer_no customer_number reviewer reviewer_id
        visitor_id visitor member_id member account_id client_id buyer_id person_id viewer_id reader_id listener_id
        session_id""",
    "item": """item_id item iid movie_id movie film_id film product_id product sku stock_code article_id article book_id
        book isbn isbn13 asin parent_asin track_id track song_id song artist_id video_id show_id game_id app_id
        business_id gmap_id recipe_id place_id news_id post_id content_id anime_id beer_id hotel_id job_id video
        news""",
    "rating": """rating ratings overall stars star_rating score book_rating user_rating review_rating rate""",
    "timestamp": """timestamp time datetime date_time date unix_time unix_timestamp unix_review_time review_time
        review_date event_time event_date created_at created_on created rated_at rating_date order_date purchase_date
        invoice_date purchased_at bought_at ts time_stamp time_ms timestamp_ms time_us event_timestamp event_time_ms
        date_added date_updated read_at added_at watched_at played_at listened_at click_time impression_time
        server_time utc_time action_time visit_date t_dat""",
    "quantity": "quantity qty units amount_bought",
    "title": """title item_title movie_title film_title book_title product_title name item_name movie_name book_name
        product_name game_name track_name song_name article_name headline""",
    "year": "year release_year year_of_publication publication_year published_year original_publication_year",
    "genres": """genres genre categories category item_category product_category tags tag genre_names category_name
        category_names feat product_group_name class""",
    "creator": "creator brand author authors book_author artist artist_name director store maker manufacturer",
}
_NEVER = ("clock", "part", "event", "shown", "shown_clicked")
USUAL_NAMES: dict[str, list[str]] = {role: names.split() for role, names in _USUAL.items()} | {r: [] for r in _NEVER}
"""Per role the names that are understood, usual ones first. Those of ``_NEVER`` are never guessed.
Case and punctuation do not count."""
_LAST_RESORT = {
    "item": ["artist", "artistname", "trackname", "songname", "title", "movietitle", "productname"],
    "title": ["description"],
}
"""Names that are taken where no other fits."""
_CLOCKS = ("hourmin", "time", "timeofday", "clock", "hhmm", "hourminute", "eventtime", "ordertime", "starttime")
"""Names of a time of day beside a date."""
_CLICKS = ("isclick", "click", "clicked", "isclicked", "label", "clk", "hasclicked", "clickflag",
           "converted", "conversion", "isconverted", "purchased", "ispurchase", "ispurchased", "bought", "isbuy",
           "ordered")  # fmt: skip
"""Truth values of what became of something that was shown."""
_KINDS = ("event", "eventtype", "behavior", "behaviortype", "action", "actiontype", "interactiontype", "kind", "type")
"""Names of the kind of an event."""
_SHOWN = ("impression", "impressions", "shown", "show", "exposure", "exposed", "display", "displayed", "served", "skip",
          "skipped", "ignored", "dismissed", "noclick", "unclicked")  # fmt: skip
"""Kinds of events that are no sign of liking."""
_OPINIONS = ("liked", "like", "isliked", "recommended", "isrecommended", "recommend", "thumbsup", "voteup", "favorite")
"""Truth values of what somebody thought of it."""
_TYPE = re.compile(r":(token|token_seq|float|float_seq)$")
"""RecBole's atomic files say the type of a column after its name."""

_OWN_ID = {"items": ("item", "id"), "users": ("user", "id")}
"""In a table of its own, an entity's id is often called id alone."""

NEEDED = {"interactions": ("user", "item", "timestamp"), "items": ("item",), "users": ("user",)}
# fmt: off
OPTIONAL = {
    "interactions": (
        "clock", "rating", "quantity", "event", "part", "shown", "shown_clicked", "title", "year", "genres", "creator",
    ),
    "items": ("title", "year", "genres", "creator"),
    "users": (),
}
# fmt: on
_SINGLE = ("user", "item", "timestamp", "rating", "quantity", "title", "year")
"""Roles whose column holds one value a row, so that an object is none."""
_DESCRIPTIVE = ("title", "year", "genres", "creator")
"""Where several names fit one of these, the more usual name is taken; elsewhere that is an error."""


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
    notes: tuple[str, ...] = ()
    """What was not sure, in words."""
    signals: tuple[str, ...] = ()
    """The columns of ``columns.signals``."""
    impressions: bool = False
    """The rating says what became of something that was shown: 1 or 0."""

    @property
    def genre_separator(self) -> str | None:
        """What the genres' column itself says of their separator: RecBole's sequences are separated by spaces."""
        return " " if self.roles.get("genres", "").endswith(":token_seq") else None

    def __str__(self) -> str:
        """One line to show, such as ``interactions: user = uid (guessed), item = sku``."""
        parts = [f"{role} = {name}{' (guessed)' * (role in self.guessed)}" for role, name in self.roles.items()]
        more = [f"further columns kept: {', '.join(self.attributes)}"] if self.attributes else []
        rest = [f"not used: {', '.join(self.unused)}"] if self.unused else []
        return f"{self.table}: " + "; ".join([", ".join(parts), *more, *rest])


def find_columns(
    table: str,
    names: Sequence[str],
    mapping: ColumnMapping,
    *,
    where: str,
    catalogue: bool = False,
    peek: Peek | None = None,
    parts: Sequence[str] = (),
    distinct: Distinct | None = None,
) -> Columns:
    """What each column of a table is taken for, as mapped, else by its name.

    Args:
        table: interactions, items or users.
        names: the columns of the file, in its order.
        mapping: what the user says.
        where: the file, for messages.
        catalogue: there is a table of items, so that the interactions' columns are not looked at for titles.
        peek: gives the first values of columns, where several look like the time, or one like clicks.
        distinct: gives the different values of a column in all rows, where its first ones do not tell.
        parts: columns that are parts of objects in others (``user.id``), which fit where none of the others does.

    Raises:
        LogError: a mapped column is not there, a needed one cannot be found, or several fit.

    Example:
        >>> print(find_columns("interactions", ["Customer ID", "SKU", "Date"], ColumnMapping(), where="shop.csv"))
        interactions: user = Customer ID (guessed), item = SKU (guessed), timestamp = Date (guessed)
    """
    roles: dict[str, str] = {}
    guessed: set[str] = set()
    notes: list[str] = []
    for role in (*NEEDED[table], *OPTIONAL[table]):
        asked = _in_file(_asked(table, role, names, mapping), names)
        if catalogue and table == "interactions" and role in _DESCRIPTIVE:
            continue
        if asked == NO_COLUMN or (role == "timestamp" and mapping.row_order_as_time):
            continue
        if role == "rating" and (mapping.signals or mapping.shown):
            continue
        if role == "item" and table == "interactions" and mapping.shown:
            asked = _in_file(mapping.shown, names)
        if asked and (asked in names or asked in parts):
            roles[role] = asked
        elif asked:
            raise LogError(
                f"{where} has no column {asked!r}, which {_setting(table, role)} names: found {', '.join(names)}"
            )
        elif fits := [name for name in _plain_or_part(table, role, names, parts) if name not in roles.values()]:
            if role == "timestamp" and len(_alike(role, names)) > 1 and peek:
                best = _finest(_alike(role, names), peek, notes)
                fits = [name for name in fits if name in best] or best or fits
            if len(fits) > 1 and role not in _DESCRIPTIVE:
                raise LogError(
                    f"{where}: the columns {', '.join(fits)} all look like the {role}; "
                    f"name one in {_setting(table, role)} (found {', '.join(names)})"
                )
            roles[role] = fits[0]
            guessed.add(role)
        if role in NEEDED[table] and role not in roles:
            raise LogError(
                f"{where} has no column that looks like the {role}: found {', '.join(names) or 'none'}; "
                f"name it in {_setting(table, role)}{_WITHOUT_TIMES if role == 'timestamp' else ''}"
            )
    if "timestamp" in guessed and "clock" not in roles and peek and mapping.clock != NO_COLUMN:
        day, free = (
            roles["timestamp"],
            [name for name in names if plain(name) in _CLOCKS and name not in roles.values()],
        )
        if free and is_day(peek([day])[day]) and (name := next((n for n in free if is_clock(peek([n])[n])), "")):
            roles["clock"] = name
            guessed.add("clock")
    signals = [_in_file(name, names) for name in mapping.signals] if table == "interactions" else []
    if absent := [name for name in signals if name not in names]:
        raise LogError(
            f"{where} has no column {', '.join(absent)}, which columns.signals names: found {', '.join(names)}"
        )
    impressions = bool(mapping.shown) and table == "interactions"
    unrated = not {"rating", "event", "shown"} & roles.keys() and not signals and mapping.rating != NO_COLUMN
    if table == "interactions" and peek and unrated and (name := _truths(names, roles, peek, notes, distinct)):
        roles["rating"] = name
        guessed.add("rating")
        impressions = plain(name) in _CLICKS
    free = [name for name in names if name not in roles.values() and name not in signals]
    kept = {"items": mapping.attributes, "users": mapping.user_attributes}.get(table, ())
    attributes = tuple(free if kept is None else kept)
    if absent := [name for name in attributes if name not in names]:
        raise LogError(f"{where} has no column {', '.join(absent)} among its attributes: found {', '.join(names)}")
    unused = tuple(name for name in free if name not in attributes)
    return Columns(table, roles, frozenset(guessed), attributes, unused, tuple(notes), tuple(signals), impressions)


_WITHOUT_TIMES = (
    " (or set columns.row_order_as_time for a log without times whose rows are in the order in which things happened, "
    "or columns.timestamp to '-' for one whose order is to be drawn)"
)


def _alike(role: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if plain(name) in {plain(usual) for usual in USUAL_NAMES[role]}]


def _finest(fits: list[str], peek: Peek, notes: list[str]) -> list[str]:
    """Of several columns that look like the time, those that tell moments apart most finely."""
    best = finest(peek(fits))
    if len(best) == 1:
        others = ", ".join(name for name in fits if name != best[0])
        notes.append(f"{best[0]} is taken for the time, as it tells moments apart more finely than {others}")
    return best


def _truths(
    names: Sequence[str], roles: Mapping[str, str], peek: Peek, notes: list[str], distinct: Distinct | None
) -> str:
    """A column of truth values that says whether something was clicked, or liked; "" if there is none."""
    free = [name for name in names if name not in roles.values()]
    usual = [name for known in (*_CLICKS, *_OPINIONS) for name in free if plain(name) == known]
    values = peek(free)
    name = first_clicked(values, usual)
    if not name and distinct:  # the first rows may all be of one kind
        name = next((each for each in usual if may_be_truth(values[each]) and clicked(distinct(each))), "")
    kinds = [other for other in free if plain(other) in _KINDS and few_words(values[other])]
    if kinds:
        some = ", ".join(values[kinds[0]].drop_nulls().unique(maintain_order=True)[:4].cast(pl.String))
        notes.append(
            f"{kinds[0]} looks like the kind of an event ({some}), and each kind counts alike"
            f"{_shown_words(values[kinds[0]])}: columns.event and columns.event_weights tell them apart"
        )
    others = [other for other in free if other != name and clicked(values[other])]
    if name:
        what = "what became of something that was shown" if plain(name) in _CLICKS else "whether something was liked"
        notes.append(
            f"{name} holds truth values alone and is taken for {what}: rows where it is 0 are no likes (columns.rating "
            "'-' if every row is one)"
        )
    if others:
        are = ("holds", "is") if len(others) == 1 else ("hold", "are")
        notes.append(
            f"{', '.join(others)} {are[0]} truth values alone, and {are[1]} not used (columns.signals can weigh them)"
        )
    return name


def _shown_words(kinds: pl.Series) -> str:
    """Of kinds of events, a warning where some say no more than that something was shown or passed over."""
    words = [word for word in kinds.drop_nulls().unique(maintain_order=True).cast(pl.String) if plain(word) in _SHOWN]
    return f", also {', '.join(words)}, though that was merely shown or passed over" if words else ""


def _in_file(asked: str, names: Sequence[str]) -> str:
    """A column's name in the file: that which was asked for, or the same with RecBole's type after it."""
    return next((name for name in names if asked and bare(name) == asked and asked not in names), asked)


def bare(name: str) -> str:
    """A column's name without the type that RecBole's files put after it: ``user_id:token``."""
    return _TYPE.sub("", name)


def plain(name: str) -> str:
    """A column's name without case and punctuation, and without the type that RecBole's files put after it.

    Example:
        >>> plain(" User-ID ")
        'userid'
    """
    return "".join(letter for letter in bare(name).casefold() if letter.isalnum())


def _asked(table: str, role: str, names: Sequence[str], mapping: ColumnMapping) -> str:
    """The name that the mapping gives; an id's name in a table of its own may be the one in the interactions."""
    asked = str(getattr(mapping, role))
    own = {("items", "item"): mapping.item_in_items, ("users", "user"): mapping.user_in_users}
    if (table, role) in own:
        return own[table, role] or (asked if asked in names else "")
    return asked


def _plain_or_part(table: str, role: str, names: Sequence[str], parts: Sequence[str]) -> list[str]:
    """The columns whose names fit; of objects, which hold no value themselves, the parts whose names do."""
    objects = {part.split(".", 1)[0] for part in parts} if role in _SINGLE else set()
    return _fitting(table, role, [name for name in names if name not in objects]) or _fitting(table, role, parts)


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
    if role == "genres" and not any(_TYPE.search(name) for name in names):
        usual.remove("class")
    if table == "interactions" and not any(plain(name) in usual for name in names):
        usual += _LAST_RESORT.get(role, [])
    fits = sorted((name for name in names if plain(name) in usual), key=lambda name: usual.index(plain(name)))
    standard = [name for name in fits if plain(name) == usual[0]]
    own_id = [name for name in fits if plain(name) != "id"]
    return standard if len(standard) == 1 else own_id or fits
