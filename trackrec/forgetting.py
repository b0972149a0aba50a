"""``trackrec forget``: one person out of all that one is pointed at, what is served first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from trackrec.engines.batch import batch_files, forget_in_batches
from trackrec.engines.cache import AnswerCache
from trackrec.errors import RunError
from trackrec.pipeline.forget import forget_user
from trackrec.pipeline.forget_tables import UserTables
from trackrec.store.opening import open_store
from trackrec.writing.forgotten import forget_at
from trackrec.writing.place import Place


def forget_everywhere(
    user: str,
    folder: Path | None,
    places: Sequence[str],
    stores: Sequence[str],
    caches: Sequence[Path],
    batches: Sequence[Path],
    say: Callable[[str], None],
) -> None:
    """Remove a person from a run, publications, stores, kept answers and batch files.

    Killed in the middle, the same call goes on.

    Args:
        user: the id as text.
        folder: a run; batch files in it are cleaned as well.
        places: publications.
        stores: stores.
        caches: files of kept answers.
        batches: batch files, or folders of them.
        say: is told what was removed.

    Raises:
        TrackRecError: nothing was named, or something named is not there or cannot be cleaned.
    """
    if folder is None and not (places or stores or caches or batches):
        raise RunError("nothing was named to forget the person in: give --run, --place, --store, --cache or --batch")
    if not user.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in user):
        raise RunError(f"the id {user!r} is no text that a table can hold: check the encoding of your terminal (UTF-8)")
    if missing := [str(cache) for cache in caches if not cache.is_file()]:
        raise RunError(f"--cache got {', '.join(missing)}, where there is no file; name the engine's `cache`")
    for store in stores:
        say(f"Removed {open_store(store).forget(user)} entries from {store}.")
    for place in places:
        say(forget_at(user, Place(place)))
    opened = [AnswerCache(cache) for cache in caches]
    # Before the caches: they know whose line is whose.
    files = {file for batch in batches for file in batch_files(batch)}
    files |= set(batch_files(folder)) if folder is not None and folder.is_dir() else set()
    if files:
        texts = UserTables(user, folder).texts if folder is not None else set()
        found = forget_in_batches(user, sorted(files), opened, texts)
        told = f"Removed {found.lines} lines from {len(found.files)} batch files."
        if found.unknown:
            told += (
                f" Of {found.unknown} lines the given caches do not say whom they are about: name the cache that the "
                "batch was written with (--cache), or delete the file."
            )
        say(f"{told} What was uploaded is to be deleted where it was uploaded.")
    for cache, path in zip(opened, caches, strict=True):
        say(f"Removed {cache.forget(user)} answers from {path}.")
    if folder is not None:
        say(forget_user(user, folder))
