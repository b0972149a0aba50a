"""Training on trees against TRL: rec-tuning (SFTTrainer), DPO and softmax-DPO (DPOTrainer); equal users a step.

``python benchmarks/training.py [--quick | --growth]``

Both sides train the same LoRA (r = 16, all linear layers) in float32 without checkpointing. TRL has no softmax-DPO: its
side trains on the pairs of the chosen with each rejected sample.
"""

from __future__ import annotations

import tempfile
from typing import Any

from harness import SEED, Prepared, Texts, branch, compare, main, model, plain, tokens_of, weights_gflop

from trackrec.lm.trainer import train
from trackrec.lm.training import TrainingSettings, TreeExample, answer_cross_entropy, preference_loss

BATCH = 4
"""Rows in a pass of the peer, as people run it on such a machine; its passes add up to the same optimiser step."""
RATE = 1e-6
"""So small that the weights stay where they are: every pass is the same work."""


def ours_answers(size: dict[str, int]) -> Prepared:
    """A tree a user: history, RecCoT, m targets."""
    language_model = model()
    texts = Texts(language_model)
    examples = []
    for user in range(size["users"]):
        tree, ends = texts.validator_tree(user, 1, size["m"])
        examples.append(TreeExample(tree, ends, texts.renderer.answers[0] * len(ends)))
    settings = TrainingSettings(learning_rate=RATE, trees_per_step=size["users"])

    def work() -> None:
        train(language_model, "bench", examples, answer_cross_entropy, settings, SEED, lambda part: len(part.answers))

    layer, head = weights_gflop(language_model)
    answers = size["users"] * size["m"]
    return work, 2 * (layer * tokens_of([example.tree for example in examples]) + head * answers), dict


def ours_preferences(size: dict[str, int]) -> Prepared:
    """A tree a user: prompt, the chosen sample, the rejected ones; the reference was recorded while sampling."""
    language_model = model()
    texts = Texts(language_model)
    examples = []
    for user in range(size["users"]):
        tree, samples = texts.group_tree(user, 1 + size["rejected"])
        examples.append(TreeExample(tree, samples, reference_logprobs=[-100.0] * len(samples)))
    settings = TrainingSettings(learning_rate=RATE, trees_per_step=size["users"])

    def work() -> None:
        train(language_model, "bench", examples, preference_loss(0.1), settings, SEED, lambda part: 1)

    layer, head = weights_gflop(language_model)
    told = sum(len(part.tree.segments[segment]) for part in examples for segment in part.segments)
    return work, 2 * (layer * tokens_of([example.tree for example in examples]) + head * told), dict


def peer_answers(size: dict[str, int]) -> Prepared:
    """TRL's SFTTrainer on one row a target, loss on the answer alone."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    language_model = model()
    texts = Texts(language_model)
    rows = []
    for user in range(size["users"]):
        tree, ends = texts.validator_tree(user, 1, size["m"])
        for end in ends:
            ids = branch(tree, end)
            rows.append({"input_ids": [*ids, *texts.renderer.answers[0]], "completion_mask": [0] * len(ids) + [1]})
    base, tokenizer = plain(language_model), language_model.tokenizer
    del language_model

    def work() -> None:
        nonlocal base
        with tempfile.TemporaryDirectory() as folder:
            arguments = SFTConfig(completion_only_loss=True, max_length=None, **common_arguments(folder, len(rows)))
            trainer = SFTTrainer(
                base,
                arguments,
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
                peft_config=adapter(),
            )
            trainer.train()
            base = trainer.model.unload()

    return work, 0.0, dict


def peer_preferences(size: dict[str, int]) -> Prepared:
    """TRL's DPOTrainer on one row a pair; its reference is the model without the adapter, computed in the step."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class Tokenised(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    language_model = model()
    texts = Texts(language_model)
    rows = []
    for user in range(size["users"]):
        for number in range(size["rejected"]):
            chosen, rejected = texts.reccot(user, 0), texts.reccot(user, number + 1)
            rows.append({"prompt_ids": texts.prompt(user), "chosen_ids": chosen, "rejected_ids": rejected})
    base, tokenizer = plain(language_model), language_model.tokenizer
    del language_model

    def work() -> None:
        nonlocal base
        with tempfile.TemporaryDirectory() as folder:
            trainer = Tokenised(
                base,
                args=DPOConfig(max_length=None, **common_arguments(folder, len(rows))),
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
                peft_config=adapter(),
            )
            trainer.train()
            base = trainer.model.unload()

    return work, 0.0, dict


def adapter() -> Any:
    """The peer's LoRA."""
    from peft import LoraConfig

    return LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


def common_arguments(folder: str, rows: int) -> dict[str, Any]:
    """One optimiser step of all rows, at most ``BATCH`` in a pass."""
    return {
        "output_dir": folder,
        "per_device_train_batch_size": min(rows, BATCH),
        "gradient_accumulation_steps": -(-rows // BATCH),
        "num_train_epochs": 1,
        "learning_rate": RATE,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "seed": SEED,
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def jobs(quick: bool, repeats: int) -> None:
    """The jobs of the aims."""
    answers, pairs = ("ours-answers", "peer-answers"), ("ours-preferences", "peer-preferences")
    few, users = (1, 4) if quick else (2, 4)
    compare(__file__, "rec-tuning", "TRL SFTTrainer", answers, {"m": 8, "users": few}, repeats)
    compare(__file__, "dpo", "TRL DPOTrainer", pairs, {"rejected": 1, "users": users}, repeats)
    compare(__file__, "softmax-dpo", "TRL DPOTrainer on the pairs", pairs, {"rejected": 3, "users": few}, repeats)


def growth(repeats: int) -> None:
    """How the cost grows with targets, rejected RecCoTs and users."""
    for m, number in ((2, 1), (4, 1), (8, 1), (16, 1), (8, 2), (8, 4)):
        compare(__file__, "rec-tuning", "", ("ours-answers", None), {"m": m, "users": number}, repeats)
    for rejected, number in ((1, 1), (3, 1), (7, 1), (3, 2), (3, 4)):
        compare(
            __file__, "softmax-dpo", "", ("ours-preferences", None), {"rejected": rejected, "users": number}, repeats
        )


if __name__ == "__main__":
    sides = {
        "ours-answers": ours_answers,
        "peer-answers": peer_answers,
        "ours-preferences": ours_preferences,
        "peer-preferences": peer_preferences,
    }
    main(__file__, sides, jobs, growth)
