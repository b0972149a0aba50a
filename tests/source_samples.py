"""Small files in the true form of public data sets, three events each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def mind(folder: Path) -> None:
    (folder / "behaviors.tsv").write_text(
        "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN1-1 N2-0\n2\tU91836\t11/12/2019 6:11:30 PM\t\tN3-1\n"
    )
    news = [
        ("N1", "lifestyle", "lifestyleroyals", 'The Brands "Queen" Elizabeth Swears By'),
        ("N2", "health", "weightloss", "50 Worst Habits, for 6'1\" Men"),
        ("N3", "news", "newsworld", '"It\'s Time" to Go'),
    ]
    tail = "Shop the notebooks\thttps://assets.msn.com/x.html\t[]\t[]"
    (folder / "news.tsv").write_text("".join("\t".join(row) + f"\t{tail}\n" for row in news))


def kuairand(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    head = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,play_time_ms,duration_ms,is_rand,tab\n"
    (data / "log_standard_4_08_to_4_21_pure.csv").write_text(
        head + "0,5,20220421,1105,1650539123456,1,0,0,5,6,0,1\n0,3,20220421,1106,1650539223456,0,0,0,5,6,0,1\n"
    )
    (data / "log_standard_4_22_to_5_08_pure.csv").write_text(head + "1,5,20220422,0000,1650585600000,1,1,0,5,6,0,1\n")
    (data / "log_random_4_22_to_5_08_pure.csv").write_text(head + "1,3,20220422,0001,1650585661000,0,0,0,5,6,1,1\n")
    (data / "video_features_basic_pure.csv").write_text(
        "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,tag\n"
        '3,9,NORMAL,2022-04-21,ShortImport,1,6000,720,65\n5,9,NORMAL,2022-04-21,ShortImport,1,6000,720,"39,68"\n'
    )


def kuairec(folder: Path) -> None:
    (folder / "big_matrix.csv").write_text(
        "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
        "0,3649,13838,10867,2020-07-05 00:08:23.438,20200705.0,1593878903.438,2.273\n"
        "0,9598,13665,10984,2020-07-05 00:13:41.297,20200705.0,1593879221.297,1.244\n"
        "1,3649,851,7908,2020-07-05 00:16:06.687,20200705.0,1593879366.687,0.107\n"
    )
    (folder / "item_categories.csv").write_text('video_id,feat\n3649,[8]\n9598,"[27, 9]"\n')
    (folder / "kuairec_caption_category.csv").write_text(
        "video_id,manual_cover_text,caption,topic_tag,first_level_category_id,first_level_category_name\n"
        "9598,UNKNOWN,五爱街最美美女 一天1q,[五爱街],8,颜值\n3649,UNKNOWN,搞笑 #笑,[],19,搞笑\n"
    )


def goodreads(folder: Path) -> None:
    acts = [
        {
            "user_id": "8842281e1d", "book_id": book, "review_id": f"r{rating}", "is_read": rating > 0,
            "rating": rating, "review_text_incomplete": "", "date_added": "Wed Mar 29 00:15:33 -0700 2017",
            "date_updated": "Wed Mar 29 00:15:34 -0700 2017", "read_at": "", "started_at": "",
        }
        for book, rating in (("16981", 5), ("7", 0), ("7", 2), ("0302", 4))
    ]  # fmt: skip
    (folder / "goodreads_interactions_poetry.json").write_text(lines(acts))
    books = [
        {
            "book_id": book, "title": title, "publication_year": "1984", "publisher": "Nelson", "format": "Paperback",
            "popular_shelves": [{"count": "3", "name": "to-read"}], "authors": [{"author_id": "604031", "role": ""}],
        }
        for book, title in (("16981", "Invisible Man"), ("7", 'Dog "Heaven", or so'), ("0302", "Aki"))
    ]  # fmt: skip
    (folder / "goodreads_books_poetry.json").write_text(lines(books))
    genres = {"16981": {"fiction": 9}, "7": {"history, biography": 1, "children": 10}, "0302": {}}
    (folder / "goodreads_book_genres_initial.json").write_text(
        lines([{"book_id": book, "genres": kinds} for book, kinds in genres.items()])
    )


def steam(folder: Path) -> None:
    def review(item: str, yes: bool, posted: str) -> dict[str, Any]:
        return {"funny": "", "posted": posted, "last_edited": "", "item_id": item, "recommend": yes, "review": "It's\n"}

    users = [
        {
            "user_id": "76561197970982479", "user_url": "http://steam",
            "reviews": [
                review("1250", True, "Posted November 5, 2011."), review("22200", False, "Posted July 15, 2011."),
            ],
        },
        {"user_id": "js41637", "user_url": "x", "reviews": [review("1250", True, "Posted June 24, 2014.")]},
        {"user_id": "none", "user_url": "x", "reviews": []},
    ]  # fmt: skip
    (folder / "australian_user_reviews.json").write_text("".join(f"{user}\n" for user in users))
    games = [
        {"publisher": "Kotoshiro", "genres": ["Action", "Casual"], "app_name": "Lost Summoner Kitty", "title": "x",
         "release_date": "2018-01-04", "tags": ["Strategy"], "price": 4.99, "id": "1250", "developer": "Kotoshiro"},
        {"publisher": "Ace", "genres": ["Indie", "RPG"], "app_name": "Zeno's \"Clash\"", "title": "y",
         "release_date": "2009", "price": "Free", "id": "22200", "developer": "Ace"},
    ]  # fmt: skip
    (folder / "steam_games.json").write_text("".join(f"{game}\n" for game in games))


def hm(folder: Path) -> None:
    (folder / "transactions_train.csv").write_text(
        "t_dat,customer_id,article_id,price,sales_channel_id\n"
        "2018-09-20,000058a12d5b,0108775015,0.0508,2\n2018-09-20,000058a12d5b,0541518023,0.0304,2\n"
        "2018-09-21,00007d2de826,0108775015,0.0152,2\n"
    )
    (folder / "articles.csv").write_text(
        "article_id,product_code,prod_name,product_type_name,product_group_name,colour_group_name,department_name\n"
        "0108775015,0108775,Strap top,Vest top,Garment Upper body,Black,Jersey Basic\n"
        '0541518023,0541518,"Rae Push, (Melbourne) 2p",Under-, Nightwear,Underwear,Pink,Lingerie\n'.replace(
            "Under-, Nightwear", '"Under-, Nightwear"'
        )
    )


def taobao(folder: Path) -> None:
    (folder / "UserBehavior.csv").write_text(
        "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,buy,1511561733\n2,2268318,2520377,cart,1511572885\n"
    )


def yelp(folder: Path) -> None:
    reviews = [
        {"review_id": f"r{n}", "user_id": user, "business_id": place, "stars": stars, "useful": 0, "funny": 0,
         "text": "If you\n\"decide\"", "date": f"2018-07-07 22:09:1{n}"}
        for n, (user, place, stars) in enumerate(
            [("mh_-eMZ6K5RLWhZyISBhwA", "Pns2l4eNsfO8kk83dixA6A", 3.0), ("OyoGAe7OKpv6SyGZT5g77Q", "__pzCk", 5.0),
             ("mh_-eMZ6K5RLWhZyISBhwA", "__pzCk", 4.0)])
    ]  # fmt: skip
    (folder / "yelp_academic_dataset_review.json").write_text(lines(reviews))
    places = [
        {"business_id": "Pns2l4eNsfO8kk83dixA6A", "name": "Abby Rappoport, LAC", "city": "Santa Barbara", "state": "CA",
         "stars": 5.0, "is_open": 0, "attributes": {"ByAppointmentOnly": "True"}, "categories": None, "hours": None},
        {"business_id": "__pzCk", "name": 'St. Honore "Pastries"', "city": "Philadelphia", "state": "PA",
         "stars": 4.0,
         "is_open": 1, "attributes": None, "categories": "Restaurants, Food, Bubble Tea", "hours": None},
    ]  # fmt: skip
    (folder / "yelp_academic_dataset_business.json").write_text(lines(places))


def lastfm_360k(folder: Path) -> None:
    (folder / "usersha1-artmbid-artname-plays.tsv").write_text(
        '00000c289a\t3bd73256\tbetty blowtorch\t2137\n00000c289a\t\t"weird al" yankovic\t9\n'
        "00001411dc\t3bd73256\tbetty blowtorch\t137\n"
    )


def recbole(folder: Path) -> None:
    (folder / "ml.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "196\t1\t3\t881250949\n186\t2\t5\t891717742\n22\t1\t1\t878887116\n"
    )
    (folder / "ml.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '1\tToy Story\t1995\tAnimation Children\'s Comedy\n2\tThe "Golden" Eye\t1995\tAction Thriller\n'
    )
    (folder / "ml.user").write_text("user_id:token\tage:token\n196\t49\n186\t39\n22\t25\n")


def fuxictr(folder: Path) -> None:
    head = "label,user_id,item_id,tag_id\n"
    (folder / "train.csv").write_text(head + "1,16,74,12\n0,16,81,5\n")
    (folder / "valid.csv").write_text(head + "1,17,74,12\n")
