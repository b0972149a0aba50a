"""What a version is to be: decided once, put down before anything is written, the same for every worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from trackrec.data.log_updates import RefreshSettings
from trackrec.settings import Settings
from trackrec.writing.manifest_schemas import Inputs, checked

if TYPE_CHECKING:
    from trackrec.writing.place import Place


class WritingSettings(Settings):
    """How texts and vectors are written for everybody."""

    writer: str = "auto"
    """Who writes: ``template`` (counts in prose, no model), ``torch`` (the run's generator, on each worker), or a YAML
    file that names engines. ``auto``: torch if the run has a generator, else template."""
    encoder: str = "auto"
    """What makes vectors of texts: a sentence-transformers model, ``hashing`` (no model) or ``none``. ``auto``: that of
    the run's recipe."""
    max_history: int | None = Field(default=None, ge=1)
    """Most events of a history, the newest. Null: as the run's split has it."""
    shard_users: int = Field(default=5_000, ge=1)
    """Users in a shard, about: the unit of work, of redo after a crash, and of a file."""
    shards: int | None = Field(default=None, ge=1, le=99_999)
    """How many shards. Null: by ``shard_users``, or as in the version that unchanged texts are taken from."""
    batch_users: int = Field(default=500, ge=1)
    """Histories that a writer is given at once."""
    checked: float = Field(default=1.0, ge=0, le=1)
    """Share of the users whose texts are checked claim by claim; of the others' nothing is said to be true."""
    raw_vectors: bool = True
    """Whether the encoder's own vectors are kept beside the projected ones: 1.5 KB more a user."""
    expires_days: float | None = Field(default=None, gt=0)
    """Days until a text expires; it is then written anew even if nothing changed. Null: never."""
    max_rejected: float = Field(default=0.01, ge=0, le=1)
    """Share of users that may fail (faulty rows, a writer that gives nothing) before the job stops."""
    refresh: RefreshSettings = RefreshSettings()
    """How much of a history must have changed under ``--only changed``."""
    keep_versions: int = Field(default=3, ge=1)
    """Whole versions that are kept, the current one among them."""


class VersionPlan(Settings):
    """The plan of one version, ``versions/NAME/plan.json``."""

    version: str
    """Its name."""
    started: int = Field(ge=0)
    """When the job began, in seconds; every row's ``written``."""
    now: int = Field(ge=0)
    """Events after this second are left out."""
    shards: int = Field(ge=1)
    """How many shards there are."""
    run: str
    """The run's folder."""
    run_fingerprint: dict[str, Any]
    """Hashes of what texts and vectors depend on in the run."""
    log_fingerprint: list[Any]
    """What tells the log's state from another."""
    tables: dict[str, Any]
    """How the log's tables are read."""
    writer: str
    """``template``, ``torch`` or a file of engines."""
    engines: list[dict[str, Any]] = Field(default_factory=list)
    """The engines of that file."""
    encoder: str
    """What makes the vectors."""
    max_history: int = Field(ge=1)
    """Most events of a history."""
    settings: WritingSettings
    """All settings."""
    only: Literal["all", "changed"] = "all"
    """Whom texts are written for."""
    base: str | None = None
    """The version that unchanged texts are taken from."""
    middle_decade: int | None = Field(default=None, ge=0)
    """What texts of this catalogue call old."""

    @property
    def work(self) -> str:
        """The folder of what is needed until the version is published."""
        return f"versions/{self.version}/work"

    def same_job(self, other: VersionPlan) -> bool:
        """Whether going on with the other plan gives what this one would, but for the moment."""
        mine, theirs = (plan.model_dump(exclude={"version", "started", "now"}) for plan in (self, other))
        return mine == theirs


def read_inputs(place: Place, plan: VersionPlan) -> Any:
    """What workers need beside the plan: the run's ``recipe`` and the log's newest time; None: not put down yet.

    Raises:
        WriteError: it is damaged.
    """
    file = f"{plan.work}/inputs.json"
    return checked(place.read_json(file), Inputs, place.path(file))
