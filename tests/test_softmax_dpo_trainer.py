"""Softmax-DPO as a Trainer for TRL's users: the losses of our own training, of plain passes, and of TRL."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from tiny_language import tiny_language_model
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainingArguments

from research.softmax_dpo_trainer import SoftmaxDPOTrainer, preference_tree
from trackrec.lm.losses import softmax_dpo_loss
from trackrec.lm.trainer import train
from trackrec.lm.training import TrainingSettings, preference_loss, sequence_logprobs

BETA = 0.3
ROWS = [
    {"prompt_ids": [5, 6, 7, 8], "chosen_ids": [20, 21], "rejected_ids": [[30, 31, 32], [40], [41, 42]]},
    {"prompt_ids": [9, 10], "chosen_ids": [50, 51, 52], "rejected_ids": [[60]]},
    {"prompt_ids": [11, 12, 13], "chosen_ids": [70], "rejected_ids": [[71, 72], [73, 74, 75]]},
]
"""Token ids, 1, 2 and 3 rejected texts."""
PAIRS = [{**row, "rejected_ids": row["rejected_ids"][:1]} for row in ROWS]


def arguments(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": len(ROWS),
        "num_train_epochs": 3,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "seed": 1,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        **more,
    }


def losses(trainer: Any) -> list[float]:
    """The logged loss of each optimiser step."""
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def plain_logprobs(model: Any, row: dict[str, Any]) -> list[float]:
    """Log-probability of each text of a row, by a forward pass of its own over the whole sequence."""
    prompt, found = row["prompt_ids"], []
    for text in (row["chosen_ids"], *row["rejected_ids"]):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *text]])).logits[0]
        steps = torch.log_softmax(logits, dim=-1)[len(prompt) - 1 : -1]
        found.append(float(steps.gather(1, torch.tensor(text)[:, None]).sum()))
    return found


def test_its_loss_is_that_of_plain_passes(tiny_model_folder: Path, tmp_path: Path) -> None:
    """After a step of training, from whole sequences one by one."""
    reference = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    trainer = SoftmaxDPOTrainer(
        AutoModelForCausalLM.from_pretrained(tiny_model_folder),
        TrainingArguments(**arguments(tmp_path, num_train_epochs=1)),
        ROWS,
        beta=BETA,
    )
    assert trainer.follows_plans
    (first,) = losses(trainer)
    guessed = [math.log(1 + len(row["rejected_ids"])) for row in ROWS]
    assert first == pytest.approx(sum(guessed) / len(ROWS), rel=1e-4)
    moved = [preference_tree(row) for row in ROWS]
    for example, row in zip(moved, ROWS, strict=True):
        example.reference_logprobs = plain_logprobs(reference, row)
    with torch.no_grad():
        ours = float(trainer.compute_loss(trainer.model, {"examples": moved}))
    by_hand = []
    for row in ROWS:
        policy, before = (torch.tensor([plain_logprobs(model, row)]) for model in (trainer.model, reference))
        mask = torch.ones_like(policy[:, 1:], dtype=torch.bool)
        by_hand.append(float(softmax_dpo_loss(policy[:, 0], before[:, 0], policy[:, 1:], before[:, 1:], mask, BETA)))
    assert ours == pytest.approx(sum(by_hand) / len(ROWS), rel=1e-4)
    assert ours < first


def test_its_steps_are_those_of_our_own_training(tiny_model_folder: Path, tmp_path: Path) -> None:
    """The same adapter, trees, reference and rate: loss for loss."""
    model = tiny_language_model(tiny_model_folder)
    model.add("own", seed=3)
    examples = [preference_tree(row) for row in ROWS]
    for example, logprobs in zip(examples, sequence_logprobs(model, "own", examples), strict=True):
        example.reference_logprobs = [sum(part) for part in logprobs]
    settings = TrainingSettings(learning_rate=1e-2, epochs=3, trees_per_step=3, trees_per_pass=3, warmup=0)
    own = [row["loss"] for row in train(model, "own", examples, preference_loss(BETA), settings, 1, units=lambda _: 1)]

    other = tiny_language_model(tiny_model_folder)
    other.add("own", seed=3)
    other.peft.set_adapter("own")
    told = arguments(tmp_path, lr_scheduler_type="cosine", max_grad_norm=1.0)
    theirs = losses(SoftmaxDPOTrainer(other.peft, TrainingArguments(**told), ROWS, beta=BETA))
    assert theirs == pytest.approx(own, rel=1e-4)
    assert own[-1] < own[0]


def test_rows_of_text_and_of_messages(tiny_model_folder: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    plain = preference_tree({"prompt": "Toy Story:", "chosen": " Yes", "rejected": [" No", " 5"]}, tokenizer)
    assert tokenizer.decode(plain.tree.segments[0]) == "Toy Story:"
    assert [tokenizer.decode(text) for text in plain.tree.segments[1:]] == [
        " Yes<|im_end|>",
        " No<|im_end|>",
        " 5<|im_end|>",
    ]
    asked, answers = [{"role": "user", "content": "Fargo?"}], ("Yes", "No")
    chosen, rejected = ([{"role": "assistant", "content": answer}] for answer in answers)
    talk = {"prompt": asked, "chosen": chosen, "rejected": [rejected, chosen], "weight": 2.0}
    told = preference_tree(talk, tokenizer)
    assert told.weight == 2.0
    assert tokenizer.decode(told.tree.segments[0]).endswith("<|im_start|>assistant\n")
    assert tokenizer.decode(told.tree.segments[2]).startswith("No<|im_end|>")
    one = preference_tree({**talk, "rejected": rejected}, tokenizer)
    assert one.tree.segments == told.tree.segments[:3]
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")
    trainer = SoftmaxDPOTrainer(
        AutoModelForCausalLM.from_pretrained(tiny_model_folder),
        TrainingArguments(**arguments(tmp_path)),
        [talk],
        processing_class=tokenizer,
        peft_config=config,
    )
    found = losses(trainer)
    assert found[0] == pytest.approx(2 * math.log(3), rel=1e-4)
    assert found[-1] < found[0]
    trainer.save_model(str(tmp_path / "adapter"))
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_what_is_no_group_is_refused(tiny_model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rejected text"):
        preference_tree({**ROWS[0], "rejected_ids": []})
    with pytest.raises(ValueError, match="need processing_class"):
        preference_tree({"prompt": "a", "chosen": "b", "rejected": ["c"]})
    with pytest.raises(ValueError, match="1 reference_logprobs for 4 texts"):
        preference_tree({**ROWS[0], "reference_logprobs": [0.5]})
    model = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    with pytest.raises(ValueError, match="train_dataset has no rows"):
        SoftmaxDPOTrainer(model, TrainingArguments(**arguments(tmp_path)), [])


@pytest.mark.slow  # importing TRL alone takes ten seconds
def test_with_one_rejected_text_it_learns_as_trls_trainer_does(tiny_model_folder: Path, tmp_path: Path) -> None:
    """TRL's own trainer on the same pairs, step for step."""
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")

    class Tokenised(trl.DPOTrainer):  # type: ignore[misc, name-defined]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    pairs = [{**row, "rejected_ids": row["rejected_ids"][0]} for row in PAIRS]
    told = arguments(tmp_path, beta=BETA, max_length=None, bf16=False)
    theirs = Tokenised(
        AutoModelForCausalLM.from_pretrained(tiny_model_folder),
        args=trl.DPOConfig(**told),
        train_dataset=datasets.Dataset.from_list(pairs),
        processing_class=tokenizer,
    )
    ours = SoftmaxDPOTrainer(
        AutoModelForCausalLM.from_pretrained(tiny_model_folder), trl.DPOConfig(**told), PAIRS, tokenizer
    )
    found = losses(ours)
    assert found == pytest.approx(losses(theirs), rel=1e-3)
    assert found[-1] < found[0]
