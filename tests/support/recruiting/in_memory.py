"""The fake without its socket: for thousands of steps, and for calls that end in every possible way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.recruiters.prolific.recruiter import _as_study, _submission
from app.recruiters.recruiter import BonusQuote, RemoteStudy, RemoteSubmission, StudyDraft
from simulation.prolific.marketplace import Marketplace
from simulation.prolific.routes import _short

_STATES: dict[str, Any] = {"UNPUBLISHED": "draft", "ACTIVE": "open", "PAUSED": "paused"}


class InMemory:
    """`trouble(call, moment)` is asked before and after each call and may raise."""

    name = "prolific"
    lists_work_in_progress = True

    def __init__(self, market: Marketplace, trouble: Callable[[str, str], None]) -> None:
        self._market = market
        self._trouble = trouble

    def _call(self, name: str, do: Callable[[], Any]) -> Any:
        self._trouble(name, "before")
        self._market.work_off()
        answer = do()
        self._trouble(name, "after")
        return answer

    def currency(self) -> str:
        return self._market.currency

    def create_study(self, draft: StudyDraft) -> str:
        created = self._call("create_study", lambda: self._market.create_study(_as_study(draft)))
        return str(created.id)

    def find_study(self, reference: str, *, project: str) -> str | None:  # noqa: ARG002
        studies = self._market.studies.values()
        return next((study.id for study in studies if study.fields["internal_name"] == reference), None)

    def study(self, study_id: str) -> RemoteStudy:
        study = self._call("study", lambda: self._market.studies[study_id])
        state = _STATES.get(study.status, "ended")
        return RemoteStudy(study.id, state, study.places, study.reward, study.fields["external_study_url"])

    def _transition(self, study_id: str, name: str, action: str) -> None:
        self._call(name, lambda: self._market.transition(self._market.studies[study_id], action))

    def publish(self, study_id: str) -> None:
        self._transition(study_id, "publish", "PUBLISH")

    def pause(self, study_id: str) -> None:
        self._transition(study_id, "pause", "PAUSE")

    def resume(self, study_id: str) -> None:
        self._transition(study_id, "resume", "START")

    def stop(self, study_id: str) -> None:
        self._transition(study_id, "stop", "STOP")

    def set_places(self, study_id: str, places: int) -> None:
        changes = {"total_available_places": places}
        self._call("set_places", lambda: self._market.change_study(self._market.studies[study_id], changes))

    def submissions(self, study_id: str) -> list[RemoteSubmission]:
        def listed() -> list[RemoteSubmission]:
            return [_submission(_short(one)) for one in self._market.submissions.values() if one.study == study_id]

        found: list[RemoteSubmission] = self._call("submissions", listed)
        return found

    def approve(self, submission_ids: Sequence[str]) -> None:
        self._call("approve", lambda: self._market.approve_later(list(submission_ids)))

    def reject(self, submission_id: str, *, category: str, message: str) -> None:
        raise NotImplementedError

    def request_return(self, submission_id: str, *, reason: str) -> None:
        raise NotImplementedError

    def quote_bonuses(self, study_id: str, amounts: Mapping[str, int]) -> BonusQuote:
        rows = "".join(f"{submission},{amount / 100:.2f}\n" for submission, amount in amounts.items())
        bulk = self._call("quote_bonuses", lambda: self._market.set_up_bonuses(study_id, rows))
        bill = self._market.bill(sum(amounts.values()))
        return BonusQuote(bulk.id, amount=bill["rewards"], total=sum(bill.values()))

    def pay_bonuses(self, quote_id: str) -> None:
        self._call("pay_bonuses", lambda: self._market.pay_bonuses(self._market.bulk_bonuses[quote_id]))

    def charged(self, study_id: str) -> int:
        bill = self._call("charged", lambda: self._market.rewards_bill(self._market.studies[study_id]))
        return sum(bill.values())
