"""Speed of a linear layer by GOMP_SPINCOUNT, alone and beside a busy process: what waiting threads cost.

``python benchmarks/threads.py`` prints one JSON object a line: spin, busy (processes beside), rows, gflops (median).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

WIDTH, OUT, ROWS = 576, 1536, (16, 32, 350)


def measure() -> None:
    """Time the layer in this process and print a rate for each number of rows."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    for rows in ROWS:
        x, weight = torch.randn(rows, WIDTH), torch.randn(OUT, WIDTH)
        rates = []
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(50):
                torch.nn.functional.linear(x, weight)
            rates.append(50 * 2 * rows * WIDTH * OUT / (time.perf_counter() - started) / 1e9)
        print(json.dumps({"rows": rows, "gflops": round(statistics.median(rates), 1)}))


def spin_forever() -> None:
    """Keep one core busy."""
    while True:
        pass


def main() -> None:
    """Measure every setting in a process of its own, since it is read when torch is loaded."""
    for busy in (0, 1):
        others = [multiprocessing.Process(target=spin_forever, daemon=True) for _ in range(busy)]
        for other in others:
            other.start()
        for spin in ("default", "0", "1000", "30000"):
            environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
            if spin != "default":
                environment["GOMP_SPINCOUNT"] = spin
            command = [sys.executable, __file__, "measure"]
            lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            for line in lines.splitlines():
                print(json.dumps({"spin": spin, "busy": busy} | json.loads(line)), flush=True)
        for other in others:
            other.kill()


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
