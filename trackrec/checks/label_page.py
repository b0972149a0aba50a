"""A page for labelling sentences by two keys: one static file that works without a server."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
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
    template = _template()
    data = json.dumps({"title": title, "tasks": list(tasks)}, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    assert _SLOT in template
    return template.replace(_SLOT, data)


def page_without(page: str, gone: Collection[int]) -> str | None:
    """A page without some of its tasks, by their ``id``; "" if none is left.

    None: it is no such page, or one of another version.
    """
    head, tail = _template().split(_SLOT)
    if not (page.startswith(head) and page.endswith(tail)):
        return None
    try:
        told = json.loads(page[len(head) : len(page) - len(tail)])
        tasks = [task for task in told["tasks"] if task["id"] not in gone]
        return label_page(told["title"], tasks) if tasks else ""
    except (ValueError, KeyError, TypeError):
        return None


def _template() -> str:
    return files("trackrec.checks").joinpath("label_page.html").read_text(encoding="utf-8")


def history_lines(rows: Sequence[Row], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """The events as a labeller reads them: ``number, rating, title, kinds`` (genres, attributes, tags)."""
    lines = []
    for place, row in enumerate(rows):
        item = vocabulary.catalogue[row["item_id"]]
        year = f" ({item.year})" if item.year else ""
        kinds = ", ".join(dict.fromkeys((*item.genres, *item.attributes, *item.tags)))
        lines.append({"number": place + 1, "rating": row["rating"], "title": f"{item.title}{year}", "kinds": kinds})
    return lines
