"""What every engine must pass."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence

from trackrec.engines.base import (
    Answer,
    Capabilities,
    Decoding,
    Engine,
    GenerateRequest,
    Message,
    Prompt,
    require,
)
from trackrec.engines.failures import EngineError

MakeEngine = Callable[[], Engine]
"""Gives a fresh engine, of the same settings each time, which remembers nothing of the ones before it."""

_SUBJECTS = ("rain", "trains", "bread")
_SCHEMA = {"type": "object", "properties": {"known": {"type": "boolean"}}, "required": ["known"]}


def check_engine(
    make_engine: MakeEngine, token_ids: Sequence[Sequence[int]] = ((1, 5, 9), (1, 7), (1, 6, 2, 3))
) -> list[str]:
    """Check an engine against everything that ``Engine`` promises for its capabilities.

    Args:
        make_engine: gives fresh engines. Where answers are cached, give each its own cache.
        token_ids: three different prompts of the engine's tokenizer, used if it reads token ids.

    Returns:
        Names of the checks that were made, so that a test can see that the capabilities were as expected.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    can = make_engine().capabilities
    forms = {"messages": can.messages, "token_ids": can.token_ids}
    assert any(forms.values()), "an engine reads messages or token ids; this one says that it reads neither"
    checks: list[tuple[str, Callable[[MakeEngine, list[GenerateRequest]], None]]] = [
        ("shapes", _check_shapes),
        ("nothing", _check_nothing),
        ("lengths", _check_lengths),
    ]
    optional: list[tuple[str, bool, Callable[[MakeEngine, list[GenerateRequest]], None]]] = [
        ("seeds", can.seeds, _check_seeds),
        ("log_probabilities", can.log_probabilities, _check_log_probabilities),
        ("stop", can.stop, _check_stop),
        ("repetition_penalty", can.repetition_penalty, _check_penalty),
        ("json_schema", can.json_schema, _check_json),
        ("scoring", can.scoring, _check_scores),
    ]
    checks += [(name, check) for name, present, check in optional if present]
    done = []
    for form, reads in forms.items():
        if not reads:
            _check_refused(make_engine, form, token_ids)
            done.append(f"{form}: refused")
            continue
        for name, check in checks:
            check(make_engine, _requests(form, token_ids))
            done.append(f"{form}: {name}")
    _check_lacking(make_engine, can)
    return [*done, "lacking"]


def _requests(form: str, token_ids: Sequence[Sequence[int]]) -> list[GenerateRequest]:
    if form == "token_ids":
        return [GenerateRequest(token_ids=tuple(ids), seed=number) for number, ids in enumerate(token_ids)]
    return [
        GenerateRequest(
            (Message("system", "Answer in English."), Message("user", f"Tell me of {subject}.")), seed=number
        )
        for number, subject in enumerate(_SUBJECTS)
    ]


def _texts(answers: Sequence[Sequence[Answer]]) -> list[list[str]]:
    return [[answer.text for answer in group] for group in answers]


def _check_shapes(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    answers = make().generate(requests, 2, Decoding(max_new_tokens=8))
    assert [len(group) for group in answers] == [2] * len(requests), "generate gives n answers for each request"
    for answer in (answer for group in answers for answer in group):
        assert answer.text == answer.text.strip(), f"a text has no outer white space, got {answer.text!r}"
        assert bool(answer.text) or answer.failure, "an answer without text says why"
        assert answer.model, "an answer names the model"
    for group in answers:
        assert sum(a.usage.prompt_tokens for a in group) > 0, "the tokens of the prompt are counted"
        assert sum(a.usage.completion_tokens for a in group) > 0, "the tokens of the texts are counted"


def _check_nothing(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    engine = make()
    assert engine.generate([], 1, Decoding()) == [], "no requests, no answers"
    try:
        engine.generate(requests, 0, Decoding())
    except EngineError:
        return
    raise AssertionError("n = 0 must be refused with an EngineError")


def _check_lengths(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    for group in make().generate(requests, 1, Decoding(max_new_tokens=3)):
        used = sum(answer.usage.completion_tokens for answer in group)
        assert used <= 3 * len(group), f"max_new_tokens is 3, got {used} tokens"
        assert all(answer.finish_reason in ("stop", "length", "refusal") for answer in group), "a known finish reason"


def _check_seeds(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    decoding = Decoding(max_new_tokens=8)
    first = _texts(make().generate(requests, 2, decoding))
    again = _texts(make().generate(requests[::-1], 2, decoding))[::-1]
    assert first == again, "equal seeds give equal texts, whatever the order of the requests"
    other = [GenerateRequest(r.messages, r.token_ids, seed=r.seed + 1000) for r in requests]
    assert _texts(make().generate(other, 2, decoding)) != first, "other seeds give other texts at temperature 1"
    greedy = Decoding(max_new_tokens=8, temperature=0)
    assert _texts(make().generate(other, 1, greedy)) == _texts(make().generate(requests, 1, greedy)), (
        "at temperature 0 the seed changes nothing"
    )


def _check_log_probabilities(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    engine = make()
    for group in engine.generate(requests, 2, Decoding(max_new_tokens=6, log_probabilities=True)):
        for answer in group:
            values = answer.log_probabilities
            assert values, "log-probabilities were asked for"
            assert all(math.isfinite(v) and v <= 1e-6 for v in values), f"in nats, at most 0; got {values}"
            assert answer.token_ids is None or len(answer.token_ids) == len(values), "one for each token"
    plain = engine.generate(requests, 1, Decoding(max_new_tokens=6))
    assert all(a.log_probabilities is None for group in plain for a in group), "unasked, none are told"


def _check_stop(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    free = Decoding(max_new_tokens=12, temperature=0)
    engine = make()
    before = [group[0] for group in engine.generate(requests, 1, free)]
    words = [answer.text.split() for answer in before]
    number = next((number for number, found in enumerate(words) if len(found) > 1 and len(set(found)) > 1), None)
    if number is None:
        return
    phrase = next(word for word in words[number][1:] if not before[number].text.startswith(word))
    stopped = engine.generate([requests[number]], 1, Decoding(**{**free.model_dump(), "stop": (phrase,)}))[0][0]
    expected = before[number].text.partition(phrase)[0].strip()
    assert stopped.text == expected, f"a text ends before the stop phrase {phrase!r}: got {stopped.text!r}"
    assert stopped.finish_reason in ("stop", "refusal"), "a text that was stopped ended by itself"


def _check_penalty(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    free = Decoding(max_new_tokens=24, temperature=0)
    engine = make()
    held = Decoding(**{**free.model_dump(), "repetition_penalty": 10.0})
    before, after = ([len(set(group[0].text.split())) / max(1, len(group[0].text.split())) for group in found]
                     for found in (engine.generate(requests, 1, decoding) for decoding in (free, held)))  # fmt: skip
    repeats = [number for number, share in enumerate(before) if share < 1]
    said = "texts under a strong repetition penalty have more different words than the same ones without"
    assert not repeats or sum(after[n] for n in repeats) > sum(before[n] for n in repeats), f"{said}: {before}, {after}"


def _check_json(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    decoding = Decoding(max_new_tokens=40, json_schema=_SCHEMA, temperature=0)
    if requests[0].token_ids:
        return  # what follows from arbitrary token ids need not be an answer at all
    for group in make().generate(requests, 1, decoding):
        found = json.loads(group[0].text)
        assert isinstance(found, dict), "the text is JSON by the schema"
        assert isinstance(found.get("known"), bool), f"the text is JSON by the schema, got {group[0].text!r}"
        assert group[0].failure is None, "a text by the schema is no failure"


def _check_scores(make: MakeEngine, requests: list[GenerateRequest]) -> None:
    engine = make()
    if requests[0].token_ids:
        # The most likely first tokens are sure to be told, whatever the engine tells.
        prefixes: list[Prompt] = [Prompt(token_ids=requests[0].token_ids)]
        drawn = engine.generate(
            [GenerateRequest(token_ids=requests[0].token_ids)], 8, Decoding(max_new_tokens=2, log_probabilities=True)
        )
        first = {a.token_ids[0]: a.log_probabilities[0] for a in drawn[0] if a.token_ids and a.log_probabilities}
        if not first:
            return  # tokens are drawn and not told, so there is nothing to compare a score with
        score = engine.score(prefixes, [(token,) for token in first])[0]
        told = [pair for pair in zip(score.log_probabilities, first.values(), score.exact, strict=True) if pair[2]]
        assert told, "the tokens that were drawn are scored"
        for found, value, _ in told:
            assert abs(found - value) < 0.05, f"a token's score is its log-probability when drawn: {found} and {value}"
        return
    questions = ("Is water wet? Answer Yes or No.", "Is fire cold? Answer Yes or No.")
    prefixes = [Prompt((Message("user", question),)) for question in questions]
    scores = engine.score(prefixes, ("Yes", "No"))
    turned = engine.score(prefixes[::-1], ("No", "Yes"))[::-1]
    for one, other in zip(scores, turned, strict=True):
        assert one.failure is None, f"Yes and No are scored after a question: {one}"
        assert all(value <= 1e-6 for value in one.log_probabilities), f"log-probabilities are at most 0: {one}"
        assert sum(map(math.exp, one.log_probabilities)) <= 1 + 1e-3, f"two answers share one probability: {one}"
        pairs = zip(one.log_probabilities, other.log_probabilities[::-1], strict=True)
        assert all(abs(ours - theirs) < 0.02 for ours, theirs in pairs), "scores follow their prefix and answer"


def _check_refused(make: MakeEngine, form: str, token_ids: Sequence[Sequence[int]]) -> None:
    try:
        make().generate(_requests(form, token_ids), 1, Decoding())
    except EngineError:
        return
    raise AssertionError(f"the engine says that it does not read {form}, and takes them")


def _check_lacking(make: MakeEngine, can: Capabilities) -> None:
    engine = make()
    for name, present in vars(can).items():
        try:
            require(engine, [name], "a test")
            refused = False
        except EngineError:
            refused = True
        assert refused != present, f"require must let {name} pass where the engine has it, and refuse it elsewhere"
