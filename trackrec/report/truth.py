"""How true the RecCoTs are, by round."""

from __future__ import annotations

from trackrec.report.blocks import Block, Note, Section, Table, caveat, spoken, with_interval
from trackrec.report.facts import Facts

_SHOWN = (
    *("hallucination_rate", "invented_rate", "claims_per_reccot", "claims_median", "coverage", "specificity"),
    *("deletion_test", "swap_test", "sycophancy", "words", "distinct_1", "distinct_2", "diversity", "different_texts"),
)


def truth(facts: Facts) -> Section:
    """Claims of the kept RecCoTs that the histories bear out or deny."""
    rows = [row for row in facts.metrics if row.arm == "grounding"]
    if not rows:
        note = Note("Not measured yet: `trackrec grounding --run` judges every claim by its user's history.", "missing")
        return Section("truth", "Is it true?", "Truth", [note])
    rounds = sorted({row.round for row in rows if row.round is not None})
    cells = {(row.metric, row.round): row for row in rows}
    body = [
        [spoken(name), *(with_interval(cells.get((name, number))) for number in rounds)]
        for name in _SHOWN
        if any((name, number) in cells for number in rounds)
    ]
    caption = "Of the checkable claims, how many does the history deny? Chance of specificity: 0.05"
    blocks: list[Block] = [Table(caption, ["measure", *(f"round {number}" for number in rounds)], body)]
    first, last = (cells.get(("hallucination_rate", number)) for number in (rounds[0], rounds[-1]))
    if first and last and first.high is not None and last.low is not None and last.low > first.high:
        text = f"Hallucinations rise with the rounds: {with_interval(first)} at first, {with_interval(last)} at last."
        blocks.insert(0, Note(text, "warning"))
    return Section("truth", "Is it true?", "Truth", blocks, caveat(rows))
