"""What came out, in one honest sentence made from the numbers."""

from __future__ import annotations

from typing import NamedTuple

from trackrec.metrics.rows import MetricRow
from trackrec.report.blocks import Block, Note, Section, Tile, Tiles, Tone, caveat, difference, number, signed, verdict
from trackrec.report.names import arm_name
from trackrec.report.run_data import Contrast, RunData

OTHERS = ("v_without_reccot", "v_placeholder", "v_swapped")
"""Against which arm the RecCoT's help to V is told, best first."""
WORDS: dict[Tone, str] = {"good": "yes", "bad": "no, it hurts", "unclear": "not shown", "plain": "not measured"}


class Answer(NamedTuple):
    """A clause of the sentence, the tile that goes with it, and the row behind both."""

    clause: str
    tile: Tile
    row: MetricRow | None


def headline(facts: RunData) -> Section:
    """Does the RecCoT help V, do rounds help, does it help DIN."""
    answers = [helps_validator(facts), rounds_help(facts), helps_ranker(facts)]
    sentence = "; ".join(answer.clause for answer in answers) + "."
    blocks: list[Block] = [Note(sentence[0].upper() + sentence[1:]), Tiles([answer.tile for answer in answers])]
    blocks += [Note(text, "warning") for text in (against_counting(facts), check(facts), unfinished(facts)) if text]
    rows = [answer.row for answer in answers if answer.row is not None]
    return Section("headline", "What came out", "Result", blocks, caveat(rows))


def helps_validator(facts: RunData) -> Answer:
    """V with the user's own RecCoT against V without."""
    pair = next((found for other in OTHERS if (found := facts.contrast("auc", "v_own", other))), None)
    question = "Does the RecCoT help V?"
    if pair is None:
        return _unknown(question, "whether the RecCoT helps V was not measured")
    clause = {
        "good": "the RecCoT helps V",
        "bad": "the RecCoT hurts V",
        "unclear": "that the RecCoT helps V is not shown",
    }[verdict(pair.row)]
    return _answer(question, clause, pair, f"against {arm_name(pair.other)}")


def rounds_help(facts: RunData) -> Answer:
    """G and V of the promoted round against those of round 0."""
    question = "Do rounds help?"
    pair = facts.contrast("auc", "v_own", "v_own")
    if pair is not None:
        clauses = {"good": "rounds help", "bad": "rounds hurt", "unclear": "that rounds help is not shown"}
        text = f"G and V of round {pair.round} against round {pair.other_round}"
        return _answer(question, clauses[verdict(pair.row)], pair, text)
    if facts.promoted == 0 and facts.done_rounds > 0:
        clause = (
            f"rounds do not help: of {facts.done_rounds} none was promoted, as round 0 is better on LM validation users"
        )
        return Answer(clause, Tile(question, "no", "round 0 was kept", "bad"), None)
    if facts.done_rounds == 0:
        return Answer("no round was run", Tile(question, "not measured", "there is round 0 alone"), None)
    return _unknown(question, "whether rounds help was not measured")


def helps_ranker(facts: RunData) -> Answer:
    """DIN with the RecCoT's vector against DIN without."""
    question = "Does it help DIN?"
    pair = facts.contrast("auc", "din_own", "din_no_text") or facts.contrast("auc", "din_own", "din_swapped")
    if pair is None:
        return _unknown(question, "whether it helps DIN was not measured")
    clause = {
        "good": "as a feature it helps DIN",
        "bad": "as a feature it hurts DIN",
        "unclear": "that it helps DIN as a feature is not shown",
    }[verdict(pair.row)]
    return _answer(question, clause, pair, f"against {arm_name(pair.other)}")


def against_counting(facts: RunData) -> str:
    """A line if the recommender is no better than counting."""
    own = facts.row("v_own", "auc", facts.promoted) or facts.row("v_own", "auc")
    counted = facts.row("item_user_mean", "auc")
    if own is None or counted is None or own.value is None or counted.value is None or own.value > counted.value:
        return ""
    return (
        f"G then V is no better a recommender than counting: AUC {number(own.value)} against {number(counted.value)} "
        "of the smoothed item mean + user mean, which reads no text."
    )


def check(facts: RunData) -> str:
    """A line if V0 did not beat the user's own share of likes."""
    counts = facts.counts("check")
    mine, share = counts.get("auc"), counts.get("auc_user_share")
    if mine is None or share is None or mine > share:
        return ""
    return (
        f"V0 does not beat the user's own share of likes on LM validation users (AUC {number(mine)} against "
        f"{number(share)}, {counts.get('users', '?')} users): its feedback is close to noise, and what the rounds did "
        "with it says little about the method."
    )


def unfinished(facts: RunData) -> str:
    """A line if stages are missing."""
    missing = facts.missing()
    if not missing:
        return ""
    named = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
    return f"This run has not finished. Not there: {named}. The page shows what is there."


def _answer(question: str, clause: str, pair: Contrast, against: str) -> Answer:
    row, tone = pair.row, verdict(pair.row)
    span = "" if row.low is None or row.high is None else f", 95% interval {signed(row.low)} to {signed(row.high)}"
    tile = Tile(question, WORDS[tone], f"AUC {difference(row)}, {against}", tone)
    return Answer(f"{clause} (AUC {signed(row.value)}{span}, {against})", tile, row)


def _unknown(question: str, clause: str) -> Answer:
    return Answer(clause, Tile(question, WORDS["plain"], "no such figure in metrics.json"), None)
