"""How easily a user is pleased: by hand, in the words of a RecCoT, and read back from them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from histories import history_frame, written

from trackrec.checks.grounding import Verdict, ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.digest import digest_line
from trackrec.prompts.domains import MOVIES
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.users.catalogue import Catalogue
from trackrec.users.counts import CUTS, LEVELS, ProfileSettings, event_table, level_of, user_counts
from trackrec.users.profile import profile_history

ITEMS = pl.DataFrame(
    {"item_id": list("abcdefgh"), "title": list("ABCDEFGH"), "year": [1990] * 8, "genres": [["Drama"], ["War"]] * 4}
)


def history(labels: list[int], expected: float | None) -> list[dict[str, Any]]:
    rows = zip("abcdefgh", labels, strict=False)
    return [{"item_id": i, "rating": 5.0 if y else 1.0, "label": y, "expected": expected} for i, y in rows]


def generosity(rows: list[dict[str, Any]]) -> float | None:
    catalogue = Catalogue(ITEMS)
    counts = user_counts(event_table(history_frame("u", rows), catalogue), catalogue)
    return counts["generosity"][0]


def test_generosity_by_hand() -> None:
    """8 likes where others would give 4: 4 / (8 + 2); none where they would give 6: -6 / 10."""
    assert generosity(history([1] * 8, 0.5)) == pytest.approx(0.4)
    assert generosity(history([0] * 8, 0.75)) == pytest.approx(-0.6)
    assert generosity(history([1, 0], 0.5)) == 0
    assert generosity(history([1, 0], None)) is None
    assert generosity([{"item_id": "a", "rating": 1.0, "label": 1}]) is None


def test_a_generous_share_of_bad_items_is_more_than_the_same_share_of_good_ones() -> None:
    half = [1, 0] * 4
    easy, hard = generosity(history(half, 0.9)), generosity(history(half, 0.2))
    assert easy is not None
    assert hard is not None
    assert level_of(easy) < 3 < level_of(hard)


def test_levels_lie_between_the_cuts() -> None:
    assert [level_of(cut - 1e-9) for cut in CUTS] == [0, 1, 2, 3, 4, 5]
    assert [level_of(cut) for cut in CUTS] == [1, 2, 3, 4, 5, 6]
    assert len(LEVELS) == len(CUTS) + 1
    assert len({word for level in LEVELS for word in level}) == 2 * len(LEVELS)


def test_digest_and_teacher_tell_it_and_stay_silent_without_others() -> None:
    rows = history([1] * 8, 0.5)
    assert digest_line(profile_history(rows, Catalogue(ITEMS), ProfileSettings())).startswith(
        "Kind: very generous. Of 8"
    )
    writer = ProfileTeacher(ITEMS, MOVIES, len, TeacherSettings(max_tokens=500))
    assert written(writer, "u", rows, 1).startswith(
        "This is a very generous viewer, far easier to please than most. They like all films rated."
    )
    alone = [{name: row[name] for name in ("item_id", "rating", "label")} for row in rows]
    assert "generous" not in written(writer, "u", alone, 1)
    assert "Kind" not in digest_line(profile_history(alone, Catalogue(ITEMS), ProfileSettings()))


@pytest.mark.parametrize("level", range(7))
def test_every_level_is_supported_for_its_users_and_contradicted_for_all_others(level: int) -> None:
    """A history of eight, 4 liked; what others think is set so that the middle of each level comes out."""
    vocabulary = Vocabulary(ITEMS, MOVIES, ())
    middles = [-0.35, -0.18, -0.08, 0.0, 0.08, 0.16, 0.3]
    adjective, meaning = LEVELS[level]
    article = "an" if adjective.startswith("a") else "a"
    for truth, middle in enumerate(middles):
        rows = history([1, 0] * 4, (4 - 10 * middle) / 8)
        for text in (f"This is {article} {adjective} viewer, {meaning}.", f"This is {article} {adjective} viewer."):
            (sentence,) = ground(text, rows, vocabulary)
            assert sentence.verdict == (Verdict.SUPPORTED if truth == level else Verdict.CONTRADICTED)
            assert [judged.claim.kind for judged in sentence.claims] == ["generosity"]


def test_words_that_do_not_go_together_are_contradicted_for_everybody() -> None:
    vocabulary = Vocabulary(ITEMS, MOVIES, ())
    for expected in (0.05, 0.5, 0.95):
        (sentence,) = ground(
            "This is a harsh viewer, easier to please than most.", history([1, 0] * 4, expected), vocabulary
        )
        assert sentence.verdict == Verdict.CONTRADICTED


def test_without_others_it_is_not_checkable_and_a_genre_behind_it_still_counts() -> None:
    vocabulary = Vocabulary(ITEMS, MOVIES, ())
    (sentence,) = ground("This is a harsh viewer.", history([1, 0] * 4, None), vocabulary)
    assert sentence.verdict == Verdict.NOT_CHECKABLE
    text = "They are harder to please with War."
    (sentence,) = ground(text, history([1, 0] * 4, 0.5), vocabulary)
    assert [judged.claim.kind for judged in sentence.claims] == ["direction"]
    assert sentence.verdict == Verdict.SUPPORTED
