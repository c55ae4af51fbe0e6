"""What `python -m training evaluate` says of a metric (report.json), read from whoever sends it."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import BadInput

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Score(BaseModel):
    """A share of triplets with its 95 % interval, over `n` triplets."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    value: Share
    low: Share
    high: Share
    n: Annotated[int, Field(ge=0)]


class MetricReport(BaseModel):
    """How far a metric agrees with people on the triplets of `data`: with their vote shares, and with the majority. The
    ceilings are what people themselves reach on these triplets. Reports of earlier versions have no sha256 of them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    measure: Name
    data: Name
    shares: Score
    majority: Score | None = None
    ceilings: Annotated[Mapping[Name, Share], Field(max_length=20)]
    triplets_sha256: Annotated[str | None, Field(min_length=64, max_length=64)] = None

    def is_comparable_with(self, other: "MetricReport") -> bool:
        """Whether both were measured on the same triplets: by their hash or, where that is missing, by all that reports
        say of them."""
        if self.triplets_sha256 and other.triplets_sha256:
            return self.triplets_sha256 == other.triplets_sha256
        return (self.data, self.shares.n, self.ceilings) == (other.data, other.shares.n, other.ceilings)


def read_metric_report(data: bytes, *, name: str) -> MetricReport:
    """Raises BadInput, naming the file, for what is no report on triplets."""
    try:
        return MetricReport.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        said = f"{where}: {problem['msg']}" if where else problem["msg"]
        raise BadInput(f"{name[:100]} is no report.json of `python -m training evaluate` on triplets. {said}") from None
