"""Models of the Hugging Face hub, pinned: a run keeps the commit that it began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from trackrec.assets import is_hub_id
from trackrec.errors import AssetError
from trackrec.recipe import Recipe, load_recipe

_FILES = ("config.json", "modules.json")
"""One of them is in every model's repository."""


def pinned(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with a commit for every model of the hub that it names without one.

    A run that was begun has its commits in its own recipe, and no network is needed. One that was begun by a version
    that pinned nothing stays as it is.

    Args:
        recipe: as it was given.
        folder: of the run.

    Raises:
        AssetError: the hub, or what was fetched from it before, has no such model.
    """
    path = folder / "recipe.yaml"
    before = load_recipe(path) if path.is_file() else None
    made: Recipe = _pinned(recipe, before, path.is_file())
    return made


def _pinned(settings: Any, before: Any, begun: bool) -> Any:
    """Settings at any depth; those of the run at the same place say what it began with."""
    changes: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            inner = _pinned(value, getattr(before, name, None), begun)
            changes |= {name: inner} if inner is not value else {}
    if getattr(settings, "revision", None) == "" and is_hub_id(settings.name):
        same = begun and getattr(before, "name", None) == settings.name
        commit = getattr(before, "revision", "") if same else hub_commit(settings.name)
        changes |= {"revision": commit} if commit else {}
    return settings.model_copy(update=changes) if changes else settings


def hub_commit(name: str) -> str:
    """The newest commit of a model, as the hub says; without a network, that which was fetched last.

    Args:
        name: a Hugging Face id.

    Raises:
        AssetError: neither knows it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    reason: Exception | None = None
    for file in _FILES:
        try:
            return Path(hf_hub_download(name, file)).parent.name  # .../snapshots/COMMIT/config.json
        except EntryNotFoundError as error:  # that file is in no such model, or was not fetched
            reason = error
        except Exception as error:  # the hub's client has many: offline, no such model, no right to it
            reason = error
            break
    said = str(reason).strip().splitlines()
    raise AssetError(
        f"the model {name!r} cannot be had from the Hugging Face hub ({said[0] if said else type(reason).__name__}): "
        "check the name and the network, or name a local folder"
    ) from reason
