"""Runs inside RecBole's own environment, in the folder of an export: load it as RecBole does, and train an epoch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

ROWS = 1000


def column(path: Path, name: str) -> dict[str, str]:
    """The first field of each line, with the field of that name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    place = lines[0].split("\t").index(name)
    return {fields[0]: fields[place] for fields in (line.split("\t") for line in lines[1:])}


def main() -> None:
    """Load, compare, train."""
    settings = next(Path(".").glob("*.yaml"))
    more = {"epochs": 1, "train_batch_size": 512, "use_gpu": False, "state": "WARNING", "show_progress": False}
    config = Config(model="DeepFM", config_file_list=[str(settings)], config_dict=more)
    init_seed(2026, True)
    train, valid, _ = data_preparation(config, create_dataset(config))
    dataset = train.dataset
    name = config["dataset"]
    found: dict[str, object] = {
        "train_rows": len(dataset),
        "users": dataset.user_num - 1,
        "items": dataset.item_num - 1,
    }
    for field, feat, ids, file in (
        ("reccot_vector", dataset.user_feat, "user_id", f"{name}/{name}.user"),
        ("item_vector", dataset.item_feat, "item_id", f"{name}/{name}.item"),
    ):
        if field not in dataset.field2type:
            continue
        written = column(Path(file), f"{field}:float_seq")
        checked = 0
        for row, token in enumerate(dataset.id2token(ids, feat[ids].numpy())):
            if row and token in written:  # row 0 is RecBole's padding
                wanted = np.asarray(written[token].split(), dtype=np.float32)
                values = feat[field][row].numpy()
                values = values.reshape(-1, 2)[:, 0] if values.size == 2 * wanted.size else values.ravel()
                assert np.allclose(values, wanted, atol=1e-6), f"{field} of {token}: RecBole reads other numbers"
                checked += bool(wanted.any())
        found[f"{field}s"] = checked
    model = get_model(config["model"])(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    score, _ = trainer.fit(train, valid, saved=False, show_progress=False)
    assert np.isfinite(score)
    print(json.dumps({**found, "model": config["model"], "validation_auc": float(score), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
