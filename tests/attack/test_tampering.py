"""Files of runs, publications and stores that were cut off, changed or swapped: named and made anew, or refused."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from polars.testing import assert_frame_equal
from writing_world import made_log, write_run
from writing_world import publish as write_place

from tests.attack.conftest import World
from tests.attack.size import times
from tests.attack.test_kills import tables
from trackrec.errors import TrackRecError
from trackrec.files.lock import LOCK, OWNER
from trackrec.store.opening import open_store
from trackrec.store.publication import Publication, publish

pytestmark = pytest.mark.slow
KINDS = ("cut off", "empty", "one bit", "noise", "swapped")
TOGETHER = 20
"""Files that are changed before a run is started again."""


def files_of(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name not in (LOCK, OWNER)]
    return sorted(path.relative_to(folder) for path in found)


def change(path: Path, kind: str, others: Sequence[Path], draw: random.Random) -> bool:
    """Damage a file; whether it is another one now."""
    before = content = path.read_bytes()
    at = draw.randrange(len(content)) if content else 0
    if kind == "cut off":
        content = content[:at]
    elif kind == "empty":
        content = b""
    elif kind == "one bit" and content:
        content = content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
    elif kind == "noise":
        content = content[:at] + draw.randbytes(40) + content[at + 40 :]
    elif kind == "swapped":
        alike = [other for other in others if other.suffix == path.suffix and other.name != path.name]
        content = draw.choice(alike).read_bytes() if alike else content[::-1]
    path.write_bytes(content)
    return content != before


def tries(folder: Path, draw: random.Random) -> list[tuple[Path, str]]:
    """Every file of a folder with every kind of damage, mixed."""
    found = [(file, kind) for file in files_of(folder) for kind in KINDS]
    draw.shuffle(found)
    return found


def told_of(folder: Path) -> dict[str, object]:
    """What manifests say of a run, but how long and how large it was."""
    told = {path.name: json.loads(path.read_text()) for path in sorted((folder / "manifests").glob("*.json"))}
    return {
        name: {key: untimed(tree[key]) for key in ("fingerprint", "outputs", "counts")} for name, tree in told.items()
    }


def untimed(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: untimed(value) for key, value in tree.items() if key != "seconds"}
    return tree


def test_every_file_of_a_run(world: World, tmp_path: Path) -> None:
    """Started again, a run with damaged files ends as if nothing had happened, or says what it cannot mend."""
    draw, folder = random.Random(1), tmp_path / "run"
    left = tries(world.finished, draw)
    left = left[: times(len(left))]
    while left:
        batch, files = [], set()
        for file, kind in list(left):
            if file not in files and len(batch) < TOGETHER:
                batch.append((file, kind))
                files.add(file)
                left.remove((file, kind))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(world.finished, folder)
        others = [folder / file for file in files_of(folder)]
        done = [(str(file), kind) for file, kind in batch if change(folder / file, kind, others, draw)]
        told, code = start(world, folder)
        if code:
            assert "Error: " in told, f"{done}: {told[-3000:]}"
            assert any(Path(file).name in told for file, _ in done), f"{done}: {told[-3000:]}"
            shutil.copyfile(world.finished / "recipe.yaml", folder / "recipe.yaml")  # all that a run cannot make anew
            told, code = start(world, folder)
        assert code == 0, f"{done}: {told[-3000:]}"
        expected, found = (tables(place) for place in (world.finished, folder))
        assert list(found) == list(expected), done
        for name, table in expected.items():
            assert_frame_equal(found[name], table, check_exact=True)
        assert (folder / "metrics.json").read_bytes() == (world.finished / "metrics.json").read_bytes(), done
        assert told_of(folder) == told_of(world.finished), done


def start(world: World, folder: Path) -> tuple[str, int]:
    """What the command line prints when the run is started again, and its exit code; a traceback is raised."""
    sink = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(sink), redirect_stderr(sink):
        code = call(patch, "run", str(world.recipe), "--out", str(folder))
    return sink.getvalue(), code


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A publication of two versions."""
    base = tmp_path_factory.mktemp("published")
    run, log = write_run(base / "run"), base / "log.parquet"
    for users in (40, 41):
        made_log(users=users).write_parquet(log)
        write_place(run, base / "place", log, shards=3)
    return base / "place"


def test_every_file_of_a_publication(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded into a store is what was written; every command refuses the rest with a line."""
    draw = random.Random(2)
    plain = open_store(str(tmp_path / "plain.sqlite"))
    publish(Publication(str(place)), plain)
    expected = [one.record.as_tree() for one in plain.read(list(range(1, 42))).found if one is not None]
    run, log = place.parent / "run", place.parent / "log.parquet"
    found, refused = tries(place, draw), 0
    for number, (file, kind) in enumerate(found[: times(len(found))]):
        copy = tmp_path / f"place-{number}"
        shutil.copytree(place, copy)
        change(copy / file, kind, [copy / other for other in files_of(copy)], draw)
        store = open_store(str(tmp_path / f"{number}.sqlite"))
        try:
            publish(Publication(str(copy)), store)
            assert store.state().current in ("000001", "000002")
            if store.state().current == "000002":
                loaded = [one.record.as_tree() for one in store.read(list(range(1, 42))).found if one is not None]
                assert loaded == expected, (file, kind)
        except TrackRecError:
            refused += 1
        asked = [("status", str(copy)), ("rollback", str(copy)), ("forget", "7", "--place", str(copy))]
        asked += [("write", "--run", str(run), "--log", str(log), "--to", str(copy), "--only", "changed", *QUICK)]
        for arguments in asked:
            try:
                assert call(monkeypatch, *arguments) in (0, 1, 3)
            except Exception as error:
                raise AssertionError(f"{arguments[0]} after {file} was {kind}") from error
    assert refused


QUICK = ("--engine", "template", "--set", "encoder=hashing", "--workers", "0")


def test_a_store_s_file(place: Path, tmp_path: Path) -> None:
    """Bytes of SQLite's file: a record is what was loaded, or an error is a line."""
    draw, whole = random.Random(3), tmp_path / "store.sqlite"
    publish(Publication(str(place)), open_store(str(whole)))
    refused = 0
    for number in range(times(300)):
        path = tmp_path / f"{number}.sqlite"
        shutil.copyfile(whole, path)
        change(path, draw.choice(KINDS[:4]), [], draw)
        try:
            store = open_store(str(path), read_only=True)
            store.read(list(range(1, 42)))
            store.check(str(store.state().current))
        except TrackRecError:
            refused += 1
    assert refused > times(300) / 3
