"""What must hold of every source, on small files of the true form."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import source_samples as samples

from trackrec.data.log import Log
from trackrec.data.sources import SOURCES, SourceSettings, read_log
from trackrec.data.sources.movielens import GENRES
from trackrec.errors import LogError, RecipeError
from trackrec.prompts.domains import find_domain

MOVIES = [
    (1, "Toy Story (1995)", "Adventure|Animation|Children|Comedy|Fantasy"),
    (2, "Star Wars: Episode IV - A New Hope (1977)", "Action|Sci-Fi"),
    (3, 'Misérables, "Les" (1998)', "Drama"),
]


def movielens_100k(folder: Path) -> None:
    (folder / "u.data").write_text("196\t1\t3\t881250949\n186\t2\t5\t891717742\n196\t3\t1\t881250950\n")
    flags = {1: ["Animation", "Children's", "Comedy"], 2: ["Action", "Sci-Fi"], 3: ["Drama"]}
    lines = [
        f"{number}|{title}|01-Jan-1995||http://us.imdb.com/M|"
        + "|".join("1" if genre in flags[number] else "0" for genre in ("unknown", *GENRES))
        for number, title, _ in MOVIES
    ]
    (folder / "u.item").write_text("\n".join(lines) + "\n", encoding="latin-1")
    (folder / "u.user").write_text("186|39|F|executive|00000\n196|49|M|writer|55105\n")


def movielens_1m(folder: Path) -> None:
    (folder / "ratings.dat").write_text("1::1::5::978300760\n1::2::3::978302109\n2::3::1::978301968\n")
    lines = [f"{number}::{title}::{genres}" for number, title, genres in MOVIES]
    (folder / "movies.dat").write_text("\n".join(lines) + "\n", encoding="latin-1")
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072-1234\n")


def movielens_10m(folder: Path) -> None:
    (folder / "ratings.dat").write_text("1::1::5::838985046\n1::2::3.5::838983525\n2::3::0.5::868245777\n")
    lines = [f"{number}::{title}::{genres}" for number, title, genres in MOVIES]
    (folder / "movies.dat").write_text("\n".join(lines) + "\n", encoding="utf-8")


def movielens_csv(folder: Path) -> None:
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\r\n1,1,5.0,1147880044\r\n1,2,3.5,1147868817\r\n2,3,0.5,1147868828\r\n"
    )
    pl.DataFrame(MOVIES, schema=["movieId", "title", "genres"], orient="row").write_csv(folder / "movies.csv")
    with (folder / "movies.csv").open("a", encoding="utf-8") as file:
        file.write("4,Untold,(no genres listed)\n")


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows))


PRODUCTS = [
    ("0001048791", "The Crucible: Performed by &amp; for"),
    ("B00006", "十二人の怒れる男"),
    ("0001048775", "Measure"),
]


def amazon_2014(folder: Path) -> None:
    reviews = [
        {
            "reviewerID": f"A{user}", "asin": asin, "reviewerName": 'Adam "A"', "helpful": [0, 1], "reviewText": "x\ny",
            "overall": overall, "summary": "s", "unixReviewTime": 1393545600 + user, "reviewTime": "02 28, 2014",
        }
        for user, (asin, _), overall in zip((1, 2, 1), PRODUCTS, (5.0, 4.0, 1.0), strict=True)
    ]  # fmt: skip
    (folder / "reviews_Books_5.json.gz").write_bytes(json_lines(reviews))
    metadata = [  # Python literals, not JSON
        {
            "asin": asin, "title": title, "price": 3.17, "imUrl": "http://x", "salesRank": {"Books": 211836},
            "related": {"also_bought": ["X"]}, "brand": "Coxlures",
            "categories": [["Books", "Drama"], ["Books", "O'Neill"]],
        }
        for asin, title in PRODUCTS
    ]  # fmt: skip
    (folder / "meta_Books.json.gz").write_bytes(gzip.compress("".join(f"{row}\n" for row in metadata).encode()))


def amazon_2018(folder: Path) -> None:
    reviews = [
        {
            "overall": overall, "verified": True, "reviewTime": "03 11, 2014", "reviewerID": f"A{user}", "asin": asin,
            "style": {"Format:": " Hardcover"}, "reviewText": "x", "summary": "s", "unixReviewTime": 1394496000 + user,
        }
        for user, (asin, _), overall in zip((1, 2, 1), PRODUCTS, (5.0, 4.0, 1.0), strict=True)
    ]  # fmt: skip
    (folder / "Books_5.json.gz").write_bytes(json_lines(reviews))
    metadata = [
        {
            "category": ["Books", "Drama", "O'Neill"], "tech1": "", "description": ["d"], "title": title,
            "also_buy": [], "brand": "Coxlures", "rank": "1 in Books", "main_cat": "Books", "price": "$3.17",
            "asin": asin,
        }
        for asin, title in PRODUCTS
    ]  # fmt: skip
    (folder / "meta_Books.json.gz").write_bytes(json_lines(metadata))


def amazon_2023(folder: Path) -> None:
    reviews = [
        {
            "rating": rating, "title": "Great", "text": "x", "images": [], "asin": f"X{asin}", "parent_asin": asin,
            "user_id": f"A{user}", "timestamp": 1588687728923 + user, "helpful_vote": 0, "verified_purchase": True,
        }
        for user, (asin, _), rating in zip((1, 2, 1), PRODUCTS, (5.0, 4.0, 1.0), strict=True)
    ]  # fmt: skip
    (folder / "Books.jsonl.gz").write_bytes(json_lines(reviews))
    metadata = [
        {
            "main_category": "Books", "title": title, "subtitle": None, "average_rating": 4.5, "rating_number": 2,
            "features": [], "description": [], "price": None if asin == "B00006" else 3.17, "images": [], "videos": [],
            "store": "Coxlures", "categories": ["Books", "Drama", "O'Neill"], "details": {"Language": "English"},
            "parent_asin": asin, "bought_together": None,
        }
        for asin, title in PRODUCTS
    ]  # fmt: skip
    (folder / "meta_Books.jsonl.gz").write_bytes(json_lines(metadata))


def book_crossing(folder: Path) -> None:
    ratings = '"User-ID";"ISBN";"Book-Rating"\n"276725";"034545104X";"0"\n"276726";"0155061224";"5"\n'
    ratings += '"276726";"0446520802";"10"\n"276729";"0521795028";"1"\n'
    (folder / "BX-Book-Ratings.csv").write_text(ratings, encoding="latin-1")
    books = [
        ("034545104X", "Flesh Tones: A Novel", "M. J. Rose", "2002"),
        ("0155061224", r"Rites; of Passage (\"Ritos\")", "Judith Rae", "2001"),
        ("0446520802", "Café &amp; Notebook", "Nicholas Sparks", "0"),
        ("0521795028", "Help!: Level 1", "Philip Prowse", "1999"),
    ]
    header = (
        '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S";"Image-URL-M";"Image-URL-L"'
    )
    lines = [
        f'"{isbn}";"{title}";"{author}";"{year}";"Ballantine";"http://a/s.jpg";"http://a/m.jpg";"http://a/l.jpg"'
        for isbn, title, author, year in books
    ]
    (folder / "BX-Books.csv").write_text("\r\n".join([header, *lines]) + "\r\n", encoding="latin-1")
    users = (
        '"User-ID";"Location";"Age"\n"276726";"seattle, washington, usa";NULL\n"276729";"rijeka, n/a, croatia";"16"\n'
    )
    (folder / "BX-Users.csv").write_text(users, encoding="latin-1")


def lastfm_2k(folder: Path) -> None:
    """Two listeners, and 22 others who tag 20 artists more alike, so that a tag has as many artists as it needs."""
    artists = [
        (1, "Motörhead"),
        (2, '"Weird Al" Yankovic'),
        (3, "Sigur Rós"),
        *((n, f"Band {n}") for n in range(4, 24)),
    ]
    lines = [f"{number}\t{name}\thttp://last.fm/{number}\thttp://pic/{number}.jpg\n" for number, name in artists]
    (folder / "artists.dat").write_text("id\tname\turl\tpictureURL\n" + "".join(lines), encoding="utf-8")
    tags = [(1, "Comedy Rock"), (2, "seen live"), (3, "español"), (4, "comedy-rock"), (5, "lonely")]
    text = "tagID\ttagValue\r\n" + "".join(f"{number}\t{tag}\r\n" for number, tag in tags)
    (folder / "tags.dat").write_bytes(text.encode("latin-1"))
    others = [artist for artist in range(2, 24) if artist != 3]
    tagged = [(user, artist, 1 + 3 * (artist == 2 and user == 8)) for user in (7, 8) for artist in others]
    tagged += [(user, 2, 2) for user in range(7, 12)] + [(7, 2, 5), (7, 2, 3), (7, 2, 99)]
    text = "userID\tartistID\ttagID\tday\tmonth\tyear\r\n"
    text += "".join(f"{user}\t{artist}\t{tag}\t1\t4\t2009\r\n" for user, artist, tag in tagged)
    (folder / "user_taggedartists.dat").write_bytes(text.encode())
    (folder / "user_artists.dat").write_text("userID\tartistID\tweight\n7\t1\t13883\n7\t2\t9\n8\t3\t123\n")


def tables(folder: Path) -> None:
    (folder / "log.csv").write_text("user,item,rating,time\na,1,5,2020-01-01\na,2,3,2020-01-02\nb,3,1,2020-01-03\n")
    rows = [f'{number};"{title.replace(chr(34), chr(34) * 2)}";{genres}' for number, title, genres in MOVIES]
    (folder / "items.csv").write_text("\n".join(["id;title;genres", *rows]))


FILMS = [title for _, title, _ in MOVIES]
ARTISTS = ["Motörhead", '"Weird Al" Yankovic', "Sigur Rós", *(f"Band {number}" for number in range(4, 24))]
ITEMS = [title for _, title in PRODUCTS]
BOOKS = ["Flesh Tones: A Novel", 'Rites; of Passage ("Ritos")', "Café &amp; Notebook", "Help!: Level 1"]


@dataclass(frozen=True)
class Case:
    """A source, its sample, and what must come out beside what holds of all."""

    write: Callable[[Path], None]
    titles: list[str]
    genres: list[str]
    """Of the second item."""
    row: tuple[Any, ...]
    """The first interaction."""
    rows: int = 3
    like: float | None = 4.0
    """The rating from which on an item was liked; None: all of them were."""
    least: float = 0.5
    """The least rating that there may be."""


CASES = {
    "movielens-100k": Case(movielens_100k, FILMS, ["Action", "Sci-Fi"], (0, 196, 1, 3.0, 881_250_949)),
    "movielens-1m": Case(movielens_1m, FILMS, ["Action", "Sci-Fi"], (0, 1, 1, 5.0, 978_300_760)),
    "movielens-10m": Case(movielens_10m, FILMS, ["Action", "Sci-Fi"], (0, 1, 1, 5.0, 838_985_046)),
    **{
        f"movielens-{size}": Case(
            movielens_csv, [*FILMS, "Untold"], ["Action", "Sci-Fi"], (0, 1, 1, 5.0, 1_147_880_044)
        )
        for size in ("20m", "25m", "32m", "latest")
    },
    "amazon-2014": Case(amazon_2014, ITEMS, ["Books", "Drama", "O'Neill"], (0, "A1", "0001048791", 5.0, 1_393_545_601)),
    "amazon-2018": Case(amazon_2018, ITEMS, ["Books", "Drama", "O'Neill"], (0, "A1", "0001048791", 5.0, 1_394_496_001)),
    "amazon-2023": Case(amazon_2023, ITEMS, ["Books", "Drama", "O'Neill"], (0, "A1", "0001048791", 5.0, 1_588_687_728)),
    "book-crossing": Case(book_crossing, BOOKS, [], (1, 276726, "0155061224", 5.0, 2), rows=4),
    "lastfm-2k": Case(lastfm_2k, ARTISTS, ["comedy rock"], (0, 7, 1, 5.0, 3)),
    "lastfm-360k": Case(
        samples.lastfm_360k,
        ['"weird al" yankovic', "betty blowtorch"],
        [],
        (0, "00000c289a", "betty blowtorch", 4.0, None),
    ),
    "goodreads": Case(
        samples.goodreads,
        ["Invisible Man", 'Dog "Heaven", or so', "Aki"],
        ["children", "history, biography"],
        (0, "8842281e1d", "16981", 5.0, 1_490_771_733),
        rows=4,
    ),
    "steam": Case(
        samples.steam,
        ["Lost Summoner Kitty", 'Zeno\'s "Clash"'],
        ["Indie", "RPG"],
        (0, "76561197970982479", "1250", 1.0, 1_320_451_200),
        like=1.0,
        least=0.0,
    ),
    "hm": Case(
        samples.hm,
        ["Strap top", "Rae Push, (Melbourne) 2p"],
        ["Under-, Nightwear"],
        (0, "000058a12d5b", "0108775015", 1.0, 1_537_401_600),
        like=None,
    ),
    "taobao": Case(samples.taobao, ["2268318", "2333346"], ["2520771"], (0, 1, 2268318, 1.0, 1_511_544_070), like=4.0),
    "yelp": Case(
        samples.yelp,
        ["Abby Rappoport, LAC", 'St. Honore "Pastries"'],
        ["Restaurants", "Food", "Bubble Tea"],
        (0, "mh_-eMZ6K5RLWhZyISBhwA", "Pns2l4eNsfO8kk83dixA6A", 3.0, 1_531_001_350),
    ),
    "mind": Case(
        samples.mind,
        ['The Brands "Queen" Elizabeth Swears By', "50 Worst Habits, for 6'1\" Men", '"It\'s Time" to Go'],
        ["health", "weightloss"],
        (0, "U13740", "N1", 1.0, 1_573_463_158),
        like=1.0,
        least=0.0,
    ),
    "kuairand": Case(samples.kuairand, ["3", "5"], ["39", "68"], (0, 0, 5, 1.0, 1_650_539_123), like=1.0, least=0.0),
    "kuairec": Case(
        samples.kuairec,
        ["搞笑 #笑", "五爱街最美美女 一天1q"],
        ["27", "9"],
        (0, 0, 3649, 2.273, 1_593_878_903),
        like=2.0,
        least=0.0,
    ),
    "recbole": Case(
        samples.recbole, ["Toy Story", 'The "Golden" Eye'], ["Action", "Thriller"], (0, 196, 1, 3.0, 881_250_949)
    ),
    "fuxictr": Case(samples.fuxictr, ["74", "81"], [], (0, 16, 74, 1.0, None), like=1.0, least=0.0),
    "tables": Case(tables, FILMS, ["Action", "Sci-Fi"], (0, "a", 1, 5.0, 1_577_836_800)),
}


def settings_of(name: str, folder: Path) -> SourceSettings:
    if name == "tables":
        files = {"interactions": folder / "log.csv", "items": folder / "items.csv"}
        return SourceSettings.model_validate({"source": name, "tables": files})
    return SourceSettings(source=name, folder=folder)


@pytest.fixture(params=list(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def log(name: str, tmp_path: Path) -> Log:
    CASES[name].write(tmp_path)
    return read_log(settings_of(name, tmp_path))


def test_every_source_has_a_case() -> None:
    assert set(CASES) == {*SOURCES, "tables"}


def test_its_prompts_have_a_domain_of_their_own(name: str) -> None:
    if name == "tables":
        pytest.skip("the columns' names tell")
    assert SOURCES[name].name == name
    generic = {"yelp", "mind", "kuairand", "kuairec", "recbole", "fuxictr"}  # places, news, videos, and anything
    assert (find_domain(SOURCES[name].domain).name == "generic") == (name in generic)


def test_types_and_unique_ids(log: Log) -> None:
    assert dict(log.interactions.schema) == {
        "event_id": pl.UInt32(),
        "user_id": log.users.schema["user_id"],
        "item_id": log.items.schema["item_id"],
        "rating": pl.Float64(),
        "timestamp": pl.Int64(),
    }
    assert log.items.schema["year"] == pl.Int32
    assert log.items.schema["genres"] == pl.List(pl.String)
    for ids in (log.interactions["event_id"], log.items["item_id"], log.users["user_id"]):
        assert ids.is_unique().all()
        assert ids.null_count() == 0
    assert log.interactions["item_id"].is_in(log.items["item_id"].implode()).all()
    assert log.interactions["user_id"].is_in(log.users["user_id"].implode()).all()


def test_counts_add_up(name: str, log: Log) -> None:
    dropped = sum(
        count
        for reason, count in log.counts.items()
        if reason.startswith("dropped_") and not reason.startswith(("dropped_items", "dropped_users"))
    )
    assert log.counts["rows"] == CASES[name].rows == log.counts["interactions"] + dropped
    assert log.counts["interactions"] == log.interactions.height == 3
    assert log.counts["items"] == log.items.height == len(CASES[name].titles)
    assert log.counts.get("dropped_rating_zero", 0) == dropped
    assert not [reason for reason, count in log.counts.items() if reason.startswith("dropped_items") and count]


def test_titles_are_verbatim_and_genres_whole(name: str, log: Log) -> None:
    assert log.items["title"].to_list() == CASES[name].titles
    assert log.items["genres"][1].to_list() == CASES[name].genres
    if name.startswith("movielens"):
        assert log.items["year"].to_list()[:3] == [1995, 1977, 1998]
        assert log.items["genres"].to_list()[3:] in ([], [[]])  # "(no genres listed)" is none


def test_the_first_event_and_plausible_labels(name: str, log: Log) -> None:
    case = CASES[name]
    first = log.interactions.row(0)
    assert first[:4] == case.row[:4]
    assert case.row[4] in (first[4], None)  # drawn
    likes = (log.interactions["rating"] >= case.like).mean() if case.like else 0.5
    assert isinstance(likes, float)
    assert 0 < likes < 1
    assert log.interactions["rating"].is_between(case.least, 10).all()
    known = SOURCES.get(name)
    if known and known.like_threshold is not None:
        assert known.like_threshold == case.like


def test_users_and_makers(name: str, log: Log) -> None:
    further = {
        "movielens-1m": [(1, "F", "1", "10", "48067"), (2, "M", "56", "16", "70072-1234")],
        "book-crossing": [(276726, "seattle, washington, usa", None), (276729, "rijeka, n/a, croatia", "16")],
    }
    if name in further:
        assert log.users.rows() == further[name]
    if name.startswith("amazon"):
        assert log.items["creator"].to_list() == ["Coxlures"] * 3
        assert "3.17" in str(log.items["price"][0])
    if name == "book-crossing":
        assert log.items.select("year", "creator", "publisher").row(0) == (2002, "M. J. Rose", "Ballantine")
        assert log.items["year"].to_list()[2] is None
        assert log.counts["times_from_the_order_of_rows"] == 4


def test_the_order_of_plays_is_drawn_and_counted(tmp_path: Path) -> None:
    """By listener and artist: neither the order of the file nor other rows say when somebody listened."""
    lastfm_2k(tmp_path)
    file = tmp_path / "user_artists.dat"
    plays = [f"{user}\t{artist}\t{1000 - artist}" for user in range(1, 9) for artist in range(1, 24)]
    file.write_text("\n".join(["userID\tartistID\tweight", *plays]))
    log = read_log(SourceSettings(source="lastfm-2k", folder=tmp_path))
    assert log.counts["times_drawn_since_the_log_has_none"] == len(plays)
    assert log.counts["kept_items_without_genres"] == 2
    times = log.interactions.sort("user_id", "timestamp")
    orders = [part["item_id"].to_list() for part in times.partition_by("user_id", maintain_order=True)]
    assert len({tuple(order) for order in orders}) == 8
    first = log.interactions.sort("timestamp").select("user_id", "item_id").rows()
    file.write_text("\n".join(["userID\tartistID\tweight", *reversed(plays)]))
    again = read_log(SourceSettings(source="lastfm-2k", folder=tmp_path))
    assert again.interactions.sort("timestamp").select("user_id", "item_id").rows() == first


def test_plays_that_are_none_are_counted(tmp_path: Path) -> None:
    lastfm_2k(tmp_path)
    with (tmp_path / "user_artists.dat").open("a") as file:
        file.write("8\t1\t0\n8\t2\tmany\n9\t777\t5\n")
    counts = read_log(SourceSettings(source="lastfm-2k", folder=tmp_path)).counts
    assert (counts["dropped_without_rating"], counts["dropped_item_not_in_catalogue"]) == (2, 1)


def test_another_folder_is_refused(name: str, tmp_path: Path) -> None:
    if name == "tables":
        pytest.skip("has no folder")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    for folder, found in (
        (tmp_path, "found empty, notes.txt"),
        (tmp_path / "empty", "found an empty folder"),
        (tmp_path / "none", "found no such folder"),
    ):
        with pytest.raises(LogError, match=f"expected .*{found}"):
            read_log(SourceSettings(source=name, folder=folder))


def test_a_folder_is_needed(name: str) -> None:
    if name in ("tables", "movielens-100k"):
        pytest.skip("has a place of its own")
    with pytest.raises(RecipeError, match=f"the source '{name}' needs a folder: set source.folder"):
        read_log(SourceSettings(source=name))


def test_lines_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    movielens_1m(tmp_path)
    with (tmp_path / "ratings.dat").open("a") as file:
        file.write("1::2::3\n\n5\n")
    with (tmp_path / "movies.dat").open("a") as file:
        file.write("junk\n")
    counts = read_log(SourceSettings(source="movielens-1m", folder=tmp_path)).counts
    assert (counts["rows"], counts["dropped_without_user_id"], counts["dropped_items_without_id"]) == (5, 2, 1)


def test_metadata_that_is_no_literal_is_counted(tmp_path: Path) -> None:
    amazon_2014(tmp_path)
    text = gzip.decompress((tmp_path / "meta_Books.json.gz").read_bytes()) + b"{'asin': __import__('os')}\n{'asin\n"
    (tmp_path / "meta_Books.json.gz").write_bytes(gzip.compress(text))
    counts = read_log(SourceSettings(source="amazon-2014", folder=tmp_path)).counts
    assert (counts["items"], counts["dropped_items_without_id"]) == (3, 2)


def test_another_version_of_amazon_is_named(tmp_path: Path) -> None:
    amazon_2023(tmp_path)
    with pytest.raises(
        LogError, match=r"Books\.jsonl\.gz: the first line has no 'reviewerID'; is it of another version"
    ):
        read_log(SourceSettings(source="amazon-2018", folder=tmp_path))
