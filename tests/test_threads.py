"""How many threads PyTorch is given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from trackrec.lm.threads import use_threads


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("limit", "found"), [(None, 3), ("", 3), ("2", 2), ("8", 3), ("0", 1), ("two", 3)])
def test_the_limit_of_openmp_is_kept(limit: str | None, found: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_THREAD_LIMIT", raising=False)
    if limit is not None:
        monkeypatch.setenv("OMP_THREAD_LIMIT", limit)
    use_threads(3)
    assert torch.get_num_threads() == found
