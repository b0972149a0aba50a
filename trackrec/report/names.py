"""What the arms, roles, kinds and filters of a run are called on the page."""

from __future__ import annotations

from trackrec.report.blocks import spoken

ARMS = {
    "v_own": "V with the user's own RecCoT",
    "v_swapped": "V with another user's RecCoT",
    "v_placeholder": "the same V, placeholder for the RecCoT",
    "v_without_reccot": "V tuned without any RecCoT, as TALLRec does",
    "v_zero_shot": "V untuned (zero-shot)",
    "item_user_mean": "item mean + user mean, by counting",
    "item_mean": "item mean, by counting",
    "user_share": "the user's share of likes, by counting",
    "din_no_text": "DIN without text",
    "din_swapped": "DIN with another user's RecCoT",
    "din_own": "DIN with the user's own RecCoT",
}
SHORT = {
    "v_own": "own RecCoT",
    "v_swapped": "another's RecCoT",
    "v_placeholder": "placeholder",
    "v_without_reccot": "V without RecCoT",
    "v_zero_shot": "V untuned",
    "item_user_mean": "item + user mean",
    "item_mean": "item mean",
    "user_share": "user's share",
    "din_no_text": "no text",
    "din_swapped": "another's RecCoT",
    "din_own": "own RecCoT",
}
ROLES = {
    "lm": "LM users",
    "lm_extra": "LM users, extra",
    "lm_validation": "LM validation users",
    "ranker": "ranker users",
}
DUTIES = {
    "lm": "distillation, rewards and tuning of G and V, cross-fitted in two halves",
    "lm_extra": "item statistics and more training text; no RecCoT is sampled for them",
    "lm_validation": "promotion of a round, held-out preferences, KL; never tuned on",
    "ranker": "train and test rankers, and test G then V; no label of theirs touches G or V",
}
METRICS = {
    "auc": "AUC",
    "gauc": "GAUC",
    "log_loss": "LogLoss",
    "log_loss_calibrated": "LogLoss, calibrated",
    "accuracy": "accuracy",
}
KINDS = {"lm": "language-model V", "matcher": "matcher V", "ranker": "ranker V"}
FILTERS = {
    "users": "users that came in",
    "samples": "RecCoTs that came in",
    "duplicate_samples": "RecCoTs that repeat another of the user",
    "users_single_text": "users left with a single text",
    "users_none_finished": "users all of whose texts were cut off",
    "users_all_wrong": "users for whom every RecCoT makes V wrong",
    "users_no_gain": "users whose best RecCoT is no better than the placeholder",
    "users_one_target": "users with one target, so no standard error",
    "pairs": "pairs compared",
    "pairs_within_noise": "pairs within the noise",
    "users_within_noise": "users without a pair beyond the noise",
    "pairs_over_maximum": "pairs beyond the most that a group takes",
    "groups": "groups that came out",
    "pairs_kept": "pairs that came out",
}


def arm_name(arm: str, number: int | None = None, short: bool = False) -> str:
    """An arm in words, with its round if it has one."""
    name = (SHORT if short else ARMS).get(arm, spoken(arm))
    return name if number is None else f"{name}, round {number}"


def kind_name(kind: str) -> str:
    """A kind of validator in words."""
    return KINDS.get(kind, f"{spoken(kind)} V")
