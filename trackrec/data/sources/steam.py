"""Steam as UCSD has it: reviews of games by users, as lines of Python literals."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from trackrec.data.column_mapping import ColumnMapping
from trackrec.data.json_table import read_literal
from trackrec.data.local_file import local_copy
from trackrec.data.log import Log
from trackrec.data.source_files import find_file
from trackrec.data.sources.joined import read_joined
from trackrec.data.table import TableSettings

_REVIEWS = ("australian_user_reviews.json", "australian_user_reviews.json.gz")
_GAMES = ("steam_games.json", "steam_games.json.gz")
_COLUMNS = ColumnMapping(
    nested="reviews", user="user_id", item="item_id", rating="recommend", timestamp="posted",
    timestamp_format="Posted %B %d, %Y.", item_in_items="id", title="app_name", year="release_date", genres="genres",
    creator="developer", quantity="-", attributes=("publisher", "tags"),
)  # fmt: skip


def read_steam(folder: Path) -> Log:
    """The log of Steam's reviews: a rating of 1 for a game that is recommended, else 0, on the day of the review.

    Reviews of the year in which the data were gathered say no year, and are left out and counted.

    Args:
        folder: one that holds australian_user_reviews.json and steam_games.json, gzipped or not.

    Raises:
        LogError: a file is not there or cannot be used.

    Source:
        Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018; Pathak, Gupta and McAuley, "Generating
        and Personalizing Bundle Recommendations on Steam", SIGIR 2017.
    """
    reviews, games = (find_file(folder, names, "Steam") for names in (_REVIEWS, _GAMES))
    with tempfile.TemporaryDirectory(prefix="trackrec-") as scratch:
        lines = [_as_json(file, Path(scratch)) for file in (reviews, games)]
        return read_joined(lines[:1], [TableSettings(path=str(lines[1]))], _COLUMNS, where=f"Steam in {folder}")


def _as_json(file: Path, scratch: Path) -> Path:
    """The same as JSON lines; a line that is no literal becomes one without any key, which counts as one without id."""
    target = scratch / f"{file.name.removesuffix('.gz')}l"
    plain, _ = local_copy(TableSettings(path=str(file)), scratch)
    with plain.open(encoding="utf-8") as lines, target.open("w", encoding="utf-8") as copy:
        for line in lines:
            if line.strip():
                copy.write(json.dumps(read_literal(line)) + "\n")
    return target
