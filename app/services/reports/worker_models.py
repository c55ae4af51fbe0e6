"""Worker models: how probable each answer is once it is known who gave it. Through crowd-kit, an optional dependency.

Both models take every item to have one true answer and people to differ in how often they find it. Where people see
differently, that is signal and not error: read these columns beside the votes, never instead of them.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import BadInput, Conflict
from app.models.studies import Study
from app.services.rounds.outcomes import valid_answer

ITERATIONS = 100
SCHEMA = pa.schema([
    ("item", pa.int64()), ("question", pa.int8()), ("votes", pa.int32()),
    ("dawid_skene", pa.float64()), ("glad", pa.float64()),
])  # fmt: skip

_VOTES = text(f"""
    SELECT i.number AS item, j.question, t.participant_id AS worker, j.choice AS label
    FROM judgments j JOIN trials t ON t.id = j.trial_id JOIN items i ON i.id = t.item_id
    WHERE i.study_id = :study AND {valid_answer()}
    ORDER BY i.number, j.question, j.id
""")


@dataclass(frozen=True)
class _Models:
    """The modules, loaded late: they are slow to load, and may not be there."""

    pandas: Any
    aggregation: Any

    @classmethod
    def load(cls) -> "_Models":
        try:
            import pandas
            from crowdkit import aggregation
        except ImportError:
            raise BadInput("Worker models need crowd-kit: pip install '.[analysis]'.") from None
        return cls(pandas, aggregation)


def write_worker_models(session: Session, study: Study, path: Path) -> int:
    """Write a Parquet table with a row per item and question: its valid votes, and the probabilities of answer 1 by
    one-coin Dawid–Skene (1979) and by GLAD (Whitehill et al. 2009). Returns how many rows there are.

    Raises:
        BadInput: crowd-kit is not installed. Conflict: there are no valid votes.
    """
    models = _Models.load()
    rows = session.execute(_VOTES, {"study": study.id}).all()
    if not rows:
        raise Conflict(f"The study {study.slug!r} has no valid votes yet.")
    votes = models.pandas.DataFrame([tuple(row) for row in rows], columns=["item", "question", "worker", "label"])
    by_task = votes.groupby(["item", "question"])
    votes["task"] = by_task.ngroup()
    with warnings.catch_warnings():
        # crowd-kit 1.4 calls pandas as pandas 4 will not have it; the extra holds pandas below that.
        warnings.simplefilter("ignore", models.pandas.errors.Pandas4Warning)
        dawid_skene = models.aggregation.OneCoinDawidSkene(n_iter=ITERATIONS).fit_predict_proba(votes)
        glad = models.aggregation.GLAD(n_iter=ITERATIONS, silent=True).fit_predict_proba(votes)
    tasks = by_task.size().reset_index(name="votes")
    columns = {
        "item": tasks["item"],
        "question": tasks["question"],
        "votes": tasks["votes"],
        "dawid_skene": _of_1(dawid_skene),
        "glad": _of_1(glad),
    }
    parquet.write_table(pa.table({name: list(column) for name, column in columns.items()}, schema=SCHEMA), path)
    return len(tasks)


def _of_1(probabilities: Any) -> Any:
    """By task in order; where nobody ever answered 1 there is no such column."""
    return probabilities.sort_index().reindex(columns=[0, 1], fill_value=0.0)[1]
