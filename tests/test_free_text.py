"""Free text of large language models: what may be said to be true, and what may be called false."""

from __future__ import annotations

import polars as pl
import pytest

from trackrec.checks.grounding import ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.domains import find_domain

S, C, N = "supported", "contradicted", "not_checkable"

FILMS = [
    (1, "Wild Things (1998)", ["Crime", "Thriller"], ["erotic thriller", "twisty"], 5),
    (2, "Heat (1995)", ["Action", "Crime", "Thriller"], ["heist", "los angeles"], 2),
    (3, "Sleepers (1996)", ["Crime", "Drama"], ["revenge", "new york"], 1),
    (4, "Scream (1996)", ["Horror", "Thriller"], ["slasher", "self-aware"], 2),
    (5, "Groundhog Day (1993)", ["Comedy", "Romance"], ["romantic comedy", "time travel"], 3),
    (6, "Godfather, The (1972)", ["Action", "Crime", "Drama"], ["mafia", "classic"], 5),
    (7, "Fargo (1996)", ["Crime", "Drama", "Thriller"], ["coen brothers", "black comedy"], 4),
    (8, "Star Trek: The Wrath of Khan (1982)", ["Action", "Sci-Fi"], ["star trek", "space opera"], 5),
    (9, "Star Trek: First Contact (1996)", ["Action", "Sci-Fi"], ["star trek", "time travel"], 4),
    (
        10,
        "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb (1963)",
        ["Sci-Fi", "War"],
        ["kubrick", "satirical"],
        5,
    ),
    (11, "Hunchback of Notre Dame, The (1996)", ["Animation", "Musical"], ["disney", "musical"], 1),
    (12, "Evita (1996)", ["Drama", "Musical"], ["musical", "biopic"], 2),
    (13, "Grease (1978)", ["Comedy", "Musical"], ["musical", "high school"], 2),
    (14, "L.A. Confidential (1997)", ["Crime", "Film-Noir"], ["neo-noir", "los angeles"], 5),
]
UNSEEN = [
    (20, "Casablanca (1942)", ["Drama", "Romance"], ["classic"]),
    (21, "Pulp Fiction (1994)", ["Crime", "Drama"], ["tarantino"]),
    (22, "Classic Films (1990)", ["Documentary"], ["classic"]),
    (23, "Scream 2 (1997)", ["Horror"], ["slasher"]),
    (24, "Like (1999)", ["Drama"], []),
]
ROWS = [(i, title, None, genres, tags) for i, title, genres, tags, *_ in [*FILMS, *UNSEEN]]
ITEMS = pl.DataFrame(
    ROWS, schema=["item_id", "title", "year", "genres", "tags"], orient="row", infer_schema_length=None
)
HISTORY = [{"item_id": i, "rating": float(r), "label": int(r >= 4)} for i, *_, r in FILMS]
"""7 of 14 liked, mean 3.29. Crime: 4 of 6; Sci-Fi: 3 of 3; musicals: 0 of 3."""
MOVIES = Vocabulary(ITEMS, find_domain("movies"))

BOOKS = [
    (1, "Harry Potter and the Sorcerer's Stone (Harry Potter, Book 1)", ["Fantasy"], "J. K. Rowling", 5),
    (2, "The Gunslinger (The Dark Tower, Book 1)", ["Fantasy", "Western"], "Stephen King", 5),
    (3, "Gone Girl: A Novel", ["Mystery"], "Gillian Flynn", 5),
    (4, "The Help", ["Fiction"], "Kathryn Stockett", 5),
    (5, "Fifty Shades of Grey: Book One of the Fifty Shades Trilogy", ["Romance"], "E L James", 1),
    (6, "Eat, Pray, Love: One Woman's Search for Everything", ["Memoir"], "Elizabeth Gilbert", 2),
    (7, "A Game of Thrones (A Song of Ice and Fire, Book 1)", ["Fantasy"], "George R. R. Martin", 4),
    (8, "The Girl on the Train: A Novel", ["Mystery"], "Paula Hawkins", 4),
]
BOOK_ITEMS = pl.DataFrame(
    [(i, title, None, genres, author) for i, title, genres, author, _ in BOOKS],
    schema=["item_id", "title", "year", "genres", "author"],
    orient="row",
    infer_schema_length=None,
)
READ = [{"item_id": i, "rating": float(r), "label": int(r == 5)} for i, *_, r in BOOKS]
LIBRARY = Vocabulary(BOOK_ITEMS, find_domain("books"))


def verdict(text: str, rows: list[dict[str, float]] = HISTORY, vocabulary: Vocabulary = MOVIES) -> str:
    found = {str(sentence.verdict) for sentence in ground(text, rows, vocabulary)}
    return C if C in found else S if S in found else N


STARS = [
    ("They loved Wild Things (5/5).", S),
    ("They loved Wild Things (3/5).", C),
    ("They gave Wild Things 5 out of 5.", S),
    ("They gave Wild Things 2 out of 5.", C),
    ("Wild Things received five stars.", S),
    ("They awarded five stars to Fargo.", C),
    ("The user did not enjoy Scream (2 stars).", S),
    ("The user enjoyed Scream (2 stars).", C),
    ("Heat and Sleepers were both rated 2 or lower.", S),
    ("Heat and Fargo were both rated 2 or lower.", C),
    ("Scream got a 2, Fargo a 4 and Wild Things a 5.", S),
    ("Scream got a 2, Fargo a 1 and Wild Things a 5.", C),
    ("The user's lower ratings for Heat and Sleepers suggest that crime is no favourite.", S),
    ("The user's high ratings for Heat and Sleepers suggest that crime is a favourite.", C),
    ("A 5-star rating for The Godfather shows a taste for epics.", S),
    ("A 1-star rating for The Godfather shows little taste for epics.", C),
    ("Their average rating is about 3.3.", S),
    ("They have an average rating of 4.57.", C),
    ("They rate everything four or higher, never below four.", C),
    ("They have rated 14 films.", S),
    ("Seven of the 14 films were rated four or five.", S),
    ("Three of the 14 films were rated four or five.", C),
]
DIRECTIONS = [
    ("The Godfather failed to win them over.", C),
    ("Sleepers failed to win them over.", S),
    ("They dislike slapstick comedies like Groundhog Day.", {S, N}),
    ("They could not stand Evita.", S),
    ("They could not stand Fargo.", C),
    ("Neither Heat nor Sleepers appealed to them.", S),
    ("Neither Fargo nor Wild Things appealed to them.", C),
    ("They can't get enough of Fargo.", S),
    ("The Wrath of Khan never fails to please them.", S),
    ("They enjoyed Fargo, but Sleepers left them cold.", S),
    ("They enjoyed Sleepers, but Fargo left them cold.", C),
    ("While they loved Fargo, they were unimpressed by Heat.", S),
    ("They prefer Fargo to Heat.", S),
    ("They rated Heat higher than Fargo.", C),
    ("They dislike musicals.", S),
    ("They love musicals.", C),
    ("They enjoy science fiction.", S),
    ("They avoid science fiction.", C),
]
LISTS = [
    ("1. **Preference for Classic Films**: ...", N),
    ("**Classic Films**", N),
    ("They dislike: 1. Sleepers 2. Evita", S),
    ("They dislike: 1. Fargo 2. Wild Things", C),
    ("They dislike:\n- Sleepers\n- Evita", S),
    ("They dislike:\n- Fargo\n- Evita", C),
    ("**Likes:** Fargo, Wild Things", S),
    ("**Dislikes:** Fargo, Wild Things", C),
    ("## What they avoid\n\n* Grease\n* Evita", S),
    ("## What they enjoy\n\n* Grease\n* Evita", C),
    ("- *Fargo*: 4/5", S),
    ("- *Fargo*: 2/5", C),
    ("They dislike:\n- Evita\n\nThey enjoyed Fargo.", S),
]
OPEN = [
    "They enjoy films by directors like Stanley Kubrick.",
    "They enjoy films by directors like Wes Anderson and Greta Gerwig.",
    "They like Robin Williams.",
    "The user would likely enjoy Casablanca.",
    "They might also appreciate Pulp Fiction, and could try Casablanca next.",
    "So recommend Pulp Fiction, Casablanca or Scream 2.",
    "If they had seen Casablanca, they would have loved it.",
    "Someone who likes Heat may like Ronin.",
    "Fans of Sleepers will love Mystic River.",
    "They enjoy films with strong characters.",
    "The Godfather is a 1972 film directed by Francis Ford Coppola.",
    "Critics praised Heat for its performances.",
    "They are drawn to the Mission Impossible franchise.",
    "They seem to prefer Character-Driven Stories.",
    "The viewer has eclectic taste.",
    "They appreciate the Coen Brothers.",
]
INVENTED = [
    ('They loved "Pulp Fiction" and gave it 5 stars.', C),
    ('They rated "The Great Unknown Picture" five stars.', C),
    ("They watched Pulp Fiction.", C),
    ('They loved "The Wrath of Khan".', S),
    ('They loved "Dr. Strangelove".', S),
    ("They adored LA Confidential.", S),
    ("They disliked Hunchback.", S),
    ("They disliked the Hunchback of Notre Dame.", S),
    ("They love the Star Trek films.", S),
    ('They loved the "Star Trek" series.', S),
    ("They loved Godfather.", S),
]
BOOK_CASES = [
    ("The user loved the Harry Potter series.", S),
    ('They gave "Harry Potter and the Sorcerer\'s Stone" 5 stars.', S),
    ("They enjoyed The Dark Tower series by Stephen King.", S),
    ('They rated "Gone Girl" and "The Help" 5 stars each.', S),
    ("They disliked Fifty Shades of Grey, giving it 1 star.", S),
    ("They loved Fifty Shades of Grey.", C),
    ("Eat, Pray, Love was a disappointment, with only 2 stars.", S),
    ("Eat, Pray, Love was a delight.", C),
    ("They enjoyed A Game of Thrones (4/5).", S),
    ("They enjoyed A Game of Thrones.", S),  # four of five stars, whatever counts as liked here
    ("They have a strong preference for fantasy, as shown by high ratings for Harry Potter and The Gunslinger.", S),
    ("They appreciate authors like Stephen King, Gillian Flynn, and Donna Tartt.", N),
    ("They would probably enjoy The Goldfinch by Donna Tartt.", N),
    ("They enjoy the works of Agatha Christie.", N),
    ("The user's interest in the Outlander saga points to historical romance.", N),
    ("They gave low ratings to Fifty Shades of Grey and Eat, Pray, Love.", S),
    ("They gave low ratings to Gone Girl and The Help.", C),
    ("The Help resonated with them.", S),
    ("The user appreciates strong female protagonists.", N),
    ("Unlike Fifty Shades of Grey, Gone Girl was a hit with this reader.", S),
    ("Disliked: Fifty Shades of Grey (1 star), Eat, Pray, Love (2 stars)", S),
    ("Disliked: Gone Girl (5 stars), The Help (5 stars)", C),
    ("Preferred authors: Stephen King, J.K. Rowling, Gillian Flynn", N),
    ("The user may prefer Stephen King over other horror writers.", N),
]


@pytest.mark.parametrize(("text", "right"), [*STARS, *DIRECTIONS, *LISTS, *INVENTED])
def test_films(text: str, right: str | set[str]) -> None:
    assert verdict(text) in ({right} if isinstance(right, str) else right)


@pytest.mark.parametrize("text", OPEN)
def test_what_no_table_holds_is_no_accusation(text: str) -> None:
    assert verdict(text) == N


@pytest.mark.parametrize(("text", "right"), BOOK_CASES)
def test_books_with_series_and_subtitles(text: str, right: str) -> None:
    assert verdict(text, READ, LIBRARY) == right
