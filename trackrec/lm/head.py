"""The model's own head: from hidden states to logits, with whatever the model does to them afterwards.

Granite divides its logits by a number, HyperCLOVA X multiplies by one of the same name, Cohere scales, Gemma 2 caps.
Which of it a model does is found out by comparing with the logits that it gives by itself, never by its name.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trackrec.errors import AssetError

_SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier_scale")
_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap", "softcap")
_PROBE = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class LogitRule:
    """What a model does to the output of its head.

    >>> LogitRule(scale=0.5)(torch.tensor([4.0])), LogitRule(cap=1.0)(torch.tensor([100.0]))
    (tensor([2.]), tensor([1.]))
    """

    scale: float = 1.0
    """What it multiplies by."""
    cap: float | None = None
    """After that, ``cap * tanh(logits / cap)``."""

    def __call__(self, raw: Tensor) -> Tensor:
        """The logits; the very same tensor where the model does nothing."""
        scaled = raw if self.scale == 1.0 else raw * self.scale
        return scaled if self.cap is None else self.cap * torch.tanh(scaled / self.cap)


_found: WeakKeyDictionary[PreTrainedModel, LogitRule] = WeakKeyDictionary()


def logit_rule(model: PreTrainedModel) -> LogitRule:
    """What a model does to the output of its head, found out once a model.

    Raises:
        AssetError: its logits are none of what is known to be done to them.
    """
    if model not in _found:
        _found[model] = _find(model)
    return _found[model]


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Next-token logits in float32 of some last hidden states: (..., width) to (..., vocabulary)."""
    head: Any = model.get_output_embeddings()
    return logit_rule(model)(head(hidden).float())


def token_logits(model: PreTrainedModel, hidden: Tensor, tokens: Sequence[int]) -> Tensor:
    """Logits in float32 of some tokens alone: (..., width) to (..., tokens)."""
    head: Any = model.get_output_embeddings()
    raw = hidden.float() @ head.weight[list(tokens)].float().T
    if getattr(head, "bias", None) is not None:
        raw = raw + head.bias[list(tokens)].float()
    return logit_rule(model)(raw)


@torch.inference_mode()
def _find(model: PreTrainedModel) -> LogitRule:
    head: Any = model.get_output_embeddings()
    ids = torch.tensor([_PROBE], device=model.device)
    expected = model(input_ids=ids, use_cache=False).logits[0].float()
    raw = head(model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0]).float()
    rules = [LogitRule(scale, cap) for scale, cap in itertools.product(_scales(model), _caps(model))]
    errors = [float((rule(raw) - expected).norm() / expected.norm().clamp(min=1e-12)) for rule in rules]
    best = min(range(len(rules)), key=lambda place: (errors[place], place))
    limit = 1e-3 if model.dtype == torch.float32 else 0.03
    if not errors[best] < limit:
        raise AssetError(
            f"the logits of a {model.config.model_type!r} model are off by {errors[best]:.1e} from what its head gives "
            "with any scaling and cap that its configuration names. Scores and log-probabilities of it would be wrong; "
            "use another model"
        )
    return rules[best]


def _scales(model: PreTrainedModel) -> list[float]:
    """Numbers that logits may be multiplied by, 1 first."""
    values = [getattr(model.config.get_text_config(), name, None) for name in _SCALES]
    given = [float(value) for value in values if isinstance(value, (int, float)) and value]
    return list(dict.fromkeys([1.0, *given, *(1 / value for value in given)]))


def _caps(model: PreTrainedModel) -> list[float | None]:
    """Caps that logits may have, none first."""
    values = [getattr(model.config.get_text_config(), name, None) for name in _CAPS]
    return [None, *(float(value) for value in values if isinstance(value, (int, float)) and value)]
