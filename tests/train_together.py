"""A training of the tiny model, for one process or several: ``train_together.py MODEL METHOD OUT [STATES]``.

The first process writes what came of it: the weights, the gradients before each step (``gradients.safetensors``), the
figures (``rows.json``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from test_full import full_model
from test_training import answer_examples, count_answers
from tiny_language import add_moved, tiny_language_model
from torch.optim.optimizer import register_optimizer_step_pre_hook

from trackrec.lm import processes
from trackrec.lm.trainer import train
from trackrec.lm.training import TrainingSettings, answer_cross_entropy

if __name__ == "__main__":
    folder, method, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    states = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    model = full_model(folder) if method == "full" else tiny_language_model(folder)
    if processes.is_first():
        model.add("of the first process alone", 5)
    model.add("student", 1)
    if method == "lora":
        add_moved(model, "student", seed=1)
    gradients: dict[str, torch.Tensor] = {}

    def note(optimizer: Any, *_: Any) -> None:
        parts = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
        gradients[f"step-{len(gradients)}"] = torch.cat(parts)

    register_optimizer_step_pre_hook(note)
    rows = train(
        model,
        "student",
        answer_examples((3, 2, 5, 2, 2, 4, 3, 2, 6)),  # nine trees, four in a step: one process has none in the last
        answer_cross_entropy,
        TrainingSettings(
            learning_rate=1e-3, trees_per_step=4, epochs=2, max_grad_norm=1e6, checkpoint_steps=2 if states else 0
        ),
        3,
        count_answers,
        checkpoints=states,
    )
    model.save("student", out)
    if processes.is_first():
        save_file(gradients, out / "gradients.safetensors")
        (out / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    processes.wait()
