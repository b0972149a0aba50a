"""What stops a job of writing, each with the exit code that a scheduler reads."""

from __future__ import annotations

from trackrec.errors import TrackRecError


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
