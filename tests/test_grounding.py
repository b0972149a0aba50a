"""Claims against a history small enough to count by eye, in a domain of its own."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from claim_maker import ClaimMaker

from trackrec.checks.grounding import ground
from trackrec.checks.pattern_reader import find_claims
from trackrec.checks.truth_measures import deletions, is_gone, rests_on_evidence
from trackrec.checks.vocabulary import Vocabulary
from trackrec.prompts.domains import find_domain

BOOKS = [
    (1, "The Silver Key (1950)", 1950, ["Mystery", "Classic"], "Ada Quill"),
    (2, "Mr. Wrong (1972)", 1972, ["Romance"], "Bo Marsh"),
    (3, "Harbour Lights (1988)", 1988, ["Romance", "Drama"], "Ada Quill"),
    (4, "Night Train: A Story (1991)", 1991, ["Mystery"], "Cy Ford"),
    (5, "Contact (1996)", 1996, ["Sci-Fi"], "Cy Ford"),
    (6, "The Last Garden (1999)", 1999, ["Drama"], "Di Ash"),
    (7, "Unread Things (2000)", 2000, ["Poetry"], "Di Ash"),
]
ITEMS = pl.DataFrame(BOOKS, schema=["item_id", "title", "year", "genres", "author"], orient="row")
RATINGS = {1: 5.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 5.0, 6: 1.0}
HISTORY = [{"item_id": i, "rating": r, "label": int(r >= 4)} for i, r in RATINGS.items()]
"""3 of 6 liked: Mystery 2 of 2, Romance 0 of 2, Drama 0 of 2, Sci-Fi 1 of 1, Classic 1 of 1; mean 3.33."""
VOCABULARY = Vocabulary(ITEMS, find_domain("books"), ("author",))

S, C, N = "supported", "contradicted", "not_checkable"
CASES = [
    ("They enjoyed The Silver Key.", S),
    ("They enjoyed Silver Key but did not like Mr. Wrong.", S),
    ("They enjoyed Mr. Wrong.", C),
    ("Mr. Wrong left them cold.", S),
    ("They loved Unread Things.", C),  # in the catalogue, not in the history
    ('They loved "A Book Nobody Wrote".', C),
    ("They loved Harbor Lights.", C),  # misspelt: Harbour Lights, rated 3
    ("They thought less of Harbor Lights.", S),
    ("They prefer mystery novels (2 of 2 liked), but care less for Romance (0 of 2).", S),
    ("They prefer mystery novels (2 of 3 liked).", C),
    ("They are fonder of Drama books.", C),
    ("They prefer Sci-Fi books.", N),  # one event is too few
    ("They care less for science fiction books.", C),  # though it speaks against this
    ("They like Poetry.", C),
    ("They prefer Romance books and care less for Romance books.", C),
    ("They like about half of the books they rated.", S),
    ("They like about 6 in 10 books.", S),
    ("They like 6 in 10 books.", C),  # without "about": .05 either way
    ("They liked 50% of books.", S),
    ("They like most books.", C),
    ("They like none of the books rated.", C),
    ("Their average rating is 3.3.", S),
    ("Their average rating is 3.6.", C),
    ("They rated Contact 5 stars.", S),
    ("They gave a 4 to Contact.", C),
    ("They have read 2 Romance books.", S),
    ("They have read 3 Romance books.", C),
    ("They prefer Mystery to Drama.", S),
    ("They like Drama more than Mystery books.", C),
    ("They prefer books from before 1960.", N),
    ("They prefer books from the 1990s.", S),  # 2 of 3
    ("They are fonder of books from before 1990.", C),  # 1 of 3
    ("They like Cy Ford books (2 of 2 liked).", S),
    ("They care less for Ada Quill.", C),  # 1 of 2 is their own share
    ("No genre stands out.", C),
    ("They like books with strong characters.", N),
    ("They enjoyed Contact (1996).", S),
    ("They enjoyed Contact (1997).", C),
    ("They did not like The Last Gar", S),  # cut off
    ("They did not like The", N),
    ("They prefer gripping whodunits (3 of 4 liked).", C),  # a count of what no table holds
    ("", N),
]


def verdict(text: str, vocabulary: Vocabulary = VOCABULARY) -> str:
    found = {str(sentence.verdict) for sentence in ground(text, HISTORY, vocabulary)}
    return C if C in found else S if S in found else N


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_verdicts_worked_out_by_hand(text: str, expected: str) -> None:
    assert verdict(text) == expected


def test_sentences_do_not_end_inside_titles() -> None:
    text = "They liked Mr. Wrong. They prefer J. Smith. Then more!"
    assert [s.text for s in find_claims(text, VOCABULARY, RATINGS)] == [
        "They liked Mr. Wrong.",
        "They prefer J. Smith.",
        "Then more!",
    ]


def test_evidence_names_the_events_that_decide() -> None:
    claims = ground("They prefer Mystery books (2 of 2 liked).", HISTORY, VOCABULARY)[0].claims
    assert {judged.evidence for judged in claims} == {(0, 3)}
    assert {judged.claim.kind for judged in claims} == {"direction", "count"}


def test_evidence_is_taken_out_and_as_much_else_for_the_control() -> None:
    """Mystery is events 0 and 3; half of the history is liked, which rests on all of it and cannot be tested."""
    text = "They like about half of the books they rated. They prefer Mystery books (2 of 2 liked)."
    found = deletions("u", text, HISTORY, VOCABULARY, seed=1)
    assert [one.judged.claim.kind for one in found] == ["direction", "count"]
    for one in found:
        assert [row["item_id"] for row in one.rest] == [2, 3, 5, 6]
        assert len(one.control) == 4
        assert {1, 4} <= {row["item_id"] for row in one.control}
    assert deletions("u", "They enjoyed Mr. Wrong.", HISTORY, VOCABULARY, seed=1) == []  # not supported


def test_a_claim_rests_on_its_evidence_or_on_the_rest_of_the_history() -> None:
    """Mystery, 2 of 2, stays above any 4 of the 6 events; the 1990s, 2 of 3, do not once the 3 others are gone."""

    def rests(text: str) -> list[bool]:
        return [rests_on_evidence(one, VOCABULARY) for one in deletions("u", text, HISTORY, VOCABULARY, seed=1)]

    assert rests("They prefer Mystery books. They enjoyed Contact.") == [True, True]
    assert rests("They prefer books from the 1990s.") == [False]
    assert rests("They like most books.") == []


def test_a_claim_is_gone_if_no_sentence_makes_it_whatever_the_numbers() -> None:
    first = deletions("u", "They prefer Mystery books (2 of 2 liked).", HISTORY, VOCABULARY, seed=1)
    for one in first:
        assert not is_gone(one.judged, "They lean towards Mystery books (3 of 4 liked).", one.rest, VOCABULARY)
        assert is_gone(one.judged, "They care less for Mystery books.", one.rest, VOCABULARY)
        assert is_gone(one.judged, "", one.rest, VOCABULARY)


def test_invented_is_told_from_wrong() -> None:
    invented, wrong = (
        ground(t, HISTORY, VOCABULARY)[0].claims[0] for t in ("They loved Zyx.", "They loved Mr. Wrong.")
    )
    assert invented.invented
    assert not wrong.invented


def test_an_empty_history_supports_nothing() -> None:
    text = "They like about 6 in 10 books. They prefer Drama. No genre stands out. Their average rating is 3."
    assert "supported" not in {str(s.verdict) for s in ground(text, [], VOCABULARY)}


def test_made_claims_on_a_made_world() -> None:
    """Claims that other code wrote from histories of another domain."""
    import numpy as np

    rng = np.random.default_rng(3)
    names = [
        f"{a} {b}" for a in ("Silent", "Golden", "Broken", "Hidden") for b in ("River", "Tower", "Letter", "Orchard")
    ]
    kinds = ["Mystery", "Romance", "Drama", "Sci-Fi", "Poetry"]
    items = pl.DataFrame(
        {
            "item_id": range(len(names)),
            "title": [f"{name} ({1960 + 2 * n})" for n, name in enumerate(names)],
            "year": [1960 + 2 * n for n in range(len(names))],
            "genres": [
                [kinds[n % 5], kinds[(n + 1 + n // 5) % 5]] if n % 2 else [kinds[n % 5]] for n in range(len(names))
            ],
        }
    )
    rows = []
    for user in range(30):
        for position, item in enumerate(rng.permutation(len(names))[:12]):
            rating = float(rng.integers(1, 6))
            rows.append((user, position, int(item), rating, int(rating >= 4)))
    schema = ["user_id", "position", "item_id", "rating", "label"]
    histories = pl.DataFrame(rows, schema=schema, orient="row")
    from checker_accuracy import accuracy, check_made

    made = ClaimMaker(histories, items, ("book", "books", "reader"), seed=4).make(300)
    found = accuracy(
        (c.verdict, given)
        for c, given in check_made(made, histories, Vocabulary(items, find_domain("books"), is_ours=True))
    )
    assert len(made) >= 300
    # What is rated in the middle is called neither liked nor disliked in prose, so "not checkable" may be wrong.
    decided = {verdict: found[verdict] for verdict in (S, C)}
    assert {verdict: one.precision.value > 0.95 for verdict, one in decided.items()} == {S: True, C: True}
    assert {verdict: one.recall.value > 0.95 for verdict, one in decided.items()} == {S: True, C: True}


def test_the_labelled_sentences_are_as_promised() -> None:
    path = Path(__file__).parent / "data" / "labelled_sentences.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) >= 400
    assert sum(line["verdict"] == C for line in lines) >= 100
    assert {line["half"] for line in lines} == {"development", "held_out"}


def test_the_second_labels_belong_to_the_sentences() -> None:
    from checker_accuracy import SECOND, SENTENCES, read_lines

    lines, sentences = read_lines(SECOND), read_lines(SENTENCES)
    held_out = [number for number, line in enumerate(sentences) if line["half"] == "held_out"]
    assert sorted(line["id"] for line in lines) == held_out
    assert {line["verdict"] for line in lines} == {S, C, N}


def test_kappa_by_hand() -> None:
    """Agreement 3 of 4; by chance (2/4 x 1/4) + (2/4 x 3/4) = .5: kappa (.75 - .5) / (1 - .5)."""
    from checker_accuracy import kappa

    assert kappa([1, 2, 3, 4], [S, S, C, C], [S, C, C, C], draws=20).value == pytest.approx(0.5)


@pytest.mark.slow
def test_accuracy_on_movielens() -> None:
    """Sentences that are known to be of our own generators are read word by word; a checker that is not told finds less
    of what is false, and is as right in what it says."""
    from checker_accuracy import accuracy, check_labelled, check_made, movielens

    histories, items = movielens()
    ours = Vocabulary(items, find_domain("movies"), is_ours=True)
    anybody = Vocabulary(items, find_domain("movies"))
    made = ClaimMaker(histories, items, ("film", "films", "viewer"), seed=17).make(2000)
    measured = [accuracy((c.verdict, given) for c, given in check_made(made, histories, ours))]
    for told in (ours, None):
        sentences = check_labelled(histories, anybody, told)
        measured.append(accuracy((one.first, one.checker) for one in sentences if one.half == "held_out"))
    for found, least in zip(measured, (0.95, 0.97, 0.88), strict=True):
        assert found[S].precision.value >= 0.98
        assert found[S].recall.value >= 0.95
        assert found[C].precision.value >= 0.97
        assert found[C].recall.value >= least


@pytest.mark.slow
def test_accuracy_on_free_sentences() -> None:
    """With the tags of the embedded knowledge cards: the aims, on the half that was held out."""
    from checker_accuracy import check_free, movielens

    histories, items = movielens()
    cards = Path(__file__).parents[1] / "trackrec" / "knowledge" / "movielens-100k.jsonl"
    tags = pl.read_ndjson(cards).select("item_id", "tags")
    vocabulary = Vocabulary(items.join(tags, on="item_id", how="left"), find_domain("movies"))
    found = check_free(histories, vocabulary, "held_out")
    assert len(found) == 340
    on_user = [one for one in found if one.label != "no_claim"]
    assert sum(one.verdict != N for one in on_user) >= 0.6 * len(on_user)
    for verdict, least in ((S, 0.97), (C, 0.95)):
        given = [one for one in found if one.verdict == verdict]
        assert sum(one.label == verdict for one in given) >= least * len(given)


def test_the_free_sentences_are_as_promised() -> None:
    from checker_accuracy import FREE, read_lines

    lines = read_lines(FREE)
    assert len(lines) >= 600
    assert len({line["writer"] for line in lines}) >= 3
    assert {line["split"] for line in lines} == {"dev", "held_out"}
    assert {line["label"] for line in lines} == {S, C, N, "no_claim"}
