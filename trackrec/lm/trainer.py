"""Training on prefix trees with ``transformers.Trainer``, in one process or several, with checkpoints or without."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from trackrec.errors import RunError
from trackrec.lm import processes
from trackrec.lm.checkpoints import Checkpoints, load_trained, save_trained
from trackrec.lm.merged_lora import MergedAdapter
from trackrec.lm.model import LanguageModel
from trackrec.lm.trackers import tracker_callbacks
from trackrec.lm.training import Loss, Progress, TrainingSettings, TreeExample

Figures = list[dict[str, float]]


class _Learner(nn.Module):
    """The model and its loss in one forward pass: what wraps it, to average gradients, sees all that is computed."""

    def __init__(self, language_model: LanguageModel, net: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.net = net
        self.language_model, self.loss = language_model, loss

    def forward(self, examples: Sequence[TreeExample]) -> tuple[Tensor, dict[str, float]]:
        hidden = self.language_model.hidden([example.tree for example in examples])
        return self.loss(self.language_model, hidden, examples)

    def share_what_is_trained(self) -> None:
        """Let DistributedDataParallel leave the frozen weights alone: every process read the same ones, and the first
        may hold adapters that the others never needed."""
        fixed = [name for name, weight in self.named_parameters() if not weight.requires_grad]
        fixed += [name for name, _ in self.named_buffers()]
        # PyTorch's own way to say so, though its name has an underscore.
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, fixed)

    def gradient_checkpointing_enable(self, **kwargs: Any) -> None:
        """Asked by the trainer; its newer versions call it by the other name."""
        self.net.gradient_checkpointing_enable(**kwargs)  # type: ignore[operator]

    def activation_checkpointing_enable(self, **kwargs: Any) -> None:
        self.net.activation_checkpointing_enable(**kwargs)  # type: ignore[operator]


class _Padded(Sampler[int]):
    """The order of one process, and behind it -1 until each process has the same number of passes."""

    def __init__(self, count: int, seed: int, multiple: int) -> None:
        self.count, self.seed, self.multiple, self.epoch = count, seed, multiple, 0

    def set_epoch(self, epoch: int) -> None:
        """Asked by the trainer at the beginning of each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        from accelerate.data_loader import SeedableRandomSampler

        order = SeedableRandomSampler(range(self.count), data_seed=self.seed)  # what one process goes by
        order.set_epoch(self.epoch)
        yield from order
        yield from [-1] * (len(self) - self.count)

    def __len__(self) -> int:
        return -(-self.count // self.multiple) * self.multiple


class _Examples:
    """The examples by number; -1 is none."""

    def __init__(self, examples: Sequence[TreeExample]) -> None:
        self.examples = list(examples)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, place: int) -> TreeExample | None:
        return None if place < 0 else self.examples[place]


class _TreeTrainer(Trainer):
    """``transformers.Trainer`` with a loss on prefix trees; ``labels`` only count the units of the loss."""

    def __init__(self, learner: _Learner, **kwargs: Any) -> None:
        super().__init__(model=learner, **kwargs)
        self.learner = learner
        self.model_accepts_loss_kwargs = True  # the loss divides by the units of the whole step itself
        self.figures: Figures = []

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        total, figures = model(inputs["examples"])
        units = float(num_items_in_batch)  # of all processes
        if not inputs["count"]:  # nothing was left for this process: it takes part with a loss of 0
            total, figures = total * 0.0, dict.fromkeys(figures, 0.0)
        self.figures.append({"step": self.state.global_step, "loss": total.item() / units, **figures})
        loss: Tensor = total / units * processes.count()  # gradients are averaged over the processes, not summed
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if processes.count() == 1:
            return super()._get_train_sampler(train_dataset)
        multiple = processes.count() * self.args.per_device_train_batch_size
        sampler = _Padded(len(self.train_dataset), self.args.data_seed, multiple)  # type: ignore[arg-type]
        self.add_callback(_EpochCallback(sampler))
        return sampler

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """The trained weights alone; the frozen ones are in the base model's folder."""
        assert output_dir is not None
        if self.args.should_save:
            save_trained(self.learner, Path(output_dir), self.figures)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        state = Path(resume_from_checkpoint)
        self.figures[:] = load_trained(self.learner, state)
        if not processes.is_first():  # the rows so far are this process's own part, which is summed at the end
            self.figures[:] = json.loads(_own_figures(state).read_text(encoding="utf-8"))


class _ProgressCallback(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.progress(state.global_step, state.max_steps)


class _EpochCallback(TrainerCallback):
    """Tells the sampler its epoch: in one that is gone on with, accelerate does not get through to it.

    It puts what skips the first passes around what deals them out to the processes, and looks one step deep.
    """

    def __init__(self, sampler: _Padded) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.sampler.set_epoch(int(state.epoch or 0))


class _RefreshCallback(TrainerCallback):
    def __init__(self, merged: MergedAdapter) -> None:
        self.merged = merged

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.merged.refresh()


class _SealCallback(TrainerCallback):
    def __init__(self, checkpoints: Checkpoints, figures: Figures) -> None:
        self.checkpoints, self.figures = checkpoints, figures

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not processes.is_first():
            state_folder = self.checkpoints.folder / f"checkpoint-{state.global_step}"
            _own_figures(state_folder).write_text(json.dumps(self.figures), encoding="utf-8")
        processes.wait()  # each one writes the state of its random numbers, too
        if processes.is_first():
            self.checkpoints.seal(state.global_step)


def _own_figures(state: Path) -> Path:
    """Where a process other than the first keeps its figures in a state."""
    return state / f"figures-{processes.number()}.json"


def train(
    model: LanguageModel,
    adapter: str,
    examples: Sequence[TreeExample],
    loss: Loss,
    settings: TrainingSettings,
    seed: int,
    units: Callable[[TreeExample], int],
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> Figures:
    """Train an adapter, or a whole model, in place; with other processes where a launcher started several.

    Args:
        model: the language model, which has the adapter.
        adapter: the adapter's name.
        examples: prefix trees with what is learnt on them; the same in every process.
        loss: one of the losses of ``trackrec.lm.training``.
        settings: rate, epochs, batch. A step's trees are those of all processes together.
        seed: order of the examples.
        units: how many units of the loss an example has (answers, tokens, or 1 a user): what a step averages over.
        progress: called after each optimiser step.
        checkpoints: where states of the training are kept (``settings.checkpoint_steps``), and the last one is gone on
            from; None: nowhere.

    Returns:
        One row an optimiser step: ``step``, ``loss`` and the loss's own figures (sums over the step).

    Raises:
        ValueError: there is nothing to train on.
        RunError: a step's trees cannot be dealt out to the processes, or the model is on another GPU than theirs.
    """
    if not examples:
        raise ValueError(f"nothing to train the adapter {adapter!r} on: got no examples")
    passes = _passes(settings)
    if model.device.type == "cuda" and (model.device.index or 0) != processes.local_number():
        raise RunError(
            f"model.device is {str(model.device)!r}, but this process trains on GPU {processes.local_number()}: set it "
            "to auto, and say by CUDA_VISIBLE_DEVICES which GPU that is"
        )
    processes.start(model.device.type == "cpu")

    def collate(batch: list[TreeExample | None]) -> dict[str, Any]:
        real = [example for example in batch if example is not None]
        labels = torch.zeros(sum(units(example) for example in real), dtype=torch.long)
        # The trainer counts the units; `labels` alone it would take for a text whose first token nothing predicts.
        counted = {"labels": labels, "shift_labels": labels, "count": bool(real)}
        return {"examples": real or [examples[0]], **counted}

    kept = Checkpoints(checkpoints) if checkpoints is not None and settings.checkpoint_steps else None
    with _folder(kept) as folder, model.in_training(adapter) as net:
        arguments = TrainingArguments(
            output_dir=folder,
            learning_rate=settings.learning_rate,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.trees_per_pass,
            gradient_accumulation_steps=passes,
            lr_scheduler_type="cosine",
            warmup_steps=settings.warmup,
            max_grad_norm=settings.max_grad_norm,
            weight_decay=settings.weight_decay,
            gradient_checkpointing=settings.gradient_checkpointing,
            optim="adamw_torch",
            seed=seed,
            data_seed=seed,
            use_cpu=model.device.type == "cpu",
            save_strategy="steps" if kept else "no",
            save_steps=settings.checkpoint_steps or 500,
            save_total_limit=2,
            logging_strategy="steps" if settings.trackers else "no",
            logging_steps=1,
            run_name=adapter,
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            ddp_find_unused_parameters=False,
        )
        # Several GPUs in view of one process would be used by DataParallel, which splits what cannot be split.
        arguments._n_gpu = min(arguments.n_gpu, 1)
        learner = _Learner(model, net, loss)
        learner.share_what_is_trained()
        trainer = _TreeTrainer(
            learner,
            args=arguments,
            train_dataset=_Examples(examples),
            data_collator=collate,
            callbacks=[_ProgressCallback(progress)] if progress else [],
        )
        for tracker in tracker_callbacks(settings.trackers, adapter):
            trainer.add_callback(tracker)
        trainer.remove_callback(PrinterCallback)
        if kept:
            trainer.add_callback(_SealCallback(kept, trainer.figures))
        merged = None if model.trains_all else MergedAdapter(model.peft, adapter)
        if merged:
            trainer.add_callback(_RefreshCallback(merged))
        with merged.in_use() if merged else nullcontext():
            trainer.train(resume_from_checkpoint=_last(kept) if kept else None)
        if settings.gradient_checkpointing:
            model.base.gradient_checkpointing_disable()
        figures = trainer.figures
    rows = _by_step(figures)
    return rows if processes.count() == 1 else _of_all_processes(rows)


def _passes(settings: TrainingSettings) -> int:
    """Passes of one process in an optimiser step."""
    together = settings.trees_per_pass * processes.count()
    if settings.trees_per_step % together:
        raise RunError(
            f"trees_per_step is {settings.trees_per_step}, which {processes.count()} processes with trees_per_pass "
            f"{settings.trees_per_pass} cannot share evenly: set it to a multiple of {together}, or start another "
            "number of processes"
        )
    return settings.trees_per_step // together


def _last(kept: Checkpoints) -> str | None:
    """The state that all processes go on from."""
    if processes.is_first():
        kept.last()  # sets aside what is damaged
    processes.wait()
    state = kept.last()
    return str(state) if state else None


@contextmanager
def _folder(kept: Checkpoints | None) -> Iterator[str]:
    if kept is not None:
        yield str(kept.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def _by_step(figures: Sequence[dict[str, float]]) -> Figures:
    """Sum the figures of the passes of each optimiser step."""
    steps: dict[float, dict[str, float]] = {}
    for row in figures:
        total = steps.setdefault(row["step"], {"step": row["step"]})
        for key, value in row.items():
            if key != "step":
                total[key] = total.get(key, 0.0) + value
    return list(steps.values())


def _of_all_processes(rows: Figures) -> Figures:
    """Each step's figures summed over the processes, which have the same steps."""
    names = [name for name in rows[0] if name != "step"]
    sums = processes.summed([[row[name] for name in names] for row in rows])
    return [{"step": row["step"]} | dict(zip(names, total, strict=True)) for row, total in zip(rows, sums, strict=True)]
