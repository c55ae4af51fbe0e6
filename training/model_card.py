"""The README of a run: what it is, how good it is, how to use it."""

import json
from pathlib import Path

from training.checkpoint import Progress
from training.config import Experiment
from training.run_folder import RECORD_FILE
from training.watch import CURVES_FILE


def write_model_card(folder: Path, experiment: Experiment, progress: Progress) -> None:
    record = json.loads((folder / RECORD_FILE).read_text())
    (folder / "README.md").write_text(model_card(folder.name, experiment, progress, record))


def model_card(name: str, experiment: Experiment, progress: Progress, record: dict[str, object]) -> str:
    best = min(progress.history, key=lambda epoch: epoch["val_loss"])
    untrained = progress.history[0]
    towers = "\n".join(
        f"- `{Path(tower.source).name}`, {tower.feature or 'default'} feature, {tower.image_size} px"
        for tower in experiment.model.towers
    )
    return f"""# {name}

A perceptual metric of images, fine-tuned on human judgments of similarity with the method of DreamSim
(arXiv 2306.09344): 1 − cosine of the embeddings of

{towers}

with head `{experiment.model.head}`, a hinge loss of margin {experiment.train.margin}, seed {experiment.seed}.

| on the validation part | loss | agreement with people |
|---|---|---|
| before training | {untrained["val_loss"]:.4f} | {100 * untrained["val_agreement"]:.1f} % |
| these weights (epoch {int(best["epoch"])}) | {best["val_loss"]:.4f} | {100 * best["val_agreement"]:.1f} % |

The epoch was chosen by this validation loss, so the last line flatters; measure on a test split with
`python -m training evaluate`.

![curves]({CURVES_FILE})

```python
from training import load_metric

metric = load_metric("{name}")
print(metric("a.png", "b.png"))
```

Data: `{record["data"]}`, sha256 `{record["data_sha256"]}`, {json.dumps(record["triplets"])} triplets.
Validation: {record.get("validation", "not recorded")}.
Code: `{record["code"]}`; {record["device"]}, {record["precision"]}. The rest is in
`experiment.json` and `run.json`.
"""
