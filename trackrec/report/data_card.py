"""The page of a data card: what a log holds, what becomes of it, and whether a run on it can mean anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trackrec.report.blocks import Block, Note, Plot, Plots, Section, Table, Tile, Tiles, number
from trackrec.report.card_plots import bars, by_rank, lengths, over_time
from trackrec.report.page import render_sections

Card = Mapping[str, Any]
_WORDS = (
    "History: the interactions from which a RecCoT (a short text on what a user likes) is written. Example: a later "
    "interaction that is to be predicted. Cold: nothing is known of it from the past."
)


def card_page(card: Card, command: str) -> str:
    """The page as HTML.

    Args:
        card: what ``Card.as_json`` gives.
        command: the next command; "" if there is none.
    """
    size, dates = card["log"]["size"], card["log"]["dates"]
    span = "no times" if dates["places"] else f"{dates['first']} to {dates['last']}"
    line = f"{size['interactions']:,} interactions · {span} · made by trackrec data check"
    sections = [_verdict(card, command), _columns(card), _findings(card), _log(card), _split(card), _titles(card)]
    return render_sections(card["name"], line, sections, "TrackRec data card", _WORDS)


def size_rows(card: Card) -> list[list[str]]:
    """The main figures, in words: what, and how much."""
    log, split = card["log"], card["split"]
    size, dates = log["size"], log["dates"]
    gap = dates["longest_gaps"][0] if dates["longest_gaps"] else None
    times = [
        ["from, to", f"{dates['first']}, {dates['last']} ({dates['days']:,.0f} days)"],
        ["longest gap", f"{gap['days']:,.1f} days, {gap['from']} to {gap['to']}" if gap else "none"],
    ]
    rows = [
        ["interactions", number(size["interactions"])],
        ["users", number(size["users"])],
        ["items touched, of the catalogue", f"{number(size['items_touched'])} of {number(size['items_in_catalogue'])}"],
        *([["from, to", "the log has no times"]] if dates["places"] else times),
        ["pairs of user and item that occur", percent(size["density"])],
        ["interactions a user: median, most", f"{log['activity']['median']:,}, {log['activity']['most']:,}"],
        ["interactions an item: median, most", f"{log['popularity']['median']:,}, {log['popularity']['most']:,}"],
        ["share of the most popular 1% of items", percent(log["popularity"]["share_of_top_hundredth"])],
    ]
    if split is None:
        return rows
    labels, cold, histories = split["labels"], split["cold"], split["histories"]
    return [
        *rows,
        ["users with a history and examples", number(split["users"]["with_history_and_examples"])],
        ["history: median, longest", f"{histories['median']}, {histories['most']} (at most {histories['limit']})"],
        ["histories that reach the limit", number(histories["at_the_limit"])],
        ["examples", number(split["examples"]["interactions"])],
        ["likes in histories, in examples", f"{percent(labels['likes_in_histories'])}, "
                                            f"{percent(labels['likes_in_examples'])}"],
        ["users without a history", percent(cold["users_without_history"])],
        ["examples of items nobody had touched before", percent(cold["examples_of_cold_items"])],
    ]  # fmt: skip


def percent(share: float) -> str:
    """A share as people say it, small ones with more digits."""
    return f"{share:.1%}" if share >= 0.01 or share == 0 else f"{share:.2g}"


COLUMNS = ("table", "role", "column", "how", "first one, as read")
"""What ``column_rows`` tells."""


def column_rows(card: Card) -> list[list[str]]:
    """Which column was taken for what: table, role, column, how that is known, and the first value as it was read."""
    return [
        [
            part["table"],
            role,
            name,
            "guessed" if role in part["guessed"] else "as asked",
            card["first_values"].get(role, "–"),
        ]
        for part in card["columns"]
        for role, name in part["roles"].items()
    ]


def finding_rows(card: Card) -> list[list[str]]:
    """What was counted, how often, and what becomes of it."""
    rows = [[finding["what"], number(finding["number"]), finding["outcome"]] for finding in card["findings"]]
    titles, split = card["log"]["titles"], card["split"]
    if titles["cut_in_prompts"]:
        rows.append(["titles of more than 120 characters", number(titles["cut_in_prompts"]), "truncated in prompts"])
    if split and split["histories"]["at_the_limit"]:
        limit = split["histories"]["limit"]
        what = f"histories of {limit} interactions, the most that split.max_history lets in"
        rows.append([what, number(split["histories"]["at_the_limit"]), "truncated; what came before is left out"])
    return rows


def _verdict(card: Card, command: str) -> Section:
    ready = not card["problems"]
    users = card["split"]["users"]["with_history_and_examples"] if card["split"] else 0
    tiles = [
        Tile("Can a run on this log mean anything?", "yes" if ready else "no",
             f"{len(card['problems'])} reasons against", "good" if ready else "bad"),
        Tile("Users with a history and examples", number(users), "the others have too few interactions", "plain"),
        Tile("What counts as a like", card["liking"]["kind"], card["liking"]["reason"], "plain"),
        Tile("Prompts' domain", card["domain"], "--set prompts.domain=... overrules it", "plain"),
    ]  # fmt: skip
    blocks: list[Block] = [Tiles(tiles)]
    blocks += [Note(problem, "warning") for problem in card["problems"]]
    blocks += [Note(f"Mind: {warning}.", "plain") for warning in card["warnings"]]
    blocks += [Note(f"Unsure: {note}.", "plain") for note in card["unsure"]]
    blocks += [Note(f"Next: {command}")] if command else []
    return Section("verdict", "Can it be used?", "Verdict", blocks)


def _columns(card: Card) -> Section:
    if not card["columns"]:
        return Section(
            "columns", "Columns", "Columns", [Note("A source with columns of its own; nothing was guessed.")]
        )
    blocks: list[Block] = [Table("Which column is what", list(COLUMNS), column_rows(card))]
    rest = [
        [part["table"], ", ".join(part["kept"]) or "–", ", ".join(part["not_used"]) or "–"] for part in card["columns"]
    ]
    blocks.append(Table("Further columns", ["table", "kept", "not used"], rest))
    blocks.append(Note("A wrong guess is overruled with --column ROLE=NAME; --column ROLE=- says that there is none."))
    return Section("columns", "Columns", "Columns", blocks)


def _findings(card: Card) -> Section:
    rows = finding_rows(card)
    table = Table("What was found, and what becomes of it", ["what", "number", "becomes"], rows)
    return Section(
        "findings", "What becomes of it", "Findings", [table if rows else Note("Nothing is left out or changed.")]
    )


def _log(card: Card) -> Section:
    log = card["log"]
    ratings, threshold = log["ratings"], card["liking"]["like_threshold"]
    values = [value for value, _ in ratings["counts"]]
    liked = [value >= threshold for value in values] if card["liking"]["kind"] == "threshold" else []
    period = log["by_period"]["period"]
    names, numbers = [f"{value:g}" for value in values], [count for _, count in ratings["counts"]]
    over = Plot(over_time("interactions over time", log["by_period"]["counts"], period), "Gaps and bursts show here.")
    plots = [
        *([] if log["dates"]["places"] else [over]),
        Plot(
            bars("ratings", names, numbers, "ratings", "rating", liked),
            f"{ratings['different']} different values; likes in colour.",
        ),
        Plot(_doubling("users by activity", log["activity"]["histogram"], "users", "interactions of a user"),
             "Each bar covers twice the range of the one before."),
        Plot(by_rank("popularity of items", log["popularity"]["by_rank"]), "A straight line is Zipf's law."),
    ]  # fmt: skip
    top = [[user, number(count)] for user, count in log["activity"]["most_active"]]
    gaps = [[gap["from"], gap["to"], f"{gap['days']:,.2f}"] for gap in log["dates"]["longest_gaps"]]
    blocks: list[Block] = [
        Table("In figures", ["what", "how much"], size_rows(card)),
        Plots(plots),
        Table("The most active users", ["user", "interactions"], top, folded=True),
        *([] if log["dates"]["places"] else [Table("The longest gaps", ["from", "to", "days"], gaps, folded=True)]),
    ]
    return Section("log", "The log", "Log", blocks)


def _split(card: Card) -> Section:
    split = card["split"]
    if split is None:
        return Section("split", "Histories and examples", "Split", [Note("No user can have both.", "missing")])
    histories = split["histories"]
    plots = [
        Plot(lengths("lengths of histories", histories["by_length"], histories["limit"]),
             f"At most {histories['limit']}: {histories['at_the_limit']:,} histories reach that."),
        Plot(_doubling("examples of a user", split["examples"]["histogram"], "users", "examples of a user"),
             "What can be predicted for each user."),
    ]  # fmt: skip
    rows = [[name.replace("_", " "), number(value)] for name, value in split["users"].items()]
    return Section("split", "Histories and examples", "Split", [Plots(plots), Table("Users", ["what", "number"], rows)])


def _titles(card: Card) -> Section:
    titles = card["log"]["titles"]
    rows = [
        ["characters: median, most", f"{titles['median']:,}, {titles['most']:,}"],
        ["items with genres or categories", percent(titles["with_genres"])],
        ["items with a year", percent(titles["with_year"])],
        ["cut in prompts (over 120 characters)", number(titles["cut_in_prompts"])],
    ]
    examples = "\n".join(titles["examples"])
    return Section(
        "titles", "Titles", "Titles",
        [Table("Titles", ["what", "how much"], rows), Note(f"Such as: {'; '.join(examples.splitlines())}.")],
    )  # fmt: skip


def _doubling(label: str, counts: Sequence[Sequence[int]], title: str, axis: str) -> str:
    shown = list(counts)
    while shown and not shown[0][1]:
        shown.pop(0)
    names = [str(least) if least == 1 else f"{least}+" for least, _ in shown]
    return bars(label, names, [n for _, n in shown], title, axis, [])
