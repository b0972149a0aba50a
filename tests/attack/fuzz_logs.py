"""Logs whose bytes were changed at random: each is read, or refused with a sentence.

    python tests/attack/fuzz_logs.py 17 300

reads 300 of them from the seed 17 on, in one process, and names the seed of each before it begins: a crash of a reader
below Python ends the process, and the last seed tells which file did it.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
import traceback
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.attack.hostile import HOSTILE
from trackrec.errors import TrackRecError
from trackrec.pipeline.log_check import check_log

ROWS = 60
FORMS = ("csv", "tsv", "json", "jsonl", "parquet")
NUMBERS = (b"-1", b"1e999", b"99999999999999999999", b"NaN", b"0x10", b"1,5", b"\xd9\xa3", b"2024-13-45", b"")


def plain(form: str) -> bytes:
    """A log that is in order."""
    draw = random.Random(form)
    table = pl.DataFrame(
        {
            "user_id": [f"u{n % 12}" for n in range(ROWS)],
            "item_id": [draw.randrange(20) for _ in range(ROWS)],
            "rating": [draw.randrange(1, 11) / 2 for _ in range(ROWS)],
            "timestamp": [1_600_000_000 + 977 * n for n in range(ROWS)],
            "title": [f"Film {draw.randrange(20)} (1994)" for _ in range(ROWS)],
        }
    )
    sink = io.BytesIO()
    if form in ("csv", "tsv"):
        table.write_csv(sink, separator="," if form == "csv" else "\t")
    elif form == "json":
        table.write_json(sink)
    elif form == "jsonl":
        table.write_ndjson(sink)
    else:
        table.write_parquet(sink, compression=draw.choice(("zstd", "snappy", "uncompressed")))
    return sink.getvalue()


def changed(content: bytes, draw: random.Random) -> bytes:
    """The bytes with one to four changes."""
    for _ in range(draw.randrange(1, 5)):
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.choice((1, 2, 8, 64, 512)))
        piece = content[at:end]
        content = draw.choice(
            (
                content[:at],
                content[:at] + content[end:],
                content[:at] + piece * draw.choice((2, 3, 200)) + content[end:],
                content[:at] + draw.randbytes(end - at) + content[end:],
                content[:at] + bytes(byte ^ 1 << draw.randrange(8) for byte in piece) + content[end:],
                content[:at] + draw.choice(HOSTILE).encode() + content[at:],
                content[:at]
                + draw.choice((b"\0", b'"', b"\n", b"\r", b",", b"{", b"]", b"\xff\xfe", b"\xef\xbb\xbf"))
                + content[at:],
                content[:at] + draw.choice(NUMBERS) + content[end:],
                content[end:] + content[:end],
                content.replace(
                    draw.choice((b"user_id", b"item_id", b"rating", b"timestamp", b"\n", b"1")), draw.choice(NUMBERS)
                ),
            )
        )
    return content


def read(seed: int, folder: Path) -> bool:
    """Whether the log of a seed was read; else it was refused as it should be."""
    draw = random.Random(seed)
    form = draw.choice(FORMS)
    path = folder / f"log.{form}"
    path.write_bytes(changed(plain(form), draw))
    source = {"source": "tables", "folder": None, "tables": {"interactions": {"path": str(path)}}}
    try:
        check_log("fuzzed", source, {}, "short").as_json()
    except TrackRecError:
        return False
    return True


if __name__ == "__main__":
    first, number = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as name:
        for seed in range(first, first + number):
            print("seed", seed, flush=True)
            try:
                print("read" if read(seed, Path(name)) else "refused", flush=True)
            except Exception:
                print("FAULT", traceback.format_exc().replace("\n", " | "), flush=True)
