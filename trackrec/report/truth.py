"""How true the RecCoTs are, by round."""

from __future__ import annotations

from trackrec.metrics.intervals import FEWEST_USERS
from trackrec.report.blocks import Block, Note, Section, Table, caveat, difference, signed, spoken, with_interval
from trackrec.report.run_data import RunData

_SHOWN = (
    *("hallucination_rate", "hallucination_change", "invented_rate", "claims_per_reccot", "claims_median", "coverage"),
    *("uncited_rate", "horoscope_rate"),
    *("specificity", "deletion_test", "deletion_drops", "deletion_control", "deletion_difference", "swap_test"),
    *("sycophancy", "reasons_coverage", "reasons_gauc", "words", "distinct_1", "distinct_2", "diversity"),
    "different_texts",
)


def truth(facts: RunData) -> Section:
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
    blocks = [*(Note(text, "warning") for text in warnings(facts)), *blocks]
    return Section("truth", "Is it true?", "Truth", blocks, caveat(rows))


def warnings(facts: RunData) -> list[str]:
    """A line for each later round whose texts are less true than those of round 0, or more useful but less true.

    Usefulness is the mean AUC of a round's texts under the same validators (the G x V matrix), truth the hallucination
    rate on the same users. The first line needs an interval above 0; the second both differences alone, since it is
    what a reward that pays for usefulness alone drives at.
    """
    useful, told = usefulness(facts), []
    for row in facts.metrics:
        if (row.arm, row.metric) != ("grounding", "hallucination_change") or not row.value or row.round is None:
            continue
        if row.low is not None and row.low > 0 and row.users >= FEWEST_USERS:
            told.append(f"Hallucinations rise: {difference(row)} of the checkable claims from round 0 to {row.round}.")
        gain = useful[row.round] - useful[0] if {0, row.round} <= set(useful) else 0.0
        if row.value > 0 and gain > 0:
            told.append(
                f"Usefulness up while grounding falls: from round 0 to {row.round} V's AUC under the same validators "
                f"changes by {signed(gain)}, the hallucination rate by {difference(row)}. The texts may earn their "
                "reward by what is not true; `extra_rewards: [{type: grounding, weight: 0.05}]` makes them pay for it."
            )
    return told


def usefulness(facts: RunData) -> dict[int, float]:
    """Mean AUC of each round's texts under the validators of all rounds, of the kind that aligns."""
    prefix = f"validator={facts.kinds[0]}:" if facts.kinds else "validator="
    found: dict[int, list[float]] = {}
    for row in facts.metrics:
        if (row.arm, row.metric) != ("matrix", "auc") or row.round is None or row.value is None:
            continue
        if row.note.startswith(prefix):
            found.setdefault(row.round, []).append(row.value)
    return {number: sum(values) / len(values) for number, values in found.items()}
