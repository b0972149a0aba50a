"""The profile teacher: every claim is counted again, by other code, from the history."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from histories import written
from hypothesis import given, settings
from hypothesis import strategies as st

from trackrec.prompts.domains import DOMAINS, MOVIES, Domain
from trackrec.teachers.template import ProfileTeacher, TeacherSettings
from trackrec.users.catalogue import Catalogue
from trackrec.users.counts import ProfileSettings
from trackrec.users.profile import Age, Tally, profile_history

GENRES = ["Drama", "Children's", "Film-Noir", "Sci-Fi"]
YEARS = [1951, 1974, 1988, 1994, 1996]
# Item i has genre i % 4 (every third one a second genre, too) and year i % 5; its title is one made-up word.
ITEMS = pl.DataFrame(
    {
        "item_id": list(range(40)),
        "title": [f"Title{'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]}" for i in range(40)],
        "year": [YEARS[i % 5] for i in range(40)],
        "genres": [sorted({GENRES[i % 4], GENRES[(i + 1) % 4]} if i % 3 == 0 else {GENRES[i % 4]}) for i in range(40)],
    }
)
TITLES, GENRES_OF, YEAR_OF = (dict(zip(ITEMS["item_id"], ITEMS[c], strict=True)) for c in ("title", "genres", "year"))
HISTORIES = st.lists(st.tuples(st.integers(0, 39), st.integers(1, 5)), max_size=30, unique_by=lambda pair: pair[0])


def rows(pairs: list[tuple[int, int]]) -> list[dict[str, Any]]:
    return [{"item_id": item, "rating": float(rating), "label": int(rating >= 4)} for item, rating in pairs]


def words(text: str) -> int:
    return len(text.split())


def teacher(max_tokens: int = 200, items: pl.DataFrame = ITEMS, domain: Domain = MOVIES) -> ProfileTeacher:
    return ProfileTeacher(items, domain, words, TeacherSettings(max_tokens=max_tokens))


def check_habit(text: str, labels: list[int], domain: Domain = MOVIES) -> None:
    found = re.match(rf"(?:This|The) {domain.person} likes (.+?) (?:{domain.items} )?rated\.", text)
    assert found, text
    share = sum(labels) / len(labels)
    claim = found.group(1).removesuffix(f" {domain.items}").removesuffix(f" of the {domain.items}")
    if claim == "all":
        assert share == 1
    elif claim == "none" or claim == "none of the":
        assert share == 0
    elif claim == "nearly all":
        assert 0.95 <= share < 1
    elif claim == "hardly any":
        assert 0 < share < 0.05
    else:
        tenths = re.fullmatch(r"about (\d) in 10", claim)
        assert tenths, claim
        assert abs(share - int(tenths.group(1)) / 10) <= 0.05 + 1e-9


def check_claims(text: str, history: list[dict[str, Any]], domain: Domain = MOVIES) -> dict[str, int]:
    """Counts every claim of the text again; returns how many of each kind it held."""
    labels = [row["label"] for row in history]
    check_habit(text, labels, domain)
    share = sum(labels) / len(labels)
    seen = {"genres": 0, "ages": 0, "titles": 0}
    sides = {"prefer|lean towards|are fonder of": 1, "care less for|are harder to please with|are cooler on": -1}
    for verbs, side in sides.items():
        for told in re.findall(rf"They (?:{verbs}) ([^.]*)\.", text):
            for name, liked, rated in re.findall(r"([A-Z][\w'-]+) \((\d+) of (\d+)(?: liked)?\)", told):
                own = [row["label"] for row in history if name in GENRES_OF[row["item_id"]]]
                assert (sum(own), len(own)) == (int(liked), int(rated))
                assert len(own) >= 2
                assert side * (sum(own) / len(own) - share) > 0
                seen["genres"] += 1
    for how_many, year in re.findall(rf"(\w[\w ]*?)(?: of the)? {domain.items} are from before (\d{{4}})\.", text):
        old = sum(YEAR_OF[row["item_id"]] < int(year) for row in history) / len(history)
        tenths = re.fullmatch(r"About (\d) in 10", how_many)
        exact = {"All": old == 1, "None": old == 0, "Nearly all": 0.95 <= old < 1, "Hardly any": 0 < old < 0.05}
        assert abs(old - int(tenths.group(1)) / 10) <= 0.05 + 1e-9 if tenths else exact[how_many]
        seen["ages"] += 1
    label_of = {TITLES[row["item_id"]]: row["label"] for row in history}
    for sentence in re.split(r"(?<=\.) ", text):
        for clause in re.split(r" but |They ", sentence):
            negative = re.match(r"did not like|were less keen on|thought less of", clause)
            for title in re.findall(r"Title\w+", clause):
                assert label_of[title] == (0 if negative else 1)
                seen["titles"] += 1
    return seen


@settings(deadline=None, max_examples=200)
@given(HISTORIES.filter(bool), st.integers(0, 2**32), st.integers(16, 60))
def test_every_claim_is_borne_out(pairs: list[tuple[int, int]], seed: int, max_tokens: int) -> None:
    history = rows(pairs)
    text = written(teacher(max_tokens), 1, history, seed)
    check_claims(text, history)
    assert text.endswith(".")
    assert words(text) <= max_tokens


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=lambda domain: domain.name)
@settings(deadline=None, max_examples=60)
@given(pairs=HISTORIES.filter(bool), seed=st.integers(0, 2**32), max_tokens=st.integers(16, 60))
def test_every_claim_is_borne_out_in_every_domain(
    domain: Domain, pairs: list[tuple[int, int]], seed: int, max_tokens: int
) -> None:
    history = rows(pairs)
    text = written(teacher(max_tokens, domain=domain), 1, history, seed)
    check_claims(text, history, domain)
    assert text.endswith(".")
    assert words(text) <= max_tokens
    # Apart from its nouns it is the text of films, which the other tests look at.
    films = written(teacher(1000, domain=MOVIES), 1, history, seed)
    nouns = {MOVIES.person: domain.person, MOVIES.items: domain.items, MOVIES.attribute: domain.attribute}
    nouns |= {MOVIES.items.capitalize(): domain.items.capitalize()}
    own = re.sub(r"\b(viewer|films|Films|genre)\b", lambda found: nouns[found.group()], films)
    assert written(teacher(1000, domain=domain), 1, history, seed) == own


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=lambda domain: domain.name)
def test_planted_taste_is_told_in_every_domain(domain: Domain) -> None:
    told = [written(teacher(items=PLANTED, domain=domain), "u", PLANTED_HISTORY, seed) for seed in range(5)]
    for text in told:
        assert re.match(rf"Th\w+ {domain.person} likes about 6 in 10 {domain.items} rated\. ", text)
        old = f"About 3 in 10 {domain.items} are from before 1960. They "
        for part in (old, "Drama (4 of 4 liked).", "Film-Noir (1 of 4 liked).", "Bob", "Flo"):
            assert part in text
    even = [{"item_id": item, "rating": 5.0, "label": 1} for item in "abcdefgh"]
    assert f"No {domain.attribute} stands out." in written(teacher(items=PLANTED, domain=domain), "u", even, 3)


def test_the_check_itself_can_fail() -> None:
    history = rows([(0, 5), (4, 5), (1, 1), (5, 1)])
    # Two of the four are from 1951, the others from 1974 and 1996.
    good = "This viewer likes about 5 in 10 films rated. About 5 in 10 films are from before 1974. "
    good += "They prefer Drama (2 of 2 liked). They liked Titleaa."
    assert check_claims(good, history) == {"genres": 1, "ages": 1, "titles": 1}
    for wrong in (
        good.replace("likes about 5 in", "likes about 7 in"),
        good.replace("About 5 in", "About 7 in"),
        good.replace("About 5 in 10", "Hardly any"),
        good.replace("(2 of 2", "(3 of 3"),
        good.replace("prefer", "care less for"),
        good.replace("Titleaa", "Titleab"),
    ):
        with pytest.raises((AssertionError, KeyError)):
            check_claims(wrong, history)


# Four older Drama films that are all liked, and four newer Film-Noir films of which one is.
PLANTED = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e", "f", "g", "h"],
        "title": ["Ann", "Bob", "Cid", "Dot", "Eve", "Flo", "Gus", "Hal!"],
        "year": [1951, 1951, 1963, 1964, 1991, 1992, 1993, 1994],
        "genres": [["Drama"]] * 4 + [["Film-Noir"]] * 4,
    }
)
PLANTED_HISTORY = [
    {"item_id": item, "rating": rating, "label": int(rating >= 4)}
    for item, rating in zip("abcdefgh", [4.0, 5.0, 4.0, 4.0, 3.0, 1.0, 3.0, 4.0], strict=True)
]


def test_planted_taste_is_counted_by_hand() -> None:
    profile = profile_history(PLANTED_HISTORY, Catalogue(PLANTED), ProfileSettings())
    assert (profile.liked, profile.rated) == (5, 8)
    # Own share 5/8. Drama: (4 - 4 x 5/8) / (4 + 2) = 0.25; Film-Noir: (1 - 4 x 5/8) / 6 = -0.25.
    assert profile.above == (Tally("Drama", 4, 4),)
    assert profile.below == (Tally("Film-Noir", 1, 4),)
    # The median film is from 1964 (the lower of two): the sixties begin after the two films of 1951.
    assert profile.age == Age(1960, 2, 8)
    assert profile.favourites == ("Bob",)
    assert profile.letdowns == ("Flo",)


def test_planted_taste_is_told() -> None:
    text = written(teacher(items=PLANTED), "u", PLANTED_HISTORY, 0)
    assert re.match(
        r"Th\w+ viewer likes about 6 in 10 films rated\. About 3 in 10 films are from before 1960\. They ", text
    )
    for part in ("Drama (4 of 4 liked).", "Film-Noir (1 of 4 liked).", "Bob", "Flo"):
        assert part in text


def test_too_little_evidence_is_no_claim() -> None:
    alone = [{"item_id": "a", "rating": 5.0, "label": 1}, {"item_id": "e", "rating": 1.0, "label": 0}]
    profile = profile_history(alone, Catalogue(PLANTED), ProfileSettings())
    assert (profile.above, profile.below, profile.age, profile.comparable_genres) == ((), (), Age(1960, 1, 2), 0)
    even = [{"item_id": item, "rating": 5.0, "label": 1} for item in "abcdefgh"]
    assert "from before 1960. No genre stands out. They" in written(teacher(items=PLANTED), "u", even, 3)


@pytest.mark.parametrize(
    ("likes", "total", "expected"),
    [
        (7, 10, "about 7 in 10 films"),
        (13, 20, "about 7 in 10 films"),
        (0, 5, "none of the films"),
        (5, 5, "all films"),
        (29, 30, "nearly all films"),
        (1, 30, "hardly any films"),
    ],
)
def test_rating_habit_comes_first(likes: int, total: int, expected: str) -> None:
    text = written(teacher(), 1, rows([(i, 5 if i < likes else 1) for i in range(total)]), 0)
    assert re.match(rf"(This|The) viewer likes {expected} rated\.", text)


def test_empty_history() -> None:
    assert written(teacher(), 1, [], 0).endswith("viewer has rated no films yet.")


def test_wording_varies_with_the_seed_and_the_user_but_is_reproducible() -> None:
    history = rows([(i, 1 + i % 5) for i in range(20)])
    writer = teacher()
    texts = [written(writer, 1, history, seed) for seed in range(30)]
    assert texts == [written(teacher(), 1, history, seed) for seed in range(30)]
    assert len(set(texts)) > 20
    assert {written(writer, user, history, 0) for user in range(5)} != {texts[0]}
    # The order of the claims varies, too: above and below the average, liked and not liked.
    planted = [written(teacher(items=PLANTED), "u", PLANTED_HISTORY, seed) for seed in range(30)]
    for one, other in (("Drama", "Film-Noir"), ("Bob", "Flo")):
        assert {text.index(one) < text.index(other) for text in planted} == {True, False}


def test_clauses_are_dropped_never_cut() -> None:
    lengths = []
    for budget in range(16, 60):
        text = written(teacher(budget, PLANTED), "u", PLANTED_HISTORY, 5)
        assert words(text) <= budget
        assert text.endswith((".", "!"))
        lengths.append(words(text))
    assert lengths[0] < lengths[-1]
    short = written(teacher(20, PLANTED), "u", PLANTED_HISTORY, 5)
    assert "before 1960" in short, "what predicts best stays longest"
    assert "Drama" not in short


def test_a_side_without_any_genre_says_so() -> None:
    """One genre stands out upwards, the other does not stand out at all."""
    items = PLANTED.with_columns(genres=pl.Series([["Drama"]] * 2 + [["Film-Noir"]] * 3 + [[]] * 3))
    pairs = zip("abcdefgh", [5.0, 5.0, 5.0, 1.0, 5.0, 1.0, 5.0, 1.0], strict=True)
    history = [{"item_id": item, "rating": rating, "label": int(rating >= 4)} for item, rating in pairs]
    # Own share 5/8: Drama (2 - 2 x 5/8) / 4 = .19, Film-Noir (2 - 3 x 5/8) / 5 = .03.
    text = written(teacher(items=items), "u", history, 0)
    assert "Drama (2 of 2 liked)." in text
    assert "No genre is liked less." in text


def test_facts_are_left_out_by_chance_but_one_always_stays() -> None:
    settings = TeacherSettings(max_tokens=200, tells=("habit", "age", "genres"), omit=0.5)
    writer = ProfileTeacher(PLANTED, MOVIES, words, settings)
    texts = [written(writer, "u", PLANTED_HISTORY, seed) for seed in range(200)]
    told = [frozenset(fact for fact in ("rated.", "before", "Drama") if fact in text) for text in texts]
    # Eight subsets are equally likely; the empty one turns into one of the three single ones.
    shares = {subset: told.count(subset) / 200 for subset in set(told)}
    assert len(shares) == 7
    assert frozenset() not in shares
    for subset, share in shares.items():
        expected = 1 / 8 + (1 / 24 if len(subset) == 1 else 0)
        assert abs(share - expected) < 4 * (expected * (1 - expected) / 200) ** 0.5
    assert not any("Bob" in text or "Flo" in text for text in texts)


def test_any_domain_and_vocabulary() -> None:
    books = replace(MOVIES, items="books", person="reader", attribute="subject")
    items = PLANTED.with_columns(pl.Series("genres", [["Cookery & Wine"]] * 4 + [["Poetry"]] * 4)).drop("year")
    text = written(ProfileTeacher(items, books, words, TeacherSettings(max_tokens=200)), "u", PLANTED_HISTORY, 1)
    assert "reader likes about 6 in 10 books rated." in text
    assert "Cookery & Wine (4 of 4" in text
    assert "film" not in text
    assert "before" not in text


def test_title_with_its_own_full_stop_gets_no_second_one() -> None:
    history = [{"item_id": "h", "rating": 5.0, "label": 1}]
    assert written(teacher(items=PLANTED), "u", history, 0).endswith(" Hal!")


def test_titles_are_those_that_the_generator_reads_and_counts_are_of_all() -> None:
    """Four liked, then one not liked; only the last two are read one by one."""
    history = rows([(0, 5), (1, 5), (2, 5), (3, 4), (4, 1)])
    for seed in range(10):
        text = written(teacher(), 1, history, seed, recent=2)
        assert "likes about 8 in 10 films rated" in text
        assert set(re.findall(r"Title\w+", text)) == {TITLES[3], TITLES[4]}


@pytest.mark.slow
def test_texts_keep_to_the_budget_of_the_embedded_model() -> None:
    from transformers import AutoTokenizer

    from trackrec.assets import embedded_language_model
    from trackrec.prompts import PromptSettings, Renderer

    renderer = Renderer(AutoTokenizer.from_pretrained(embedded_language_model()), ITEMS, PromptSettings())
    writer = ProfileTeacher(ITEMS, MOVIES, renderer.count_tokens)
    history = rows([(i, 1 + i * 7 % 5) for i in range(30)])
    for seed in range(20):
        text = written(writer, 1, renderer.visible_history(history), seed)
        assert renderer.count_tokens(text) <= 60
        assert renderer.decode(renderer.reccot_ids(text)) == text
        assert renderer.reccot_ids(text)[-1] == renderer.stop_ids[0]
