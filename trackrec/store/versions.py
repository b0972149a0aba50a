"""What a store says of itself: its versions, which one is served, and which one was before."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trackrec.errors import StoreError

SCHEMA = 1


class Version(BaseModel):
    """A version in a store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    """Where its records lie."""
    state: Literal["loading", "ready"]
    """Only a version that was loaded whole and checked is ready, and only such a one can be served."""
    records: int = 0
    checksum: str = ""
    """Sum over its records of a hash of key and value, whatever their order."""
    published: int = 0
    """When it was loaded, in seconds."""


class State(BaseModel):
    """The document of state of a store. Every read parses it if it changed, so it is kept short."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trackrec_store: int = SCHEMA
    """The schema: what is written otherwise is not read."""
    current: str | None = None
    previous: str | None = None
    serial: int = 0
    """Counts the tables that were ever made, so that none is used twice."""
    versions: dict[str, Version] = {}

    @classmethod
    def parse(cls, raw: bytes) -> State:
        """From what lies in the store.

        Raises:
            StoreError: it is of another schema.
        """
        if not raw:
            return cls()
        try:
            tree = json.loads(raw)
            found = tree.get("trackrec_store") if isinstance(tree, dict) else None
        except ValueError:
            tree, found = None, None
        if found != SCHEMA:
            raise StoreError(
                f"the store is of schema {found!r}, but this TrackRec reads schema {SCHEMA}: publish into a new store, "
                "or use the TrackRec that wrote this one"
            )
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise StoreError(
                f"the store's state cannot be read ({error.error_count()} faults): publish anew"
            ) from error

    def dump(self) -> bytes:
        """As bytes for the store."""
        return self.model_dump_json().encode()

    def named(self, version: str) -> Version:
        """A version by its name.

        Raises:
            StoreError: there is none of that name.
        """
        if version not in self.versions:
            known = ", ".join(self.versions) or "none"
            raise StoreError(f"the store holds no version {version!r}; it holds {known}")
        return self.versions[version]

    def table(self, version: str | None = None) -> str | None:
        """Where the records of a version (None: the one that is served) lie; None: it is not there or not ready."""
        name = self.current if version is None else version
        found = None if name is None else self.versions.get(name)
        return found.table if found is not None and found.state == "ready" else None
