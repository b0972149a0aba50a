"""The report: planted figures come out, what comes from outside is escaped, and what is missing is said."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from made_run import write_made_run, write_manifest

from trackrec.errors import RunError
from trackrec.metrics.rows import MetricRow, read_metrics, write_metrics
from trackrec.report import write_report
from trackrec.report.blocks import caveat, difference, duration, number, signed, verdict, with_interval
from trackrec.report.drawing import Drawing, themed
from trackrec.report.headline import headline
from trackrec.report.journeys import journeys, why_items
from trackrec.report.plots import PlotPoint, _blocks, _smooth, forest
from trackrec.report.run_data import RunData
from trackrec.report.truth import warnings

EVIL = '<script>alert("x")</script> & <b>Co</b>'
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags, the links among their attributes, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.parts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "srcset")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.parts))


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = write_made_run(tmp_path_factory.mktemp("full") / "run", title=EVIL)
    path = write_report(folder)
    assert path == folder / "report" / "index.html"
    assert [entry.name for entry in path.parent.iterdir()] == ["index.html"]
    return read(path)


@pytest.mark.parametrize(
    "planted",
    [
        "0.612 [0.567, 0.657]",  # AUC of V with its own RecCoT, round 0
        "+0.018 [−0.013, +0.048]",  # against V without RecCoT
        "AUC +0.018, 95% interval −0.013 to +0.048",  # the same in the sentence
        "as a feature it helps DIN (AUC +0.003, 95% interval +0.001 to +0.005",
        "0.688",  # counting
        "0.628",  # G2 under V2
        "4,321",  # a filter's count
        "V0 before any alignment, on 12 LM validation users: AUC 0.641, the user's own share of likes 0.602.",
        "Promoted: round 2",
        "User 111: gained",  # reward -0.6 + 0.02 * round * (user - 105)
        "+0.240 since round 0",
        "User 100: lost",
        "−0.200 since round 0",
        "rose for 6, fell for 5, stayed for 1",
        "conditional on the one G and V",
        "98%",  # 39 of 40 ranker users have a vector
        "trackrec 9.9",
        "validator: lm",
    ],
)
def test_planted_figures_are_on_the_page(full: Page, planted: str) -> None:
    assert planted in full.text


def test_what_comes_from_outside_is_text(full: Page) -> None:
    """A title and a RecCoT with markup are shown as they are, and make no element."""
    assert f"{EVIL} (1980)" in full.text
    assert f"such as {EVIL}, less so musicals" in full.text
    assert "script" not in full.tags


def test_the_journeys_show_each_sentence_with_its_verdict_and_use(tmp_path: Path) -> None:
    """User 111 gained most. Two sentences of round 2, one with a false claim beside a true one; only it has a use."""
    folder = write_made_run(tmp_path / "run", title=EVIL)
    before = journeys(RunData(folder)).blocks[1]
    assert all(not version.sentences for version in before.versions)
    key = {"user_id": 111, "round": 2, "kind": "kept", "sample": 0}
    told = [
        (0, "Likes about 7 in 10.", "supported", "7 of 10 liked"),
        (1, f"Enjoys {EVIL}.", "supported", "rated 5"),
        (1, f"Enjoys {EVIL}.", "contradicted", "0 of 3 liked"),
        (2, "A dreamer.", "not_checkable", ""),
    ]
    names = ("sentence", "sentence_text", "verdict", "reason")
    rows = [key | dict(zip(names, one, strict=True)) for one in told]
    rows.append(key | {"kind": "sample"} | dict(zip(names, (0, "Of a sample.", "supported", ""), strict=True)))
    pl.DataFrame(rows).write_parquet(folder / "tables" / "claims.parquet")
    ledger = pl.DataFrame({"user_id": [111, 111], "round": [2, 1], "sentence": [1, 0], "use": [0.0421, 0.9]})
    ledger.write_parquet(folder / "tables" / "ledger.parquet")
    journey = journeys(RunData(folder)).blocks[1]
    last = journey.versions[-1]
    assert [(one.text, one.verdict, one.tone) for one in last.sentences] == [
        ("Likes about 7 in 10.", "supported", "good"),
        (f"Enjoys {EVIL}.", "contradicted", "bad"),
        ("A dreamer.", "not checkable", "plain"),
    ]
    whys = ["(7 of 10 liked)", "(0 of 3 liked; V loses +0.042 without it)", ""]
    assert [one.why for one in last.sentences] == whys
    page = read(write_report(folder))
    assert f"contradicted Enjoys {EVIL}. (0 of 3 liked; V loses +0.042 without it)" in page.text
    assert "script" not in page.tags


def test_the_journeys_say_why_an_item(tmp_path: Path) -> None:
    folder = write_made_run(tmp_path / "run", title=EVIL)
    reason = {"user_id": 100, "round": 2, "sentence": "They like Drama.", "evidence": [1, 3]}
    rows = [
        {"event_id": 1, "item_id": 0, "label": 1, "speaks_for": True, "link": "is Drama", "reason": "3 of 4 liked"},
        {"event_id": 1, "item_id": 0, "label": 1, "speaks_for": False, "link": "is Comedy", "reason": "0 of 2 liked"},
        {"event_id": 2, "item_id": 3, "label": 0, "speaks_for": None, "link": None, "reason": None},
    ]
    pl.DataFrame([reason | row for row in rows]).write_parquet(folder / "tables" / "reasons.parquet")
    scores = [(100, 2, 1, 0.4), (100, 2, 2, 0.7), (100, 1, 1, 0.9), (101, 2, 1, 0.8)]
    names = ["user_id", "sample", "event_id", "yes_probability"]
    pl.DataFrame(scores, names, orient="row").write_parquet(folder / "tables" / "matrix-lm-2.parquet")
    table = why_items(RunData(folder), 100)
    assert table is not None
    assert table.rows == [
        ["Item 3", "0.70", "–", "–", "no"],
        [EVIL, "0.40", "it is Drama: 3 of 4 liked", "it is Comedy: 0 of 2 liked", "yes"],
    ]
    assert why_items(RunData(folder), 101) is None
    page = read(write_report(folder))
    assert ("it is Drama: 3 of 4 liked" in page.text) == ("User 100" in page.text)
    assert "script" not in page.tags


def change(round_: int, value: float, half: float) -> MetricRow:
    more = {"users": 30, "examples": 30, "role": "all", "note": "less that of round 0, on the users of both"}
    ends = {"low": value - half, "high": value + half}
    return MetricRow(arm="grounding", metric="hallucination_change", round=round_, value=value, **ends, **more)


@pytest.mark.parametrize(
    ("value", "half", "sign", "expected"),
    [
        (0.03, 0.01, 1, ["Hallucinations rise: +0.030", "Usefulness up while grounding falls: from round 0 to 2"]),
        (0.03, 0.05, 1, ["Usefulness up while grounding falls"]),  # a difference that may be chance still warns here
        (0.03, 0.01, -1, ["Hallucinations rise"]),
        (-0.03, 0.01, 1, []),
    ],
)
def test_usefulness_up_while_grounding_falls_is_a_warning(
    tmp_path: Path, value: float, half: float, sign: int, expected: list[str]
) -> None:
    folder = write_made_run(tmp_path / "run")
    rows = [row for row in read_metrics(folder / "metrics.json") if row.arm != "matrix"]
    cell = {"arm": "matrix", "metric": "auc", "role": "lm_validation", "users": 12, "examples": 48}
    rows += [
        MetricRow(round=g, value=0.7 + sign * 0.01 * g, low=0.6, high=0.8, note=f"validator=lm:{v}", **cell)
        for g in (0, 2)
        for v in (0, 1)
    ]
    rows.append(MetricRow(round=2, value=0.1, low=0.0, high=1.0, note="validator=ranker:0", **cell))
    write_metrics(folder / "metrics.json", [*rows, change(2, value, half)])
    found = warnings(RunData(folder))
    assert [text.startswith(start) for text, start in zip(found, expected, strict=True)] == [True] * len(expected)
    assert all(" ".join(text.split()) in read(write_report(folder)).text for text in found)


def test_the_page_needs_nothing_else(full: Page) -> None:
    assert all(link.startswith(("#", "data:")) for link in full.links)
    assert not re.search(r"https?:|@import|url\((?!#)", "".join(full.parts))
    anchors = {link[1:] for link in full.links if link.startswith("#")}
    assert anchors <= set(full.ids), "a link or a drawing's use of a shape leads nowhere"


def test_the_page_is_whole(full: Page) -> None:
    assert full.open == []
    assert full.tags.count("svg") >= 12
    assert "This run has not finished" not in full.text
    assert "prefers-color-scheme: dark" in full.text
    assert not re.search(r"#0a0[bc]\d\d", full.text), "a stand-in colour was left"


def test_one_round_without_observer(tmp_path: Path) -> None:
    page = read(write_report(write_made_run(tmp_path / "run", rounds=1, kinds=("lm",))))
    assert "1 round done of 1" in page.text
    assert "no observer" in page.text
    assert "ranker V" not in page.text
    assert "G and V of round 1 against round 0" in page.text


def test_no_round(tmp_path: Path) -> None:
    page = read(write_report(write_made_run(tmp_path / "run", rounds=0, kinds=("lm",))))
    for said in ("No round was run", "No generator has been aligned", "There is one round only"):
        assert said.lower() in page.text.lower()
    assert page.open == []


def test_an_empty_folder_says_so_everywhere(tmp_path: Path) -> None:
    page = read(write_report(tmp_path))
    assert "Not there: data, teach, distil" in page.text
    for said in ("The data stage has not finished", "metrics.json is missing", "recipe.yaml is missing"):
        assert said in page.text
    assert "svg" not in page.tags


def test_missing_stages_are_named(tmp_path: Path) -> None:
    folder = write_made_run(tmp_path / "run", rounds=1, kinds=("lm",))
    for gone in (
        "manifests/align-lm-1.json",
        "manifests/tune-lm-1.json",
        "metrics.json",
        "reccots.parquet",
        "vectors.parquet",
    ):
        (folder / gone).unlink()
    text = read(write_report(folder)).text
    assert "Not there: align-lm-1, tune-lm-1, metrics." in text
    assert "reccots.parquet holds no kept RecCoT" in text
    assert "vectors.parquet is missing" in text
    assert "Rewards and gains by round" in text, "what is there is shown"


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run folder .*nowhere"):
        write_report(tmp_path / "nowhere")


def row(value: float, low: float | None, high: float | None, note: str = "", **fields: object) -> MetricRow:
    given = {"arm": "v_own", "role": "ranker", "metric": "auc_difference", "users": 30, "examples": 9, **fields}
    return MetricRow(value=value, low=low, high=high, note=note, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "clause", "answer"),
    [
        (0.01, 0.03, "The RecCoT helps V (AUC +0.020, 95% interval +0.010 to +0.030", "yes"),
        (-0.01, 0.05, "That the RecCoT helps V is not shown", "not shown"),
        (None, None, "That the RecCoT helps V is not shown (AUC +0.020, against", "not shown"),
    ],
)
def test_the_sentence_claims_no_more_than_the_interval(
    tmp_path: Path, low: float | None, high: float | None, clause: str, answer: str
) -> None:
    write_metrics(tmp_path / "metrics.json", [row(0.02, low, high, "v_own of round 2 less v_without_reccot")])
    section = headline(RunData(tmp_path))
    assert section.blocks[0].text.startswith(clause)  # type: ignore[union-attr]
    assert section.blocks[1].tiles[0].answer == answer  # type: ignore[union-attr]


def test_a_harm_is_called_a_harm(tmp_path: Path) -> None:
    note = "v_own of round 1 less v_swapped of round 1"
    write_metrics(tmp_path / "metrics.json", [row(-0.02, -0.03, -0.01, note)])
    assert "The RecCoT hurts V" in headline(RunData(tmp_path)).blocks[0].text  # type: ignore[union-attr]


def test_rounds_that_were_not_promoted_did_not_help(tmp_path: Path) -> None:
    folder = write_made_run(tmp_path / "run", rounds=2, promoted=0)
    assert "rounds do not help: of 2 none was promoted" in headline(RunData(folder)).blocks[0].text  # type: ignore[union-attr]


def test_feedback_that_is_noise_is_said(tmp_path: Path) -> None:
    folder = write_made_run(tmp_path / "run", rounds=1, kinds=("lm",))
    write_manifest(folder, "check", {"auc": 0.51, "auc_user_share": 0.60, "users": 12})
    warnings = [block.text for block in headline(RunData(folder)).blocks if getattr(block, "look", "") == "warning"]
    assert any("close to noise" in text and "0.510 against 0.600" in text for text in warnings)


def test_contrasts_are_read_from_their_notes(tmp_path: Path) -> None:
    notes = ["v_own of round 2 less v_own of round 0", "din_own less din_no_text; DIN, 2 seeds, 3 folds", "unreadable"]
    write_metrics(tmp_path / "metrics.json", [row(0.1, None, None, note) for note in notes])
    found = [tuple(pair)[:4] for pair in RunData(tmp_path).contrasts("auc")]
    assert found == [("v_own", 2, "v_own", 0), ("din_own", None, "din_no_text", None)]


def test_nobody_gained(tmp_path: Path) -> None:
    rows = [
        (user, "lm_validation", turn, "kept", "same", -0.5 - 0.1 * turn * user) for user in (1, 2) for turn in (0, 1)
    ]
    columns = ["user_id", "role", "round", "kind", "text", "reward"]
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(tmp_path / "reccots.parquet")
    best, worst = journeys(RunData(tmp_path)).blocks[1:3]
    assert best.lead == "Of 2 users, the reward of this one did best, though none rose."  # type: ignore[union-attr]
    assert best.versions[1].change == "−0.100 since round 0, word for word as before"  # type: ignore[union-attr]
    assert worst.title == "User 2: lost"  # type: ignore[union-attr]


def test_rewards_may_be_null(tmp_path: Path) -> None:
    folder = write_made_run(tmp_path / "run", rounds=1, kinds=("lm",))
    table = pl.read_parquet(folder / "reccots.parquet").with_columns(reward=pl.lit(None, dtype=pl.Float64))
    table.write_parquet(folder / "reccots.parquet")
    assert journeys(RunData(folder)).blocks[1].lead.startswith("No RecCoT has a reward in two rounds")  # type: ignore[union-attr]


def test_numbers_as_they_are_told() -> None:
    assert [number(value) for value in (0.1234, -0.5, None, float("nan"), 12345)] == [
        "0.123",
        "−0.500",
        "–",
        "–",
        "12,345",
    ]
    assert [signed(value) for value in (0.5, -0.5, None)] == ["+0.500", "−0.500", "–"]
    assert [duration(seconds) for seconds in (1.25, 42.4, 600, 7260)] == ["1.2 s", "42 s", "10 min", "2 h 01 min"]
    assert with_interval(row(0.5, None, None)) == "0.500"
    assert difference(row(0.5, -0.1, 0.9)).replace("\u00a0", " ") == "+0.500 [−0.100, +0.900]"
    assert [verdict(row(0, *ends)) for ends in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1))] == ["good", "bad", "unclear"]
    assert "30 to 40 here" in caveat([row(0, 0, 1), row(0, 0, 1, users=40), row(0, None, None, users=5)])


def test_long_curves_become_means_over_blocks() -> None:
    x, y = _blocks(np.arange(400, dtype=float))
    assert x[:2].tolist() == [1.5, 3.5]
    assert y[:2].tolist() == [0.5, 2.5]
    np.testing.assert_allclose(_smooth(np.full(30, 2.0)), 2.0)


def test_a_drawing_takes_the_colours_of_the_page() -> None:
    with Drawing('a "label" & <more>') as drawing:
        drawing.axes.text(0, 0, "<i>$x$</i>")
    assert 'aria-label="a &quot;label&quot; &amp; &lt;more>"' in drawing.svg
    assert "&lt;i&gt;$x$&lt;/i&gt;" in drawing.svg
    assert "var(--ink)" in drawing.svg
    assert "http" not in drawing.svg
    assert themed('<svg viewBox="0 0 2 1"></svg>', "x").startswith('<svg role="img" aria-label="x" viewBox="0 0 2 1">')


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    folder = write_made_run(tmp_path / "run", rounds=0, kinds=("lm",))
    first = write_report(folder).read_bytes()
    shutil.rmtree(folder / "report")
    assert write_report(folder).read_bytes() == first


def test_a_long_name_leaves_the_forest_its_room() -> None:
    def width_of_zero_to_one(name: str) -> float:
        drawn = forest(
            "three rows", {"short": PlotPoint(0.0), name: PlotPoint(1.0), "another": PlotPoint(0.5)}, "difference"
        )
        places = [float(x) for x in re.findall(r'<use xlink:href="#\w+" x="([\d.]+)"', drawn)]
        return max(places) - min(places)

    assert width_of_zero_to_one("final round less no text") > 100
    assert width_of_zero_to_one("final round with one score less final round with another user's score") > 100
