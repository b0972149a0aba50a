"""The peers' sides of the ranking benchmark; runs in a peer's own environment, without TrackRec.

``python ranking_peers.py JOB`` with a job as ``benchmarks/ranking.py`` writes it (JSON) trains with the peer's own
trainer and data loader and prints one JSON object: ``rates`` and ``cpu_rates`` (examples/s of each epoch's training,
evaluation left out), ``validation_auc``, ``auc`` on the test part, ``parameters``.
"""

from __future__ import annotations

import json
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

PARTS = ("train", "validation", "test")


def columns(data: Any, part: str) -> dict[str, Any]:
    """The features by the names that both peers use; ``no_rating`` is the target's place on the rating scale."""
    item = data[f"{part}.item"]
    return {
        "item": item,
        "no_rating": np.zeros_like(item),
        "recent": data[f"{part}.recent"],
        "rating": data[f"{part}.rating"],
    }


def fuxictr(job: dict[str, Any], data: Any) -> dict[str, Any]:
    """FuxiCTR's BaseModel.fit and RankDataLoader, on models put together from its layers as its model zoo does."""
    from fuxictr.features import FeatureMap
    from fuxictr.pytorch.dataloaders import RankDataLoader
    from fuxictr.pytorch.layers import CrossNetV2, DIN_Attention, FeatureEmbeddingDict, MaskedAveragePooling, MLP_Block
    from fuxictr.pytorch.models import BaseModel

    size, hidden = job["embedding"], job["hidden"]

    class Timed(BaseModel):  # type: ignore[misc]
        def __init__(self, feature_map: Any, **rest: Any) -> None:
            super().__init__(feature_map, **rest)
            self.embeddings = FeatureEmbeddingDict(feature_map, size)
            self.clock = Clock()
            self.build()
            self.compile("adam", "binary_crossentropy", job["learning_rate"])
            self.reset_parameters()

        def eval_step(self) -> None:
            self.clock.stop()
            super().eval_step()

        def train_epoch(self, data_generator: Any) -> None:
            self.clock.start()
            super().train_epoch(data_generator)

    class DIN(Timed):
        def build(self) -> None:
            self.attention = DIN_Attention(2 * size, job["attention"], hidden_activations="Sigmoid")
            self.network = MLP_Block(3 * size, hidden, "ReLU", 1, "Sigmoid", job["dropout"])

        def forward(self, inputs: Any) -> dict[str, Any]:
            x = self.get_inputs(inputs)
            by_name = self.embeddings(x)
            target = torch.cat([by_name["item"], by_name["no_rating"]], dim=-1)
            events = torch.cat([by_name["recent"], by_name["rating"]], dim=-1)
            pooled = self.attention(target, events, x["recent"].long() != 0)
            return {"y_pred": self.network(torch.cat([by_name["item"], pooled], dim=-1))}

    class DCNv2(Timed):
        def build(self) -> None:
            self.pooling = MaskedAveragePooling()
            self.crosses = CrossNetV2(3 * size, job["cross_layers"])
            self.network = MLP_Block(3 * size, hidden, "ReLU", None, None, job["dropout"])
            self.logit = torch.nn.Linear(3 * size + hidden[-1], 1)

        def forward(self, inputs: Any) -> dict[str, Any]:
            by_name = self.embeddings(self.get_inputs(inputs))
            fields = [by_name["item"], self.pooling(by_name["recent"]), self.pooling(by_name["rating"])]
            flat = torch.cat(fields, dim=-1)
            both = torch.cat([self.crosses(flat), self.network(flat)], dim=-1)
            return {"y_pred": torch.sigmoid(self.logit(both))}

    folder = Path(job["folder"])
    features: dict[str, Any] = OrderedDict()
    items, ratings, length = int(data["items"]) + 1, int(data["ratings"]) + 1, data["train.recent"].shape[1]
    features["item"] = {"type": "categorical", "vocab_size": items, "padding_idx": 0, "source": ""}
    if job["model"] == "din":
        features["no_rating"] = {"type": "categorical", "vocab_size": ratings, "source": ""}
    sequence = {"type": "sequence", "max_len": length, "padding_idx": 0, "source": ""}
    features["recent"] = {**sequence, "vocab_size": items, "share_embedding": "item"}
    features["rating"] = {**sequence, "vocab_size": ratings, "share_embedding": "no_rating"}
    feature_map = FeatureMap("bench", str(folder))
    feature_map.features, feature_map.labels = features, ["label"]
    feature_map.num_fields = len(features)
    feature_map.set_column_index()
    (folder / "bench").mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        named = {**columns(data, part), "label": data[f"{part}.label"]}
        np.savez(folder / f"{part}.npz", **{name: named[name] for name in [*features, "label"]})
    paths = {"train_data": f"{folder}/train.npz", "valid_data": f"{folder}/validation.npz"}
    train, validation = RankDataLoader(feature_map, "train", batch_size=job["batch"], shuffle=True, **paths)
    test = RankDataLoader(feature_map, "test", test_data=f"{folder}/test.npz", batch_size=8192)
    model = {"din": DIN, "dcnv2": DCNv2}[job["model"]](
        feature_map, model_id="bench", verbose=0, model_root=str(folder), metrics=["AUC", "logloss"]
    )
    model.fit(train, epochs=job["epochs"], validation_data=validation)
    return result(data, model, model.clock, model._best_metric, model.predict(test))


def torch_rechub(job: dict[str, Any], data: Any) -> dict[str, Any]:
    """torch-rechub's own models, CTRTrainer and DataGenerator."""
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.ranking import DIN
    from torch_rechub.models.ranking.dcn_v2 import DCNv2
    from torch_rechub.trainers import CTRTrainer
    from torch_rechub.utils.data import DataGenerator

    size, items, ratings = job["embedding"], int(data["items"]) + 1, int(data["ratings"]) + 1
    item = SparseFeature("item", items, size)
    no_rating = SparseFeature("no_rating", ratings, size)
    pooling = "concat" if job["model"] == "din" else "mean"
    recent = SequenceFeature("recent", items, size, pooling, shared_with="item", padding_idx=0)
    network = {"dims": job["hidden"], "dropout": job["dropout"]}
    if job["model"] == "din":
        rating = SequenceFeature("rating", ratings, size, pooling, shared_with="no_rating", padding_idx=0)
        context = SparseFeature("context", 1, size)  # it cannot do without a feature beside target and history
        attention = {"dims": job["attention"]}
        model = DIN([context], [recent, rating], [item, no_rating], network, attention)
    else:
        rating = SequenceFeature("rating", ratings, size, pooling, padding_idx=0)
        features = [item, recent, rating]
        layers = job["cross_layers"]
        network["activation"] = "relu"
        model = DCNv2(features, layers, network, model_structure="parallel", use_low_rank_mixture=False)
    named = {part: columns(data, part) for part in PARTS}
    for part in PARTS:
        named[part]["context"] = np.zeros_like(named[part]["item"])
        if job["model"] != "din":
            named[part] = {name: named[part][name] for name in ("item", "recent", "rating")}
    loaders = DataGenerator(named["train"], data["train.label"]).generate_dataloader(
        named["validation"],
        data["validation.label"],
        named["test"],
        data["test.label"],
        batch_size=job["batch"],
    )
    folder = Path(job["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    trainer = CTRTrainer(
        model,
        optimizer_params={"lr": job["learning_rate"], "weight_decay": 1e-5},
        n_epoch=job["epochs"],
        earlystop_patience=2,
        model_path=str(folder),
    )
    clock = Clock()
    plain = trainer.train_one_epoch

    def timed(loader: Any, *rest: Any) -> Any:
        clock.start()
        loss = plain(loader, *rest)
        clock.stop()
        return loss

    trainer.train_one_epoch = timed
    trainer.fit(loaders[0], loaders[1])
    if trainer.early_stopper.best_weights is not None:
        model.load_state_dict(trainer.early_stopper.best_weights)
    return result(data, model, clock, trainer.early_stopper.best_auc, trainer.predict(model, loaders[2]))


class Clock:
    """Seconds and processor time of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def start(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.seconds.append(time.perf_counter() - self.began[0])
        self.cpu_seconds.append(time.process_time() - self.began[1])


def result(data: Any, model: Any, clock: Clock, validation_auc: float, predicted: Any) -> dict[str, Any]:
    """What a side reports."""
    return {
        "rates": [len(data["train.label"]) / seconds for seconds in clock.seconds],
        "cpu_rates": [len(data["train.label"]) / seconds for seconds in clock.cpu_seconds],
        "auc": roc_auc_score(data["test.label"], predicted),
        "validation_auc": float(validation_auc),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def main() -> None:
    """One job of one peer."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    np.random.seed(job["seed"])  # noqa: NPY002  (what the peers draw from)
    side = {"fuxictr": fuxictr, "torch-rechub": torch_rechub}[job["peer"]]
    print(json.dumps(side(job, np.load(job["data"]))))


if __name__ == "__main__":
    main()
