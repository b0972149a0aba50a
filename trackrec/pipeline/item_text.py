"""The vectors of a catalogue's own texts, which rankers read beside the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trackrec.features.encoder import ITEM_VECTORS, Encoder, item_vectors, shared_encoder
from trackrec.prompts.domains import find_domain
from trackrec.prompts.texts import item_texts
from trackrec.recipe import Recipe
from trackrec.run import Stage

if TYPE_CHECKING:  # an export asks for the vectors alone, and need not wait for the models' library
    from trackrec.pipeline.components import Components


def catalogue_vectors(items: pl.DataFrame, recipe: Recipe, encoder: Encoder | None = None) -> pl.DataFrame:
    """``item_id, vector, has_text`` of each item, by what the recipe tells of items.

    Args:
        items: the catalogue.
        recipe: of the run.
        encoder: None: the recipe's, which encodes the users' texts too.
    """
    prompts = recipe.prompts
    texts = item_texts(items, find_domain(prompts.domain), prompts.attributes, prompts.item_tags)
    return item_vectors(texts, encoder or shared_encoder(recipe.encoder))


def item_sources(components: Components) -> tuple[pl.DataFrame, ...]:
    """What the recipe's ranker reads of items, see :class:`trackrec.rankers.arm.Arm`: nothing without
    ``ranking.item_text``, else the table `ITEM_VECTORS`, which is made if it is not there yet."""
    if not components.recipe.ranking.item_text:
        return ()
    run, items = components.run, components.dataset.items

    def work(stage: Stage) -> None:
        table = catalogue_vectors(items, components.recipe)
        stage.write(ITEM_VECTORS, table)
        stage.counts = {"items": table.height, "with_vector": table["vector"].count()}

    prompts = components.recipe.prompts
    told = {"attributes": prompts.attributes, "item_tags": prompts.item_tags, "domain": prompts.domain}
    settings = components.encoder_settings | told | components.domain_settings
    components.do(ITEM_VECTORS, work, [run.table("items")], settings)
    return (run.read(ITEM_VECTORS),)
