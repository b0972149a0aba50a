"""The images that examples/deploy describes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "examples" / "deploy"


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_an_image_is_made_of_what_is_there(name: str) -> None:
    """No image is built here; what can be wrong without building is looked at."""
    text = (DEPLOY / name).read_text().replace("\\\n", " ")
    for sources in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])
    for torch in re.findall(r"torch==(\S+)", text):
        assert f"torch=={torch}\n" in (ROOT / "constraints.txt").read_text()
    assert text.index("USER ") < text.index("ENTRYPOINT")
    assert re.search(r'^ENTRYPOINT \["trackrec"\]$', text, re.MULTILINE)
    for recipe in re.findall(r" run (\S+) --out", text):
        assert (ROOT / "trackrec" / "recipes" / f"{recipe}.yaml").is_file()
