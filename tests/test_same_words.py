"""Prompt, text and checker go by the same numbers and the same words, whatever a recipe or a domain file says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from transformers import AutoTokenizer

from trackrec.checks.grounding import Verdict, ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.domains import DOMAINS, Domain
from trackrec.prompts.renderer import PromptSettings, Renderer
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.users.profile import ProfileSettings

ITEMS = pl.DataFrame(
    {
        "item_id": list(range(12)),
        "title": [f"Zz{letter}" for letter in "abcdefghijkl"],
        "year": [1990] * 12,
        "genres": [["Drama"]] * 4 + [["Horror"]] * 4 + [["Western"]] * 4,
        "touched": [9, 9, 1, 1, 5, 5, 1, 1, 2, 2, 2, 2],
    }
)
HISTORY = [
    {"item_id": item, "rating": 4.0 if liked else 2.0, "label": liked}
    for item, liked in enumerate([1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0])
]
"""7 of 12 liked: Drama 4 of 4 (smoothed .28 above), Horror 2 of 4 (.06 below), Western 1 of 4 (.22 below)."""
GENRES = {0.1: ({"Drama"}, {"Western"}), 0.25: ({"Drama"}, set()), 0.3: (set(), set())}
"""What stands out at each least shift."""


def frame_of(history: list[dict[str, Any]]) -> pl.DataFrame:
    """One user's history as teachers take it."""
    return pl.DataFrame(history).with_columns(user_id=pl.lit("u"), position=pl.int_range(pl.len(), dtype=pl.Int32))


@pytest.mark.parametrize("shift", GENRES)
def test_prompt_text_and_checker_read_the_same_settings(shift: float, tiny_model_folder: Any) -> None:
    profile = ProfileSettings(min_shift=shift)
    settings = TeacherSettings(max_tokens=400, tells=("genres",))
    above, below = GENRES[shift]
    renderer = Renderer(
        AutoTokenizer.from_pretrained(tiny_model_folder), ITEMS, PromptSettings(digest=("genres",)), profile=profile
    )
    told = renderer.digest(HISTORY)
    assert all(f"More: {genre} (" in told for genre in above)
    assert all(f"Less: {genre} (" in told for genre in below)
    assert ("More: none" in told, "Less: none" in told) == (not above, not below)
    vocabulary = Vocabulary(ITEMS, DOMAINS["movies"], (), profile)
    seen = set()
    for seed in range(12):
        teacher = ProfileTeacher(ITEMS, DOMAINS["movies"], len, settings, profile)
        text = teacher.write(frame_of(HISTORY), seed)["text"][0]
        judged = [one for sentence in ground(text, HISTORY, vocabulary) for one in sentence.claims]
        assert {one.verdict for one in judged} == {Verdict.SUPPORTED}, text
        seen |= {one.claim.kind for one in judged}
    assert ("direction" in seen) == bool(above or below)
    assert ("even" in seen) == (not (above and below))


def test_with_other_settings_than_the_writer_the_checker_would_deny_it() -> None:
    """So that the test above can fail."""
    text = "No genre stands out."
    (sentence,) = ground(text, HISTORY, Vocabulary(ITEMS, DOMAINS["movies"]))
    assert sentence.verdict == Verdict.CONTRADICTED


OWN: dict[str, Domain] = {
    "streams": replace(DOMAINS["movies"], name="own", often="Streams many {genres} films"),
    "behind": replace(
        DOMAINS["products"], name="own", often="{genres} games land in their basket", items="board games"
    ),
    "around": replace(DOMAINS["books"], name="own", often="Their shelf is full of {genres} stories, night after night"),
    "alone": replace(DOMAINS["generic"], name="own", often="Keeps at {genres}"),
    "braces": replace(DOMAINS["generic"], name="own", often="Puts {{many}} {genres} things (of all sorts) aside"),
}


@pytest.mark.parametrize("domain", [*DOMAINS.values(), *OWN.values()], ids=[*DOMAINS, *OWN])
def test_what_is_gone_for_is_read_back_in_any_domains_words(domain: Domain) -> None:
    vocabulary = Vocabulary(ITEMS, domain)
    settings = TeacherSettings(max_tokens=500, tells=("consumption",))
    for places, kinds in (([4, 5, 6, 8], {"often", "fame"}), ([0, 4, 8], {"mixed", "fame"})):
        history = [HISTORY[place] for place in places]
        text = ProfileTeacher(ITEMS, domain, len, settings).write(frame_of(history), 1)["text"][0]
        judged = [one for sentence in ground(text, history, vocabulary) for one in sentence.claims]
        assert {one.claim.kind for one in judged} == kinds, text
        assert {one.verdict for one in judged} == {Verdict.SUPPORTED}, text
        other = [HISTORY[place] for place in (0, 1, 2, 3)]
        wrong = [one for sentence in ground(text, other, vocabulary) for one in sentence.claims]
        assert Verdict.CONTRADICTED in {one.verdict for one in wrong}, text
