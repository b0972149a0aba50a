"""What differs between domains: the nouns and fixed texts of the prompts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Domain:
    """The fixed texts of one domain; everything the prompts say beside the data comes from here.

    Texts are short on purpose: the time on a CPU goes with the tokens.
    """

    name: str
    """How recipes call the domain, such as ``movies``."""
    item: str
    """One item, such as ``film``."""
    items: str
    """Several items, such as ``films``."""
    person: str
    """One user, such as ``viewer``."""
    people: str
    """Several users, such as ``viewers``."""
    attribute: str
    """What the catalogue's ``genres`` column holds, such as ``genre``."""
    genre_separator: str
    """What stands between two genres in an item's line; a space is the shortest, where no genre has one inside."""
    generator_instruction: str
    """What the generator is asked to do with the history."""
    validator_instruction: str
    """What the validator is asked to do with the last events, the RecCoT and the target."""
    reccot_label: str
    """What stands before the RecCoT in the validator's prompt."""
    placeholder: str
    """What stands in the RecCoT's place where there is none."""
    liked_by: str
    """Statistics of a target that others rated, with the field ``{tenths}``: how many of ten liked it."""
    unrated: str
    """Statistics of a target that nobody else rated."""
    question: str
    """What is asked about the target; the answer follows."""
    often: str = "Chooses many {genres} items"
    """What somebody often goes for, with the field ``{genres}``: the beginning of a sentence of a RecCoT."""
    answers: tuple[str, str] = ("Yes", "No")
    """The two answers, the liking one first; of one token each they are scored the quickest."""
