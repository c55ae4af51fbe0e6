"""The README of a run: what it is, how good it is, how to use it."""

import json
from pathlib import Path

from training.checkpoint import Progress
from training.config import Experiment
from training.markdown import code, plain
from training.run_folder import RECORD_FILE
from training.validation import agreement_text, best_epoch, verdict
from training.watch import CURVES_FILE


def write_model_card(folder: Path, experiment: Experiment, progress: Progress) -> None:
    record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    (folder / "README.md").write_text(model_card(folder.resolve().name, experiment, progress, record), encoding="utf-8")


def model_card(name: str, experiment: Experiment, progress: Progress, record: dict[str, object]) -> str:
    untrained, best = progress.history[0], best_epoch(progress.history)
    towers = "\n".join(
        f"- {code(Path(tower.source).name)}, {tower.feature or 'default'} feature, {tower.image_size} px"
        for tower in experiment.model.towers
    )
    return f"""# {plain(name)}

A perceptual metric of images, fine-tuned on human judgments of similarity with the method of DreamSim
(arXiv 2306.09344): 1 − cosine of the embeddings of

{towers}

with head `{experiment.model.head}`, a hinge loss of margin {experiment.train.margin}, seed {experiment.seed}.

| on the validation part | loss | agreement with people |
|---|---|---|
| before training | {untrained["val_loss"]:.4f} | {agreement_text(untrained)} |
| these weights (epoch {int(best["epoch"])}) | {best["val_loss"]:.4f} | {agreement_text(best)} |

{verdict(progress.history)} The epoch was chosen by this validation loss, so the last line flatters; measure on a
test split with `python -m training evaluate`.

![curves]({CURVES_FILE})

```python
from training import load_metric

metric = load_metric({json.dumps(name, ensure_ascii=False)})
print(metric("a.png", "b.png"))
```

Data: {code(str(record["data"]))}, sha256 `{record["data_sha256"]}`, {json.dumps(record["triplets"])} triplets.
Validation: {record.get("validation", "not recorded")}.
Code: `{record["code"]}`; {record["device"]}, {record["precision"]}. The rest is in
`experiment.json` and `run.json`.
"""
