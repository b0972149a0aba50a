"""The ranker as validator: a CTR model that reads the RecCoT as a vector says how likely the user's true labels are."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trackrec.errors import RunError
from trackrec.features.encoder import Encoder, Floats
from trackrec.features.projection import Projection
from trackrec.judges.base import JudgeContext
from trackrec.metrics.probability import auc, log_loss
from trackrec.rankers.base import BackboneSettings, RankerSizes, build_ranker
from trackrec.rankers.compare import SplitTables
from trackrec.rankers.examples import DENSE_FEATURES, ItemTable, RatingScale, VectorTable, build_examples
from trackrec.rankers.fit import FitSettings, fit_ranker, one_thread, predict_logits, seeded
from trackrec.registry import named
from trackrec.settings import ComponentSettings
from trackrec.users.history_features import history_numbers

WEIGHTS = "ranker.safetensors"
DESCRIPTION = "ranker.json"


class RankerValidatorSettings(ComponentSettings):
    """The ranker as validator."""

    type: str = "ranker"
    recent: int = Field(default=3, ge=0)
    """Recent events in view beside the RecCoT: the fewer, the more the RecCoT must carry."""
    members: int = Field(default=4, ge=1)
    """Models whose logits are averaged. Each leaves another part of the users out, on which its training is stopped
    and the validator's own figures are measured."""
    components: int = Field(default=6, ge=1)
    """Directions of the RecCoT vectors that the model reads: those that tell most about the histories behind them."""
    backbone: Annotated[str, named("backbone")] = "din"
    """The CTR model."""
    model: BackboneSettings = BackboneSettings()
    fit: FitSettings = FitSettings(vector_dropout=0.2)


@dataclass(frozen=True)
class _Fitted:
    """All that scoring needs and a folder keeps."""

    members: list[nn.Module]
    scale: RatingScale
    projection: Projection
    like_share: float | None


class RankerValidator:
    """A validator in the sense of :class:`trackrec.judges.base.Validator`.

    Args:
        split: histories and examples of :class:`trackrec.data.split.Split`; gives each target its recent events.
        items: the catalogue.
        settings: see :class:`RankerValidatorSettings`.
        encoder: turns RecCoTs into vectors.
    """

    Settings = RankerValidatorSettings
    kind = "ranker"
    learns_all_targets = True
    scores_in_shards = False

    @classmethod
    def make(cls, settings: RankerValidatorSettings, context: JudgeContext) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(context.split, context.items, settings, context.encoder())

    def __init__(
        self, split: SplitTables, items: pl.DataFrame, settings: RankerValidatorSettings, encoder: Encoder
    ) -> None:
        self.split = split
        self.items = ItemTable.from_catalogue(items)
        self.catalogue = items
        self.settings = settings
        self.encoder = encoder
        self._fitted: _Fitted | None = None

    def fit(self, targets: pl.DataFrame, reccots: pl.DataFrame, folder: Path, seed: int) -> dict[str, Any]:
        """Train on targets with the RecCoTs of their users, and write the folder.

        Args:
            targets: ``user_id, event_id, item_id, label``, as many a user as the caller has; with the columns
                ``raters, likes`` (the item's counts among other users) the model reads those as well.
            reccots: ``user_id, text``; null is the placeholder. Each target is trained on once with each RecCoT of
                its user; a user without a row counts as one with the placeholder.
            folder: gets ``ranker.safetensors`` and ``ranker.json``.
            seed: everything follows from it.

        Returns:
            Counts, epochs, seconds, and figures on the users that a member left out (each example scored by the one
            member that never saw its user): AUC and LogLoss with the own RecCoT, with another user's and with the
            placeholder, and ``own_preferred``, the share of users whose targets are likelier with their own RecCoT
            than with another user's.
        """
        started = time.perf_counter()
        settings = self.settings
        if targets["user_id"].n_unique() < 2 * settings.members:
            raise RunError(
                f"The ranker validator got {targets['user_id'].n_unique()} users, but {settings.members} members that "
                f"each leave a part of them out need {2 * settings.members}: give it more users or set members lower."
            )
        frame = self._with_recent(targets).join(
            reccots.select("user_id", "text"), on="user_id", how="left", maintain_order="left_right"
        )
        texts = frame["text"].drop_nulls().unique(maintain_order=True)
        if texts.len() < 2:
            raise RunError(f"The ranker validator got {texts.len()} different RecCoTs: it cannot learn what they tell.")
        raw = self.encoder.encode(texts.to_list())
        projection = self._projection(reccots, texts, raw, targets["user_id"].unique())
        vectors = VectorTable.from_vectors(raw, projection)
        scale = RatingScale.fit(frame["recent_ratings"].explode())
        like_share = _like_share(targets)
        own = _text_rows(frame["text"], texts)
        examples = build_examples(frame, self.items, scale, settings.recent, like_share).with_vectors(own)
        users = frame["user_id"]
        part = _parts(users, settings.members, seed)
        other = _another_users_row(users, own, part, seed)
        variants = {"own": own, "other": other, "placeholder": torch.zeros_like(own)}
        left_out = {name: torch.zeros(len(examples)) for name in variants}
        members, epochs = [], []
        for member in range(settings.members):
            number = int(np.random.SeedSequence([seed, member]).generate_state(1)[0])
            with seeded(number):
                model = self._model(scale, projection.directions.shape[1], examples.dense.shape[1])
            rest, out = (
                torch.from_numpy(np.flatnonzero(part != member)),
                torch.from_numpy(np.flatnonzero(part == member)),
            )
            result = fit_ranker(model, examples.take(rest), examples.take(out), settings.fit, number, vectors)
            for name, rows in variants.items():
                left_out[name][out] = predict_logits(model, examples.with_vectors(rows).take(out), vectors)
            members.append(model)
            epochs.append(result.best_epoch)
        self._fitted = _Fitted(members, scale, projection, like_share)
        self._save(folder)
        covered = (own > 0).numpy() & (other > 0).numpy()
        return {
            "users": users.n_unique(),
            "users_without_reccot": frame.filter(pl.col("text").is_null())["user_id"].n_unique(),
            "examples": len(examples),
            "epochs": epochs,
            "seconds": round(time.perf_counter() - started, 2),
            **_figures(users, examples.label, left_out, covered),
        }

    def score(self, targets: pl.DataFrame, reccots: pl.DataFrame) -> pl.DataFrame:
        """P(Yes) of every RecCoT on every target of its user.

        Args:
            targets: as for :meth:`fit`; with ``raters, likes`` if it was trained with them.
            reccots: ``user_id, sample, text``; null is the placeholder.

        Returns:
            ``user_id, sample, event_id, label, yes_probability``, RecCoT by RecCoT in the order given.
        """
        fitted = self._need_fitted()
        frame = self._with_recent(targets)
        if fitted.like_share is not None and not {"raters", "likes"} <= set(frame.columns):
            raise RunError(
                "This ranker validator was trained with the columns raters and likes: give them to score too."
            )
        plain = build_examples(frame, self.items, fitted.scale, self.settings.recent, fitted.like_share)
        pairs = reccots.select("user_id", "sample", "text").join(
            frame.select("user_id", "event_id", "label").with_row_index("_target"),
            on="user_id",
            how="inner",
            maintain_order="left_right",
        )
        texts = pairs["text"].drop_nulls().unique(maintain_order=True)
        vectors = VectorTable(torch.zeros(1, fitted.projection.directions.shape[1]))
        if texts.len():
            vectors = VectorTable.from_vectors(self.encoder.encode(texts.to_list()), fitted.projection)
        examples = plain.take(torch.from_numpy(pairs["_target"].cast(pl.Int64).to_numpy().copy()))
        examples = examples.with_vectors(_text_rows(pairs["text"], texts))
        with one_thread():
            logits = torch.stack([predict_logits(model, examples, vectors) for model in fitted.members])
        return pairs.select(
            "user_id",
            "sample",
            "event_id",
            "label",
            pl.Series("yes_probability", torch.sigmoid(logits.double().mean(0)).numpy()),
        )

    def load(self, folder: Path) -> None:
        """Read what :meth:`fit` wrote; same catalogue and settings as then."""
        try:
            described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS)
        except FileNotFoundError as error:
            raise RunError(
                f"{folder} holds no ranker validator ({error.filename} is missing): fit it first."
            ) from error
        if described["settings"] != self.settings.model_dump(mode="json") or described["items"] != len(self.items.ids):
            raise RunError(
                f"{folder} was fitted with {described['items']} items and settings {described['settings']}; this "
                f"validator has {len(self.items.ids)} and {self.settings.model_dump(mode='json')}. Fit it anew."
            )
        projection = Projection(tensors.pop("projection.mean").numpy(), tensors.pop("projection.directions").numpy())
        scale = RatingScale(np.asarray(described["rating_edges"], dtype=np.float64))
        like_share = described["like_share"]
        members = []
        for number in range(self.settings.members):
            dense = 0 if like_share is None else DENSE_FEATURES
            model = self._model(scale, projection.directions.shape[1], dense)
            prefix = f"member{number}."
            model.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
            members.append(model.eval())
        self._fitted = _Fitted(members, scale, projection, like_share)

    def _save(self, folder: Path) -> None:
        fitted = self._need_fitted()
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            "projection.mean": torch.from_numpy(fitted.projection.mean),
            "projection.directions": torch.from_numpy(fitted.projection.directions).contiguous(),
        }
        for number, model in enumerate(fitted.members):
            tensors |= {f"member{number}.{name}": value.contiguous() for name, value in model.state_dict().items()}
        save_file(tensors, folder / WEIGHTS)
        described = {
            "items": len(self.items.ids),
            "rating_edges": fitted.scale.edges.tolist(),
            "like_share": fitted.like_share,
            "settings": self.settings.model_dump(mode="json"),
        }
        (folder / DESCRIPTION).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")

    def _projection(self, reccots: pl.DataFrame, texts: pl.Series, raw: Floats, users: pl.Series) -> Projection:
        """Directions from the RecCoTs and the histories they were written from (a text of two users counts twice).

        ``users``: those who are learned from; what others watch is counted among them alone.
        """
        numbers = history_numbers(self.split.histories, self.catalogue, users)
        rows = reccots.join(numbers.table, on="user_id", how="inner", maintain_order="left")
        rows = rows.filter(pl.col("text").is_in(texts.to_list())).unique(["user_id", "text"], maintain_order=True)
        told = np.asarray(rows["numbers"].to_list(), dtype=np.float64)
        known = raw[_text_rows(rows["text"], texts).numpy() - 1]
        return Projection.fit(known, self.settings.components, told, numbers.weights("ctr"))

    def _model(self, scale: RatingScale, components: int, dense: int) -> nn.Module:
        sizes = RankerSizes(self.items, scale.buckets, self.settings.recent, dense, texts=(components,))
        return build_ranker(self.settings.backbone, sizes, self.settings.model)

    def _need_fitted(self) -> _Fitted:
        if self._fitted is None:
            raise RunError("This ranker validator was neither fitted nor loaded: call fit or load before score.")
        return self._fitted

    def _with_recent(self, targets: pl.DataFrame) -> pl.DataFrame:
        recent = self.split.examples.select("user_id", "event_id", "recent_item_ids", "recent_ratings")
        frame = targets.join(recent, on=["user_id", "event_id"], how="left", maintain_order="left")
        unknown = frame.filter(pl.col("recent_item_ids").is_null())
        if unknown.height:
            row = unknown.row(0, named=True)
            raise RunError(
                f"{unknown.height} targets are not examples of the split, for example event {row['event_id']} of user "
                f"{row['user_id']!r}: choose targets from the same split."
            )
        return frame


def _like_share(targets: pl.DataFrame) -> float | None:
    """Share of likes among all counted ratings of the targets' items, kept off 0 and 1; None without the columns."""
    if not {"raters", "likes"} <= set(targets.columns):
        return None
    return (int(targets["likes"].sum()) + 1) / (int(targets["raters"].sum()) + 2)


def _text_rows(column: pl.Series, texts: pl.Series) -> Tensor:
    """Row of each text in the vector table (position in ``texts`` plus 1), 0 for null."""
    position = {text: row for row, text in enumerate(texts.to_list(), start=1)}
    return torch.tensor([0 if text is None else position[text] for text in column.to_list()], dtype=torch.int64)


def _parts(users: pl.Series, parts: int, seed: int) -> npt.NDArray[np.int64]:
    """Part of each row's user, 0..parts-1; users are dealt out evenly."""
    names = users.unique().sort()
    dealt = np.random.default_rng([seed, 1]).permutation(np.arange(len(names)) % parts)
    frame = pl.DataFrame({"user_id": names, "part": dealt})
    return pl.DataFrame({"user_id": users}).join(frame, on="user_id", maintain_order="left")["part"].to_numpy()


def _another_users_row(users: pl.Series, own: Tensor, part: npt.NDArray[np.int64], seed: int) -> Tensor:
    """For each row the vector row of another user of the same part, the same for all rows of a user; 0 if none."""
    first = pl.DataFrame({"user_id": users, "own": own.numpy(), "part": part}).filter(pl.col("own") > 0)
    first = first.unique("user_id", keep="first", maintain_order=True).sort("user_id")
    rng = np.random.default_rng([seed, 2])
    swapped: list[pl.DataFrame] = []
    for number in sorted(first["part"].unique().to_list()):
        group = first.filter(pl.col("part") == number)
        order = rng.permutation(group.height)
        giver = np.empty_like(order)
        giver[order] = np.roll(order, 1)
        if group.height > 1:
            swapped.append(group.select("user_id", other=group["own"].gather(giver)))
    joined = pl.DataFrame({"user_id": users}).join(pl.concat(swapped), on="user_id", how="left", maintain_order="left")
    return torch.from_numpy(joined["other"].fill_null(0).cast(pl.Int64).to_numpy().copy())


def _figures(
    users: pl.Series, labels: Tensor, logits: dict[str, Tensor], rows: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """AUC and LogLoss of each variant and the share of users that prefer their own, on the given rows."""
    label = labels.numpy().astype(np.float64)[rows]
    if len(np.unique(label)) < 2:
        return {}
    figures: dict[str, float] = {}
    likelihood: dict[str, npt.NDArray[np.float64]] = {}
    for name, values in logits.items():
        logit = values.double().numpy()[rows]
        probability = 1 / (1 + np.exp(-logit))
        figures[f"auc_{name}"] = round(auc(label, logit), 4)
        figures[f"log_loss_{name}"] = round(log_loss(label, probability), 4)
        likelihood[name] = -np.logaddexp(0, np.where(label == 1, -logit, logit))
    by_user = pl.DataFrame(
        {"user_id": users.filter(pl.Series(rows)), "difference": likelihood["own"] - likelihood["other"]}
    )
    means = by_user.group_by("user_id").agg(pl.col("difference").mean())["difference"].to_numpy()
    figures["own_preferred"] = round(float(np.mean(means > 0)), 4)
    return figures
