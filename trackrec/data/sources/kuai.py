"""KuaiRand and KuaiRec: short videos shown to users of Kuaishou, and what they did with them."""

from __future__ import annotations

from pathlib import Path

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.log import Log
from trackrec.data.source_files import find_file, find_several, need
from trackrec.data.sources.joined import read_joined
from trackrec.data.table import TableSettings

_RAND_LOGS = ("log_standard_*.csv",)
_RAND_VIDEOS = ("video_features_basic_*.csv",)
_REC_LOGS = ("big_matrix.csv", "small_matrix.csv")
_RAND = ColumnMapping(
    user="user_id", item="video_id", timestamp="time_ms", rating="is_click", genres="tag", genre_separator=",",
    attributes=("video_type", "video_duration"), title="-", year="-", creator="-", quantity="-",
)  # fmt: skip
_REC = ColumnMapping(
    user="user_id", item="video_id", timestamp="timestamp", rating="watch_ratio", genres="feat", title="caption",
    attributes=("first_level_category_name", "topic_tag"), year="-", creator="-", quantity="-",
)  # fmt: skip


def read_kuairand(folder: Path) -> Log:
    """The log of KuaiRand (1K, Pure or 27K): each video shown is an interaction, rated 1 if it was clicked, else 0.

    Times are those of ``time_ms``. Items hold their tags' numbers as ``genres``; they have no titles. Videos that were
    shown at random (log_random_...) are not read.

    Args:
        folder: one that holds log_standard_... and video_features_basic_..., or a folder ``data`` with them.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos", CIKM 2022.
    """
    logs = need(folder, _RAND_LOGS, "KuaiRand")
    videos = find_file(folder, _RAND_VIDEOS, "KuaiRand")
    return read_joined(logs, [TableSettings(path=str(videos))], _RAND, where=f"KuaiRand in {folder}")


def read_kuairec(folder: Path) -> Log:
    """The log of KuaiRec: how much of each video a user watched (``watch_ratio``; 2 is twice) is the rating.

    Items hold their categories' numbers as ``genres`` and, with kuairec_caption_category.csv, their captions.

    Args:
        folder: one that holds big_matrix.csv (or small_matrix.csv) and item_categories.csv, or ``data`` with them.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Gao et al., "KuaiRec: A Fully-Observed Dataset and Insights for Evaluating Recommender Systems", CIKM 2022.
    """
    logs = need(folder, _REC_LOGS, "KuaiRec")
    items = [TableSettings(path=str(find_file(folder, ("item_categories.csv",), "KuaiRec")))]
    captions = find_several(folder, ("kuairec_caption_category.csv",))
    items += [TableSettings(path=str(file)) for file in captions]
    mapping = _REC if captions else _REC.model_copy(update={"title": "-", "attributes": ()})
    return read_joined(logs[:1], items, mapping, where=f"KuaiRec in {folder}")
