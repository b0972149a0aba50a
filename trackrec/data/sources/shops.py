"""H&M and Taobao: what people bought, or looked at and bought."""

from __future__ import annotations

from pathlib import Path

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.log import Log
from trackrec.data.source_files import need_files
from trackrec.data.sources.joined import read_joined
from trackrec.data.table import TableSettings

HM_FILES = ("transactions_train.csv", "articles.csv")
TAOBAO_FILES = ("UserBehavior.csv",)
_HM = ColumnMapping(
    user="customer_id", item="article_id", timestamp="t_dat", rating="-", title="prod_name", genres="product_type_name",
    genre_separator="", creator="-", year="-", quantity="-",
    attributes=("product_group_name", "colour_group_name", "department_name"),
)  # fmt: skip
_TAOBAO_NAMES = ("user_id", "item_id", "category_id", "behavior_type", "timestamp")
_TAOBAO = ColumnMapping(
    user="user_id", item="item_id", timestamp="timestamp", event="behavior_type", rating="-", genres="category_id",
    event_weights={"pv": 1, "fav": 2, "cart": 3, "buy": 4}, title="-", year="-", creator="-", quantity="-",
)  # fmt: skip


def read_hm(folder: Path) -> Log:
    """The log of H&M: each row is an article that a customer bought on a day. Articles' ids are text, zeros and all.

    Args:
        folder: one that holds transactions_train.csv and articles.csv.

    Raises:
        LogError: a file is not there or cannot be used; or the articles' ids have lost their leading zeros.

    Source:
        H&M Personalized Fashion Recommendations, Kaggle 2022.
    """
    need_files(folder, HM_FILES, "H&M")
    acts, articles = (folder / name for name in HM_FILES)
    return read_joined([acts], [TableSettings(path=str(articles))], _HM, where=f"H&M in {folder}")


def read_taobao(folder: Path) -> Log:
    """The log of Taobao's UserBehavior: views weigh 1, favourites 2, carts 3 and purchases 4 in place of ratings.

    Items have no titles; their category's number is their genre.

    Args:
        folder: one that holds UserBehavior.csv.

    Raises:
        LogError: the file is not there or cannot be used.

    Source:
        Zhu et al., "Learning Tree-based Deep Model for Recommender Systems", KDD 2018.
    """
    need_files(folder, TAOBAO_FILES, "Taobao")
    form = TableSettings(separator=",", column_names=_TAOBAO_NAMES)
    return read_joined([folder / TAOBAO_FILES[0]], [], _TAOBAO, where=f"Taobao in {folder}", form=form)
