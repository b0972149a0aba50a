"""Errors that a user can act on: the command line prints them as one line, without a traceback."""

from __future__ import annotations


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
