"""Runs inside torch-rechub's own environment, in the folder of a Parquet export: train Wide & Deep with the vectors."""

from __future__ import annotations

import json
import tempfile

import numpy as np
import pyarrow.parquet as pq
import torch
from torch_rechub.basic.features import DenseFeature, SequenceFeature, SparseFeature
from torch_rechub.models.ranking import WideDeep
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import DataGenerator

ROWS, RECENT = 2000, 10


def vectors(table: str, key: str, column: str) -> dict[object, np.ndarray]:
    """The vector of each id that has one."""
    read = pq.read_table(f"{table}.parquet", columns=[key, column]).to_pylist()
    return {row[key]: np.asarray(row[column], dtype=np.float32) for row in read if row[column] is not None}


def main() -> None:
    """Load, compare, train."""
    examples = pq.read_table("examples.parquet").to_pylist()
    users, items = vectors("users", "user_id", "reccot_vector"), vectors("items", "item_id", "item_vector")
    catalogue = {row["item_id"]: number for number, row in enumerate(pq.read_table("items.parquet").to_pylist(), 1)}
    wide, tall = len(next(iter(users.values()))), len(next(iter(items.values())))

    def part(split: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        rows = [row for row in examples if row["split"] == split][:ROWS]
        recent = np.zeros((len(rows), RECENT), dtype=np.int64)
        for place, row in enumerate(rows):
            known = [catalogue[item] for item in (row["recent_item_ids"] or [])[-RECENT:]]
            recent[place, : len(known)] = known
        features = {
            "item": np.array([catalogue[row["item_id"]] for row in rows]),
            "recent": recent,
            "reccot": np.stack([users.get(row["user_id"], np.zeros(wide, np.float32)) for row in rows]),
            "has_reccot": np.array([row["user_id"] in users for row in rows], dtype=np.float32),
            "item_text": np.stack([items.get(row["item_id"], np.zeros(tall, np.float32)) for row in rows]),
        }
        return features, np.array([row["label"] for row in rows], dtype=np.float32)

    x, y = part("train")
    sizes = len(catalogue) + 1
    sparse = [
        SparseFeature("item", sizes, embed_dim=8),
        SequenceFeature("recent", sizes, embed_dim=8, shared_with="item", padding_idx=0),
    ]
    dense = [DenseFeature("reccot", wide), DenseFeature("has_reccot"), DenseFeature("item_text", tall)]
    torch.manual_seed(1)
    model = WideDeep(sparse, [*sparse, *dense], {"dims": [32], "dropout": 0.0, "activation": "relu"})
    loaders = DataGenerator(x, y).generate_dataloader(*part("validation"), *part("test"), batch_size=100)
    batch, _ = next(iter(loaders[2]))
    read = model.embedding(batch, dense, squeeze_dim=True).detach().numpy()
    told = np.concatenate([batch["reccot"], batch["has_reccot"][:, None], batch["item_text"]], axis=1)
    assert np.array_equal(read, told), "torch-rechub hands the model other numbers than the export holds"
    with tempfile.TemporaryDirectory() as folder:
        trainer = CTRTrainer(model, optimizer_params={"lr": 3e-3}, n_epoch=1, model_path=folder)
        first = trainer.train_one_epoch(loaders[0])
        trainer.fit(*loaders[:2])
    auc = trainer.evaluate(trainer.model, loaders[2])
    last = trainer.train_one_epoch(loaders[0])
    assert last < first, (first, last)
    found = {"rows": len(y), "with vector": int(x["has_reccot"].sum()), "loss": f"{first:.3f} to {last:.3f}"}
    print(json.dumps({**found, "test AUC": round(float(auc), 3), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
