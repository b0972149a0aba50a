"""Runs in an environment with Hugging Face's ``datasets`` alone, in the folder of an export."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

from datasets import load_dataset


def main() -> None:
    """Load, and compare."""
    here = str(Path.cwd())  # the name of a data set comes from its folder: "." has none
    examples = load_dataset(here, "examples")
    users = load_dataset(here, "users", split="train")
    items = load_dataset(here, "items", split="train")
    parts = {name: set(part["user_id"]) for name, part in examples.items()}
    for one, other in combinations(parts, 2):
        assert not parts[one] & parts[other], f"a user is in {one} and {other}"
    assert set().union(*parts.values()) == set(users["user_id"])
    assert set().union(*(part["item_id"] for part in examples.values())) <= set(items["item_id"])
    wide = {len(vector) for vector in users["reccot_vector"] if vector is not None}
    assert len(wide) == 1, wide
    print(
        json.dumps({**{name: len(part) for name, part in examples.items()}, "users": len(users), "vector": wide.pop()})
    )


if __name__ == "__main__":
    main()
