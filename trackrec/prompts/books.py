"""The prompts' texts for books."""

from __future__ import annotations

from trackrec.prompts.domain import Domain

BOOKS = Domain(
    name="books",
    item="book",
    items="books",
    person="reader",
    people="readers",
    attribute="subject",
    genre_separator=", ",
    generator_instruction="From a reader's ratings (oldest first), describe what they like and dislike.",
    validator_instruction="Predict whether a reader will like a book. Answer Yes or No.",
    reccot_label="About the reader:",
    placeholder="Nothing is known.",
    liked_by="Liked by {tenths} in 10 readers.",
    unrated="Not rated.",
    question="Like it?",
    often="Reads many {genres} books",
)
