"""The Yelp Open Dataset: reviews of businesses, as JSON lines."""

from __future__ import annotations

from pathlib import Path

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.log import Log
from trackrec.data.source_files import find_file
from trackrec.data.sources.joined import read_joined
from trackrec.data.table import TableSettings

_REVIEWS = ("yelp_academic_dataset_review.json", "yelp_academic_dataset_review.json.gz")
_PLACES = ("yelp_academic_dataset_business.json", "yelp_academic_dataset_business.json.gz")
_COLUMNS = ColumnMapping(
    user="user_id", item="business_id", rating="stars", timestamp="date", title="name", genres="categories",
    genre_separator=", ", year="-", creator="-", quantity="-", attributes=("city", "state"),
)  # fmt: skip


def read_yelp(folder: Path) -> Log:
    """The log of Yelp: 1 to 5 stars for a business. Items hold its categories as ``genres``, city and state.

    Args:
        folder: one that holds yelp_academic_dataset_review.json and yelp_academic_dataset_business.json.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Yelp Open Dataset, https://business.yelp.com/data/resources/open-dataset/
    """
    reviews, places = (find_file(folder, names, "the Yelp Open Dataset") for names in (_REVIEWS, _PLACES))
    return read_joined([reviews], [TableSettings(path=str(places))], _COLUMNS, where=f"Yelp in {folder}")
