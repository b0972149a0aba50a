"""Who may see what: each user's role, fixed before anything is trained."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl
from pydantic import Field

from trackrec.data.log import stable_hash
from trackrec.errors import RecipeError
from trackrec.settings import Settings

if TYPE_CHECKING:
    from trackrec.data.split import Split

NO_FOLD = -1
"""The fold of users that are not cross-fitted: ``fold != k`` keeps them."""


class Role(StrEnum):
    """What a user's data may be used for."""

    LM = "lm"
    """The loop: distillation, rewards, tuning of generator and validator; cross-fitted in the folds 0 and 1."""
    LM_EXTRA = "lm_extra"
    """No RecCoT is sampled for them: item statistics, distillation, the ranker validator."""
    LM_VALIDATION = "lm_validation"
    """Settings, early stopping, calibration and promotion of a round; never tuned on."""
    RANKER = "ranker"
    """Training, validation and test of rankers, in folds; no label of theirs touches generator or validator."""


class RoleSettings(Settings):
    """How many users take each role."""

    lm_users: int = Field(default=100, ge=2)
    """Users of the loop: distillation, rewards and tuning, cross-fitted in two halves."""
    lm_extra_users: int = Field(default=200, ge=0)
    """Further users whose ratings may be learnt from, but for whom no RecCoT is sampled."""
    lm_validation_users: int = Field(default=32, ge=0)
    """Users on whom settings are chosen and rounds are promoted; never tuned on."""
    ranker_folds: int = Field(default=5, ge=1, le=127)
    """Into how many folds the ranker users are dealt."""
    ranker_users: int | None = Field(default=None, ge=0)
    """How many ranker users there are; the others get no role. Empty: all the rest."""


def assign_roles(split: Split, settings: RoleSettings, seed: int) -> pl.DataFrame:
    """Deal the split's users into roles.

    The order of dealing is that of a hash of seed and id, so it does not depend on the order of the tables.

    Returns:
        ``user_id, role`` String ``, fold`` Int8, one row a user with a role, sorted by user. Folds: lm 0 and 1, ranker
        0 to ``ranker_folds`` - 1, others ``NO_FOLD``.

    Raises:
        RecipeError: there are fewer users than the roles ask for.
    """
    users = sorted(split.users.to_list(), key=lambda user: stable_hash(f"{seed}:{stable_hash(user)}"))
    lm, extra, validation = settings.lm_users, settings.lm_extra_users, settings.lm_validation_users
    rest = len(users) - lm - extra - validation
    ranker = rest if settings.ranker_users is None else settings.ranker_users
    enough = settings.ranker_folds if ranker or settings.ranker_users is None else 0
    if ranker > rest or ranker < enough:
        raise RecipeError(
            f"the roles ask for {lm} lm, {extra} lm_extra, {validation} lm_validation and at least "
            f"{max(settings.ranker_users or 0, enough)} ranker users (one a fold), but the split has {len(users)} "
            "users: lower the numbers in the recipe's roles"
        )
    dealt = [Role.LM] * lm + [Role.LM_EXTRA] * extra + [Role.LM_VALIDATION] * validation + [Role.RANKER] * ranker
    folds = {Role.LM: 2, Role.RANKER: settings.ranker_folds}
    rows = [
        (user, role.value, place % folds[role] if role in folds else NO_FOLD)
        for place, (user, role) in enumerate(zip(users, dealt, strict=False))
    ]
    schema = pl.Schema({"user_id": split.users.dtype, "role": pl.String(), "fold": pl.Int8()})
    return pl.DataFrame(rows, schema=schema, orient="row").sort("user_id")
