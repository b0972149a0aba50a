"""JSON as a table: lines of objects, one array of them, or objects one after the other, however they are laid out."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.data.scan import scan_json_lines
from trackrec.data.table import Table
from trackrec.errors import LogError


def broken_line(path: Path) -> str:
    """In words, the first line of a JSON lines file that is no JSON object; "" if all are."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                value = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError) as error:
                return f"line {number} is not JSON ({error}), {line[:60].rstrip()!r}"
            if not isinstance(value, dict):
                return f"line {number} is no JSON object, {line[:60].rstrip()!r}"
    return ""


_CHUNK = 1 << 20
_LONGEST = 1 << 26
"""Characters that one object may have."""
_BETWEEN = re.compile(r"[\s,]*")
_PLAIN_KEY = re.compile(r"[\w -]{1,60}")
_MOST_PARTS = 60


def is_json(head: bytes) -> bool:
    """Whether a file's beginning is that of JSON objects, alone or in an array."""
    start = head.lstrip()
    return start[:1] == b"{" or (start[:1] == b"[" and start[1:].lstrip()[:1] in (b"{", b"]"))


def open_json(path: Path, head: bytes, where: str, keys: Sequence[str], scratch: Path) -> Table:
    """Open a file of JSON objects. All columns are text; lists and objects are their JSON text.

    Polars reads lines. What is laid out in another way (an array, objects over several lines, Python's literals), or
    holds what JSON knows nothing of (NaN) or values of several kinds under one key, is written anew as lines first.

    Args:
        path: a plain local file in UTF-8.
        head: its beginning.
        where: the file, for messages.
        keys: those that are wanted, whether all objects have them or not. Empty: those that are found.
        scratch: a folder for the copy.

    Raises:
        LogError: it is not JSON; the message names the line.
    """
    locate = partial(broken_line, path)
    if keys:
        frame = scan_json_lines(path, dict.fromkeys(keys, pl.String))
        return Table(frame, tuple(keys), where, frozenset(keys), locate, lines=True)
    start = head.lstrip()
    python = start.startswith(b"{'")
    try:
        if python or start[:1] == b"[":
            raise pl.exceptions.ComputeError("no lines of JSON")
        schema = dict(scan_json_lines(path).collect_schema())
        texts = [name for name, dtype in schema.items() if dtype == pl.String]
        parts = {
            name: [field.name for field in dtype.fields]
            for name, dtype in schema.items()
            if isinstance(dtype, pl.Struct)
        }
        names = list(schema)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        target = scratch / f"lines-{len(list(scratch.iterdir()))}"
        try:
            names, texts, parts = _write_lines(_literals(path) if python else _objects(path), target)
        except (ValueError, SyntaxError, RecursionError, MemoryError) as broken:
            reason = str(broken) if python or start[:1] == b"[" else locate() or str(error).splitlines()[0]
            raise LogError(f"{where} is not in JSON lines, one object a line: {reason}") from error
        path = target
    if not names:
        raise LogError(f"{where} holds no objects with keys: expected JSON lines, one object a line")
    return _table(path, names, texts, parts, where, locate)


def _table(
    path: Path, names: list[str], texts: list[str], parts: dict[str, list[str]], where: str, locate: Callable[[], str]
) -> Table:
    frame = scan_json_lines(path, dict.fromkeys(names, pl.String))
    wrapped = [name for name, fields in parts.items() if len(fields) == 1 and fields[0].startswith("$")]
    # MongoDB's {"$oid": "a1"}, {"$date": {"$numberLong": "1"}}: the value alone.
    bare = r'^(?:\{"\$\w+":\s*)+"?([^"{}]*)"?\}+$'
    frame = frame.with_columns(
        pl.when(pl.col(name).str.starts_with("{")).then(pl.col(name).str.extract(bare)).otherwise(name).alias(name)
        for name in wrapped
    )
    inner: dict[str, pl.Expr] = {}
    for name, fields in parts.items():
        if name in wrapped or len(fields) > _MOST_PARTS:
            continue
        for field in fields:
            if _PLAIN_KEY.fullmatch(field) and f"{name}.{field}" not in names:
                inner[f"{name}.{field}"] = pl.col(name).str.json_path_match(f"$['{field}']")
    frame = frame.with_columns(part.alias(name) for name, part in inner.items())
    frame, names, notes = _one_spelling(frame, names)
    return Table(
        frame, tuple(names), where, frozenset(texts), locate, notes, lines=True, parts=tuple(inner),
    )  # fmt: skip


def _one_spelling(frame: pl.LazyFrame, names: list[str]) -> tuple[pl.LazyFrame, list[str], tuple[str, ...]]:
    """Keys that differ in capital letters alone, and never stand in one object, as one column."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.casefold(), []).append(name)
    several = [group for group in alike.values() if len(group) > 1]
    if not several:
        return frame, names, ()
    both = [(pl.sum_horizontal(pl.col(name).is_not_null() for name in group) > 1).any() for group in several]
    clash = frame.select(each.alias(str(place)) for place, each in enumerate(both)).collect(engine="streaming").row(0)
    notes = []
    for group, clashes in zip(several, clash, strict=True):
        if not clashes:
            frame = frame.with_columns(pl.coalesce(group).alias(group[0])).drop(group[1:])
            names = [name for name in names if name not in group[1:]]
            notes.append(f"the keys {' and '.join(group)} are taken as one, since no row has both")
    return frame, names, tuple(notes)


def _write_lines(objects: Iterator[Any], target: Path) -> tuple[list[str], list[str], dict[str, list[str]]]:
    """Write objects as lines; their keys, those of texts alone, and the keys inside of those that are objects alone."""
    kinds: dict[str, set[type]] = {}
    inner: dict[str, dict[str, None]] = {}
    with target.open("w", encoding="utf-8") as file:
        for number, each in enumerate(objects, start=1):
            if not isinstance(each, dict):
                raise ValueError(f"object {number} is no JSON object, {str(each)[:60]!r}")
            for key, value in each.items():
                if value is not None:
                    kinds.setdefault(key, set()).add(type(value))
                    if isinstance(value, dict) and len(inner.setdefault(key, {})) <= _MOST_PARTS:
                        inner[key].update(dict.fromkeys(value))
                else:
                    kinds.setdefault(key, set())
            file.write(json.dumps(each, ensure_ascii=False) + "\n")
    texts = [key for key, found in kinds.items() if str in found]
    return list(kinds), texts, {key: list(fields) for key, fields in inner.items() if kinds[key] == {dict}}


def _objects(path: Path) -> Iterator[Any]:
    """The values of a file, one after the other, with or without commas and an array around them."""
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    buffer, place, line, first = "", 0, 1, True
    with path.open(encoding="utf-8") as file:
        more = True
        while True:
            place = _BETWEEN.match(buffer, place).end()  # type: ignore[union-attr]
            if first and buffer[place : place + 1] == "[":
                place, first = place + 1, False
                continue
            if place < len(buffer) and not first and buffer[place] == "]" and not buffer[place + 1 :].strip():
                place += 1
                if not more:
                    return
            try:
                value, end = decoder.raw_decode(buffer, place)
                whole = end < len(buffer) or not more
            except ValueError as error:
                if not more and not buffer[place:].strip():
                    return
                if not more or len(buffer) - place > _LONGEST:
                    at = line + buffer.count("\n", 0, place)
                    raise ValueError(f"line {at} is not JSON ({error}), {buffer[place : place + 60]!r}") from error
                whole = False
            if whole:
                first = False
                place = end
                yield value
                continue
            line += buffer.count("\n", 0, place)
            chunk = file.read(_CHUNK)
            buffer, place, more = buffer[place:] + chunk, 0, bool(chunk)


def _literals(path: Path) -> Iterator[Any]:
    """The lines of a file as Python writes dictionaries."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield ast.literal_eval(line.strip())
                except (ValueError, SyntaxError) as error:
                    raise ValueError(f"line {number} is neither JSON nor Python's form of it, {line[:60]!r}") from error


def read_literal(line: str) -> dict[str, object]:
    """The dictionary that a line writes; an empty one where it writes none."""
    try:
        value = ast.literal_eval(line.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
