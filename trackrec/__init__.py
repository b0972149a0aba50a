"""TrackRec: recommendation that reasons, and whose reasoning is checked."""

import os

# Threads of torch that wait for each other spin by default; beside one other busy process that costs most of the speed
# (benchmarks/threads.py). The variable is read when torch is loaded, so it stands here.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
