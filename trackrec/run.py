"""The run folder: stages done once, tables written whole or not at all, manifests that say what made what."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from trackrec.errors import RunError
from trackrec.memory import give_back_memory
from trackrec.progress import Reporter

_VERSIONS = ("trackrec", "torch", "transformers", "peft", "polars")


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder (names and contents), hexadecimal."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode() if path.is_dir() else b"")
            digest.update(file.read_bytes())
    return digest.hexdigest()


def text_hash(table: pl.DataFrame) -> str:
    """SHA-256 of a small table's content, hexadecimal."""
    return hashlib.sha256(table.write_json().encode()).hexdigest()


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to (a file or a folder); it becomes ``path`` once the block has ended well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(partial, path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        elif partial.exists():
            partial.unlink()


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a Parquet file whole or not at all."""
    with written_whole(path) as partial:
        table.write_parquet(partial)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


class Stage:
    """A stage at work: where it writes its tables, shards and adapters, and what its manifest will say."""

    def __init__(self, run: Run, name: str, fingerprint: dict[str, Any]) -> None:
        self.run, self.name, self.fingerprint = run, name, fingerprint
        self.outputs: list[Path] = []
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
        plan = hashlib.sha256(json.dumps([self.fingerprint, size], default=str, sort_keys=True).encode()).hexdigest()
        folder = self.run.folder / "shards" / f"{self.name}-{table_name.replace('/', '-')}"
        if (folder / "plan").exists() and (folder / "plan").read_text(encoding="utf-8") != plan:
            shutil.rmtree(folder)  # shards of other settings or inputs
        if not (folder / "plan").exists():
            with written_whole(folder / "plan") as partial:
                partial.write_text(plan, encoding="utf-8")
        starts = range(0, len(items), size)
        parts = []
        with self.run.reporter.bar(f"{self.name}", len(items), unit) as advance:
            for number, start in enumerate(starts):
                shard = items[start : start + size]
                path = folder / f"{number:05d}-of-{len(starts):05d}.parquet"
                if path.exists():
                    advance(len(shard), False)
                else:
                    write_table(path, work(shard))
                    advance(len(shard), True)
                parts.append(pl.read_parquet(path))
        table = pl.concat(parts) if parts else pl.DataFrame()
        self.write(table_name, table)
        return table


class Run:
    """A run folder.

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
        if reading:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.rglob(".*.partial"):  # what a killed run was writing
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()

    def table(self, name: str) -> Path:
        """Path of a table."""
        return self.folder / "tables" / f"{name}.parquet"

    def read(self, name: str) -> pl.DataFrame:
        """A table that a stage wrote.

        Raises:
            RunError: the stage that writes it has not run here.
        """
        path = self.table(name)
        if not path.is_file():
            raise RunError(
                f"the run {self.folder} has no table {name!r} ({path}): run the recipe first, or go on with it"
            )
        return pl.read_parquet(path)

    def manifest(self, stage: str) -> dict[str, Any]:
        """What a finished stage recorded of itself."""
        path = self.folder / "manifests" / f"{stage}.json"
        if not path.is_file():
            raise RunError(
                f"the stage {stage!r} has not finished in {self.folder}: there is no {path.name} in manifests/"
            )
        return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    def do(
        self,
        name: str,
        work: Callable[[Stage], None],
        inputs: Sequence[Path],
        settings: Any,
        regardless_of: Sequence[str] = (),
    ) -> None:
        """Run a stage unless it is finished, here or in the lender, with these very settings, inputs and seed.

        Args:
            name: the stage's name, that of its manifest.
            work: does it, through the stage that it is given.
            inputs: files and folders that it reads; their hashes decide whether an earlier result still holds.
            settings: what else decides its result; anything that JSON can say.
            regardless_of: settings (with dots) that are recorded but change nothing in this stage.
        """
        if self.reading:
            raise RunError(f"the run {self.folder} was opened for reading, but stage {name!r} was to run: open it anew")
        fingerprint = {
            "settings": json.loads(json.dumps(settings, default=str)),
            "inputs": {str(path.relative_to(self.folder)): file_hash(path) for path in inputs},
            "seed": self.seed,
        }
        path = self.folder / "manifests" / f"{name}.json"
        if path.is_file():
            manifest = json.loads(path.read_text(encoding="utf-8"))
            whole = all((self.folder / output).exists() for output in manifest["outputs"])
            if whole and _same(manifest["fingerprint"], fingerprint, regardless_of):
                self.reporter.line(f"{name}: done before ({manifest['seconds']:.0f} s)")
                return
        if self.lender is not None and self._borrow(self.lender, name, fingerprint, regardless_of):
            return
        stage = Stage(self, name, fingerprint)
        started = time.monotonic()
        work(stage)
        seconds = time.monotonic() - started
        give_back_memory()
        manifest = {
            "stage": name,
            "fingerprint": fingerprint,
            "outputs": {str(output.relative_to(self.folder)): file_hash(output) for output in stage.outputs},
            "counts": stage.counts,
            "seconds": round(seconds, 2),
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
            "versions": {package: version(package) for package in _VERSIONS},
        }
        write_json(path, manifest)
        for folder in (self.folder / "shards").glob(f"{name}-*"):
            shutil.rmtree(folder)
        self.reporter.line(f"{name}: {seconds:.0f} s")

    def _borrow(self, lender: Path, name: str, fingerprint: dict[str, Any], regardless_of: Sequence[str]) -> bool:
        """Take over a stage of the lender, if it is the same one and its outputs are still what its manifest says."""
        path = lender / "manifests" / f"{name}.json"
        if not path.is_file():
            return False
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not _same(manifest["fingerprint"], fingerprint, regardless_of):
            return False
        outputs = manifest["outputs"]
        if any(not (lender / output).exists() or file_hash(lender / output) != outputs[output] for output in outputs):
            return False
        for output in outputs:
            with written_whole(self.folder / output) as partial:
                if (lender / output).is_dir():
                    shutil.copytree(lender / output, partial, copy_function=_link)
                else:
                    _link(lender / output, partial)
        origin = {"fingerprint": fingerprint, "borrowed_from": os.path.relpath(lender, self.folder)}
        write_json(self.folder / "manifests" / f"{name}.json", manifest | origin)
        self.reporter.line(f"{name}: as in {lender.name} ({manifest['seconds']:.0f} s saved)")
        return True


def _same(left: dict[str, Any], right: dict[str, Any], regardless_of: Sequence[str]) -> bool:
    """Whether two fingerprints agree, some settings left aside."""
    return _without(left, regardless_of) == _without(right, regardless_of)


def _without(fingerprint: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    left: dict[str, Any] = copy.deepcopy(fingerprint)
    for name in names:
        *parents, last = name.split(".")
        group = left["settings"]
        for parent in parents:
            group = group.get(parent, {})
        group.pop(last, None)
    return left


def _link(source: Path | str, target: Path | str) -> None:
    """Give a file a second name, or copy it where that cannot be. Stages replace files and never write into them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
