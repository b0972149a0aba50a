"""A real OpenAI-compatible server in a process of its own: llama.cpp (the wheel xllamacpp) with the embedded model.

Started as a script it serves until it is killed: ``python tests/llama_server.py GGUF KEY``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY = "sk-llama-0123456789abcdef"
CONTEXT = 2048
"""Tokens that a prompt and its answer may take together."""


class LlamaServer:
    """A running server: ``base_url``, its process, and what it counted."""

    def __init__(self, base_url: str, process: subprocess.Popen[bytes]) -> None:
        self.base_url, self.process = base_url, process

    def kill(self) -> None:
        """SIGKILL, as a machine that runs out of memory does."""
        self.process.kill()
        self.process.wait()

    def count(self, name: str) -> float:
        """A figure of the server's own metrics, such as "tokens_predicted_total"."""
        url = self.base_url.removesuffix("/v1") + "/metrics"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            found = re.search(rf"^llamacpp:{name} (\S+)$", response.read().decode(), re.MULTILINE)
        assert found, f"the server counts no {name}"
        return float(found[1])


@contextmanager
def llama_server(log: Path, port: int = 0, gguf: Path | None = None) -> Iterator[LlamaServer]:
    """Serve a model until the block ends.

    Args:
        log: what the server says goes there.
        port: 0: any free one.
        gguf: the model's file; None: the embedded model.
    """
    from trackrec.assets import fetch

    gguf = gguf or next(fetch("smollm2-135m-instruct").glob("*.gguf"))
    with log.open("wb") as stream:
        command = [sys.executable, __file__, str(gguf), KEY, str(port)]
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env={**os.environ})
    try:
        yield LlamaServer(_address(log, process) + "/v1", process)
    finally:
        process.kill()
        process.wait()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = re.search(r"^ADDRESS (http\S+)$", log.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[1]
        assert process.poll() is None, f"the server did not start: {log.read_text(errors='replace')[-2000:]}"
        time.sleep(0.1)
    raise AssertionError(f"the server said no address within two minutes: {log.read_text(errors='replace')[-2000:]}")


def _serve(gguf: str, key: str, port: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = gguf
    params.model_alias = {"smollm2"}
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_parallel = 2
    params.n_ctx = CONTEXT * params.n_parallel
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.warmup = False
    # As exact as the model's file: else keys and values are halved to 16 bits, and texts part at near ties.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.endpoint_metrics = True
    params.api_keys = [key]
    server = xllamacpp.Server(params)
    # In one write, on a line of its own: the server's threads write into the same file.
    os.write(1, f"\nADDRESS {server.listening_address}\n".encode())
    signal.pause()


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
