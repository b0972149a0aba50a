"""Trackers of a training: TensorBoard, MLflow and Trackio, by the Trainer's own callbacks."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from transformers import TrainerCallback
from transformers.integrations.integration_utils import TensorBoardCallback, get_reporting_integration_callbacks

from trackrec.errors import RunError

Tracker = Literal["tensorboard", "mlflow", "trackio"]
TENSORBOARD_FOLDER = "TENSORBOARD_LOGGING_DIR"


def tracker_callbacks(names: Sequence[Tracker], training: str) -> list[TrainerCallback]:
    """Callbacks that hand the figures of each optimiser step on.

    Args:
        names: of the trackers.
        training: name of the training; TensorBoard shows it with the time of its beginning.

    Raises:
        RunError: a tracker is not installed, or TensorBoard was not told where to write.
    """
    found = []
    for name in names:
        try:
            (made,) = [kind() for kind in get_reporting_integration_callbacks([name])]
        except (ImportError, RuntimeError) as error:
            raise RunError(
                f"the setting trackers names {name}, which is not installed: pip install {name}, or leave it out"
            ) from error
        if isinstance(made, TensorBoardCallback):
            folder = os.environ.get(TENSORBOARD_FOLDER)
            if not folder:
                raise RunError(
                    f"the setting trackers names tensorboard, but {TENSORBOARD_FOLDER} does not say where to write: "
                    "set this environment variable to a folder"
                )
            made.logging_dir = str(Path(folder).expanduser() / f"{training}-{time.strftime('%Y%m%d-%H%M%S')}")
        found.append(made)
    return found
