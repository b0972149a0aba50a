"""The engine for endpoints, against one that misbehaves: consent, keys, failures, limits, budget, cache."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import KEY, Behaviour, Said, completion, error, fake_endpoint

from trackrec.engines.base import Answer, Decoding, GenerateRequest, Message, Prompt, require
from trackrec.engines.budget import BudgetSettings, PriceSettings
from trackrec.engines.cache import AnswerCache
from trackrec.engines.failures import BudgetError, ConsentError, EngineError, FailureKind, classify
from trackrec.engines.openai import OpenAIEngine
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.errors import RecipeError


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., OpenAIEngine]:
    def make(base_url: str, slept: list[float] | None = None, **settings: Any) -> OpenAIEngine:
        given = {"model": "fake-1", "consent": True, "api_key_env": "TEST_KEY", "server": "vllm", "timeout": 5.0}
        chosen = OpenAISettings(base_url=base_url, cache=str(tmp_path / "answers.sqlite"), **{**given, **settings})
        waits = [] if slept is None else slept
        return OpenAIEngine(chosen, sleep=lambda seconds: waits.append(seconds))

    return make


def requests(number: int) -> list[GenerateRequest]:
    return [
        GenerateRequest((Message("user", f"Who is user {i}?"),), seed=i, subject=f"user {i}") for i in range(number)
    ]


ONE = requests(1)


def always(said: Callable[[dict[str, Any]], Said]) -> Behaviour:
    return lambda _, body: said(body)


def test_without_consent_nothing_is_sent_and_the_refusal_says_what_would_be(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server:
        with pytest.raises(ConsentError, match=r"titles, ratings.*127\.0\.0\.1.*not encrypted.*consent: true"):
            make(server.base_url, consent=False)
        assert server.bodies == []


def test_without_a_key_nothing_is_sent(make: Callable[..., OpenAIEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    with fake_endpoint() as server:
        with pytest.raises(EngineError, match=r"environment variable TEST_KEY is empty.*export TEST_KEY"):
            make(server.base_url)
        assert server.bodies == []


def test_answers_come_in_order_with_what_they_took(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server:
        answers = make(server.base_url).generate(requests(5), 3, Decoding())
        assert [len(group) for group in answers] == [3] * 5
        assert len({answer.text for group in answers for answer in group}) == 15
        assert answers[0][0].usage.prompt_tokens == 100
        assert [answer.usage.completion_tokens for answer in answers[0]] == [30, 0, 0]
        assert {body["messages"][0]["content"] for body in server.bodies} == {f"Who is user {i}?" for i in range(5)}
        assert set(server.authorization) == {f"Bearer {KEY}"}
        assert "user 3" not in json.dumps([{k: v for k, v in b.items() if k != "messages"} for b in server.bodies])


def test_the_key_is_in_no_dump_cache_log_or_error(
    make: Callable[..., OpenAIEngine], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Although the endpoint repeats it in its answers and its errors."""
    caplog.set_level(logging.DEBUG)
    says = [Said(error(f"bad key {KEY}"), 500), Said(completion({}, f"your key is {KEY}"))]
    with fake_endpoint(lambda number, _: says[min(number, 1)]) as server:
        engine = make(server.base_url)
        text = engine.generate(ONE, 1, Decoding())[0][0].text
        engine.close()
    with (
        fake_endpoint(always(lambda _: Said(error(f"wrong key {KEY}"), 401))) as server,
        pytest.raises(EngineError) as got,
    ):
        make(server.base_url).generate(ONE, 1, Decoding())
    assert text == "your key is [key]"
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"your key is" in kept
    for place in (kept.decode("latin-1"), caplog.text, str(got.value), repr(got.value.__cause__)):
        assert KEY not in place
    assert KEY not in engine.settings.model_dump_json() + repr(engine.settings) + repr(engine)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key_env": KEY},
        {"base_url": f"https://user:{KEY}@example.com/v1"},
        {"base_url": f"https://example.com/v1?api_key={KEY}"},
        {"extra_body": {"api_key": KEY}},
    ],
)
def test_a_key_in_the_settings_is_refused_and_not_repeated(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as got:
        OpenAISettings(model="m", **wrong)
    assert KEY not in str(got.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": 0}, "timeout"),
        ({"retries": 1000}, "retries"),
        ({"base_url": "ftp://example.com"}, "base_url"),
        ({"extra_body": {"messages": []}}, "extra_body"),
        ({"lacks": ["wings"]}, "lacks"),
        ({"budget": {"money": -1}}, "money"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_settings_have_bounds(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        OpenAISettings(**{"model": "m", **wrong})


# What passes by itself is tried again; what does not stops everything or is counted.


@pytest.mark.parametrize(
    "bad",
    [
        Said(error("slow down", "rate_limit_exceeded"), 429),
        Said(error("oops"), 500),
        Said(b"<html>bad gateway</html>", 502),
        Said(b'{"choices": [{"mess', 200),
        Said(completion({}), 200, cut=40),
        Said(error("overloaded", 503), 200),
        Said({"choices": []}, 200),
        Said({"choices": [{"message": "a text where an object should be"}]}, 200),
        Said([1, 2], 200),
    ],
    ids=["429", "500", "502", "half JSON", "cut off", "error in 200", "no choices", "wrong shape", "a list"],
)
def test_what_passes_is_tried_again(make: Callable[..., OpenAIEngine], bad: Said) -> None:
    slept: list[float] = []
    with fake_endpoint(lambda number, body: bad if number < 2 else Said(completion(body))) as server:
        answer = make(server.base_url, slept).generate(ONE, 1, Decoding())[0][0]
        assert answer.failure is None
        assert len(server.bodies) == 3
        assert slept, "there is a pause between tries"


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        (Said(error("Incorrect API key provided"), 401), "wrong key", "api_key_env"),
        (
            Said(error("The model `x` does not exist", "model_not_found"), 404),
            "unknown model",
            "check model and base_url",
        ),
        (Said(error("You exceeded your current quota", "insufficient_quota"), 429), "no money", "account is empty"),
        (Said(b"", 307, {"Location": "http://127.0.0.1:1/elsewhere"}), "moved", "consent"),
        (Said(error("unknown field"), 400), "bad request", "extra_body"),
    ],
    ids=["wrong key", "unknown model", "quota", "redirect", "bad request"],
)
def test_what_concerns_all_requests_stops_at_once(
    make: Callable[..., OpenAIEngine], said: Said, kind: str, told: str
) -> None:
    with fake_endpoint(always(lambda _: said)) as server:
        with pytest.raises(EngineError, match=rf"failed \({kind}\).*0 of 40 requests.*{told}"):
            make(server.base_url, concurrency=2).generate(requests(40), 1, Decoding())
        assert len(server.bodies) <= 4, "nothing is sent any more once it is known"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (lambda b: Said(completion(b, "I'm sorry, but I can't assist with that.")), "refused"),
        (lambda b: Said(completion(b, message={"content": None, "refusal": "No."})), "refused"),
        (lambda b: Said(completion(b, "")), "empty"),
        (lambda b: Said(completion(b, "<think>Hm, crime, perhaps")), "empty"),
        (lambda b: Said(completion(b, "half a", finish_reason="content_filter")), "content_filter"),
        (lambda b: Said(error("The response was filtered", "content_filter"), 400), "content_filter"),
        (lambda b: Said(error("This model's maximum context length is 8192 tokens"), 400), "context_too_long"),
        (
            lambda b: Said(error("exceeds the available context size", 400, "exceed_context_size_error"), 400),
            "context_too_long",
        ),
    ],
    ids=[
        "refusal",
        "refusal field",
        "empty",
        "endless thought",
        "filter",
        "filter 400",
        "context",
        "context of llama.cpp",
    ],
)
def test_what_belongs_to_one_request_is_counted_and_the_others_go_on(
    make: Callable[..., OpenAIEngine], said: Callable[[dict[str, Any]], Said], kind: FailureKind
) -> None:
    def behave(_: int, body: dict[str, Any]) -> Said:
        return said(body) if "user 1?" in body["messages"][0]["content"] else Said(completion(body))

    with fake_endpoint(behave) as server:
        answers = make(server.base_url).generate(requests(4), 1, Decoding())
        assert [group[0].failure for group in answers] == [None, kind, None, None]
        assert len(server.bodies) == 4, "it is not asked again"


def test_thirty_thousand_tokens_of_history_are_sent_once_and_counted(make: Callable[..., OpenAIEngine]) -> None:
    long = GenerateRequest((Message("user", "5: A film\n" * 6_000),))
    refusal = error("the request exceeds the available context size", 400, "exceed_context_size_error")

    def behave(_: int, body: dict[str, Any]) -> Said:
        return Said(refusal, 400) if len(json.dumps(body)) > 30_000 else Said(completion(body))

    with fake_endpoint(behave) as server:
        answers = make(server.base_url).generate([long, *ONE], 2, Decoding())
        assert [[a.failure for a in group] for group in answers] == [["context_too_long"] * 2, [None, None]]
        assert len(server.bodies) == 2


def test_thoughts_are_cut_off_and_counted(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint(always(lambda b: Said(completion(b, "<think>crime?</think>\n\nThey like crime.")))) as server:
        answer = make(server.base_url).generate(ONE, 1, Decoding())[0][0]
        assert (answer.text, answer.failure) == ("They like crime.", None)
        assert answer.thought > len("crime?")


SCHEMA = {"type": "object", "properties": {"tags": {"type": "array", "maxItems": 2}}, "required": ["tags"]}


def test_text_that_is_not_the_json_asked_for_is_asked_for_once_more(make: Callable[..., OpenAIEngine]) -> None:
    texts = ['{"tags": ["a", "b"', '{"tags": ["a", "b"]}']
    with fake_endpoint(lambda number, body: Said(completion(body, texts[min(number, 1)]))) as server:
        engine = make(server.base_url)
        answer = engine.generate(ONE, 1, Decoding(json_schema=SCHEMA))[0][0]
        assert (answer.text, answer.failure) == (texts[1], None)
        assert len({body["seed"] for body in server.bodies}) == 2, "another seed, or it would be the same text"
        assert engine.bill().calls == engine.cache.bill().calls == 2, "both are paid, and on the bill"


def test_text_that_is_never_the_json_asked_for_is_counted(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint(always(lambda b: Said(completion(b, '{"tags": "a"}')))) as server:
        engine = make(server.base_url)
        assert engine.generate(ONE, 1, Decoding(json_schema=SCHEMA))[0][0].failure == "malformed"
        assert len(server.bodies) == 2
        engine.generate(ONE, 1, Decoding(json_schema=SCHEMA))
        assert len(server.bodies) == 2, "what was paid is not asked for again"


def test_a_server_that_drips_is_cut_off(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint(always(lambda b: Said(completion(b), drip=0.05))) as server:
        began = time.monotonic()
        answers = make(server.base_url, timeout=0.5, retries=1).generate(ONE, 1, Decoding())
        assert answers[0][0].failure == "timeout"
        assert time.monotonic() - began < 5, "each drop is quick; the whole would take half a minute"


def test_a_server_that_drips_an_error_is_cut_off_too(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint(always(lambda _: Said(error("x" * 500), 500, drip=0.05))) as server:
        began = time.monotonic()
        make(server.base_url, timeout=0.5, retries=0).generate(ONE, 1, Decoding())
        assert time.monotonic() - began < 5


def test_a_server_that_is_not_there_stops_with_a_clear_line(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server:
        gone = server.base_url
    with pytest.raises(EngineError, match=r"connection.*check that the server runs at base_url"):
        make(gone, retries=2).generate(requests(3), 1, Decoding())


def test_an_endpoint_that_is_down_is_left_alone_after_some_requests(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint(always(lambda _: Said(error("down"), 503))) as server:
        with pytest.raises(EngineError, match=r"server error.*run the same command again"):
            make(server.base_url, retries=1, give_up_after=5, concurrency=1).generate(requests(100), 1, Decoding())
        assert len(server.bodies) == 10


# Limits.


def test_a_storm_of_429_is_weathered_at_the_pace_that_the_endpoint_asks_for(
    tmp_path: Path,
) -> None:
    """Three calls a quarter of a second go through; the rest gets 429 with Retry-After."""
    went: list[float] = []
    lock = threading.Lock()

    def behave(_: int, body: dict[str, Any]) -> Said:
        with lock:
            now = time.monotonic()
            recent = [at for at in went if at > now - 0.25]
            if len(recent) >= 3:
                return Said(error("slow down"), 429, {"retry-after-ms": "200"})
            went.append(now)
        return Said(completion(body))

    with fake_endpoint(behave) as server:
        settings = OpenAISettings(
            base_url=server.base_url, model="fake-1", consent=True, api_key_env="", server="vllm",
            cache=str(tmp_path / "a"), retries=20,
        )  # fmt: skip
        answers = OpenAIEngine(settings).generate(requests(12), 1, Decoding())
        assert not any(group[0].failure for group in answers)
        assert len(went) == 12, "each was answered once"


def test_concurrency_is_what_the_settings_say(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint(always(lambda b: Said(completion(b), delay=0.05))) as server:
        make(server.base_url, concurrency=3).generate(requests(12), 1, Decoding())
        assert server.busiest == 3


# Cache and budget.


def test_what_is_in_the_cache_is_not_asked_again(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server:
        first = make(server.base_url).generate(requests(4), 2, Decoding())
        again = make(server.base_url).generate(requests(6), 2, Decoding())
        assert [[a.text for a in g] for g in again[:4]] == [[a.text for a in g] for g in first]
        assert [g[0].cached for g in again] == [True] * 4 + [False] * 2
        assert len(server.bodies) == 6
        make(server.base_url).generate(requests(6), 5, Decoding())
        assert [body["n"] for body in server.bodies[6:]] == [3] * 6, "only the samples that are missing"


def test_many_texts_come_in_as_few_calls_as_the_settings_allow(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server:
        engine = make(server.base_url, samples_per_call=4)
        assert engine.estimate(ONE, 10, Decoding()).calls == 3
        answers = engine.generate(ONE, 10, Decoding())[0]
        assert len({answer.text for answer in answers}) == 10
        assert [body.get("n", 1) for body in server.bodies] == [4, 4, 2]
        assert [answer.usage.prompt_tokens for answer in answers] == [100, 0, 0, 0, 100, 0, 0, 0, 100, 0]


@pytest.mark.parametrize(
    "change",
    [{"model": "other"}, {"extra_body": {"x": 1}}, {"decoding": Decoding(temperature=0.5)}, {"seed": 9}, {"text": "?"}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_decides_an_answer_decides_its_key(make: Callable[..., OpenAIEngine], change: dict[str, Any]) -> None:
    with fake_endpoint() as server:
        make(server.base_url).generate(ONE, 1, Decoding())
        text, seed = change.pop("text", "Who is user 0?"), change.pop("seed", 0)
        decoding = change.pop("decoding", Decoding())
        make(server.base_url, **change).generate([GenerateRequest((Message("user", text),), seed=seed)], 1, decoding)
        assert len(server.bodies) == 2


def test_equal_requests_in_one_call_are_asked_once(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server:
        answers = make(server.base_url).generate([*ONE, *ONE, *ONE], 1, Decoding())
        assert len({group[0].text for group in answers}) == 1
        assert len(server.bodies) == 1


def test_two_runs_that_share_a_cache_ask_nothing_twice(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint(always(lambda b: Said(completion(b), delay=0.02))) as server:
        engines = [make(server.base_url) for _ in range(2)]
        results: list[Any] = [None, None]

        def run(number: int) -> None:
            results[number] = engines[number].generate(requests(30), 1, Decoding())

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [[a.text for a in g] for g in results[0]] == [[a.text for a in g] for g in results[1]]
        assert len(server.bodies) == 30


def test_a_budget_that_ends_keeps_what_is_paid_and_the_same_command_goes_on(make: Callable[..., OpenAIEngine]) -> None:
    """110 tokens a call; 8 + 5 read (three bytes a token) and 64 written are set aside beforehand."""
    with fake_endpoint() as server:

        def run() -> list[list[Answer]]:
            settings = {"budget": BudgetSettings(tokens=500), "concurrency": 1}
            return make(server.base_url, **settings).generate(requests(10), 1, Decoding())

        for total, now in ((4, "4 of 10"), (8, "4 of 6")):
            with pytest.raises(BudgetError, match=rf"440 of budget.*{now} requests were answered.*run the same"):
                run()
            assert len(server.bodies) == total, "440 tokens, and the next call might pass 500"
        assert not any(group[0].failure for group in run())
        assert len(server.bodies) == 10, "nothing was asked twice"


def test_calls_under_way_cannot_pass_the_ceiling_together(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint(always(lambda b: Said(completion(b), delay=0.1))) as server:
        budget = BudgetSettings(tokens=250)
        with pytest.raises(BudgetError):
            make(server.base_url, budget=budget, concurrency=8).generate(requests(10), 1, Decoding())
        assert len(server.bodies) <= 3, "each sets 77 tokens aside"


def test_a_ceiling_in_money_needs_a_price(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server:
        with pytest.raises(EngineError, match=r"price of 'fake-1'.*not known.*budget\.price"):
            make(server.base_url, budget=BudgetSettings(money=1.0))
        assert server.bodies == []


def test_the_bill_is_at_the_named_prices(make: Callable[..., OpenAIEngine]) -> None:
    """Two calls of 100 + 10 tokens at 5 and 20 dollars a million: 2 x (.0005 + .0002)."""
    price = PriceSettings(name="contract of March", prompt=5, completion=20)
    with fake_endpoint() as server:
        engine = make(server.base_url, budget=BudgetSettings(money=1.0, price=price))
        estimate = engine.estimate(requests(2), 1, Decoding())
        assert (estimate.calls, estimate.most.completion_tokens) == (2, 128)
        engine.generate(requests(2), 1, Decoding())
        assert str(engine.bill().money) == "0.0014"
        assert "0.0014 US dollars at contract of March" in str(engine.bill())
        assert str(engine.cache.bill().money) == "0.0014"
        assert engine.estimate(requests(2), 1, Decoding()).calls == 0


def test_public_prices_are_found_by_the_address() -> None:
    from trackrec.engines.base import Usage
    from trackrec.engines.budget import find_prices

    prices = find_prices(BudgetSettings(), "gpt-4o", "https://api.openai.com/v1")
    assert prices is not None
    assert prices.cost(Usage(1_000_000, 0)) == pytest.approx(2.5)
    assert prices.name.startswith("genai-prices ")
    assert find_prices(BudgetSettings(), "gpt-4o", "http://127.0.0.1:8000/v1") is None


def test_a_forgotten_subject_leaves_nothing_in_the_file(make: Callable[..., OpenAIEngine], tmp_path: Path) -> None:
    with fake_endpoint() as server:
        engine = make(server.base_url)
        answers = engine.generate(requests(2), 1, Decoding())
        assert engine.cache.forget("user 1") == 1
        assert engine.cache.forget("nobody") == 0
        engine.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert answers[1][0].text.encode() not in kept
    assert b"user 1" not in kept
    assert answers[0][0].text.encode() in kept


def test_a_file_that_is_no_cache_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_text("something else, of somebody else")
    with pytest.raises(EngineError, match=r"cannot be opened.*name another file"):
        AnswerCache(path)
    assert path.read_text() == "something else, of somebody else"
    newer = tmp_path / "newer.sqlite"
    AnswerCache(newer).close()
    with sqlite3.connect(newer) as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(EngineError, match="version 99"):
        AnswerCache(newer)


# Scoring and capabilities.


def test_scores_come_from_the_most_likely_tokens(make: Callable[..., OpenAIEngine]) -> None:
    top = [{"token": " Yes", "logprob": -1.0}, {"token": "No", "logprob": -2.0}, {"token": "Maybe", "logprob": None}]
    told = {"content": [{"token": "No", "logprob": -2.0, "top_logprobs": top}]}
    with fake_endpoint(always(lambda b: Said(completion(b, "No", logprobs=told)))) as server:
        engine = make(server.base_url)
        score, other = (engine.score(ONE, answers)[0] for answers in (("Yes", "No"), ("Yes", "Never")))
        assert score.log_probabilities == pytest.approx((-1.0, -2.0))
        assert score.shares()[0] == pytest.approx(1 / (1 + 2.718281828**-1))
        assert other.exact == (True, False)
        assert other.log_probabilities[1] == -2.0, "no likelier than the last one told"
        assert engine.score(ONE, ("Aye", "Nay"))[0].failure == "answer_not_seen"
        assert len(server.bodies) == 1, "one call tells all answers"


@pytest.mark.parametrize(("ids", "kept"), [([7, 8], (7, 8)), ([7], None), (["a", "b"], None), (None, None)])
def test_token_ids_are_kept_where_each_has_its_log_probability(
    make: Callable[..., OpenAIEngine], ids: Any, kept: tuple[int, ...] | None
) -> None:
    """As vLLM tells them, of chat completions and of completions."""
    chat = {"content": [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -2.0}]}
    plain = {"token_logprobs": [-1.0, -2.0], "tokens": ["a", "b"]}

    def behave(_: int, body: dict[str, Any]) -> Said:
        return Said(completion(body, "ab", logprobs=chat if "messages" in body else plain, token_ids=ids))

    with fake_endpoint(behave) as server:
        asked = [*ONE, GenerateRequest(token_ids=(1, 2))]
        for group in make(server.base_url).generate(asked, 1, Decoding(log_probabilities=True)):
            assert group[0].log_probabilities == (-1.0, -2.0)
            assert group[0].token_ids == kept
        assert all(body["return_token_ids"] for body in server.bodies)


def test_an_endpoint_that_tells_no_log_probabilities_is_named(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server, pytest.raises(EngineError, match=r"tells none.*lacks"):
        make(server.base_url).score(ONE, ("Yes", "No"))


def test_echo_scores_answers_of_several_tokens(make: Callable[..., OpenAIEngine]) -> None:
    """The prompt's own tokens have log-probability -token / 10."""

    def behave(_: int, body: dict[str, Any]) -> Said:
        values = [None, *(-token / 10 for token in body["prompt"][1:]), -9.0]
        return Said({"choices": [{"text": "", "logprobs": {"token_logprobs": values}}], "usage": {"prompt_tokens": 5}})

    with fake_endpoint(behave) as server:
        score = make(server.base_url).score([Prompt(token_ids=(1, 2, 3))], [(4, 5), (7,)])[0]
        assert score.log_probabilities == pytest.approx((-0.9, -0.7))
        assert score.exact == (True, True)


def test_a_recipe_that_asks_for_what_is_lacking_is_refused_before_anything_is_spent(
    make: Callable[..., OpenAIEngine],
) -> None:
    with fake_endpoint() as server:
        engine = make(server.base_url, server="transformers")
        with pytest.raises(EngineError, match=r"the LM validator needs scoring of answers.*lacks.*Nothing was sent"):
            require(engine, ["messages", "scoring"], "the LM validator")
        with pytest.raises(EngineError, match="JSON by a schema"):
            engine.generate(ONE, 1, Decoding(json_schema={}))
        with pytest.raises(EngineError, match="reading token ids"):
            engine.generate([GenerateRequest(token_ids=(1, 2))], 1, Decoding())
        with pytest.raises(ValueError, match="no such capability"):
            require(engine, ["wings"], "nobody")
        assert server.bodies == []


def test_an_engine_without_several_asks_one_by_one(make: Callable[..., OpenAIEngine]) -> None:
    with fake_endpoint() as server:
        answers = make(server.base_url, lacks=["several"]).generate(ONE, 3, Decoding())
        assert len({answer.text for answer in answers[0]}) == 3
        assert ["n" in body for body in server.bodies] == [False] * 3


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (429, error("Rate limit reached"), "rate_limited"),
        (429, error("quota", "insufficient_quota"), "no_money"),
        (500, error("CUDA: maximum context length"), "server_error"),
        (413, "too large", "context_too_long"),
        (408, "", "timeout"),
        (301, "", "moved"),
        (200, error("rate limited", 429), "rate_limited"),
        (200, error("odd"), "error_in_answer"),
        (422, error("field"), "bad_request"),
    ],
)
def test_failures_are_told_apart(status: int, said: Any, kind: str) -> None:
    assert classify(status, said) == kind
