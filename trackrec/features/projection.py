"""From a text vector of hundreds of numbers to the few that a small recommender can learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from trackrec.errors import RunError
from trackrec.features.encoder import Floats
from trackrec.users.history_features import Matrix

RIDGES = np.logspace(-5, 1, 19)
"""Ridge strengths that are tried, as multiples of the vectors' mean square norm."""


@dataclass(frozen=True)
class Projection:
    """Centre, directions and scale of text vectors, learned without a single target's label.

    RecCoTs of one style lie close together, and what they differ by most is titles and wording: "likes 9 in 10 films"
    and "likes 3 in 10" are neighbours, and the main directions of the vectors miss the difference. With a few
    hundred users a recommender cannot find it by itself in 384 dimensions. So the directions are those that tell most
    about the history that the text was written from (reduced-rank ridge regression, one strength per number, chosen by
    leaving one out). What a text says of its history decides where it lands; whether that helps to predict anything is
    for the recommender to find out.
    """

    mean: Floats
    """Shape (dimensions,)."""
    directions: Floats
    """Shape (dimensions, components), scaled so that the coordinates' mean square is 1 over all components."""

    @classmethod
    def fit(
        cls, vectors: Floats, components: int, numbers: Matrix | None = None, weights: Matrix | None = None
    ) -> Projection:
        """Learn the directions.

        Args:
            vectors: of training users, shape (texts, dimensions).
            components: most directions.
            numbers: what the history behind each text says, shape (texts, numbers), see
                :func:`trackrec.users.history_features.history_numbers`. None, or numbers that the texts do not tell:
                the main directions of the vectors.
        """
        values = np.asarray(vectors, dtype=np.float64)
        mean = values.mean(axis=0)
        left, singular, right = np.linalg.svd(values - mean, full_matrices=False)
        keep = singular > 1e-6 * max(float(singular[0]), 1e-12)
        left, singular, right = left[:, keep], singular[keep], right[keep]
        directions = right.T
        if numbers is not None:
            directions = right.T @ (_ridge(left, singular, numbers) * (1.0 if weights is None else weights))
        if not directions.any():
            directions = right.T
        _, _, axes = np.linalg.svd((values - mean) @ directions, full_matrices=False)
        directions = directions @ axes[:components].T
        spread = float(np.sqrt(np.mean(((values - mean) @ directions) ** 2)))
        return cls(mean.astype(np.float32), (directions / max(spread, 1e-9)).astype(np.float32))

    def oriented(self) -> Projection:
        """The same directions, each turned so that its largest entry is positive.

        Which way round they are found hangs on the last bits of the vectors, which differ with the number of threads
        that the encoder ran with; what is trained on them would be another model.
        """
        largest = np.abs(self.directions).argmax(axis=0)
        ends = np.take_along_axis(self.directions, largest[np.newaxis, :], axis=0)
        return Projection(self.mean, np.where(ends < 0, -self.directions, self.directions))

    def save(self, path: Path) -> None:
        """Write ``mean`` and ``directions`` as safetensors."""
        tensors = {"mean": np.ascontiguousarray(self.mean), "directions": np.ascontiguousarray(self.directions)}
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read what :meth:`save` wrote.

        Raises:
            RunError: the file is not there, or holds no projection.
        """
        try:
            tensors = load_file(path)
            return cls(tensors["mean"].astype(np.float32), tensors["directions"].astype(np.float32))
        except (OSError, KeyError, SafetensorError) as error:
            raise RunError(
                f"{path} holds no projection ({error}): expected the tensors mean and directions, as in a "
                "finished run's projection.safetensors"
            ) from error

    def __call__(self, vectors: Floats) -> Floats:
        """Shape (texts, dimensions) -> (texts, components)."""
        return np.asarray((vectors - self.mean) @ self.directions, dtype=np.float32)


def with_projected(vectors: pl.DataFrame, projection: Projection) -> pl.DataFrame:
    """The table of user vectors as it leaves a run.

    Args:
        vectors: ``user_id, vector, has_reccot``, see :func:`trackrec.features.encoder.user_vectors`.
        projection: what rankers read the vectors through.

    Returns:
        ``user_id, vector`` (projected: what rankers are measured with) ``, raw_vector`` (the encoder's own) ``,
        has_reccot``.
    """
    known = vectors.filter(pl.col("vector").is_not_null())
    raw = np.asarray(known["vector"].to_list(), dtype=np.float32).reshape(known.height, -1)
    projected = projection(raw).tolist() if known.height else []
    short = known.select("user_id", pl.Series("projected", projected, dtype=pl.List(pl.Float32)))
    both = vectors.join(short, on="user_id", how="left", maintain_order="left")
    return both.select("user_id", vector="projected", raw_vector="vector", has_reccot="has_reccot")


def _ridge(left: Matrix, singular: Matrix, numbers: Matrix) -> Matrix:
    """Coefficients of each standardised number on the right singular vectors, shape (rank, numbers).

    A number that no ridge strength predicts better than its mean does, each text left out in turn, gets zeros.
    """
    wanted = (numbers - numbers.mean(axis=0)) / np.maximum(numbers.std(axis=0), 1e-9)
    seen = left.T @ wanted
    best = (wanted**2).sum(axis=0)
    chosen = np.zeros((len(singular), wanted.shape[1]))
    for strength in RIDGES * float((singular**2).sum()):
        shrink = singular**2 / (singular**2 + strength)
        leverage = (left**2) @ shrink
        residual = (wanted - left @ (shrink[:, None] * seen)) / np.maximum(1 - leverage, 1e-9)[:, None]
        error = (residual**2).sum(axis=0)
        better = error < best
        best = np.where(better, error, best)
        chosen[:, better] = ((shrink / singular)[:, None] * seen)[:, better]
    return chosen
