"""For object storage a log is dealt out among temporary files: what killed jobs left there goes, others' work stays."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from trackrec.writing.scratch import DEALING, clear_scratch, scratch_folder

DEALS = """
import sys, time
from trackrec.writing.scratch import scratch_folder
with scratch_folder(None) as folder:
    (folder / "shard-00000").write_text("zq7741-zoe")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_what_a_killed_job_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    job = subprocess.Popen([sys.executable, "-c", DEALS], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    left = Path(job.stdout.readline().strip())
    other = tmp_path / f"{DEALING}of-somebody-else"
    other.mkdir()
    with scratch_folder(None) as mine:
        clear_scratch()
        assert left.is_dir()
        assert mine.is_dir()
        job.kill()
        job.wait()
        clear_scratch()
        assert not left.exists()
        assert mine.is_dir()
    assert not mine.exists()
    assert sorted(tmp_path.iterdir()) == [other], "a folder without the lock is not known to be ours"


def test_within_a_folder_nothing_but_the_parts_is_made(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert list(folder.iterdir()) == []
    assert not folder.exists()
