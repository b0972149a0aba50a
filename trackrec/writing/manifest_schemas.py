"""What manifests of publications must say: a damaged one is named, and never read as if it were whole."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trackrec.errors import WriteError


class _Form(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Gate(_Form):
    name: str
    passed: bool
    says: str


class _Gates(_Form):
    passed: bool
    gates: list[_Gate]


class _ListedShard(_Form):
    name: str
    rows: int
    bytes: int
    sha256: str
    file_version: str | None = Field(default=None, pattern=r"^[^./\\\x00][^/\\\x00]*$")


class VersionManifest(_Form):
    """What is relied on of ``versions/NAME/manifest.json``."""

    version: str
    only: str
    counts: dict[str, int]
    reasons: dict[str, int]
    gates: _Gates
    shards: list[_ListedShard]


class ShardManifest(_ListedShard):
    """What is relied on of ``versions/NAME/shards/00012-of-00064.json``."""

    rejected: int
    counts: dict[str, int]
    reasons: dict[str, int]
    core_seconds: float
    core_seconds_by_step: dict[str, float]


class Pointer(_Form):
    """``current.json``."""

    version: str


class Inputs(_Form):
    """``versions/NAME/work/inputs.json``."""

    recipe: dict[str, Any]
    high_water: int


def checked(read: Any, form: type[BaseModel], where: str) -> Any:
    """What a JSON file says, if it has its form; None stays None.

    Args:
        read: the file's content.
        form: what it must say.
        where: the file, for the message.

    Raises:
        WriteError: it says something else.
    """
    if read is None:
        return None
    try:
        form.model_validate(read)
    except ValidationError as error:
        problem = error.errors()[0]
        raise damaged(where, f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg']}") from error
    return read


def damaged(where: str, why: object) -> WriteError:
    """The error for a file that is not what was written."""
    said = " ".join(str(why).split())[:200]
    return WriteError(
        f"{where} is damaged ({said}): put it back from a copy, or delete the version (its folder, and "
        "current.json if it names it) and write it again"
    )
