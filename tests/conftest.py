"""What every test shares: no network, one thread, and a tiny language model."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before any of these libraries is imported: they read the environment once.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    MPLBACKEND="Agg",
)

# Tests and the processes that they start find `tiny` by name.
sys.path.insert(0, str(Path(__file__).parent))

import pytest  # noqa: E402

CHROMIUM = Path("/usr/bin/chromium")


def pytest_collection_finish() -> None:
    """Leave modules and tests out of every later garbage collection: each stage of a run collects, which cost .4 s."""
    import torch  # noqa: F401  # most of what would be looked through

    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch to one thread, so that floats do not depend on the machine's number of cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random 2-layer Llama with a ChatML tokenizer (`tests/tiny.py`); shared, so never write into it."""
    from tiny import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser, a module's own: while its event loop lives, a second browser or `asyncio.run` fails."""
    sync = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.is_file():
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def _one_text_encoder() -> Iterator[None]:
    """Load a text encoder once a process: every job, run and service loads its own, a second of work each time."""
    from trackrec.features.encoder import TextEncoder

    models: dict[str, Any] = {}
    load = TextEncoder._loaded

    def loaded(encoder: TextEncoder) -> Any:
        if encoder._model is None:
            encoder._model = models.get(encoder.name)
            models[encoder.name] = load(encoder)
        return encoder._model

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TextEncoder, "_loaded", loaded)
        yield
