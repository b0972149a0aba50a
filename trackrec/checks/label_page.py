"""A page for labelling sentences by two keys: one static file that works without a server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from trackrec.checks.vocabulary import Vocabulary
from trackrec.users.catalogue import Row

_SLOT = "/*TASKS*/[]"


def label_page(title: str, tasks: Sequence[Mapping[str, Any]]) -> str:
    """The page as HTML. It holds no verdicts: a labeller must not see them.

    Args:
        title: of the page.
        tasks: ``id, sentence, history`` (lines of `history_lines`) each. Text of models and catalogues is data there,
            and never becomes markup.
    """
    template = files("trackrec.checks").joinpath("label_page.html").read_text(encoding="utf-8")
    data = json.dumps({"title": title, "tasks": list(tasks)}, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    assert _SLOT in template
    return template.replace(_SLOT, data)


def history_lines(rows: Sequence[Row], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """The events as a labeller reads them: ``number, rating, title, kinds`` (genres, attributes, tags)."""
    lines = []
    for place, row in enumerate(rows):
        item = vocabulary.catalogue[row["item_id"]]
        year = f" ({item.year})" if item.year else ""
        kinds = ", ".join(dict.fromkeys((*item.genres, *item.attributes, *item.tags)))
        lines.append({"number": place + 1, "rating": row["rating"], "title": f"{item.title}{year}", "kinds": kinds})
    return lines
