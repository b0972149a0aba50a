"""The prompts' texts for what a shop sells."""

from __future__ import annotations

from trackrec.prompts.domain import Domain

PRODUCTS = Domain(
    name="products",
    item="product",
    items="products",
    person="customer",
    people="customers",
    attribute="category",
    genre_separator=", ",
    generator_instruction="From a customer's ratings (oldest first), describe what they like and dislike.",
    validator_instruction="Predict whether a customer will like a product. Answer Yes or No.",
    reccot_label="About the customer:",
    placeholder="Nothing is known.",
    liked_by="Liked by {tenths} in 10 customers.",
    unrated="Not rated.",
    question="Like it?",
    often="Buys many {genres} products",
)
