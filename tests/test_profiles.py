"""Sentences of profiles by real language models, in words of our own: every kind of mistake that was found on them."""

from __future__ import annotations

import polars as pl
import pytest
from test_free_text import HISTORY, ITEMS, LIBRARY, MOVIES, READ

from trackrec.checks.grounding import ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.domains import find_domain

S, C, N = "supported", "contradicted", "not_checkable"

GAMES = [
    (1, "Tower of Ash", ["Puzzle"], 5),
    (2, "Night Harvest, The", ["Strategy"], 1),
    (3, "Sky Racers 2", ["Racing"], 4),
    (4, "Deep Mine", ["Puzzle"], 4),
    (5, "Iron Crown: Siege", ["Strategy"], 2),
    (6, "Farm Days", ["Simulation"], 3),
    (7, "Ledger Lords", ["Strategy"], 1),
]
GAME_ITEMS = pl.DataFrame(
    [(i, title, None, genres) for i, title, genres, _ in GAMES],
    schema=["item_id", "title", "year", "genres"],
    orient="row",
    infer_schema_length=None,
)
PLAYED = [{"item_id": i, "rating": float(r), "label": int(r >= 4)} for i, *_, r in GAMES]
"""Puzzle 2 of 2 liked (mean 4.5), Strategy 0 of 3 (1.33); mean 2.86."""
ARCADE = Vocabulary(GAME_ITEMS, find_domain("generic"))

ISSUE = [
    ("They loved Wild Things (5/5).", S),
    ("They have an average rating of 3.29.", S),
    ("They have an average rating of 4.29.", C),
    ("They enjoy films by directors like Stanley Kubrick.", N),
    ("The user would likely enjoy Casablanca.", N),
    ("The user's lower ratings for Heat and Sleepers suggest that crime is no favourite.", S),
    ("The user did not enjoy Scream (2 stars).", S),
    ("They dislike slapstick comedies like Groundhog Day.", {S, N}),
    ("The Godfather failed to win them over.", C),
    ("1. **Preference for Classic Films**: they go back to them.", N),
    ("They dislike: 1. Sleepers 2. Evita", S),
    ("They dislike: 1. Fargo 2. Wild Things", C),
]
"""Each row of the table of sentences that were judged wrongly once."""

AVERAGES = [
    ("They rate these genres highly, with an average rating of 4.6.", N),  # which ones?
    ("Their average rating for preferred genres is 4.9.", N),
    ("They rate films with strong plots well, with an average rating of 1.2.", N),
    ("Their average rating of recent films is 1.1.", N),
    ("They give Sci-Fi films an average rating of 4.7.", S),  # 5, 4, 5
    ("They are less interested in Sci-Fi (average rating of 2.5).", C),
    ("They are less interested in the genre Musical, with an average rating of 1.7.", N),  # 1, 2, 2: too few to compare
    ("They gave an average rating of 2 to Heat and Scream.", N),  # of two titles
    ("The user may not care for musicals, with an average rating of 1.7.", N),  # only thought possible
]
STARS = [
    ("The recent rating of 1 for 'Sleepers' shows where they stop.", S),
    ("The recent rating of 4 for 'Sleepers' shows where they stop.", C),
    ("The four-star rating for 'Fargo' and the moderate rating for 'Groundhog Day' show range.", S),
    ("The moderate rating for 'Groundhog Day' (3) shows patience.", S),
    ("They enjoy 'Fargo' and 'Wild Things' with ratings of 4 and 5.", S),
    ("They enjoy 'Fargo' and 'Wild Things' with ratings of 1 and 2.", C),
    ("They have rated several films, including 'Heat', 'Evita' and 'Grease', poorly.", S),
    ("They have rated several films, including 'Heat', 'Evita' and 'Grease', highly.", C),
    ("They value 'Heat' (rating 2) for its city.", N),  # the stars are right, the verb goes the other way
    ("Their ratings for 'Fargo' and 'Heat', the latter receiving the lowest, tell of care.", N),
    ("They find grit in 'Fargo' and 'Wild Things', the latter receiving the highest rating of 5.", S),
    ("The 2 most famous films of the year, Heat and Speed, are old.", N),
]
TIES = [
    ("They praised 'Fargo', a sign of narratives that resonate less with others.", S),
    ("The decline in interest towards films like 'Heat' and 'Evita' shows.", S),
    ("The decline in interest towards films like 'Fargo' shows.", C),
    ("They were won over by Fargo.", S),
    ("They were won over by Evita.", C),
    ("Films such as 'Fargo' and 'Evita' received lower ratings.", N),  # the one did, the other did not
    ("Films such as 'Heat' and 'Evita' received lower ratings.", S),
    ("They tend towards films that lean towards spectacle, such as 'Evita' (rating 2).", {S, N}),
    ("They enjoy stories of thieves, with love, as in 'Groundhog Day'.", {S, N}),  # "love" is no verb here
    (
        "Ratings for films like 'Fargo' and 'Evita' tell of breadth, but the lower rating for 'Evita' is clear.",
        S,
    ),
    ("They did not like Fargo but liked Fargo.", C),  # one thing on both sides
]
KINDS = [
    ("They enjoy Sci-Fi and musicals.", C),  # 3 of 3, 0 of 3
    ("They prefer Crime and Horror.", N),  # 4 of 6, 0 of 1: not of one mind, and too few to deny
    ("They have an aversion to poorly made science fiction.", N),
    ("They avoid science fiction that lacks a plot.", N),
    ("They avoid Action and science fiction films when they lack a plot.", N),
    ("They appreciate films that blend musicals and crime.", N),
    ("Genres like Sci-Fi receive lower ratings.", N),  # lower than which?
    ("Genres like Musical receive low ratings.", S),
    ("They are less interested in genres like Sci-Fi and War.", N),
    ("They are less interested in genres like Musical.", S),
    ("They dislike Disney.", N),  # a tag denies nothing
]
TITLES = [
    ("They gave 'Hunchback of Notre Dame, The' a low rating.", S),
    ("They gave high ratings to 'Hunchback of Notre Dame, The' (5).", C),
    ("They enjoyed 'Star Trek: First Contact' (4).", S),
    ("They enjoyed 'Star Trek: First Contact' (1).", C),
    ("Films like 'Star Trek: The Wrath of Khan' are cherished.", S),  # a colon in a title ends no label
    ("They loved 'Pulp Fiction' (5).", C),
    ("They loved Zyxwv Nights (1990).", C),  # a year behind it: a title
    ("They loved Scream 2 (1997).", C),
    ("They love the works of Zyxwv Nights.", N),
    ("They admire Fargo and Zyxwv.", N),  # half of it is a name that nobody knows
]
PLAY = [
    ("The player loved Tower of Ash (5/5).", S),
    ("The player gave 'Night Harvest, The' one star.", S),
    ("They thrived on Deep Mine, but Iron Crown left them cold.", S),
    ("They thrived on Iron Crown, but Deep Mine left them cold.", C),
    ("Strategy games bore them.", S),
    ("They love Strategy games.", C),
    ("They give Strategy games an average rating of 4.5.", C),
    ("They give Puzzle games an average rating of 4.5.", S),
    ("They dislike:\n- The Night Harvest\n- Ledger Lords", S),
    ("They dislike:\n- Tower of Ash\n- Deep Mine", C),
    ("They would probably enjoy Zyxwv 3.", N),
    ("They like studios such as Big Lantern.", N),
    ("Low ratings for Tower of Ash and Deep Mine point to impatience.", C),
    ("Low ratings for Ledger Lords and Iron Crown: Siege point to impatience.", S),
]
READING = [
    ("The reader gave low ratings to 'Fifty Shades of Grey' (1) and 'Eat, Pray, Love' (2).", S),
    ("The reader gave low ratings to 'Gone Girl' (5).", C),
    ("They give fantasy an average rating of 4.67.", S),
    ("Books such as 'The Help' and 'Gone Girl' were praised.", S),
    ("Books such as 'Fifty Shades of Grey' were praised.", C),
    ("They find the works of Liane Moriarty (2014) thrilling.", N),
]


def verdict(text: str, rows: list[dict[str, float]] = HISTORY, vocabulary: Vocabulary = MOVIES) -> str:
    found = {str(sentence.verdict) for sentence in ground(text, rows, vocabulary)}
    return C if C in found else S if S in found else N


@pytest.mark.parametrize(("text", "right"), [*ISSUE, *AVERAGES, *STARS, *TIES, *KINDS, *TITLES])
def test_films(text: str, right: str | set[str]) -> None:
    assert verdict(text) in ({right} if isinstance(right, str) else right)


@pytest.mark.parametrize(("text", "right"), PLAY)
def test_games(text: str, right: str) -> None:
    assert verdict(text, PLAYED, ARCADE) == right


@pytest.mark.parametrize(("text", "right"), READING)
def test_books(text: str, right: str) -> None:
    assert verdict(text, READ, LIBRARY) == right


OURS = Vocabulary(ITEMS, find_domain("movies"), is_ours=True)
"""The same catalogue, read for texts that are known to be of this project's own generators."""
WORDS = [
    ("They admire Zyxwv.", C, N),
    ("They value Fargo and Zyxwv Nights.", C, N),
    ("They like Groundhog Day.", C, N),  # a three: in our sentences "like" is the label
    ("They lean towards Crime films.", S, S),
    ("They enjoyed Fargo.", S, S),
    ("They enjoyed Heat.", C, C),
    ("So try Zyxwv.", N, N),
]


@pytest.mark.parametrize(("text", "ours", "anybody"), WORDS)
def test_texts_that_are_known_to_be_ours_are_read_word_by_word(text: str, ours: str, anybody: str) -> None:
    assert (verdict(text, HISTORY, OURS), verdict(text)) == (ours, anybody)


def test_who_is_known() -> None:
    from trackrec.checks.gate import is_ours

    assert is_ours("template")
    assert not is_ours("template", distils=False)  # a generator as it came
    assert not is_ours("llm")
    assert not is_ours("texts")
