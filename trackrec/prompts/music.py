"""The prompts' texts for music: artists and who listens to them."""

from __future__ import annotations

from trackrec.prompts.domain import Domain

MUSIC = Domain(
    name="music",
    item="artist",
    items="artists",
    person="listener",
    people="listeners",
    attribute="genre",
    genre_separator=", ",
    generator_instruction="From what a listener plays (oldest first), describe their taste in music.",
    validator_instruction="Predict whether a listener will play an artist. Answer Yes or No.",
    reccot_label="About the listener:",
    placeholder="Nothing is known.",
    liked_by="Liked by {tenths} in 10 listeners.",
    unrated="Not rated.",
    question="Play it?",
    often="Listens to a lot of {genres} music",
)
