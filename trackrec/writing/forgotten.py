"""Forgetting at a place of publications: one person out of every version there, whole or unfinished, for good."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError, WriteError
from trackrec.files.forgotten import TOMBSTONES, Forgotten, read_tombstones, with_tombstone
from trackrec.files.tables import table_of
from trackrec.writing.histories import NOTHING
from trackrec.writing.lock import Holder, only_writer
from trackrec.writing.partition import partition_name, shard_of
from trackrec.writing.place import Place
from trackrec.writing.shard_file import parquet_bytes, part_of, shard_file
from trackrec.writing.versions import POINTER, Versions

_JOURNAL = "forgetting.json"
"""In a version, while a shard of it is changed: what its manifests are to be. A kill leaves it, and the next forgetting
or writing ends what it says; the tombstone says who goes, the journal holds no id."""
_REFERENCES = "shards_by_reference"
_SHARD = re.compile(r"(\d+)-of-(\d+)\.(?:parquet|json)")


def forgotten_at(place: Place, run: Path) -> Forgotten:
    """Whom nothing may be written for: the people forgotten at a place, and those forgotten in the run.

    Raises:
        RunError: tombstones cannot be read.
    """
    found = Forgotten.of(run)
    try:
        content = place.read(TOMBSTONES)
    except FileNotFoundError:
        return found
    salt, users = read_tombstones(content, place.path(TOMBSTONES))
    return found | Forgotten({salt: frozenset(users)})


@dataclass
class _Found:
    rows: int = 0
    versions: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def forget_at(user: str, place: Place) -> str:
    """Remove a person from all versions at a place, and see to it that no later version has the person again.

    Counts, sizes and hashes of the manifests are brought up to date, so that a version is as whole as before. Readers
    that are loading the shard at that very moment are refused by its hash, and succeed when they start again.

    Args:
        user: the id as text.
        place: the publications.

    Returns:
        What was removed, in sentences, without the id.

    Raises:
        WriteError: there are no publications there.
        TargetBusy: a job is at work there.
        RunError: the tombstones there cannot be read.
    """
    versions = Versions(place)
    if not versions.names() and not place.exists(POINTER):
        raise WriteError(f"{place.url} holds no publication: name the folder or URL that trackrec write wrote to")
    found = _Found()
    with only_writer(place) as holder:
        place.clear_partial()
        content = place.read(TOMBSTONES) if place.exists(TOMBSTONES) else None
        place.write_json(TOMBSTONES, with_tombstone(content, place.path(TOMBSTONES), user))
        salt, users = read_tombstones(place.read(TOMBSTONES), place.path(TOMBSTONES))
        gone = Forgotten({salt: frozenset(users)})
        end_forgetting(place)
        for version in versions.names():  # all of them before any file is changed that others refer to
            _Version(place, version, gone, found).own_files(user, holder)
        for version in versions.names():
            before = found.rows
            _Version(place, version, gone, found).clean(user, holder)
            if found.rows > before:
                found.versions.append(version)
    told = f"Removed {found.rows} rows from versions at {place.url}: {', '.join(found.versions) or 'none has any'}."
    if found.damaged:
        told += f" Removed what was damaged and could not be searched, write anew: {', '.join(found.damaged)}."
    return f"{told} No later version has the person again; copies elsewhere and earlier objects of the storage stay."


def end_forgetting(place: Place) -> None:
    """End the change of a shard in which forgetting was killed, before anything else is changed: manifests of it are
    known, and must not be put over later ones. Only for who holds the place.

    Raises:
        RunError: the tombstones there cannot be read.
    """
    if not place.exists(TOMBSTONES):
        return
    salt, users = read_tombstones(place.read(TOMBSTONES), place.path(TOMBSTONES))
    for version in Versions(place).names():
        _Version(place, version, Forgotten({salt: frozenset(users)}), _Found()).end()


@dataclass
class _Version:
    place: Place
    name: str
    gone: Forgotten
    found: _Found

    def own_files(self, user: str, holder: Holder) -> None:
        """Copy the shards that may hold a person, where they are an older version's files, into this version: each
        version can then be cleaned by itself. A kill leaves a shard's own manifest as it was, which is changed last."""
        for file in self._names("shards"):
            match = _SHARD.fullmatch(file)
            if not file.endswith(".json") or match is None or int(match[1]) not in _may_hold(user, int(match[2])):
                continue
            part = part_of(self.place, self.name, file.removesuffix(".json"))
            if part is None or part.get("file_version") is None:
                continue
            holder.check()
            with suppress(FileNotFoundError):  # readers find it missing, as they did before
                content = self.place.read(shard_file(self.name, part))
                self.place.write(f"{self._folder}/shards/{part['name']}.parquet", content)
            manifest = Versions(self.place).manifest(self.name)
            for entry in (manifest or {"shards": []})["shards"]:
                if entry["name"] == part["name"] and entry.pop("file_version", None) is not None:
                    _take((manifest or {})["counts"], Counter({_REFERENCES: 1}))
            if manifest is not None:
                self.place.write_json(f"{self._folder}/manifest.json", manifest)
            del part["file_version"]
            _take(part["counts"], Counter({_REFERENCES: 1}))
            self.place.write_json(f"{self._folder}/shards/{file}", part)

    def end(self) -> None:
        journal = self.place.read_json(f"{self._folder}/{_JOURNAL}")
        if journal is not None:
            self._apply(journal)

    def clean(self, user: str, holder: Holder) -> None:
        shards = set()
        for file in (*self._names("shards"), *self._names("rejected")):
            match = _SHARD.fullmatch(file)
            if match is None or int(match[1]) in _may_hold(user, int(match[2])):
                shards.add(file.rpartition(".")[0])
        for name in sorted(shards):
            holder.check()
            self._clean_shard(name)
        plan = Versions(self.place).plan(self.name)
        for shard in _may_hold(user, plan.shards) if plan is not None else ():
            self._clean_table(f"work/{partition_name(shard)}")

    @property
    def _folder(self) -> str:
        return f"versions/{self.name}"

    def _names(self, folder: str) -> Sequence[str]:
        return self.place.names(f"{self._folder}/{folder}")

    def _read(self, name: str) -> tuple[pl.DataFrame, pl.DataFrame] | None:
        """A table without the forgotten, and what was theirs; None: there is none, or it was damaged and is gone."""
        try:
            content = self.place.read(f"{self._folder}/{name}")
        except FileNotFoundError:
            return None
        try:
            table = table_of(content, name)
            kept = self.gone.left_out(table)
        except (RunError, pl.exceptions.PolarsError):  # nobody can say what is in it
            self.place.remove(f"{self._folder}/{name}")
            self.found.damaged.append(f"{self._folder}/{name}")
            return None
        return kept, table.filter(~pl.col("user_id").is_in(kept["user_id"].implode()))

    def _clean_table(self, name: str) -> None:
        read = self._read(name)
        if read is not None and read[1].height:
            self.place.write(f"{self._folder}/{name}", parquet_bytes(read[0]))
            self.found.rows += read[1].height

    def _clean_shard(self, shard: str) -> None:
        rows, rejected = self._read(f"shards/{shard}.parquet"), self._read(f"rejected/{shard}.parquet")
        theirs = [None if read is None else read[1] for read in (rows, rejected)]
        if not any(table is not None and table.height for table in theirs):
            return
        manifest, part = self._manifests(shard, rows, *theirs)
        journal = {"shard": shard, "manifest": manifest, "part": part}
        self.place.write_json(f"{self._folder}/{_JOURNAL}", journal)
        self._apply(journal)

    def _apply(self, journal: dict[str, Any]) -> None:
        """Change a shard and its manifests, however far an earlier start came with it."""
        shard = journal["shard"]
        self._clean_table(f"rejected/{shard}.parquet")
        self._clean_table(f"shards/{shard}.parquet")
        for name, told in (("manifest", journal["manifest"]), (f"shards/{shard}", journal["part"])):
            if told is not None:
                self.place.write_json(f"{self._folder}/{name}.json", told)
        self.place.remove(f"{self._folder}/{_JOURNAL}")

    def _manifests(
        self,
        shard: str,
        rows: tuple[pl.DataFrame, pl.DataFrame] | None,
        theirs: pl.DataFrame | None,
        rejected: pl.DataFrame | None,
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The version's manifest and the shard's as they are to be; a hash that did not fit the shard stays wrong."""
        manifest = Versions(self.place).manifest(self.name)
        part = part_of(self.place, self.name, shard)
        less, reasons = _counts(self.name, theirs, rejected)
        changes: dict[str, Any] = {}
        if rows is not None and theirs is not None and theirs.height:
            before, after = self.place.read(f"{self._folder}/shards/{shard}.parquet"), parquet_bytes(rows[0])
            less["bytes"] = len(before) - len(after)
            changes = {"sha256": hashlib.sha256(after).hexdigest(), "bytes": len(after), "rows": rows[0].height}
            right = hashlib.sha256(before).hexdigest()
            for entry in [part, *((manifest or {}).get("shards") or ())]:
                if entry is not None and entry.get("name") == shard and entry.get("sha256") == right:
                    entry.update(changes)
        for told in (manifest, part):
            if told is not None:
                _take(told.get("counts"), less)
                _take(told.get("reasons"), reasons)
        if part is not None and rejected is not None:
            part["rejected"] = part.get("rejected", 0) - rejected.height
        return manifest, part


def _counts(
    version: str, theirs: pl.DataFrame | None, rejected: pl.DataFrame | None
) -> tuple[Counter[str], Counter[str]]:
    """What leaves the counts, and the reasons, of a version with these rows."""
    less, reasons = Counter[str](), Counter[str]()
    if theirs is not None and {"text", "sentences", "version"} <= set(theirs.columns):
        less.update(users=theirs.height, rows=theirs.height)
        for text, sentences, written in theirs.select("text", "sentences", "version").iter_rows():
            less.update(characters=len(text or ""), carried=int(written != version))
            less.update(f"sentences_{sentence['verdict']}" for sentence in sentences or ())
    known = rejected is not None and "reason" in rejected.columns  # else another table was put in its place
    for reason in rejected["reason"].to_list() if known and rejected is not None else ():
        first = str(reason).partition(":")[0]
        less.update(users=1, rejected=1, failed=int(first != NOTHING))
        reasons[first] += 1
    return less, reasons


def _take(counts: dict[str, int] | None, less: Counter[str]) -> None:
    for name, number in less.items():
        if counts is not None and number and name in counts:
            counts[name] -= number


def _may_hold(user: str, shards: int) -> set[int]:
    """The shards in which a user's rows can be, whether ids are numbers or texts."""
    found = {int(shard_of(pl.Series([user], dtype=pl.String), shards)[0])}
    with suppress(ValueError, OverflowError, TypeError):
        found.add(int(shard_of(pl.Series([int(user)], dtype=pl.Int64), shards)[0]))
    return found
