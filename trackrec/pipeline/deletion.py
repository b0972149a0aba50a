"""The deletion test of the generator: does a claim go once its evidence is out of the history?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from trackrec.checks.truth_measures import deletions, is_gone
from trackrec.lm.generator import Generator
from trackrec.metrics.rows import MetricRow
from trackrec.pipeline.components import Components
from trackrec.pipeline.truth import Truth
from trackrec.run import write_table
from trackrec.users.catalogue import Row

REWRITTEN = ("deletion_drops", "deletion_control", "deletion_difference")
"""The measures; they stay in ``metrics.json`` until they are made anew."""


def deletion_rows(components: Components, truth: Truth, users: int) -> list[MetricRow]:
    """Let the promoted generator write again from histories without the evidence of its supported claims.

    Each claim is held against a control: the text that the same generator writes without as many other events. What
    goes there, too, went because any other history gives another text. Texts are drawn as the kept ones were
    (``loop.writing``). The users are those of the tests, LM validation first; nothing was tuned on them.

    Args:
        components: of a finished run.
        truth: of the same run.
        users: how many.

    Returns:
        Rows ``deletion_drops`` (share of claims that are gone without their evidence), ``deletion_control`` (without
        other events) and ``deletion_difference``, with intervals over users; none if no claim can be tested. The table
        ``deletion`` has each claim with both texts.
    """
    dataset, recipe = components.dataset, components.recipe
    kept = components.run.read_output("reccots").filter(pl.col("kind") == "kept")
    number = truth.promoted(kept)
    texts = dict(kept.filter(pl.col("round") == number).select("user_id", "text").iter_rows())
    chosen = [user for user in components.everybody_tested if texts.get(user)][:users]
    cases = [
        (user, one)
        for user in chosen
        for one in deletions(user, texts[user], dataset.history_rows[user], truth.vocabulary, recipe.seed)
    ]
    if not cases:
        return []
    written = _write(components, number, [rows for _, one in cases for rows in (one.rest, one.control)])
    table = pl.DataFrame(
        [
            {
                "user_id": user,
                "round": number,
                "claim": one.judged.claim.kind,
                "words": one.judged.claim.text,
                "events": len(one.judged.evidence),
                "text": without,
                "control_text": control,
                "gone": is_gone(one.judged, without, one.rest, truth.vocabulary),
                "control_gone": is_gone(one.judged, control, one.control, truth.vocabulary),
            }
            for (user, one), without, control in zip(cases, written[::2], written[1::2], strict=True)
        ],
        schema_overrides={"user_id": kept.schema["user_id"], "round": pl.Int16},
    )
    write_table(components.run.table("deletion"), table)
    gone, control = table["gone"].cast(pl.Float64), table["control_gone"].cast(pl.Float64)
    measured = zip(REWRITTEN, (gone, control, gone - control), strict=True)
    asked = table["user_id"].to_list()
    note = f"{table.height} supported claims, each written about again"
    return [truth.row(name, truth.measure(asked, values.to_list()), number, note) for name, values in measured]


def _write(components: Components, number: int, histories: Sequence[Sequence[Row]]) -> list[str]:
    """A text of a round's generator for each history."""
    made: dict[Any, Sequence[Row]] = dict(enumerate(histories))
    generator = Generator(components.model, components.renderer, made)
    adapter = components.generator_adapter(number)
    texts = generator.writer(adapter).write(list(made), 1, components.recipe.loop.writing, components.recipe.seed)
    return [text or "" for text in texts["text"].to_list()]
