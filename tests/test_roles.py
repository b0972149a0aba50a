"""The dealing of roles."""

from __future__ import annotations

import polars as pl
import pytest

from trackrec.data.split import NO_FOLD, Role, RoleSettings, Split, assign_roles
from trackrec.errors import RecipeError


def split_of(users: list[int]) -> Split:
    return Split(histories=pl.DataFrame({"user_id": users}), examples=pl.DataFrame())


FEW = RoleSettings(lm_users=4, lm_extra_users=3, lm_validation_users=2, ranker_folds=3)


def test_every_user_has_one_role_and_folds_are_even() -> None:
    roles = assign_roles(split_of(list(range(20))), FEW, seed=1)
    assert roles["user_id"].to_list() == list(range(20))
    assert roles.schema == {"user_id": pl.Int64, "role": pl.String, "fold": pl.Int8}
    counted = dict(
        roles.group_by("role", "fold")
        .len()
        .sort("role", "fold")
        .select(pl.struct("role", "fold"), "len")
        .map_rows(lambda row: (f"{row[0]['role']} {row[0]['fold']}", row[1]))
        .iter_rows()
    )
    assert counted == {
        "lm 0": 2,
        "lm 1": 2,
        f"lm_extra {NO_FOLD}": 3,
        f"lm_validation {NO_FOLD}": 2,
        "ranker 0": 4,
        "ranker 1": 4,
        "ranker 2": 3,
    }


def test_roles_follow_the_seed_and_not_the_order_of_rows() -> None:
    users = list(range(40))
    first = assign_roles(split_of(users), FEW, seed=1)
    assert first.equals(assign_roles(split_of(users[::-1]), FEW, seed=1))
    assert not first.equals(assign_roles(split_of(users), FEW, seed=2))


def test_fewer_ranker_users_leave_the_others_without_a_role() -> None:
    few = FEW.model_copy(update={"ranker_users": 5})
    roles = assign_roles(split_of(list(range(20))), few, seed=1)
    all_roles = assign_roles(split_of(list(range(20))), FEW, seed=1)
    assert roles.filter(pl.col("role") == Role.RANKER).height == 5
    assert roles.height == 14
    # Who has a role has the same one as if all had been asked for.
    assert roles.join(all_roles, on=["user_id", "role", "fold"], how="anti").is_empty()


def test_no_rankers_at_all_is_allowed() -> None:
    roles = assign_roles(split_of(list(range(9))), FEW.model_copy(update={"ranker_users": 0}), seed=1)
    assert roles.filter(pl.col("role") == Role.RANKER).is_empty()


@pytest.mark.parametrize(("users", "ranker"), [(11, None), (20, 12), (20, 2)])
def test_too_few_users(users: int, ranker: int | None) -> None:
    chosen = FEW.model_copy(update={"ranker_users": ranker})
    with pytest.raises(RecipeError, match=f"4 lm, 3 lm_extra, 2 lm_validation .* the split has {users} users"):
        assign_roles(split_of(list(range(users))), chosen, seed=1)


def test_string_ids_stay_strings() -> None:
    split = Split(histories=pl.DataFrame({"user_id": list("abcdefghijklmn")}), examples=pl.DataFrame())
    assert assign_roles(split, FEW, seed=1).schema["user_id"] == pl.String
