"""How true, checkable and personal texts of several origins are, on the same users: by hand on a small log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_run import tiny_recipe, write_tiny_log

from research.checked_texts import MEASURES, study
from trackrec.errors import RunError
from trackrec.pipeline.dataset import prepare
from trackrec.pipeline.job import open_run
from trackrec.progress import Reporter


def test_what_is_said_is_counted_on_the_users_who_have_all_texts(tmp_path: Path, tiny_model_folder: Path) -> None:
    """Of three users: a true sentence with its event, a false one with it, a horoscope, and advice, no claim."""
    recipe = tiny_recipe(tiny_model_folder, write_tiny_log(tmp_path / "log"))
    dataset = prepare(recipe, open_run(recipe, tmp_path / "run", Reporter()))
    titles = dict(dataset.items.select("item_id", "title").iter_rows())
    told = []
    for user in (1, 2, 3):
        rows = dataset.histories.filter(user_id=user).sort("position")
        place, item = next((at, item) for at, item, rating in rows.select("position", "item_id", "rating").iter_rows()
                           if rating == 5)  # fmt: skip
        film = titles[item].rsplit(" (", 1)[0]
        cited = f"{film} [{place + 1}]"
        text = f"They love {cited}. They hate {cited}. They like thought-provoking stories. So recommend Film 99."
        told.append({"user_id": user, "text": text})
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, told)))
    files = {"mine": str(tmp_path / "mine.jsonl"), "again": str(tmp_path / "mine.jsonl")}
    rows = study(recipe, tmp_path / "run", Reporter(), files)
    found: dict[tuple[str, str], Any] = {(row["origin"], row["measure"]): row for row in rows}
    assert {row["users"] for row in rows} == {3}
    assert {name: round(found["mine", name]["value"], 4) for name in MEASURES} == {
        "supported": 0.3333,
        "contradicted": 0.3333,
        "not checkable": 0.3333,
        "cite events": 0.6667,
        "contradicted of those that cite": 0.5,
        "horoscopes": 0.3333,
        "words a text": 17.0,
        "sentences on the user": 3.0,
    }
    first = next(iter(found))[0]
    for measure in MEASURES:
        if (first, measure) in found:
            apart = found["mine", measure]["value"] - found[first, measure]["value"]
            assert found["mine", measure]["over_first"][0] == pytest.approx(apart)
            assert found["mine", measure]["over_first"] == found["again", measure]["over_first"]
    (tmp_path / "nobody.jsonl").write_text(json.dumps({"user_id": "nobody", "text": "x"}))
    with pytest.raises(RunError, match="give texts of the same users"):
        study(recipe, tmp_path / "run", Reporter(), {"nobody": str(tmp_path / "nobody.jsonl")})
