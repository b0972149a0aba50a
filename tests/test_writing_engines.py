"""Engines that write for everybody: work is spread, failures go to others; what it will take is reckoned before."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command_line import call as command
from writing_world import made_log, write_run

from trackrec.engines.base import Answer, AnswerText, Capabilities, Decoding, GenerateRequest, Prompt, Score, Usage
from trackrec.engines.failures import EngineError
from trackrec.errors import WriteError
from trackrec.teachers.llm import LLMTeacherSettings
from trackrec.writing.engine_pool import EnginePool, read_engines
from trackrec.writing.engine_writer import EngineWriter
from trackrec.writing.estimate import estimate, read_prices
from trackrec.writing.histories import histories_of
from trackrec.writing.run_view import RunView
from trackrec.writing.source import LogSettings, open_log
from trackrec.writing.version_plan import WritingSettings
from trackrec.writing.writing_recipe import WritingRecipe


class Echo:
    """Answers with the first token id; fails while ``broken`` is set, and can be slow."""

    capabilities = Capabilities(token_ids=True, messages=True, seeds=True)

    def __init__(self, name: str, pause: float = 0.0, broken: bool = False) -> None:
        self.name, self.pause, self.broken = name, pause, broken
        self.calls: list[list[GenerateRequest]] = []
        self.decoding: Decoding | None = None

    def generate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> list[list[Answer]]:
        self.calls.append(list(requests))
        self.decoding = decoding
        time.sleep(self.pause)
        if self.broken:
            raise EngineError(f"{self.name} is gone")
        return [
            [Answer(f"It begins with {(r.token_ids or (0,))[0]}.", usage=Usage(len(r.token_ids or ()), 4))] * n
            for r in requests
        ]

    def score(self, prefixes: Sequence[Prompt], answers: Sequence[AnswerText]) -> list[Score]:
        return [Score(tuple(0.0 for _ in answers)) for _ in prefixes]


def requests(number: int) -> list[GenerateRequest]:
    return [GenerateRequest(token_ids=(7 * n % number, 1)) for n in range(number)]


def texts(answers: list[list[Answer]]) -> list[str]:
    return [group[0].text for group in answers]


def test_each_request_has_its_own_answer_and_neighbours_share_their_beginning() -> None:
    engines = [Echo("a", 0.01), Echo("b", 0.01)]
    asked = requests(100)
    found = EnginePool(engines, chunk=10).generate(asked, 1, Decoding())
    assert texts(found) == [f"It begins with {request.token_ids[0]}." for request in asked if request.token_ids]
    assert all(engine.calls for engine in engines)
    for call in (call for engine in engines for call in engine.calls):
        first = [request.token_ids[0] for request in call if request.token_ids]
        assert first == list(range(first[0], first[0] + 10))


def test_a_fast_engine_does_more() -> None:
    slow, fast = Echo("slow", 0.2), Echo("fast", 0.005)
    EnginePool([slow, fast], chunk=5).generate(requests(100), 1, Decoding())
    assert len(fast.calls) > 3 * len(slow.calls)


def test_what_one_fails_at_another_does() -> None:
    gone, well = Echo("gone", broken=True), Echo("well", 0.01)
    pool = EnginePool([gone, well], chunk=5, rest=60)
    asked = requests(60)
    assert texts(pool.generate(asked, 1, Decoding())) == texts(well.generate(asked, 1, Decoding()))
    assert len(gone.calls) == 1, "an engine that failed rests"
    pool.generate(asked, 1, Decoding())
    assert len(gone.calls) == 1


def test_an_engine_that_comes_back_works_again() -> None:
    gone, well = Echo("gone", broken=True), Echo("well", 0.02)
    pool = EnginePool([gone, well], chunk=2, rest=0.1)
    threading.Timer(0.3, lambda: setattr(gone, "broken", False)).start()
    pool.generate(requests(100), 1, Decoding())
    assert len(gone.calls) > 3


def test_with_all_engines_gone_the_failure_stands() -> None:
    pool = EnginePool([Echo("a", broken=True), Echo("b", broken=True)], rest=60)
    with pytest.raises(EngineError, match="is gone"):
        pool.generate(requests(10), 1, Decoding())


class Sick(Echo):
    """Answers some requests with a failure, as an engine does whose server says 503 after all tries."""

    def __init__(self, name: str, failure: Any, on: int = 1) -> None:
        super().__init__(name)
        self.failure, self.on = failure, on

    def generate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> list[list[Answer]]:
        found = super().generate(requests, n, decoding)
        lost = [Answer("", "none", self.failure)] * n
        return [
            lost if (r.token_ids or (0,))[0] % self.on == 0 else group for r, group in zip(requests, found, strict=True)
        ]


@pytest.mark.parametrize("on", [1, 3])
def test_what_one_answers_with_a_failure_another_does(on: int) -> None:
    sick, well = Sick("sick", "server_error", on), Echo("well", 0.01)
    asked = requests(60)
    found = EnginePool([sick, well], chunk=5, rest=60).generate(asked, 1, Decoding())
    assert texts(found) == texts(well.generate(asked, 1, Decoding()))
    assert len(sick.calls) == 1 or on > 1, "an engine that answered nothing rests"


def test_a_failure_that_all_have_or_that_is_the_requests_own_stands() -> None:
    everywhere = EnginePool([Sick("a", "timeout"), Sick("b", "timeout")], chunk=4, rest=0.0)
    found = everywhere.generate(requests(8), 1, Decoding())
    assert [group[0].failure for group in found] == ["timeout"] * 8
    assert sum(len(engine.calls) for engine in everywhere.engines) == 2 * 3  # type: ignore[attr-defined]
    one, other = Sick("a", "content_filter", 3), Echo("b", 0.05)
    refused = EnginePool([one, other], chunk=10).generate(requests(10), 1, Decoding())
    assert [group[0].failure for group in refused] == [
        "content_filter" if 7 * n % 10 % 3 == 0 else None for n in range(10)
    ]
    assert len(one.calls) + len(other.calls) == 1, "nobody is asked again"


def test_the_writer_sends_the_generators_own_prompt(tmp_path: Path, tiny_model_folder: Path) -> None:
    run = write_run(tmp_path / "run")
    recipe = WritingRecipe.read(run / "recipe.yaml")
    recipe = recipe.model_copy(update={"generator": recipe.generator | {"model": {"name": str(tiny_model_folder)}}})
    items = pl.read_parquet(run / "tables" / "items.parquet")
    engine = Echo("echo")
    writer = EngineWriter(items, recipe, [{"engines": [{"type": "openai"}]}], [engine])
    histories = pl.DataFrame(
        {
            "user_id": [5, 5, 9],
            "position": [0, 1, 0],
            "item_id": [1, 2, 3],
            "rating": [5.0, 2.0, 4.0],
            "timestamp": [1, 2, 3],
            "label": [1, 0, 1],
        }
    )
    written = writer.write(histories)
    assert written["user_id"].to_list() == [5, 9]
    assert written["reason"].to_list() == ["", ""]
    sent = {request.subject: request for call in engine.calls for request in call}
    assert set(sent) == {"5", "9"}
    assert written["prompt_tokens"].to_list() == [len(sent[user].token_ids or ()) for user in ("5", "9")]
    assert len(sent["5"].token_ids or ()) > len(sent["9"].token_ids or ())


def test_the_length_is_that_of_the_run_and_what_it_cuts_off_is_counted(tmp_path: Path, tiny_model_folder: Path) -> None:
    class Cut(Echo):
        def generate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> list[list[Answer]]:
            super().generate(requests, n, decoding)
            texts = ["They like war films. They al", "They like war films.", "They al"]
            return [[Answer(text, finish_reason="length")] for text in texts]

    run = write_run(tmp_path / "run")
    told = WritingRecipe.read(run / "recipe.yaml")
    own = {"model": {"name": str(tiny_model_folder)}, "writing": {"temperature": 0.0, "max_new_tokens": 77}}
    recipe = told.model_copy(update={"generator": told.generator | own})
    items, histories = pl.read_parquet(run / "tables" / "items.parquet"), one_event_each(3)
    engine = Cut("cut")
    written = EngineWriter(items, recipe, [{"engines": [{"type": "openai"}]}], [engine]).write(histories)
    assert engine.decoding == Decoding(temperature=0.0, max_new_tokens=77)
    assert written["text"].to_list() == ["They like war films.", "They like war films.", ""]
    assert written["cut"].to_list() == [True, False, False]
    assert written["reason"].to_list() == ["", "", "text_not_finished"]
    short = [{"engines": [{"type": "openai"}], "decoding": {"max_new_tokens": 9}}]
    EngineWriter(items, recipe, short, [engine]).write(histories)
    assert engine.decoding == Decoding(max_new_tokens=9)
    asks = [{"engines": [{"type": "openai"}], "prompts": "teacher"}]
    EngineWriter(items, recipe, asks, [engine]).write(histories)
    assert engine.decoding == LLMTeacherSettings().decoding


def one_event_each(users: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": range(users),
            "position": [0] * users,
            "item_id": range(1, users + 1),
            "rating": [5.0] * users,
            "timestamp": range(users),
            "label": [1] * users,
        }
    )


def prompt_tokens(run: Path, log: LogSettings, file: Path, scratch: Path) -> float:
    """Mean tokens of the prompts that the writer really sends."""
    view = RunView.open(run)
    recipe = view.recipe
    with open_log(log, recipe.source, scratch) as opened:
        items = view.catalogue(opened.items)
        rows, most = opened.rows.collect(), recipe.split.max_history
        settings = recipe.feedback, recipe.split.like_threshold, most, opened.tables
        histories = histories_of(rows, items, *settings, now=10**10).histories
    written = EngineWriter(items, recipe, read_engines(file), [Echo("a")]).write(histories)
    return float(written["prompt_tokens"].sum()) / written.height


def test_an_estimate_by_hand(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    made_log(users=60).write_parquet(tmp_path / "log.parquet")
    log = LogSettings(path=str(tmp_path / "log.parquet"))
    prices = tmp_path / "mine.yaml"
    prices.write_text("mine: {dollars_a_million_in: 2.0, dollars_a_million_out: 10.0}\n")
    file = tmp_path / "engines.yaml"
    file.write_text("engines: [{type: openai, base_url: 'http://localhost:1/v1', model: g}]\n")
    settings = WritingSettings(writer=str(file), shard_users=7)
    found = estimate(run, log, settings, share=0.5, prices=[str(prices), "h100-9b-low"])
    assert found["log"] == {"events": made_log(users=60).height, "users": 60}
    assert (found["work"]["users_to_write_for"], found["work"]["users_carried_over"]) == (30, 30)
    assert found["work"]["shards"] == 9
    tokens = found["tokens"]
    assert tokens["answers"] == 30 * 64
    assert tokens["prompts"] == pytest.approx(30 * tokens["prompt_tokens_a_user"], abs=2)
    assert tokens["prompt_tokens_a_user"] == round(prompt_tokens(run, log, file, tmp_path), 1)
    file.write_text(file.read_text() + "prompts: teacher\n")
    asked = estimate(run, log, settings)["tokens"]["prompt_tokens_a_user"]
    assert asked > 200, "the instructions of the teacher are longer than the generator's whole prompt"
    dollars = (tokens["prompts"] * 2 + tokens["answers"] * 10) / 1e6
    assert found["money"]["mine"]["dollars"] == round(dollars, 2)
    plain = estimate(run, log, WritingSettings(writer="template"))
    assert plain["tokens"]["prompts"] == plain["tokens"]["answers"] == 0
    assert plain["money"] == {}


def test_a_row_without_a_user_is_no_user_to_write_for(tmp_path: Path) -> None:
    run, log = write_run(tmp_path / "run"), made_log(users=5)
    nobody = log.head(2).with_columns(user_id=pl.lit(None, dtype=log.schema["user_id"]))
    pl.concat([log, nobody]).write_parquet(tmp_path / "log.parquet")
    found = estimate(run, LogSettings(path=str(tmp_path / "log.parquet")), WritingSettings(writer="template"))
    assert found["log"]["users"] == found["work"]["users_to_write_for"] == 5


def test_the_plan_is_told_in_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each price on a line with its hours and dollars; no dictionary as Python writes one."""
    run = write_run(tmp_path / "run")
    made_log(users=60).write_parquet(tmp_path / "log.parquet")
    (tmp_path / "mine.yaml").write_text("by the token: {dollars_a_million_in: 900, dollars_a_million_out: 0}\n")
    (tmp_path / "engines.yaml").write_text("engines: [{type: openai, base_url: 'http://localhost:1/v1', model: g}]\n")
    prices = ["--price", "h100-9b-low", "--price", str(tmp_path / "mine.yaml")]
    monkeypatch.setenv("COLUMNS", "200")
    common = ["plan", "--run", str(run), "--log", str(tmp_path / "log.parquet")]
    assert command(monkeypatch, *common, "--engine", str(tmp_path / "engines.yaml"), *prices) == 0
    said = capsys.readouterr().out
    assert "{" not in said
    rows = [[cell.strip() for cell in re.split("[│┃|]", line)[1:-1]] for line in said.splitlines()]
    money = rows.index(["", "hours", "dollars", "source"])
    low, mine = (row for row in rows[money:] if row and row[0] in ("h100-9b-low", "by the token"))
    assert low[1] == "0.00"
    assert low[3].startswith("reference point of the project's plan")
    tokens = next(int(row[1].replace(",", "")) for row in rows if row and row[0] == "prompts")
    assert mine[1:] == ["", f"{tokens * 900 / 1e6:,.2f}", ""]
    assert command(monkeypatch, *common, "--engine", "template") == 0
    assert "money" not in capsys.readouterr().out, "the template costs none"


def test_the_reference_point_of_the_price_list() -> None:
    """1,200 + 150 tokens a user: 11 GPU-hours, and 22 to 32 dollars, for a million users."""
    from trackrec.writing.estimate import _cost

    tokens = {"prompts": 1_200_000_000, "answers": 150_000_000}
    low, high = (_cost(read_prices([name])[name], tokens) for name in ("h100-9b-low", "h100-9b-high"))
    assert low["hours"] == pytest.approx(10.88, abs=0.01)
    assert (round(low["dollars"]), round(high["dollars"])) == (22, 32)


@pytest.mark.parametrize(
    ("content", "said"),
    [("x: {dollars_an_hour: 2}", "expected dollars_an_hour and tokens_per_second"), ("- a list", "holds no prices")],
)
def test_a_price_list_that_is_none(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(content)
    with pytest.raises(WriteError, match=said):
        read_prices([str(tmp_path / "prices.yaml")])


def test_unknown_prices_and_engine_files(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="no price 'h100': expected a YAML file, or one of h100-9b-low, h100-9b-high"):
        read_prices(["h100"])
    run = write_run(tmp_path / "run")
    made_log(users=3).write_parquet(tmp_path / "log.parquet")
    log: Any = LogSettings(path=str(tmp_path / "log.parquet"))
    with pytest.raises(WriteError, match="names no engines"):
        estimate(run, log, WritingSettings(writer=str(tmp_path / "none.yaml")))
