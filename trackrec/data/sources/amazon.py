"""Amazon Reviews, the versions of 2014, 2018 and 2023: reviews and metadata of one category, as JSON lines."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.json_table import read_literal
from trackrec.data.local_file import local_copy
from trackrec.data.log import Log
from trackrec.data.open_table import Table, TableSettings, open_table
from trackrec.data.source_files import found_in, is_hidden
from trackrec.data.tabular import TablesSettings, make_log
from trackrec.errors import LogError

_ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


@dataclass(frozen=True)
class Version:
    """What one version of the data calls things."""

    year: int
    user: str
    item: str
    rating: str
    timestamp: str
    categories: str
    maker: str
    """The brand, or the shop (2023)."""
    further: tuple[str, ...]
    """Attributes that are kept."""
    example: str
    """How its files are named."""

    @property
    def mapping(self) -> ColumnMapping:
        """The same as a mapping of columns."""
        return ColumnMapping(
            user=self.user, item=self.item, rating=self.rating, timestamp=self.timestamp, title="title",
            genres=self.categories, creator=self.maker, attributes=self.further, year="-", quantity="-",
        )  # fmt: skip


VERSIONS = {
    2014: Version(
        2014, "reviewerID", "asin", "overall", "unixReviewTime", "categories", "brand", ("price",),
        "reviews_Books_5.json.gz and meta_Books.json.gz",
    ),
    2018: Version(
        2018, "reviewerID", "asin", "overall", "unixReviewTime", "category", "brand", ("main_cat", "price"),
        "Books_5.json.gz and meta_Books.json.gz",
    ),
    2023: Version(
        2023, "user_id", "parent_asin", "rating", "timestamp", "categories", "store", ("main_category", "price"),
        "Books.jsonl.gz and meta_Books.jsonl.gz",
    ),
}  # fmt: skip


def read_amazon(folder: Path, year: int) -> Log:
    """The log of one category of Amazon Reviews.

    Ratings are 1 to 5. Items hold the categories as ``genres``, the brand or shop as ``creator``, and the price as it
    is written; titles stay as they are, HTML entities included. Ids are text throughout. There is no table of users.

    Args:
        folder: one that holds a category's reviews and its metadata (``meta_...``), as distributed or unpacked.
        year: 2014, 2018 or 2023.

    Raises:
        LogError: the folder holds other files, or one cannot be used.

    Source:
        McAuley et al., "Image-based Recommendations on Styles and Substitutes", SIGIR 2015 (2014); Ni et al.,
        "Justifying Recommendations using Distantly-Labeled Reviews and Fine-Grained Aspects", EMNLP 2019 (2018);
        Hou et al., "Bridging Language and Items for Retrieval and Recommendation", 2024 (2023).
    """
    version = VERSIONS[year]
    reviews, metadata = _files(folder, version)
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        acts = (version.user, version.item, version.rating, version.timestamp)
        facts = (version.item, "title", version.categories, version.maker, *version.further)
        tables = {
            "interactions": _open(reviews, acts, Path(scratch)),
            "items": _open(metadata, facts, Path(scratch)),
        }
        return make_log(tables, TablesSettings(columns=version.mapping), where=f"Amazon Reviews {year} in {folder}")


def _files(folder: Path, version: Version) -> tuple[Path, Path]:
    """The reviews and the metadata."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [file for file in found if file.is_file() and file.name.endswith(_ENDINGS) and not is_hidden(file.name)]
    metadata = [file for file in files if file.name.startswith("meta_")]
    reviews = [file for file in files if file not in metadata]
    if len(metadata) != 1 or len(reviews) != 1:
        raise LogError(
            f"{folder} is not one category of Amazon Reviews {version.year}: expected its reviews and its metadata, "
            f"such as {version.example}, found {found_in(folder)}"
        )
    return reviews[0], metadata[0]


def _open(file: Path, keys: tuple[str, ...], scratch: Path) -> Table:
    settings = TableSettings(path=str(file))
    path, head = local_copy(settings, scratch)
    if not head.lstrip().startswith(b"{"):
        raise LogError(f"{file} is not in JSON lines: it begins with {head[:40]!r}")
    if head.lstrip()[1:].lstrip().startswith(b"'"):
        path = _as_json(path, keys, scratch)
    else:
        first = head.splitlines()[0].decode(errors="replace")
        if missing := [key for key in keys[:1] if f'"{key}"' not in first]:
            raise LogError(f"{file}: the first line has no {missing[0]!r}; is it of another version? {first[:80]!r}")
    table = open_table(TableSettings(path=str(path)), scratch, keys)
    return Table(table.frame, table.names, str(file), table.texts)


def _as_json(path: Path, keys: tuple[str, ...], scratch: Path) -> Path:
    """The metadata of 2014 are Python literals, one a line. One that cannot be read becomes an item without id."""
    target = scratch / f"{path.name}-as-json"
    with path.open(encoding="utf-8", errors="replace") as lines, target.open("w", encoding="utf-8") as copy:
        for line in lines:
            if line.strip():
                copy.write(json.dumps({key: value for key, value in read_literal(line).items() if key in keys}) + "\n")
    return target
