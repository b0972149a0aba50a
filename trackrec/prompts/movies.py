"""The prompts' texts for films."""

from __future__ import annotations

from trackrec.prompts.domain import Domain

MOVIES = Domain(
    name="movies",
    item="film",
    items="films",
    person="viewer",
    people="viewers",
    attribute="genre",
    genre_separator=" ",
    generator_instruction="From a viewer's ratings (1 to 5, oldest first), describe what they like and dislike.",
    validator_instruction="Predict whether a viewer will like a film. Answer Yes or No.",
    reccot_label="About the viewer:",
    placeholder="Nothing is known.",
    liked_by="Liked by {tenths} in 10 viewers.",
    unrated="Not rated.",
    question="Like it?",
    often="Watches many {genres} films",
)
