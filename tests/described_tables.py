"""Hold the tables of a finished run against docs/schemas.md: every column with its type, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

PAGE = Path(__file__).resolve().parent.parent / "docs" / "schemas.md"
SOMETIMES = {"tags", "gist", "known", "new", "sampled"}
"""What cards, new items and implicit logs bring."""
IDS = {"Int64", "String"}


def described() -> dict[str, dict[str, str]]:
    """The columns with their types, by a pattern of the tables' names."""
    found = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, body = part.split("\n", 1)
        names = "|".join(re.findall(r"`([^`]+)`", heading))
        pattern = names.replace("KIND", r"[a-z]+").replace("N", r"\d+").replace("*", r"[\w-]+")
        rows = re.findall(r"^\| (`[^|]+) \| (\S+) \|", body, re.MULTILINE)
        columns = {name: kind for names, kind in rows for name in re.findall(r"`(\w+)`", names)}
        if pattern and columns:
            found[pattern] = columns
    return found


def wrong_tables(run: Path) -> list[str]:
    """What of a run's tables is not as the page says, in words."""
    page, wrong = described(), []
    for path in sorted((run / "tables").glob("*.parquet")):
        told = [columns for pattern, columns in page.items() if re.fullmatch(pattern, path.stem)]
        if len(told) != 1:
            wrong.append(f"{path.stem} has {len(told)} descriptions")
            continue
        there = {name: str(kind) for name, kind in pl.read_parquet_schema(path).items()}
        for name in sorted(told[0].keys() | there.keys()):
            expected, found = told[0].get(name), there.get(name)
            if found is None and name in SOMETIMES:
                continue
            if path.stem == "items" and expected is None:
                continue  # an attribute of the source
            kinds = {expected.replace("id", kind) for kind in IDS} if expected is not None else set()
            if found not in kinds:
                wrong.append(f"{path.stem}: {name} is {found}, described as {expected}")
    return wrong
