"""Plain texts of items, for the text encoder."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trackrec.prompts.domains import Domain
from trackrec.users.catalogue import Catalogue


def item_texts(items: pl.DataFrame, domain: Domain, attributes: Sequence[str] = (), tags: int = 0) -> pl.DataFrame:
    """What the catalogue says of each item: ``item_id, text``, such as ``Fargo (1996), Crime Drama``.

    Args:
        items: ``item_id, title`` and, where known, ``year, genres`` and the attributes.
        domain: how genres are separated.
        attributes: further columns to tell, in this order.
        tags: so many tags of its knowledge card are told.

    Returns:
        One row an item; ``text`` is null where the catalogue says nothing at all, so that such an item stays visibly
        without a vector.
    """
    catalogue = Catalogue(items, attributes)
    ids = items["item_id"]
    texts = [catalogue[item].describe(domain.genre_separator, tags).strip(",; ") or None for item in ids.to_list()]
    return pl.DataFrame({"item_id": ids, "text": pl.Series(texts, dtype=pl.String)}).unique(
        "item_id", keep="first", maintain_order=True
    )
