"""A plain local file in UTF-8 with the content of any file: fetched, unpacked, decoded, as far as it needs to be."""

from __future__ import annotations

import codecs
import gzip
import urllib.parse
import zlib
from pathlib import Path
from typing import IO, Any

from trackrec.data.table import TableSettings
from trackrec.errors import LogError

SAMPLE = 1 << 16
"""So many bytes of a file's beginning are looked at to see what it is."""
_CHUNK = 1 << 22
_MARK = "\ufeff"
"""The byte order mark, which is no part of the text."""
_OTHER_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
                (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def local_copy(settings: TableSettings, scratch: Path) -> tuple[Path, bytes]:
    r"""A plain local file in UTF-8 with the content of the settings' file, and its beginning.

    It is a copy in ``scratch`` where the file is remote, gzipped, in another encoding, begins with a byte order mark,
    or ends its lines with ``\r`` alone, as old Macs did.

    Raises:
        LogError: the file is not there, damaged, empty, or in another encoding.
    """
    where = settings.path
    try:
        path, head = _copied(settings, scratch)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LogError(f"{where} is a damaged or truncated gzip file ({error}): get it again") from error
    except UnicodeError as error:
        raise LogError(
            f"{where} is not in {settings.encoding or 'the encoding its first bytes name'}: {error}; set its encoding"
        ) from error
    except LookupError as error:
        raise LogError(f"{where}: {error}; set encoding to one that Python knows, such as latin-1") from error
    except (OSError, ValueError, ImportError) as error:
        raise LogError(f"{where} cannot be opened: {error}") from error
    if not head.strip():
        raise LogError(f"{where} is empty: expected a table")
    return path, head


def local_path(path: str) -> Path | None:
    """The file that a path or a ``file://`` URL names; None for any other URL."""
    if path.startswith("file://"):
        return Path(urllib.parse.unquote(path.removeprefix("file://")))
    return None if "://" in path else Path(path)


def _copied(settings: TableSettings, scratch: Path) -> tuple[Path, bytes]:
    place = local_path(settings.path)
    path, packed = place or Path(), False
    with path.open("rb") if place else _open(settings.path) as file:
        packed = file.read(2) == b"\x1f\x8b"
    if place is None or packed:
        path = _new_file(scratch)
        with place.open("rb") if place else _open(settings.path) as source, path.open("wb") as copy:
            stream: IO[bytes] = gzip.GzipFile(fileobj=source) if packed else source  # type: ignore[assignment]
            while chunk := stream.read(_CHUNK):
                copy.write(chunk)
    head = _head(path)
    encoding = settings.encoding or next((name for mark, name in _OTHER_MARKS if head.startswith(mark)), "utf-8")
    if not head.startswith(b"PAR1") and _must_be_written_anew(head, encoding):
        source_path, path = path, _new_file(scratch)
        _write_anew(source_path, path, encoding)
    return path, _head(path)


def _must_be_written_anew(head: bytes, encoding: str) -> bool:
    plain = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    return not plain or head.startswith(codecs.BOM_UTF8) or _ends_lines_with_cr(head)


def _ends_lines_with_cr(head: bytes) -> bool:
    return b"\r" in head and b"\n" not in head


def _write_anew(source: Path, target: Path, encoding: str) -> None:
    decode = codecs.getincrementaldecoder(encoding)()
    with source.open("rb") as read, target.open("wb") as copy:
        first, lone = True, False
        while chunk := read.read(_CHUNK):
            text = decode.decode(chunk)
            if first:
                text = text.lstrip(_MARK)
                lone = _ends_lines_with_cr(text.encode()[:SAMPLE])
                first = not text
            copy.write((text.replace("\r", "\n") if lone else text).encode())
        copy.write(decode.decode(b"", final=True).encode())


def _new_file(scratch: Path) -> Path:
    return scratch / f"table-{len(list(scratch.iterdir()))}"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SAMPLE)


def _open(url: str) -> Any:
    import fsspec

    return fsspec.open(url, "rb")
