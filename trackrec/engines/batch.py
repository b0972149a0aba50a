"""OpenAI's batch files: requests out, answers back into the cache; and such files without a person."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from trackrec.engines.base import Decoding, GenerateRequest, check_request
from trackrec.engines.bodies import generate_body, read_answers, read_usage, request_key
from trackrec.engines.cache import AnswerCache
from trackrec.engines.failures import EngineError, FailedCallError, classify
from trackrec.engines.openai import OpenAIEngine
from trackrec.files.whole import written_whole

MOST_REQUESTS = 50_000
"""Requests in a file; OpenAI takes no more."""
MOST_BYTES = 190_000_000
"""Bytes in a file; OpenAI takes 200 MB."""

_CUSTOM_ID = re.compile(r"(?P<key>[0-9a-f]{64})-(?P<first>\d{1,5})")


@dataclass
class BatchRead:
    """What came of reading batch answers."""

    answered: int = 0
    """Requests whose answers are in the cache now."""
    known: int = 0
    """Those that were in the cache already; they are not billed again."""
    failed: Counter[str] = field(default_factory=Counter)
    """Failed requests by kind; they are asked again by the next batch, or one by one."""
    unknown: int = 0
    """Lines whose ``custom_id`` belongs to none of the requests, or is there twice; they are left alone."""
    broken: int = 0
    """Lines that are no JSON, or have not the form of a batch answer."""


def write_batch(
    engine: OpenAIEngine, requests: Sequence[GenerateRequest], n: int, decoding: Decoding, folder: Path
) -> list[Path]:
    """Write what the cache lacks as batch files ``batch-1.jsonl`` and so on, to upload to the endpoint's batch API.

    Args:
        engine: the endpoint. Nothing is sent to it; its consent is needed since the files are made to be sent.
        requests: what ``generate`` would be given.
        n: texts a request.
        decoding: how they are drawn.
        folder: made if it is missing.

    Returns:
        The files; none if the cache has everything.

    Raises:
        EngineError: the engine lacks what is asked, or the folder has batch files already.
    """
    check_request(engine, requests, n, decoding)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("batch-*.jsonl")):
        raise EngineError(
            f"{folder} holds batch files already; read their answers first (they may be under way and paid), or name "
            "another folder"
        )
    keys = [(r.subject, request_key(engine.settings, r, decoding)) for r in requests]
    engine.cache.link(
        [(subject, key) for subject, key in keys if subject is not None]
    )  # so that a line can be forgotten
    files: list[Path] = []
    lines: list[bytes] = []
    size = 0
    for line in _lines(engine, requests, n, decoding):
        if lines and (len(lines) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
            files.append(_write(folder / f"batch-{len(files) + 1}.jsonl", lines))
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        files.append(_write(folder / f"batch-{len(files) + 1}.jsonl", lines))
    return files


def read_batch(
    engine: OpenAIEngine,
    requests: Sequence[GenerateRequest],
    n: int,
    decoding: Decoding,
    file: Path,
    discount: Decimal = Decimal("0.5"),
) -> BatchRead:
    """Read an answer file of the batch API into the cache; ``generate`` then finds the answers there.

    Args:
        engine: the endpoint.
        requests: the requests of the batch; only theirs are read.
        n: texts a request.
        decoding: how they were to be drawn.
        file: the output file (or the error file, whose lines are counted as failed).
        discount: what a batch costs of the usual price.

    Raises:
        EngineError: there is no such file.
    """
    by_key = {request_key(engine.settings, request, decoding): request for request in requests}
    engine.cache.link([(r.subject, key) for key, r in by_key.items() if r.subject is not None])
    result, seen = BatchRead(), set()
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            for text in filter(str.strip, stream):
                found = _parse(text)
                if found is None:
                    result.broken += 1
                    continue
                key, first, line = found
                if key not in by_key or (key, first) in seen or first >= n:
                    result.unknown += 1
                    continue
                seen.add((key, first))
                _take(engine, key, first, n, decoding, line, discount, result)
    except OSError as error:
        raise EngineError(f"the batch answers {file} cannot be read: {error}") from error
    return result


def _lines(engine: OpenAIEngine, requests: Sequence[GenerateRequest], n: int, decoding: Decoding) -> Iterator[bytes]:
    url = "/v1/chat/completions"
    seen = set()
    for request in requests:
        key = request_key(engine.settings, request, decoding)
        first = len(engine.cache.get(key, n))
        if key in seen or first >= n:
            continue
        seen.add(key)
        for start in range(first, n, engine.settings.together):
            count = min(n - start, engine.settings.together)
            body = generate_body(engine.settings, request, start, count, decoding)
            path = url if request.messages else "/v1/completions"
            line = {"custom_id": f"{key}-{start}", "method": "POST", "url": path, "body": body}
            yield (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _write(path: Path, lines: Sequence[bytes]) -> Path:
    partial = path.with_suffix(".partial")
    partial.write_bytes(b"".join(lines))
    partial.replace(path)
    return path


def _parse(text: str) -> tuple[str, int, dict[str, Any]] | None:
    """Key, first sample and content of a line; None if it has not the form of a batch answer."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    named = _CUSTOM_ID.fullmatch(str(line.get("custom_id"))) if isinstance(line, dict) else None
    return (named["key"], int(named["first"]), line) if named else None


def key_of_line(text: str) -> str | None:
    """The key of the request that a line of a batch file asks or answers; None if it is no such line."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    named = _CUSTOM_ID.fullmatch(str(line.get("custom_id"))) if isinstance(line, dict) else None
    return named["key"] if named else None


def _take(
    engine: OpenAIEngine,
    key: str,
    first: int,
    n: int,
    decoding: Decoding,
    line: dict[str, Any],
    discount: Decimal,
    result: BatchRead,
) -> None:
    response = line.get("response") or {}
    status, body = response.get("status_code", 0), response.get("body")
    if line.get("error") or status != 200 or not isinstance(body, dict):
        result.failed[classify(status or 500, body if body is not None else line.get("error"))] += 1
        return
    if engine.cache.has(key, first):
        result.known += 1
        return
    try:
        answers = read_answers(body, decoding)[: n - first]
    except (FailedCallError, TypeError, ValueError, KeyError, AttributeError) as error:
        result.failed[error.kind if isinstance(error, FailedCallError) else "half_answer"] += 1
        return
    usage = read_usage(body)
    money = engine.calls.budget.cost(usage)
    prices = engine.calls.prices and f"{engine.calls.prices}, batch"
    rows = [asdict(answer) for answer in answers]
    engine.cache.put(
        key, first, rows, usage, None if money is None else money * discount, prices, engine.settings.model
    )
    result.answered += 1


_SHORT = 3
"""Ids of so many characters would be found anywhere."""


@dataclass
class BatchesForgotten:
    """What came of it."""

    lines: int = 0
    """Lines that were removed."""
    files: list[str] = field(default_factory=list)
    """Files that were changed."""
    unknown: int = 0
    """Lines of whom no cache says whom they are about."""


def batch_files(place: Path) -> list[Path]:
    """Batch files: the file itself, or those in a folder at any depth.

    In a folder: ``*.jsonl`` with lines of their form, and what a killed process left of one.

    Raises:
        EngineError: there is no such file or folder.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise EngineError(f"{place} is no batch file, nor a folder with some: give the file or folder itself")
    found = [path for ending in ("*.jsonl", "batch-*.partial") for path in place.rglob(ending) if path.is_file()]
    return sorted(path for path in found if any(key_of_line(line) for line in _text_lines(path)))


def forget_in_batches(
    user: str, files: Sequence[Path], caches: Sequence[AnswerCache], texts: Collection[str] = ()
) -> BatchesForgotten:
    """Remove the lines on a person from batch files, requests and answers alike.

    Whom a line is about the cache says that the batch was written with, by the line's key; a line that somebody else
    shares stays. Lines that no cache knows go if they have the id or one of the person's texts in them.

    Args:
        user: the id as text.
        files: batch files.
        caches: the caches of their engines, before the person is forgotten in them.
        texts: what was written for the person, as far as it is known.
    """
    theirs = {key for cache in caches for key in cache.keys_of(user)}
    words = [word for word in (*texts, *([user] if len(user) > _SHORT else [])) if word.strip()]
    told = [spelled for word in words for spelled in {word, json.dumps(word)[1:-1]}]
    found = BatchesForgotten()
    for path in files:
        lines = _text_lines(path)
        kept = []
        for line in lines:
            key = key_of_line(line)
            known = key is not None and (key in theirs or any(cache.knows(key) for cache in caches))
            if key in theirs or (not known and any(word in line for word in told)):
                continue
            kept.append(line)
            found.unknown += key is not None and not known
        if len(kept) < len(lines):
            with written_whole(path, durable=True) as partial:
                partial.write_bytes("".join(kept).encode("utf-8", "surrogateescape"))
            found.lines += len(lines) - len(kept)
            found.files.append(str(path))
    return found


def _text_lines(path: Path) -> list[str]:
    """The lines with their ends; other bytes than UTF-8 are kept as they are."""
    return io.StringIO(path.read_bytes().decode("utf-8", "surrogateescape"), newline="\n").readlines()
