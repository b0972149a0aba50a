"""The run folder: stages done once, tables written whole or not at all, manifests that say what made what."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.files import manifests
from trackrec.files.forgotten import Forgotten
from trackrec.files.hashes import file_hash, text_hash
from trackrec.files.lock import locked
from trackrec.files.names import CHECKPOINTS, check_name
from trackrec.files.shards import keep_planned, link, whole_shard, write_shard
from trackrec.files.tables import read_table
from trackrec.files.whole import abandoned, remove, write_json, write_table, written_whole
from trackrec.lm import processes
from trackrec.lm.threads import threads_in_use
from trackrec.memory import give_back_memory, peak_gigabytes
from trackrec.progress import Reporter

__all__ = ["Run", "Stage", "file_hash", "text_hash", "write_json", "write_table", "written_whole"]

_VERSIONS = ("trackrec", "torch", "transformers", "peft", "polars")


class Stage:
    """A stage at work: where it writes its tables, shards and adapters, and what its manifest will say."""

    def __init__(self, run: Run, name: str, fingerprint: dict[str, Any]) -> None:
        self.run, self.name, self.fingerprint = run, name, fingerprint
        self.outputs: list[Path] = []
        self.shard_folders: list[Path] = []
        self.counts: dict[str, Any] = {}
        """Counts, and whatever else the manifest should record."""

    def write(self, table_name: str, table: pl.DataFrame) -> None:
        """Write a table of the run."""
        path = self.run.table(table_name)
        write_table(path, table)
        self.outputs.append(path)

    def output(self, name: str, table: pl.DataFrame) -> None:
        """Write a table that leaves the run, at the top of its folder."""
        path = self.run.folder / f"{name}.parquet"
        write_table(path, table)
        self.outputs.append(path)

    @contextmanager
    def folder(self, path: Path) -> Iterator[Path]:
        """Write a folder whole or not at all (an adapter, say)."""
        with written_whole(path) as partial:
            partial.mkdir()
            yield partial
        self.outputs.append(path)

    def checkpoints(self, name: str, steps: int) -> Path | None:
        """Where the states of a training of this stage are kept until the stage is finished; None: nowhere.

        Args:
            name: of the training, where the stage has several.
            steps: after how many optimiser steps a state is kept; 0: never.
        """
        folder = self.run.folder / CHECKPOINTS / f"{self.name}-{name}"
        if steps and processes.is_first():
            self._keep(folder, processes.count())
        return folder if steps else None

    def _keep(self, folder: Path, how: Any) -> None:
        plan = hashlib.sha256(json.dumps([self.fingerprint, how], default=str, sort_keys=True).encode()).hexdigest()
        self.shard_folders.append(folder)
        keep_planned(folder, plan)

    def shards(
        self, table_name: str, items: Sequence[Any], size: int, work: Callable[[Sequence[Any]], pl.DataFrame], unit: str
    ) -> pl.DataFrame:
        """Make a table in shards, each kept as it is done; a restart goes on at the first missing one.

        Args:
            table_name: the table's name.
            items: what is worked on; a shard is ``size`` of them, in order.
            size: items a shard.
            work: makes the rows of one shard. It must depend on the shard's items alone.
            unit: what an item is, for the progress bar.
        """
        folder = self.run.folder / "shards" / f"{self.name}-{table_name.replace('/', '-')}"
        self._keep(folder, size)
        starts = range(0, len(items), size)
        parts = []
        with self.run.reporter.bar(f"{self.name}", len(items), unit) as advance:
            for number, start in enumerate(starts):
                shard = items[start : start + size]
                path = folder / f"{number:05d}-of-{len(starts):05d}.parquet"
                part = whole_shard(path)
                if part is None and path.exists():
                    self.run.reporter.line(f"{self.name}: the shard {path} is damaged and is made again")
                worked = part is None
                if part is None:
                    write_shard(path, work(shard))
                    part = read_table(path)
                advance(len(shard), worked)
                parts.append(part)
        table = pl.concat(parts) if parts else pl.DataFrame()
        self.write(table_name, table)
        return table


class _Following(Stage):
    """A stage in a process that takes part in its training: it makes what the first one makes and keeps nothing."""

    def write(self, table_name: str, table: pl.DataFrame) -> None:
        """Keeps nothing."""

    def output(self, name: str, table: pl.DataFrame) -> None:
        """Keeps nothing."""

    @contextmanager
    def folder(self, path: Path) -> Iterator[Path]:
        """A folder that goes again."""
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)


class Run:
    """A run folder.

    Where a launcher started several processes, all go through the same stages: the first one works, the others take
    part in what is trained ``together``.

    Args:
        folder: where the run lives; made if it is missing.
        reporter: shows progress.
        seed: the recipe's seed, part of every stage's fingerprint.
        lender: another run, whose finished stages are taken over where settings, inputs and seed are the same.
        reading: no stage is to run here, so nothing is cleared away: another command may be at work in the folder.
    """

    def __init__(
        self, folder: Path, reporter: Reporter, seed: int, lender: Path | None = None, reading: bool = False
    ) -> None:
        self.folder, self.reporter, self.seed, self.lender = folder, reporter, seed, lender
        self.reading = reading
        self.following = not reading and not processes.is_first()
        manifests.check_format(folder)
        self.forgotten = Forgotten.of(folder)
        """Whom no stage may read."""
        if reading or self.following:
            return
        with locked(folder):
            for stale in abandoned(folder):  # what a killed run was writing
                remove(stale)

    def table(self, name: str) -> Path:
        """Path of a table. A name that would lead out of the run's tables is a RunError."""
        return self.folder / "tables" / f"{check_name(name, 'the table')}.parquet"

    def read(self, name: str) -> pl.DataFrame:
        """A table that a stage wrote.

        Raises:
            RunError: the stage that writes it has not run here, or the table is not what the stage wrote.
        """
        path = self.table(name)
        if not path.is_file():
            raise RunError(
                f"the run {self.folder} has no table {name!r} ({path}): run the recipe first, or go on with it"
            )
        return read_table(self.written(path))

    def read_output(self, name: str) -> pl.DataFrame:
        """A table at the top of the folder, as its stage wrote it. Errors are those of `read`."""
        return read_table(self.written(self.folder / f"{check_name(name, 'the table')}.parquet"))

    def written(self, path: Path) -> Path:
        """A file or folder of the run, if it is what its stage wrote; see `trackrec.files.manifests.as_written`."""
        return manifests.as_written(self.folder, path, self._hashes)

    @contextmanager
    def changing(self, paths: Sequence[Path]) -> Iterator[None]:
        """Change what finished stages wrote inside the block; see `trackrec.files.manifests.changing`."""
        with manifests.changing(self.folder, paths):
            yield
        self.__dict__.pop("_hashes", None)

    def manifest(self, stage: str) -> dict[str, Any]:
        """What a finished stage recorded of itself."""
        path = self._manifest_path(stage)
        if not path.is_file():
            raise RunError(
                f"the stage {stage!r} has not finished in {self.folder}: there is no {path.name} in manifests/"
            )
        if (manifest := manifests.read_manifest(path)) is not None:
            return manifest
        raise RunError(f"{path} is damaged: it is no manifest. Start the run again, which does this stage anew")

    def _manifest_path(self, stage: str) -> Path:
        return self.folder / "manifests" / f"{check_name(stage, 'the stage')}.json"

    def do(
        self,
        name: str,
        work: Callable[[Stage], None],
        inputs: Sequence[Path],
        settings: Any,
        regardless_of: Sequence[str] = (),
        together: bool = False,
    ) -> None:
        """Run a stage unless it is finished, here or in the lender, with these very settings, inputs and seed.

        A finished stage whose outputs are no longer what it wrote is done again.

        Args:
            name: the stage's name, that of its manifest.
            work: does it, through the stage that it is given.
            inputs: files and folders that it reads; their hashes decide whether an earlier result still holds.
            settings: what else decides its result; anything that JSON can say.
            regardless_of: settings (with dots) that are recorded but change nothing in this stage.
            together: whether all processes do it, because they train a model together; else the first one alone.

        Raises:
            RunError: another process is at work in the folder.
        """
        if self.reading:
            raise RunError(f"the run {self.folder} was opened for reading, but stage {name!r} was to run: open it anew")
        if self.following:
            if processes.first_says() and together:
                work(_Following(self, name, {}))
            processes.wait()
            return
        with locked(self.folder):
            fingerprint = {
                "settings": json.loads(json.dumps(settings, default=str)),
                "inputs": {path.relative_to(self.folder).as_posix(): file_hash(path) for path in inputs},
                "seed": self.seed,
            }
            needed = not self._done_before(name, fingerprint, regardless_of)
            if needed:
                self._no_longer_done(name)
                self._take_nothing_over()
                needed = self.lender is None or not self._borrow(self.lender, name, fingerprint, regardless_of)
            processes.first_says(needed)
            if needed:
                self._work(name, work, fingerprint)
        processes.wait()

    def _done_before(self, name: str, fingerprint: dict[str, Any], regardless_of: Sequence[str]) -> bool:
        """Whether a stage is finished, with this fingerprint and with outputs that are still what it wrote."""
        path = self._manifest_path(name)
        if not path.is_file():
            return False
        manifest = manifests.read_manifest(path)
        if manifest is None:
            self.reporter.line(f"{name}: {path} is damaged; the stage is done again")
            return False
        taken_over = manifest.pop(manifests.TAKE_OVER, [])
        if not manifests.same(manifest["fingerprint"], fingerprint, (*regardless_of, *taken_over)):
            return False
        for output, expected in manifest["outputs"].items():
            place = self.folder / output
            if not place.exists():
                self.reporter.line(f"{name}: {place} is gone; the stage is done again")
                return False
            if file_hash(place) != expected:
                self.reporter.line(f"{name}: {place} is not what the stage wrote (damaged or changed); done again")
                return False
        if taken_over:
            manifests.write_manifest(path, manifest | {"fingerprint": fingerprint})
        self.reporter.line(f"{name}: done before ({manifest['seconds']:.0f} s)")
        return True

    @cached_property
    def _hashes(self) -> dict[str, set[str]]:
        """Hashes of what the finished stages wrote, by path; where several processes train, the first one looks."""
        return {} if self.following else manifests.hashes_written(self.folder)

    def _no_longer_done(self, name: str) -> None:
        """Take away the manifest of a stage that is to be done again: until then nothing holds for what it wrote."""
        path = self._manifest_path(name)
        for output in (manifests.read_manifest(path) or {}).get("outputs") or {}:
            self._hashes.pop(output, None)
        path.unlink(missing_ok=True)

    def _take_nothing_over(self) -> None:
        """Once a stage is done again, what follows from its tables is not what it was when somebody was forgotten."""
        for path in (self.folder / "manifests").glob("*.json") if self.forgotten else ():
            manifest = manifests.read_manifest(path) or {}
            if manifest.pop(manifests.TAKE_OVER, None):
                manifests.write_manifest(path, manifest)

    def _finish(self, name: str, manifest: dict[str, Any]) -> None:
        manifests.write_manifest(self._manifest_path(name), manifest)
        self._hashes.update({output: {found} for output, found in manifest["outputs"].items()})

    def _work(self, name: str, work: Callable[[Stage], None], fingerprint: dict[str, Any]) -> None:
        stage = Stage(self, name, fingerprint)
        started = time.monotonic()
        work(stage)
        seconds = time.monotonic() - started
        give_back_memory()
        manifest = {
            "format": manifests.FORMAT,
            "stage": name,
            "fingerprint": fingerprint,
            "outputs": {output.relative_to(self.folder).as_posix(): file_hash(output) for output in stage.outputs},
            "counts": stage.counts,
            "seconds": round(seconds, 2),
            "peak_gb": peak_gigabytes(),
            "threads": threads_in_use(),
            "versions": {package: version(package) for package in _VERSIONS},
        }
        self._finish(name, manifest)
        for folder in stage.shard_folders:
            shutil.rmtree(folder)
        self.reporter.line(f"{name}: {seconds:.0f} s")

    def _borrow(self, lender: Path, name: str, fingerprint: dict[str, Any], regardless_of: Sequence[str]) -> bool:
        """Take over a stage of the lender, if it is the same one and its outputs are still what its manifest says."""
        if self.forgotten != Forgotten.of(lender):
            return False  # the lender's tables may hold somebody who is forgotten here
        manifest = manifests.read_manifest(lender / "manifests" / f"{name}.json")
        if manifest is None or not manifests.same(manifest["fingerprint"], fingerprint, regardless_of):
            return False
        outputs = manifest["outputs"]
        if any(not (lender / output).exists() or file_hash(lender / output) != outputs[output] for output in outputs):
            return False
        for output in outputs:
            with written_whole(self.folder / output) as partial:
                if (lender / output).is_dir():
                    shutil.copytree(lender / output, partial, copy_function=link)
                else:
                    link(lender / output, partial)
        origin = {"fingerprint": fingerprint, "borrowed_from": os.path.relpath(lender, self.folder)}
        self._finish(name, manifest | origin)
        self.reporter.line(f"{name}: as in {lender.name} ({manifest['seconds']:.0f} s saved)")
        return True
