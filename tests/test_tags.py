"""Tags of knowledge cards are attributes: counted as genres are, told by digest and teacher, cited, and checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from histories import history_frame, written
from transformers import AutoTokenizer

from research.comparison.history_texts import history_texts
from trackrec.checks.grounding import Verdict, ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.features.encoder import TextEncoder
from trackrec.prompts import PromptSettings, Renderer
from trackrec.prompts.digest import digest_line
from trackrec.prompts.domains import MOVIES
from trackrec.prompts.lengths import PromptLengths
from trackrec.prompts.texts import item_texts
from trackrec.teachers.base import write_texts
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.testing.component_suites import check_teacher
from trackrec.testing.synthetic import make_synthetic
from trackrec.users.catalogue import Catalogue
from trackrec.users.citations import cite, without_citations
from trackrec.users.counts import ProfileSettings, event_table, name_counts
from trackrec.users.history_features import history_numbers
from trackrec.users.profile import Tally, profile_history, profiles

ITEMS = pl.DataFrame(
    {
        "item_id": list("abcdefgh"),
        "title": ["Ann", "Bob", "Cid", "Dot", "Eve", "Flo", "Gus", "Hal!"],
        "year": [1990] * 8,
        "genres": [["Drama"]] * 8,
        "tags": [
            ["heist", "snow"],
            ["heist"],
            ["heist", "new york"],
            ["spy"],
            ["spy"],
            ["spy", "snow"],
            [],
            ["new york"],
        ],
    }
)
HISTORY = [
    {"item_id": item, "rating": rating, "label": int(rating >= 4)}
    for item, rating in zip("abcdefgh", [4.0, 5.0, 4.0, 2.0, 1.0, 4.0, 3.0, 1.0], strict=True)
]
KNOWING = ("tags", "counts", "evidence", "unseen")


def test_tags_are_counted_by_hand() -> None:
    """Own share 4/8. heist 3 of 3: 1.5 / 5 = .3; spy 1 of 3: -.5 / 5 = -.1; of snow and new york two are too few."""
    profile = profile_history(HISTORY, Catalogue(ITEMS), ProfileSettings())
    assert profile.tags_above == (Tally("heist", 3, 3),)
    assert profile.tags_below == (Tally("spy", 1, 3),)
    assert profile.comparable_tags == 2
    assert profile.tags_above[0].liked_events == (1, 2, 3)
    assert profile.tags_below[0].other_events == (4, 5)
    assert (profile.above, profile.below) == ((), ())
    few = profile_history(HISTORY, Catalogue(ITEMS), ProfileSettings(min_tag_items=2))
    assert [tally.name for tally in few.tags_above] == ["heist", "snow"]  # snow 2 of 2: 1 / 4 = .25
    assert few.comparable_tags == 4


def test_many_users_are_counted_as_each_alone_whatever_their_order() -> None:
    world = make_synthetic(seed=3)
    catalogue = Catalogue(world.items)
    whole = profiles(world.histories, catalogue, ProfileSettings())
    shuffled = profiles(world.histories.sample(fraction=1.0, shuffle=True, seed=1), catalogue, ProfileSettings())
    assert list(whole) == world.histories["user_id"].unique(maintain_order=True).to_list()
    for user, profile in whole.items():
        alone = world.histories.filter(pl.col("user_id") == user)
        assert profiles(alone, catalogue, ProfileSettings())[user] == profile == shuffled[user]


def test_surplus_and_part_of_tags() -> None:
    """Of everybody's 10 events 4 are on heists; of these 8 events 3: (3 - 3.2) / 10, a part of 3/8."""
    catalogue = Catalogue(ITEMS.with_columns(touched=pl.Series([2, 1, 1, 2, 2, 1, 1, 0])))
    counted = name_counts(
        event_table(history_frame("u", HISTORY), catalogue), "tags", ProfileSettings().counting, catalogue.tag_shares
    )
    row = counted.row(by_predicate=pl.col("name") == "heist", named=True)
    assert (row["part"], row["surplus"]) == (3 / 8, pytest.approx(-0.02))
    assert catalogue.tag_shares["heist"] == 0.4


def test_the_digest_tells_tags_when_asked() -> None:
    profile = profile_history(HISTORY, Catalogue(ITEMS), ProfileSettings())
    assert digest_line(profile, ("tags",)) == "Tags more: heist (3 of 3). Tags less: spy (1 of 3).\n"
    assert "Tags" not in digest_line(profile)
    untold = profile_history(HISTORY, Catalogue(ITEMS.drop("tags")), ProfileSettings())
    assert digest_line(untold, ("tags",)) == "\n"


@pytest.fixture(scope="module")
def tokenizer(tiny_model_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(str(tiny_model_folder))


def test_prompts_tell_tags_and_numbers_when_asked(tokenizer: Any) -> None:
    plain = Renderer(tokenizer, ITEMS, PromptSettings())
    assert plain.line_text("a", 4.0, 7) == "4: Ann (1990), Drama\n"
    assert plain.target_text("a", 0, 0) == "Ann (1990), Drama. Not rated. Like it?"
    told = Renderer(tokenizer, ITEMS, PromptSettings(show_tags=1, target_tags=2, numbered=True))
    assert told.line_text("a", 4.0, 7) == "[7] 4: Ann (1990), Drama; heist\n"
    assert told.line_text("a", 4.0) == "4: Ann (1990), Drama; heist\n"
    assert told.line_text("g", 3.0, 2) == "[2] 3: Gus (1990), Drama\n"
    assert told.target_text("a", 0, 0) == "Ann (1990), Drama; heist, snow. Not rated. Like it?"
    rows = [{"user_id": "u", "position": place, **row} for place, row in enumerate(HISTORY)]
    few = Renderer(tokenizer, ITEMS, PromptSettings(numbered=True, history_tokens=60))
    shown = len(few.visible_history(rows))
    assert 0 < shown < len(rows)
    # Numbers count from the oldest event, whatever part is shown; lengths are those of the prompts.
    text = few.decode(few.generator_prompt(rows))
    assert re.findall(r"\[(\d+)\]", text) == [str(number) for number in range(len(rows) - shown + 1, len(rows) + 1)]
    lengths = PromptLengths(few).generator_prompts(pl.DataFrame(rows))
    assert lengths.row(0) == ("u", 8, shown, len(few.generator_prompt(rows)))


def test_texts_of_items_and_histories_tell_tags_when_asked() -> None:
    assert item_texts(ITEMS, MOVIES)["text"][0] == "Ann (1990), Drama"
    assert item_texts(ITEMS, MOVIES, tags=2)["text"][0] == "Ann (1990), Drama; heist, snow"
    assert (
        item_texts(ITEMS.with_columns(title=pl.lit(""), year=None, genres=None), MOVIES, tags=1)["text"][0] == "heist"
    )
    history = pl.DataFrame({"user_id": ["u"], "position": [0], "item_id": ["b"], "rating": [5.0]})
    assert history_texts(history, ITEMS, MOVIES, tags=1)["text"][0] == "5: Bob (1990), Drama; heist"


def test_citations() -> None:
    assert cite("They like it.", [3, 1, 3]) == "They like it [1, 3]."
    assert cite("Hal!", [2]) == "Hal [2]!"
    assert without_citations("One [1, 3]. [Rec] is two [2]! Three [x].") == "One. [Rec] is two! Three [x]."


def test_the_encoder_reads_no_citations(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TextEncoder()
    read: list[str] = []

    def encode(texts: list[str]) -> Any:
        read.extend(texts)
        return np.ones((len(texts), 3), dtype=np.float32)

    monkeypatch.setattr(encoder, "_encode_new", encode)
    assert encoder.encode(["They like it [1, 3].", "They like it.", "Other."]).shape == (3, 3)
    assert read == ["They like it.", "Other."]


def test_the_judge_reads_no_citations(tokenizer: Any) -> None:
    renderer = Renderer(tokenizer, ITEMS, PromptSettings())
    assert renderer.reccot_segment("They like it [1, 3].") == renderer.reccot_segment("They like it.")


def teacher(max_tokens: int = 500, **settings: Any) -> ProfileTeacher:
    settings = {"tells": KNOWING} | settings
    return ProfileTeacher(
        ITEMS, MOVIES, lambda text: len(text.split()), TeacherSettings(max_tokens=max_tokens, **settings)
    )


def test_the_teacher_tells_tags_with_evidence_and_what_follows() -> None:
    text = written(teacher(citations=True), "u", HISTORY, 1)
    likes = re.search(r"They (?:prefer|lean towards|are fonder of) heist \(3 of 3 liked\) \[1, 2, 3\]\.", text)
    dislikes = re.search(r"They (?:care less for|think less of|are cooler on) spy \(1 of 3 liked\) \[4, 5\]\.", text)
    assert likes, text
    assert dislikes, text
    assert re.search(r"heist films they liked Bob and Cid \[2, 3\]\.", text), text
    assert re.search(r"spy films they did not like Dot and Eve \[4, 5\]\.", text), text
    assert re.search(r"(Of films not seen yet|Among unseen films), .*heist ones.*spy ones", text), text
    plain = written(teacher(), "u", HISTORY, 1)
    assert plain == without_citations(text)


def test_only_titles_in_view_are_evidence() -> None:
    text = written(teacher(), "u", HISTORY, 1, recent=4)  # Eve, Flo, Gus, Hal
    assert "spy films they did not like Eve." in text
    assert "heist films" not in text
    assert "heist (3 of 3 liked)" in text


def test_every_claim_on_tags_is_supported_and_budgets_are_kept() -> None:
    vocabulary = Vocabulary(ITEMS, MOVIES)
    sizes = set()
    for seed in range(40):
        budget = 16 + seed
        text = written(teacher(budget, citations=True, tells=("generosity", "habit", *KNOWING)), "u", HISTORY, seed)
        assert len(text.split()) <= budget
        assert text.endswith(".")
        sizes.add(len(text.split()))
        verdicts = {judged.verdict for sentence in ground(text, HISTORY, vocabulary) for judged in sentence.claims}
        assert Verdict.CONTRADICTED not in verdicts, text
    assert max(sizes) > 40
    false = ground("They prefer spy (3 of 3 liked).", HISTORY, vocabulary)
    assert {judged.verdict for sentence in false for judged in sentence.claims} == {Verdict.CONTRADICTED}


def test_no_genre_stands_out_is_not_a_claim_on_tags() -> None:
    told = ground("No genre stands out.", HISTORY, Vocabulary(ITEMS, MOVIES))
    assert told[0].verdict == Verdict.SUPPORTED


def test_texts_differ_in_what_they_tell() -> None:
    writer = teacher(omit=0.5)
    texts = [written(writer, "u", HISTORY, seed) for seed in range(60)]
    facts = {(" (3 of 3" in text, "films they" in text, "seen" in text) for text in texts}
    assert len(facts) == 7  # all subsets of three but the empty one


def test_the_template_teacher_passes_the_suite_of_teachers() -> None:
    world = make_synthetic(seed=1)
    check_teacher(ProfileTeacher(world.items, MOVIES, lambda text: len(text.split())))


def test_teachers_see_what_the_generator_sees(tokenizer: Any) -> None:
    """Without a digest, visible events alone; with one, all, those in view marked; users in the order asked for."""
    frame = pl.concat([history_frame(user, HISTORY) for user in ("v", "u")]).drop("shown")

    class Keeps:
        def write(self, histories: pl.DataFrame, seed: int, per_user: int = 1) -> pl.DataFrame:
            self.seen = histories
            return histories

    keeps = Keeps()
    renderer = Renderer(tokenizer, ITEMS, PromptSettings(history_tokens=60))
    write_texts(keeps, frame, renderer, 1, users=["u", "v"])
    visible = [row["item_id"] for row in renderer.visible_history(HISTORY)]
    assert keeps.seen["item_id"].to_list() == visible * 2
    assert keeps.seen["user_id"].unique(maintain_order=True).to_list() == ["u", "v"]
    assert keeps.seen["position"].max() == 7
    write_texts(
        keeps, frame, Renderer(tokenizer, ITEMS, PromptSettings(history_tokens=60, digest=True)), 1, users=["u"]
    )
    assert keeps.seen["item_id"].to_list() == list("abcdefgh")
    assert keeps.seen.filter("shown")["item_id"].to_list() == visible


def test_rankers_directions_count_generosity_as_the_profile_does() -> None:
    """Likes 4, expected 8 x .25 = 2: (4 - 2) / (8 + 2)."""
    frame = history_frame("u", HISTORY).with_columns(expected=pl.lit(0.25))
    numbers = history_numbers(frame, ITEMS)
    told = dict(zip(numbers.names, numbers.table["numbers"][0], strict=True))
    assert told["generosity"] == pytest.approx(0.2)
    assert "tag shift:heist" not in history_numbers(frame, ITEMS.drop("tags")).names
    # Beyond what others gave: .75 for a like, -.25 else, the user's mean .25 off: .5 on each heist.
    assert told["tag shift:heist"] == pytest.approx(3 * 0.5 / (3 + 3))
    assert numbers.weights("ctr")[numbers.names.index("tag shift:heist")] == 0.5
