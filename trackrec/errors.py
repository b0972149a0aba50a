"""Errors that a user can act on: the command line prints them as one line, without a traceback."""

from __future__ import annotations

import errno
import re


class TrackRecError(Exception):
    """The base of all errors raised on purpose. The message says what arrived, where, what was expected, what to do."""

    exit_code = 1
    """What the command line ends with."""


class AssetError(TrackRecError):
    """An embedded asset or a model could not be had."""


class LogError(TrackRecError):
    """An interaction log or catalogue cannot be used as it is."""


class RecipeError(TrackRecError):
    """A recipe names an unknown setting or a value that cannot work."""


class RunError(TrackRecError):
    """A run folder does not fit what is asked of it."""


class StoreError(TrackRecError):
    """A store is not there, is of another schema, or a version in it cannot be used as it is."""


_SAID = {
    errno.ENOSPC: "there is no space left on the disk: free some, then give the same command again, which goes on with "
    "what is finished; or choose a folder on another disk with --out",
    errno.EDQUOT: "your quota of the disk is used up: free some space, then give the same command again, which goes on",
    errno.EACCES: "permission denied: choose a folder that you may write to (--out), or change its permissions",
    errno.EPERM: "the operation is not permitted: choose a folder that you may write to (--out)",
    errno.EROFS: "it is on a disk that can only be read: choose another folder with --out",
    errno.ENOTDIR: "a file is where a folder was expected: choose another folder with --out",
    errno.EEXIST: "a file of that name is where a folder was expected: choose another folder with --out",
    errno.EISDIR: "it is a folder, where a file was expected",
    errno.ENOENT: "there is no such file or folder: check the path",
    errno.ENAMETOOLONG: "the name is too long for this disk: choose a shorter one",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.EIO: "the disk reported an error: check it, and choose a folder on another one",
}


def in_one_line(error: Exception) -> str | None:
    """What the operating system refused, for people: what, where, what to do. None: it is no such error.

    Libraries hide such an error in ones of their own, whose text then names its number.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        match = re.search(r"os error (\d+)|\[Errno (\d+)\]", str(error))
        number = int(match[1] or match[2]) if match else errno.ENOSPC if "No space left" in str(error) else None
    if number is None and not isinstance(error, OSError):
        return None
    where = error.filename if isinstance(error, OSError) and error.filename is not None else None
    said = _SAID.get(number or 0, f"{str(error).splitlines()[0] if str(error) else type(error).__name__}")
    return f"{where}: {said}" if where is not None else said


class WriteError(TrackRecError):
    """Texts cannot be written for everybody as asked. Exit code 1."""

    exit_code = 1


class GateError(WriteError):
    """A version was written whole, but a gate keeps it from being published. Exit code 3."""

    exit_code = 3


class TooManyRejected(WriteError):  # noqa: N818 - what is raised is what went wrong
    """More users than allowed got no text for a fault of their rows or of the writer. Exit code 4."""

    exit_code = 4


class TargetBusy(WriteError):  # noqa: N818
    """Another job writes to the same target. Exit code 5."""

    exit_code = 5
