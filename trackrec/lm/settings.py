"""Settings of the language model: which one, how it runs, and what of it is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from trackrec.settings import LATER, Commit, Settings

_given = [False]


def trust_remote_code(given: bool) -> None:
    """Allow this process, or forbid it, to run code that comes with a language model."""
    _given[0] = given


def remote_code_is_trusted() -> bool:
    """Whether it was allowed."""
    return _given[0]


class LanguageModelSettings(Settings):
    """Which language model, and how it runs."""

    name: str = "smollm2-135m-instruct"
    """The embedded model's name, a Hugging Face id, or a local folder."""
    revision: Annotated[Commit, LATER] = ""
    """Of a Hugging Face id, the commit (40 hexadecimal digits). Empty: the newest one when the run begins; its recipe
    keeps it."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights; float32 on CPUs without bfloat16 units, where bfloat16 is 40 times slower."""
    device: str = "auto"
    """`auto` takes CUDA where it is present, else the CPU; any torch device name goes."""
    cache_gb: float = Field(default=24, gt=0)
    """Most gigabytes of keys and values while texts are written on a GPU: from it follows how many are written at a
    time, on which the last bits of float sums depend."""
    threads: int = Field(default=2, ge=1, le=256)
    """CPU threads. Part of the recipe because float32 results depend on it in the last bits."""

    @model_validator(mode="before")
    @classmethod
    def _no_file_gives_trust(cls, given: Any) -> Any:
        """A run folder from elsewhere must not decide that code in it runs here."""
        if not isinstance(given, dict) or "trust_remote_code" not in given:
            return given
        if given["trust_remote_code"]:
            raise ValueError(
                "trust_remote_code cannot be set in a recipe: if you have read the code that comes with the model and "
                "trust it, say --trust-remote-code on the command line"
            )
        return {key: value for key, value in given.items() if key != "trust_remote_code"}


class AdapterSettings(Settings):
    """What is trained: LoRA adapters, or the whole model.

    Adapters have no dropout: a prefix tree would draw one mask for tokens that its leaves share.
    """

    method: Literal["lora", "full"] = "lora"
    """`lora`, or `full`: all weights (the paper's), which takes 16 bytes of memory a weight and learning rates a
    hundredth as high; the fields below mean nothing then. Each version is kept as a whole model in float32, 4 bytes a
    weight."""
    rank: int = Field(default=16, ge=1, le=4096)
    """Rank r of the update."""
    alpha: int = Field(default=32, ge=1)
    """Scale: the update is multiplied by alpha / rank."""
    target_modules: str | list[str] = "all-linear"
    """Which layers are adapted: PEFT's `all-linear` or names of modules."""
