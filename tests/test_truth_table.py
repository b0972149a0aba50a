"""Sentences of large language models that a checker gets wrong, each with the right answer.

First the table of what an early reader got wrong; then the kinds of mistakes found on profiles by gpt-3.5-turbo and
gpt-4o-mini, one sentence a kind, with its false or true counterpart.
"""

from __future__ import annotations

import polars as pl
import pytest
from test_free_text import HISTORY, MOVIES, C, N, S, verdict

from trackrec.checks.evidence_strength import stands_out
from trackrec.checks.grounding import ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.domains import find_domain

RATED = {
    "Drama": (5, 5, 4, 4, 4, 5, 4, 4, 5, 4, 3, 4),
    "Comedy": (4, 3, 2, 3, 2, 1, 3, 2, 3, 2),
    "Western": (4, 2, 3, 4, 3, 2, 3, 3),
    "Horror": (5, 4, 4, 5, 2),
    "War": (1, 1, 2, 1, 2, 1),
}
"""Stars of 41 films, each of one kind."""
FILMS = [(kind, place, star) for kind, stars in RATED.items() for place, star in enumerate(stars)]
TITLES = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel", "Ivy", "Juniper", "Kauri", "Larch"]
ITEMS = pl.DataFrame(
    [
        (number, f"{TITLES[place]} of the {kind}land (19{50 + place})", 1950 + place, [kind])
        for number, (kind, place, _) in enumerate(FILMS)
    ],
    schema=["item_id", "title", "year", "genres"],
    orient="row",
)
SEEN = [{"item_id": number, "rating": float(star), "label": int(star >= 4)} for number, (*_, star) in enumerate(FILMS)]
VIEWER = Vocabulary(ITEMS, find_domain("movies"))
ALDER, BIRCH = "'Alder of the Dramaland'", "'Birch of the Comedyland'"  # rated 5 and 3
DOGWOOD, FIR = "'Dogwood of the Westernland'", "'Fir of the Comedyland'"  # rated 4 and 1

TABLE = [
    ("They loved Wild Things (5/5).", {S}),
    ("They enjoy films by directors like Stanley Kubrick.", {N}),
    ("The user would likely enjoy Casablanca.", {N}),
    ("The user's lower ratings for Heat and Sleepers suggest that crime is no favourite.", {S}),
    ("The user did not enjoy Scream (2 stars).", {S}),
    ("They dislike slapstick comedies like Groundhog Day.", {S, N}),
    ("The Godfather failed to win them over.", {C}),
    ("They dislike: 1. Sleepers 2. Evita", {S}),
    ("They dislike: 1. Fargo 2. Wild Things", {C}),
]
KINDS = [
    # a kind is denied where it stands out from the rest, not for a few events more or less
    ("The user shows a strong preference for war films.", C),
    ("The user exhibits a strong preference for western films.", N),  # 2 of 8, 16 of 33 elsewhere: chance
    ("The user hates horror films.", C),
    ("The user seems less inclined towards horror films.", N),  # 4 of 5 liked, but the rest is liked too
    ("The user has a clear preference for comedy films, as the majority of their ratings are for them.", N),
    ("The user is less interested in drama, although there are exceptions.", N),
    ("The user has a moderate appreciation for war films.", N),
    ("The user has an aversion to drama-driven plots.", N),
    ("The user gave high ratings to " + ALDER + ", suggesting a preference for war films.", N),
    # an average of kinds that are named; of "these" or of "darker" ones nobody knows it
    ("They rate drama at an average of 4.25.", S),
    ("They rate drama at an average of 2.5.", C),
    ("These genres get an average of 2.5, unlike drama.", N),
    ("They give darker drama an average of 2.5.", N),
    ("They rate drama higher (average rating of 4.3) than comedy (average rating of 2.5).", N),
    # stars that go with one name each
    (f"They gave a high rating (5) for {ALDER} and a moderate rating (3) for {BIRCH}.", S),
    (f"They gave a high rating (5) for {ALDER} and a moderate rating (5) for {BIRCH}.", C),
    (f"They gave a rating of 5 for {ALDER} and 1 for {FIR}.", S),
    (f"They gave a rating of 5 for {ALDER} and 4 for {FIR}.", C),
    (f"{ALDER} and {BIRCH} were rated 5 and 3 respectively.", S),
    (f"{ALDER} and {BIRCH} were rated 3 and 5 respectively.", C),
    (f"Three 3-star ratings for movies like {BIRCH} show a moderate interest.", S),  # not a count of all threes
    # what is taken back, or excepted, accuses nobody
    (f"They enjoy comedies like {FIR}, which they rated lower.", N),
    (f"War is less favoured, with {ALDER} being an exception.", N),
    ("There are no ratings below 4, except for a recent one.", N),
    ("There are no ratings below 4.", C),
    (f"They gave low ratings to {FIR} and their indifference towards {ALDER} is plain.", N),
    # a true half does not bear out a sentence whose other half is likely false
    (f"They prefer war films, as seen in high ratings for {ALDER} and {DOGWOOD}.", C),
    (f"They hate drama with style: {ALDER} gets a five.", N),
    # kinds of mistakes in profiles by gpt-4 and in markdown: words that are not of the user
    ("The user appreciates stories of survival in harsh landscapes, where people face tough choices.", N),
    ("The user is a harsh rater.", S),
    # "as much" compares; a far "not" takes a word of liking back
    ("The user does not enjoy drama as much.", C),
    ("The user does not enjoy horror as much.", N),
    ("The user does not hold a high regard for war films.", N),
    ("They do not express enjoyment for war films.", N),
    ("The user does not enjoy war films, despite the overlapping genre of drama.", S),
    # a part of a kind: "certain", what the end of a list says, parentheses, another word behind
    ("The user does not enjoy certain western and drama films.", N),
    ("They tend to avoid horror, drama, and war stories that rely on shock.", N),
    ("The user tends to avoid excessive action outside drama.", N),
    ("The user dislikes drama numbers and horror.", N),
    ("They avoid drama, war, and comedy.", C),
    ("Dislikes: Drama", C),
    ("Dislikes: Drama (when overly sentimental)", N),
    ("Dislikes: Westerns (except for drama)", S),
    (f"Dislikes: Westerns (except for those like {ALDER})", N),
    # a bare list says of nothing that it is liked, and "mostly" in it is no count
    ("**Tags**: War, Western, 50s Drama, Comedy", N),
    ("War, Western, Documentary, Drama (mostly)", N),
    ("They enjoy a variety of musical scores.", N),
    # what is said of a part of the history
    (f"They give low ratings to films that do not fall into the genres they enjoy, such as {FIR}.", S),
    ("There are no films with ratings below 2 in the given history.", N),
    ("They give drama an average rating ranging from 1 to 3.", N),
    ("The average rating is 3.2.", N),
    ("The average rating is 3.6.", C),
    # what the second look mended: "a rating of 4 or more", a general statement, an example, a part that comes before
    (f"They rated {ALDER} and {DOGWOOD} highly, with a rating of 4 or more.", S),
    ("War films are often treasured for their weight, despite not finding favour with this user.", N),
    ("They enjoy films like 'Casablanca' (1942).", N),
    ("They watched 'Casablanca' (1942).", C),
    ("Pure drama and horror are avoided.", N),
    ("They avoid musicals and documentary.", N),
    # a three is not enough to deny a liking
    ("They love 'Cedar of the Westernland'.", N),
]


@pytest.mark.parametrize(("text", "right"), TABLE)
def test_rows_of_the_table(text: str, right: set[str]) -> None:
    assert verdict(text) in right


def test_a_true_average_is_supported() -> None:
    rows = [{"item_id": 1 + place, "rating": star, "label": 1} for place, star in enumerate((5.0,) * 4 + (4.0,) * 3)]
    assert verdict("They have an average rating of 4.57.", rows) == S
    assert verdict("They have an average rating of 4.57.") == C


def test_a_heading_makes_no_claim() -> None:
    found = ground("1. **Preference for Classic Films**: ...", HISTORY, MOVIES)
    assert [(str(one.verdict), one.claims, one.about_user) for one in found] == [(N, (), False)]


@pytest.mark.parametrize(("text", "right"), KINDS)
def test_kinds_of_mistakes_on_real_profiles(text: str, right: str) -> None:
    assert verdict(text, SEEN, VIEWER) == right


def test_chance_is_fishers() -> None:
    """None of three while thirty of forty others are liked: 10 * 9 * 8 of 43 * 42 * 41 draws would be so, and so on."""
    assert stands_out(0, 3, 30, 40, 1)  # (13 * 12 * 11) / (43 * 42 * 41) = .023
    assert not stands_out(0, 2, 30, 40, 1)  # (12 * 11) / (42 * 41) = .077
    assert stands_out(3, 3, 10, 40, -1)  # the same, turned round
    assert not stands_out(0, 3, 30, 40, 1, chance=0.01)
