"""The prompts' texts for items of any kind."""

from __future__ import annotations

from trackrec.prompts.domain import Domain

GENERIC = Domain(
    name="generic",
    item="item",
    items="items",
    person="user",
    people="users",
    attribute="category",
    genre_separator=", ",
    generator_instruction="From a user's ratings (oldest first), describe what they like and dislike.",
    validator_instruction="Predict whether a user will like an item. Answer Yes or No.",
    reccot_label="About the user:",
    placeholder="Nothing is known.",
    liked_by="Liked by {tenths} in 10 users.",
    unrated="Not rated.",
    question="Like it?",
)
