"""Teachers that are no rule: texts from a file, and a language model behind an engine."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from trackrec.engines.base import Answer, Capabilities, Decoding, GenerateRequest
from trackrec.engines.failures import EngineError
from trackrec.errors import RecipeError, RunError
from trackrec.prompts.domains import MOVIES
from trackrec.recipe import make_recipe
from trackrec.teachers.llm import LLMTeacher, LLMTeacherSettings, why_unusable
from trackrec.teachers.texts import TextsTeacher, TextsTeacherSettings, read_texts
from trackrec.testing.component_suites import check_teacher
from trackrec.testing.synthetic import make_synthetic

CONTEXT = SimpleNamespace(
    renderer=SimpleNamespace(domain=MOVIES, line_text=lambda item, rating: f"{rating:g}: Film {item}\n"), items=None
)


def file_of(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return str(path)


def texts_teacher(path: str, **settings: Any) -> TextsTeacher:
    return TextsTeacher.make(TextsTeacherSettings(path=path, **settings), CONTEXT)  # type: ignore[arg-type]


def test_line_ends_of_other_kinds_are_text(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    told = "One\u2028two\x85three\x0bfour\x1cfive."
    path.write_text(json.dumps({"user_id": "a", "text": told}, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert read_texts(str(path))["text"].to_list() == [told]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b'{"user_id": 1, "text": ' + b"9" * 5000 + b"}"])
def test_a_file_that_holds_no_texts_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_bytes(content)
    with pytest.raises(RecipeError, match=r"texts\.jsonl"):
        read_texts(str(tmp_path / "texts.jsonl"))


def test_texts_of_a_file_pass_the_suite(tmp_path: Path) -> None:
    rows = [{"user_id": user, "text": f"Text {n} of {user}."} for user in range(5) for n in range(2)]
    check_teacher(texts_teacher(file_of(tmp_path / "texts.jsonl", rows)))
    pl.DataFrame(rows).write_parquet(tmp_path / "texts[1].parquet")
    check_teacher(texts_teacher(str(tmp_path / "texts[1].parquet")))


def test_samples_are_the_users_texts_in_turn(tmp_path: Path) -> None:
    rows = [{"user_id": "0", "text": "a"}, {"user_id": 1, "text": "b"}, {"user_id": 0, "text": "c"}]
    histories = pl.DataFrame({"user_id": [1, 0], "position": [0, 0]})
    found = texts_teacher(file_of(tmp_path / "t.jsonl", rows)).write(histories, seed=4, per_user=3)
    assert found.rows() == [(1, 0, "b"), (1, 1, "b"), (1, 2, "b"), (0, 0, "a"), (0, 1, "c"), (0, 2, "a")]


def test_a_user_without_a_text_is_an_error_or_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = file_of(tmp_path / "t.jsonl", [{"user_id": 7, "text": "x"}])
    histories = pl.DataFrame({"user_id": [7, 8, 9], "position": [0, 0, 0]})
    with pytest.raises(RunError, match=r"lack 2 of 3 users, such as 8\. Add their texts .*teacher\.missing=leave_out"):
        texts_teacher(path).write(histories, seed=1)
    with caplog.at_level(logging.WARNING, "trackrec.teachers"):
        assert texts_teacher(path, missing="leave_out").write(histories, seed=1)["user_id"].to_list() == [7]
    assert "lack 2 of 3 users" in caplog.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2 is no JSON"),
        ('["a"]', r"line 2: expected an object with user_id and text"),
        ('{"user_id": 1}', r"line 2: expected an object with user_id and text"),
        ('{"user_id": 1, "text": " "}', r"row 2: the text of user '1' is ' ', expected a text"),
        ('{"user_id": 1, "text": null}', r"row 2: the text of user '1' is None"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "t.jsonl").write_text('{"user_id": 0, "text": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        read_texts(str(tmp_path / "t.jsonl"))


def test_the_shipped_texts_cite_events_and_speak_of_their_length() -> None:
    texts = read_texts("movielens-100k")
    assert texts.height == texts["user_id"].n_unique() == 152
    words = texts["text"].str.replace_all(r"\[[\d, ]+\]", "").str.split(" ").list.len()
    assert words.min() >= 80  # type: ignore[operator]
    assert words.max() <= 175  # type: ignore[operator]
    assert texts["text"].str.count_matches(r"\[\d+(, \d+)*\]").min() >= 3  # type: ignore[operator]
    with pytest.raises(RecipeError, match=r"no file of texts 'movielens-1m': .* shipped ones"):
        read_texts("movielens-1m")


class Parrot:
    """An engine that answers as it is told; the real ones have tests of their own."""

    name, capabilities = "parrot", Capabilities(messages=True)

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.requests = answers, list[GenerateRequest]()

    def generate(self, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> list[list[Answer]]:
        self.requests += requests
        return [[self._answer(request, k) for k in range(n)] for request in requests]

    def _answer(self, request: GenerateRequest, k: int) -> Answer:
        if self.answers:
            return self.answers[k % len(self.answers)]
        assert request.messages is not None
        return Answer(f"They rated {len(request.messages[1].content.splitlines())} films. Seed {request.seed}, {k}.")


def test_an_llm_sees_numbered_events_and_no_id() -> None:
    engine, world = Parrot(), make_synthetic(users=5)
    teacher = LLMTeacher(engine, LLMTeacherSettings(most_events=2), CONTEXT)  # type: ignore[arg-type]
    check_teacher(teacher)
    request = teacher.request(4, world.histories.filter(pl.col("user_id") == 4), seed=9)
    assert request.messages is not None
    assert [line.split(" ", 1)[0] for line in request.messages[1].content.splitlines()] == ["[5]", "[6]"]
    assert "viewer" in request.messages[0].content
    assert request.subject == "4"


def test_histories_that_are_seen_in_part_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    world = make_synthetic(users=5)
    for most, told in ((2, "the newest 2 events of 5 of 5 users"), (6, "")):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "trackrec.teachers"):
            LLMTeacher(Parrot(), LLMTeacherSettings(most_events=most), CONTEXT).write(world.histories, 1)  # type: ignore[arg-type]
        assert told in caplog.text
        assert bool(caplog.text) == bool(told)


GOOD = Answer("They like it when monsters win, and no comedy holds them for long [1].")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GOOD, ""),
        (Answer("", failure="refused"), "refused"),
        (Answer("  "), "empty"),
        (Answer("They like", finish_reason="length"), "cut off at max_new_tokens"),
        (Answer("[1] 5: Film 2 [2] 2: Film 7 [3] 5: Film 4"), "repeats the prompt"),
    ],
)
def test_answers_that_are_no_reccots(answer: Answer, reason: str) -> None:
    teacher = LLMTeacher(Parrot(), LLMTeacherSettings(), CONTEXT)  # type: ignore[arg-type]
    history = pl.DataFrame({"position": [0, 1, 2], "item_id": [2, 7, 4], "rating": [5.0, 2.0, 5.0]})
    assert why_unusable(answer, teacher.request(1, history, 0)) == reason


def test_too_many_failures_stop_the_teacher_and_few_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    world = make_synthetic(users=4)
    settings = LLMTeacherSettings()
    refusing = LLMTeacher(Parrot(Answer("", failure="refused")), settings, CONTEXT)  # type: ignore[arg-type]
    with pytest.raises(RunError, match=r"no usable text for 4 of 4 users \(4 refused\)\. What was answered is kept"):
        refusing.write(world.histories, seed=1)
    some = LLMTeacher(Parrot(Answer(""), GOOD), settings, CONTEXT)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "trackrec.teachers"):
        texts = some.write(world.histories, seed=1, per_user=2)
    assert texts["text"].unique().to_list() == [GOOD.text]
    assert "4 empty of the 8 texts of parrot" in caplog.text


def test_an_engine_without_chat_is_refused_before_anything_is_spent() -> None:
    engine = Parrot()
    engine.capabilities = Capabilities(token_ids=True)  # type: ignore[misc]
    with pytest.raises(EngineError, match="the teacher `llm` needs reading chat messages"):
        LLMTeacher(engine, LLMTeacherSettings(), CONTEXT)  # type: ignore[arg-type]
    assert engine.requests == []


def test_recipes_name_these_teachers() -> None:
    texts = make_recipe({"teacher": {"type": "texts", "missing": "leave_out"}}).teacher
    assert texts == TextsTeacherSettings(missing="leave_out")
    engine = {"type": "openai", "base_url": "http://127.0.0.1:8080/v1", "model": "m", "consent": True}
    llm = make_recipe({"teacher": {"type": "llm", "engine": engine}}).teacher
    assert isinstance(llm, LLMTeacherSettings)
    assert llm.engine.model == "m"  # type: ignore[attr-defined]
    with pytest.raises(RecipeError, match=r"unknown setting 'teacher\.engine\.modl'; the nearest known one is"):
        make_recipe({"teacher": {"type": "llm", "engine": engine | {"modl": 1}}})
