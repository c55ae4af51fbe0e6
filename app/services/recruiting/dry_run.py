"""A recruiter that is told what to do, and does nothing of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from app.domain.counted import counted
from app.domain.money import in_words
from app.models.recruiting import Recruitment
from app.recruiters.recruiter import (
    BonusQuote,
    Recruiter,
    RecruiterError,
    Refused,
    RemoteStudy,
    RemoteSubmission,
    StudyDraft,
)

_NEW = "the new study"


class DryRunRecruiter:
    """A recruiter as it was when it was asked. What it should do from then on it writes down."""

    def __init__(self, recruiter: Recruiter, *, currency: str) -> None:
        self.name = recruiter.name
        self.lists_work_in_progress = recruiter.lists_work_in_progress
        self.would: list[str] = []
        self._recruiter = recruiter
        self._currency = currency
        self._answers: dict[tuple[str, str], Any] = {}
        self._away: RecruiterError | None = None

    def ask_everything(self, recruitments: Sequence[Recruitment], *, project: str) -> None:
        self._ask("currency", "", self._recruiter.currency)
        for recruitment in recruitments:
            study = recruitment.external_id
            if study is None:
                reference = recruitment.reference
                self._ask("find_study", reference, partial(self._recruiter.find_study, reference, project=project))
                found = self._answers["find_study", reference]
                if isinstance(found, str):
                    self._ask("study", found, partial(self._recruiter.study, found))
                continue
            self._ask("study", study, partial(self._recruiter.study, study))
            self._ask("submissions", study, partial(self._recruiter.submissions, study))
            self._ask("charged", study, partial(self._recruiter.charged, study))

    def _ask(self, what: str, of: str, call: Callable[[], Any]) -> None:
        """An error is an answer, too; a recruiter that is away is not asked the next question."""
        try:
            self._answers[what, of] = self._away or call()
        except RecruiterError as error:
            self._answers[what, of] = self._away = error
        except Refused as error:
            self._answers[what, of] = error

    def _answer(self, what: str, of: str = "") -> Any:
        answer = self._answers.get((what, of))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def currency(self) -> str:
        return str(self._answer("currency"))

    def find_study(self, reference: str, *, project: str) -> str | None:  # noqa: ARG002 - that of the protocol
        found: str | None = self._answer("find_study", reference)
        return found

    def study(self, study_id: str) -> RemoteStudy:
        study: RemoteStudy = self._answer("study", study_id)
        return study

    def submissions(self, study_id: str) -> list[RemoteSubmission]:
        return list(self._answer("submissions", study_id))

    def charged(self, study_id: str) -> int:
        return int(self._answer("charged", study_id))

    def create_study(self, draft: StudyDraft) -> str:
        reward = in_words(draft.reward, self._currency)
        self.would.append(f"create a study with {counted(draft.places, 'place')} at {reward} each")
        state = RemoteStudy(_NEW, state="draft", places=draft.places, reward=draft.reward, url=draft.url)
        self._answers["study", _NEW] = state
        return _NEW

    def publish(self, study_id: str) -> None:
        self.would.append(f"publish {_named(study_id)}")

    def pause(self, study_id: str) -> None:
        self.would.append(f"pause {_named(study_id)}")

    def resume(self, study_id: str) -> None:
        self.would.append(f"resume {_named(study_id)}")

    def stop(self, study_id: str) -> None:
        self.would.append(f"stop {_named(study_id)}")

    def set_places(self, study_id: str, places: int) -> None:
        self.would.append(f"raise the places of {_named(study_id)} to {places}")
        self._answers["study", study_id] = replace(self.study(study_id), places=places)

    def approve(self, submission_ids: Sequence[str]) -> None:
        self.would.append(f"approve {counted(len(submission_ids), 'submission')}")

    def quote_bonuses(self, study_id: str, amounts: Mapping[str, int]) -> BonusQuote:  # noqa: ARG002
        """Without the fees: what they are only setting a bonus up would tell."""
        paid = sum(amounts.values())
        bonuses = counted(len(amounts), "bonus", "bonuses")
        return BonusQuote(f"{bonuses}, {in_words(paid, self._currency)} in all", amount=paid, total=paid)

    def pay_bonuses(self, quote_id: str) -> None:
        self.would.append(f"pay {quote_id}")

    def reject(self, submission_id: str, *, category: str, message: str) -> None:
        """No look rejects anybody."""
        raise NotImplementedError

    def request_return(self, submission_id: str, *, reason: str) -> None:
        """No look asks for a return."""
        raise NotImplementedError


def _named(study_id: str) -> str:
    return study_id if study_id == _NEW else f"the study {study_id}"
