"""Runs inside FuxiCTR's own environment, in the folder of an export: load it as FuxiCTR does, and train on a part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import torch
from fuxictr.features import FeatureMap
from fuxictr.preprocess import FeatureProcessor, build_dataset
from fuxictr.pytorch.dataloaders import RankDataLoader
from fuxictr.pytorch.layers import FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel
from fuxictr.utils import load_config

ROWS, STEPS = 1000, 20


class DNN(BaseModel):
    """FuxiCTR's simplest model: the embeddings of all features, then a network."""

    def __init__(self, feature_map, **params):  # type: ignore[no-untyped-def]
        super().__init__(feature_map, **params)
        width = params["embedding_dim"]
        self.embedding_layer = FeatureEmbedding(feature_map, width)
        self.mlp = MLP_Block(
            input_dim=feature_map.sum_emb_out_dim(),
            output_dim=1,
            hidden_units=params["hidden_units"],
            output_activation="sigmoid",
        )
        self.compile(params["optimizer"], params["loss"], params["learning_rate"])
        self.reset_parameters()

    def forward(self, inputs):  # type: ignore[no-untyped-def]
        embedded = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
        return {"y_pred": self.mlp(embedded)}


def main() -> None:
    """Load, compare, train."""
    params = load_config(".", "DNN_trackrec") | {"gpu": -1, "epochs": 1}
    shutil.rmtree(params["data_root"], ignore_errors=True)
    Path("small").mkdir(exist_ok=True)
    for name in ("train", "valid", "test"):  # FuxiCTR hands each part to ray, which takes minutes for all of it
        part = pl.read_parquet(f"{name}.parquet")
        part.filter(pl.col("has_reccot") == 1).vstack(part.filter(pl.col("has_reccot") == 0)).head(ROWS).write_parquet(
            f"small/{name}.parquet"
        )
        params[f"{name}_data"] = f"./small/{name}.parquet"
    processor = FeatureProcessor(**params)
    processed = build_dataset(processor, **params)
    feature_map = FeatureMap(params["dataset_id"], processor.data_dir)
    feature_map.load(processor.json_file, params)
    train = processed[0]
    loader = RankDataLoader(feature_map, stage="test", **{**params, "test_data": train, "batch_size": ROWS})
    batch = next(iter(loader))
    raw = pl.read_parquet("small/train.parquet")
    assert np.array_equal(batch["label"].numpy().ravel(), raw["label"].to_numpy())
    model = DNN(feature_map, **params)
    found: dict[str, object] = {"rows": loader.num_samples, "features": len(feature_map.features)}
    for feature, file in (("reccot", "user_vectors.npz"), ("item_text", "item_vectors.npz")):
        if feature not in feature_map.features:
            continue
        stored = np.load(file)
        vectors = dict(zip(stored["key"].tolist(), stored["value"], strict=True))
        layer = next(m for n, m in model.named_modules() if n.endswith(f"embedding_layers.{feature}"))
        got = layer.pretrain_embedding(batch[feature].long().ravel()).detach().numpy()
        width = stored["value"].shape[1]
        wanted = np.stack([vectors.get(key, np.zeros(width, np.float32)) for key in raw[feature].to_list()])
        assert np.allclose(got, wanted, atol=1e-6), f"{feature}: FuxiCTR looks up other vectors than were written"
        found[f"{feature}_rows_with_vector"] = int((np.abs(got).sum(axis=1) > 0).sum())
    losses = []
    for _ in range(STEPS):
        model.optimizer.zero_grad()
        loss = model.compute_loss(model(batch), model.get_labels(batch))
        loss.backward()
        model.optimizer.step()
        losses.append(round(float(loss), 4))
    assert losses[-1] < losses[0], losses
    print(json.dumps({**found, "losses": [losses[0], losses[-1]], "torch": torch.__version__}))


if __name__ == "__main__":
    main()
