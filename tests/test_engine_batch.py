"""Batch files: out, answered by an endpoint's batch API, and in."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import completion, error, fake_endpoint

from trackrec.engines import batch
from trackrec.engines.base import Decoding, GenerateRequest, Message
from trackrec.engines.batch import batch_files, forget_in_batches, read_batch, write_batch
from trackrec.engines.budget import BudgetSettings, PriceSettings
from trackrec.engines.failures import EngineError
from trackrec.engines.openai import OpenAIEngine
from trackrec.engines.openai_settings import OpenAISettings

REQUESTS = [GenerateRequest((Message("user", f"Who is user {i}?"),), seed=i, subject=f"user {i}") for i in range(5)]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., OpenAIEngine]:
    def make(base_url: str = "http://127.0.0.1:9/v1", **settings: Any) -> OpenAIEngine:
        given = {"model": "fake-1", "consent": True, "api_key_env": "", "server": "vllm", **settings}
        return OpenAIEngine(OpenAISettings(base_url=base_url, cache=str(tmp_path / "answers.sqlite"), **given))

    return make


def answered(
    files: list[Path], change: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda _, line: line
) -> list[str]:
    """Lines as the batch API writes them."""
    lines = []
    for number, text in enumerate(text for file in files for text in file.read_text().splitlines()):
        asked = json.loads(text)
        response = {"status_code": 200, "request_id": "r", "body": completion(asked["body"])}
        line = {"id": f"b{number}", "custom_id": asked["custom_id"], "response": response, "error": None}
        lines.append(json.dumps(change(number, line)))
    return lines


def test_what_a_batch_answers_is_not_asked_for_again(make: Callable[..., OpenAIEngine], tmp_path: Path) -> None:
    with fake_endpoint() as server:
        engine = make(server.base_url)
        asked = engine.generate(REQUESTS[:2], 2, Decoding())
        files = write_batch(engine, REQUESTS, 2, Decoding(), tmp_path / "batch")
        lines = [json.loads(text) for text in files[0].read_text().splitlines()]
        assert len(lines) == 3, "two are in the cache"
        assert {line["url"] for line in lines} == {"/v1/chat/completions"}
        assert "user 3" not in json.dumps([line["custom_id"] for line in lines])
        out = tmp_path / "out.jsonl"
        out.write_text("\n".join(answered(files)[::-1]))
        read = read_batch(engine, REQUESTS, 2, Decoding(), out)
        assert (read.answered, read.known, read.unknown, read.broken, dict(read.failed)) == (3, 0, 0, 0, {})
        whole = engine.generate(REQUESTS, 2, Decoding())
        assert [a.text for a in whole[0]] == [a.text for a in asked[0]]
        assert len({a.text for group in whole for a in group}) == 10
        assert len(server.bodies) == 2, "all by batch"
        assert read_batch(engine, REQUESTS, 2, Decoding(), out).known == 3, "read twice, billed once"
        assert engine.cache.bill().calls == 5


def test_a_batch_of_single_samples_may_come_back_in_any_order(
    make: Callable[..., OpenAIEngine], tmp_path: Path
) -> None:
    engine = make(lacks=["several"])
    files = write_batch(engine, REQUESTS[:1], 3, Decoding(), tmp_path / "batch")
    (tmp_path / "out.jsonl").write_text("\n".join(answered(files)[::-1]))
    assert read_batch(engine, REQUESTS, 3, Decoding(), tmp_path / "out.jsonl").answered == 3
    assert len({a.text for a in engine.generate(REQUESTS[:1], 3, Decoding())[0]}) == 3


def test_every_bad_line_is_counted_and_the_rest_is_read(make: Callable[..., OpenAIEngine], tmp_path: Path) -> None:
    def change(number: int, line: dict[str, Any]) -> dict[str, Any]:
        if number == 0:
            line["response"] = {"status_code": 400, "body": error("maximum context length")}
        if number == 1:
            line["response"]["body"]["choices"] = []
        if number == 2:
            line["response"], line["error"] = None, {"code": "batch_expired", "message": "too late"}
        return line

    engine = make()
    files = write_batch(engine, REQUESTS, 1, Decoding(), tmp_path / "batch")
    lines = answered(files, change)
    foreign = json.dumps({**json.loads(lines[4]), "custom_id": "f" * 64 + "-0"})
    (tmp_path / "out.jsonl").write_text("\n".join([*lines, lines[3], foreign, "{half", '{"custom_id": "../x"}', "[]"]))
    read = read_batch(engine, REQUESTS, 1, Decoding(), tmp_path / "out.jsonl")
    assert (read.answered, read.unknown, read.broken) == (2, 2, 3)
    assert dict(read.failed) == {"context_too_long": 1, "half_answer": 1, "server_error": 1}
    again = write_batch(engine, REQUESTS, 1, Decoding(), tmp_path / "next")
    assert len(again[0].read_text().splitlines()) == 3, "what failed is asked for again"


def test_a_batch_costs_half(make: Callable[..., OpenAIEngine], tmp_path: Path) -> None:
    """Five calls of 100 tokens read at 10 dollars a million and 10 written at 20, halved."""
    price = PriceSettings(name="list", prompt=10, completion=20)
    engine = make(budget=BudgetSettings(price=price))
    files = write_batch(engine, REQUESTS, 1, Decoding(), tmp_path / "batch")
    (tmp_path / "out.jsonl").write_text("\n".join(answered(files)))
    read_batch(engine, REQUESTS, 1, Decoding(), tmp_path / "out.jsonl")
    assert engine.cache.bill().money == Decimal("0.003")
    assert engine.cache.bill().prices == "list, batch"


def test_large_batches_are_split(
    make: Callable[..., OpenAIEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_REQUESTS", 2)
    files = write_batch(make(), REQUESTS, 1, Decoding(), tmp_path / "batch")
    assert [len(file.read_text().splitlines()) for file in files] == [2, 2, 1]
    with pytest.raises(EngineError, match="batch files already"):
        write_batch(make(), REQUESTS, 1, Decoding(), tmp_path / "batch")


def test_who_is_forgotten_leaves_batch_files(make: Callable[..., OpenAIEngine], tmp_path: Path) -> None:
    """Requests and answers, by the cache that they were written with; what somebody else asked for too stays."""
    shared = GenerateRequest((Message("user", "The same of both"),), seed=9, subject="user 3")
    both = [*REQUESTS, shared, GenerateRequest(shared.messages, seed=9, subject="user 1")]
    engine = make()
    files = write_batch(engine, both, 1, Decoding(), tmp_path / "batch")
    out = tmp_path / "batch" / "out.jsonl"
    out.write_text("\n".join(answered(files)) + "\nno line of a batch \u2028 user 3\n", encoding="utf-8")
    (tmp_path / "batch" / "other.jsonl").write_text('{"id": 3, "text": "user 3"}\n')
    found = batch_files(tmp_path)
    assert found == sorted([*files, out])
    gone = forget_in_batches("user 3", found, [engine.cache])
    assert (gone.lines, gone.files, gone.unknown) == (3, [str(files[0]), str(out)], 0)
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert "user 3" not in text
        assert "user 2" in text or path == out
    asked, answers = (len(path.read_text(encoding="utf-8").split("\n")) - 1 for path in (files[0], out))
    assert (asked, answers) == (5, 5)
    assert "The same of both" in files[0].read_text()


def test_lines_of_unknown_people_go_by_what_they_say(tmp_path: Path) -> None:
    line = '{{"custom_id": "{}-0", "response": {{"body": "{}"}}}}\n'
    file = tmp_path / "out.jsonl"
    file.write_text("".join(line.format(f"{n:064x}", text) for n, text in enumerate(("Likes bees.", "of zoe-7", "x"))))
    gone = forget_in_batches("zoe-7", batch_files(file), [], {"Likes bees."})
    assert (gone.lines, gone.unknown) == (2, 1)
    assert file.read_text() == line.format(f"{2:064x}", "x")
    with pytest.raises(EngineError, match="no batch file"):
        batch_files(tmp_path / "none")
