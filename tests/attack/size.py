"""How large an attack is: `make attack` runs all of it, the tests a tenth (``TRACKREC_ATTACK``, a share)."""

from __future__ import annotations

import os

SHARE = float(os.environ.get("TRACKREC_ATTACK", "0.1"))


def times(full: int) -> int:
    """How often something is tried that the whole suite tries so often."""
    return max(1, round(full * SHARE))
