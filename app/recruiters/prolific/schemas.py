"""What Prolific answers, as far as we read it. What has another shape is no answer worth trusting."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from app.recruiters.recruiter import NothingHappened, RecruiterError


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Id = Annotated[str, Field(min_length=1)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]
Amount = Annotated[Decimal, Field(ge=0)]
"""In minor units; Prolific's description allows fractions of them."""


class Made(BaseModel):
    id: Id


class Balance(BaseModel):
    currency_code: str


class Study(BaseModel):
    id: Id
    status: str
    total_available_places: int
    reward: int
    external_study_url: str


class ListedStudy(BaseModel):
    id: Id
    internal_name: str | None = None


class Studies(BaseModel):
    results: list[ListedStudy]


class Submission(BaseModel):
    id: Id
    participant_id: Id
    status: str
    started_at: Moment | None = None
    completed_at: Moment | None = None


class BulkBonus(BaseModel):
    id: Id
    amount: int
    total_amount: Amount


class _Part(BaseModel):
    amount: Amount


class Bill(BaseModel):
    rewards: _Part
    fees: _Part
    tax: _Part

    @property
    def total(self) -> Decimal:
        return self.rewards.amount + self.fees.amount + self.tax.amount


class Cost(BaseModel):
    rewards: Bill


class HookSecret(BaseModel):
    value: Id


class _EventType(BaseModel):
    event_type: str


class EventTypes(BaseModel):
    results: list[_EventType] = []


class Subscriptions(BaseModel):
    results: Annotated[list[Made], Field(min_length=1)]


Answer = TypeVar("Answer", bound=BaseModel)


def read(answer: type[Answer], told: Any, *, otherwise: type[RecruiterError] = NothingHappened) -> Answer:
    """Raises `otherwise`, naming what is missing or odd, but none of the values, which may be people's ids."""
    try:
        return answer.model_validate(told)
    except ValidationError as error:
        odd = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()[:5])
        raise otherwise(f"Prolific answered a {answer.__name__} of unknown shape ({odd}).") from None
