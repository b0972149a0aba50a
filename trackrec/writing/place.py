"""Where publications lie: a folder, or any object storage that fsspec opens; nothing half is ever seen there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from trackrec.errors import RunError, WriteError
from trackrec.files.tables import table_of
from trackrec.writing.manifest_schemas import damaged
from trackrec.writing.scratch import DEALING, clear_scratch

T = TypeVar("T")

ATTEMPTS = 6
"""So often a request to object storage is made before its error stands."""
_FIRST_PAUSE = 0.1
_OBSTORE = ("s3", "gs", "az", "abfs")
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
"""Errors that another attempt cannot mend."""


class Place:
    """A folder of files, local or remote, addressed by relative paths with ``/``.

    A file is there whole or not at all: locally it is written beside and renamed, remotely it is one object, put at
    once. Requests to object storage are made up to ``ATTEMPTS`` times.

    Args:
        url: a folder's path, or a URL such as ``s3://bucket/profiles``.

    Raises:
        WriteError: the URL's protocol needs a package that is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") or "/"
        self.is_local = "://" not in url or url.startswith("file://")
        self.root = self.url.removeprefix("file://")
        self._fs: Any = None
        if not self.is_local:
            self._fs, self.root = open_fs(self.url)

    def __reduce__(self) -> tuple[type[Place], tuple[str]]:
        return Place, (self.url,)  # a worker opens the storage anew

    def path(self, name: str) -> str:
        """The whole path of a name, as the file system sees it."""
        return f"{self.root}/{name}"

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.is_local:
            return Path(self.path(name)).read_bytes()
        return bytes(self._again(lambda: self._fs.cat_file(self.path(name))))

    def write(self, name: str, content: bytes) -> None:
        """Put a file, in place of one of that name."""
        if not self.is_local:
            self._again(lambda: self._fs.pipe_file(self.path(name), content))
            return
        with self._beside(name) as partial:
            _write_through(partial, content)
            os.replace(partial, self.path(name))

    def create(self, name: str, content: bytes) -> bool:
        """Put a file unless there is one of that name; whether it is there with this content by this call.

        Of several at once with different contents, one succeeds. On object storage, where a lost answer cannot be told
        from a lost request, the same content counts as put by this call: who must be told apart puts something of his
        own.
        """
        if not self.is_local:
            return self._create_remote(name, content)
        with self._beside(name) as partial:
            _write_through(partial, content)
            try:
                os.link(partial, self.path(name))  # fails if the name is taken, unlike a rename
            except FileExistsError:
                return False
        return True

    def _create_remote(self, name: str, content: bytes) -> bool:
        try:
            self._again(lambda: put_new(self._fs, self.path(name), content))
        except FileExistsError:
            # An earlier attempt, ours or the client's own, may have arrived though its answer was lost.
            return self.read(name) == content
        return True

    def check_create(self) -> None:
        """Try that the storage's client refuses to put a file twice where it is told to: some ignore it silently.

        Raises:
            WriteError: it does not, so that two writers could not be told apart.
        """
        probe = f".probe-{uuid.uuid4().hex[:12]}"
        refused = self.create(probe, b"first") and not self.create(probe, b"second")
        self.remove(probe)
        if not refused:
            raise WriteError(
                f"the client of {self.url} ({type(self._fs).__name__}) ignores put-if-absent: two writers "
                "cannot be told apart: pip install 'trackrec[s3]', or write to a folder"
            )

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        if self.is_local:
            return Path(self.path(name)).exists()
        return bool(self._again(lambda: self._fs.exists(self.path(name))))

    def names(self, folder: str) -> list[str]:
        """Names of what lies right in a folder, sorted; none if there is no such folder. Files in the making are not
        listed."""
        if self.is_local:
            path = Path(self.path(folder))
            return sorted(x.name for x in path.iterdir() if not x.name.startswith(".")) if path.is_dir() else []
        try:
            found = self._again(lambda: self._list(folder))
        except FileNotFoundError:
            return []
        names = {str(path).rstrip("/").rsplit("/", 1)[-1] for path in found}
        return sorted(names - {""})

    def _list(self, folder: str) -> Any:
        self._fs.invalidate_cache()  # others put files too
        return self._fs.ls(self.path(folder), detail=False)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all in it; nothing happens if it is not there."""
        if self.is_local:
            path = Path(self.path(name))
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):
            self._again(lambda: _remove_remote(self._fs, self.path(name)))

    def upload(self, file: Path, name: str) -> None:
        """Put a local file, which may be moved away by it."""
        if self.is_local:
            Path(self.path(name)).parent.mkdir(parents=True, exist_ok=True)
            with self._beside(name) as partial:
                shutil.move(file, partial)
                _flush(partial)
                os.replace(partial, self.path(name))
            return
        self._again(lambda: self._fs.put_file(str(file), self.path(name)))

    def modified(self, name: str) -> float:
        """When a file was put, in seconds by the storage's own clock."""
        if self.is_local:
            return Path(self.path(name)).stat().st_mtime
        return float(self._again(lambda: self._fs.modified(self.path(name))).timestamp())

    def read_json(self, name: str) -> Any:
        """The value in a JSON file; None if there is no such file.

        Raises:
            WriteError: it is damaged.
        """
        try:
            return json.loads(self.read(name))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise damaged(self.path(name), error) from error

    def write_json(self, name: str, value: Any) -> None:
        """Put a value as a JSON file."""
        self.write(name, as_json(value))

    def create_json(self, name: str, value: Any) -> bool:
        """As ``create``, of a value as JSON."""
        return self.create(name, as_json(value))

    def read_table(self, name: str) -> pl.DataFrame:
        """A Parquet file.

        Raises:
            WriteError: it is damaged.
        """
        try:
            return table_of(self.read(name), name)
        except RunError as error:
            raise damaged(self.path(name), error.__cause__) from error

    @contextlib.contextmanager
    def _beside(self, name: str) -> Any:
        """A name for a file in the making, which is gone afterwards."""
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def clear_partial(self) -> None:
        """Remove what killed processes left half made. Only for who holds the place: a file that another process is
        about to rename would be lost to it."""
        if self.is_local:
            for left in Path(self.root).rglob(".*.partial"):
                left.unlink(missing_ok=True)
            for left in Path(self.root).glob(f"versions/*/work/{DEALING}*"):
                shutil.rmtree(left, ignore_errors=True)
        else:
            clear_scratch()

    def _again(self, request: Callable[[], T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                return request()
            except (*_FINAL, TypeError):
                raise
            except Exception:
                if attempt + 1 == ATTEMPTS:
                    raise
                time.sleep(_FIRST_PAUSE * 2**attempt)
        raise AssertionError("unreachable")


def open_fs(url: str) -> tuple[Any, str]:
    """The file system of a URL, as fsspec has it (for S3, Google and Azure: obstore's, if it is there), and the path.

    Raises:
        WriteError: the URL's protocol needs a package that is not installed.
    """
    import fsspec

    protocol = url.partition("://")[0]
    if protocol in _OBSTORE and find_spec("obstore") is not None:
        from obstore.fsspec import register

        register(protocol)
    try:
        opened: tuple[Any, str] = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise WriteError(f"{url} cannot be opened: {error}; for S3 and the like: pip install 'trackrec[s3]'") from error
    return opened


def put_new(fs: Any, path: str, content: bytes) -> None:
    """Put an object unless there is one of that name.

    Raises:
        FileExistsError: there is one.
    """
    if not type(fs).__module__.startswith("obstore"):
        fs.pipe_file(path, content, mode="create")
        return
    import obstore
    from obstore.exceptions import AlreadyExistsError
    from obstore.store import from_url

    # Its fsspec interface takes the mode and ignores it.
    bucket, _, key = path.partition("/")
    try:
        obstore.put(from_url(f"{fs.protocol}://{bucket}"), key, content, mode="create")
    except AlreadyExistsError as error:
        raise FileExistsError(path) from error


def _remove_remote(fs: Any, path: str) -> None:
    """Remove an object, or all objects below a path: those of that very name, whatever marks are in it."""
    if not set(path) & set("*?["):
        fs.rm(path, recursive=True)
        return
    # `rm` would take the marks as a pattern, and remove what a neighbour has.
    fs.invalidate_cache()
    below = fs.find(path, withdirs=True, detail=True)
    for name in sorted(below, key=len, reverse=True):
        if below[name]["type"] != "directory":
            fs.rm_file(name)
        else:
            with contextlib.suppress(OSError, NotImplementedError):  # object storage has no folders
                fs.rmdir(name)


def as_json(value: Any) -> bytes:
    """A value as the bytes of a JSON file; equal values give equal bytes."""
    return (json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True, default=str) + "\n").encode()


def _write_through(path: Path, content: bytes) -> None:
    """Write and wait for the disk, so that the name never shows before the content after a loss of power."""
    path.write_bytes(content)
    _flush(path)


def _flush(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
