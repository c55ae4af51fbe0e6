"""Pay and people at the dashboard: everything asks first, and the recruiter hears of it once."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.db import Sessions
from app.domain.protocol import Recruiting
from app.errors import BadInput, Forbidden
from app.keys import Keys
from app.main import create_app
from app.recruiters.prolific.recruiter import Prolific
from app.services import audit, money, study_lookup
from app.services.recruiting.alerts import resolve_seen, tell
from app.services.studies import revisions
from app.services.study_lookup import current_protocol
from app.settings import Settings
from app.storage import LocalStorage
from simulation.prolific.server import TOKEN, FakeProlific
from tests.support.dashboard import key_of, make_account, page_of, sign_in, visitor_as
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, PaidStudy, agree


def test_deciding_about_pay(
    settings: Settings,
    sessions: Sessions,
    storage: LocalStorage,
    keys: Keys,
    prolific: Prolific,
    fake: FakeProlific,
    fake_url: str,
) -> None:
    slug = make_study(sessions, storage, items=32, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.look()
    market = fake.marketplace
    (study,) = market.studies
    for _ in range(3):  # who began, and came back without having finished
        submission = market.take_place(study)
        assert submission is not None
        assert paid.arrive(submission)
        market.submit(submission.id, None)

    def statuses() -> list[str]:
        return sorted(each.status for each in market.submissions.values())

    prolific_settings = {"prolific_url": fake_url, "prolific_token": SecretStr(TOKEN)}
    configured = settings.model_copy(update=prolific_settings | {"prolific_workspace": market.workspace})
    with TestClient(create_app(configured), follow_redirects=False) as client:
        ada = sign_in(client, sessions, make_account(sessions, is_site_owner=True))
        url = f"/admin/studies/{slug}/assignments"
        third, second, first = (f"{url}/{line.id}" for line in page_of(ada.get(url)).lines)
        assert [*page_of(ada.get(first)).decisions] == ["block"]  # Prolific has not told of it yet
        assert ada.post(f"{first}/decide/approve").status_code == 404
        paid.look()
        page = page_of(ada.get(first))
        assert [*page.decisions] == ["approve", "return", "reject", "block"]
        assert "is not paid" in page_of(ada.get(f"{first}/decide/reject")).consequences[0]

        short = ada.post(f"{first}/decide/reject", {"category": "FAILED_CHECK", "message": "no"})
        assert page_of(short).problems == {"": "Prolific wants a message of at least 100 characters."}
        assert statuses() == ["AWAITING REVIEW"] * 3
        reject = page_of(ada.get(f"{first}/decide/reject")).values
        assert ada.post(f"{first}/decide/reject", reject).status_code == 303
        assert ada.post(f"{second}/decide/approve").status_code == 303
        proposed = page_of(ada.get(f"{third}/decide/return"))
        assert "They need not." in proposed.consequences[0]
        assert ada.post(f"{third}/decide/return", {"reason": " "}).status_code == 422
        assert ada.post(f"{third}/decide/return", proposed.values).status_code == 303
        (asked,) = (each for each in market.submissions.values() if each.return_requested)
        market.end(asked.id, "RETURNED")
        paid.look()
        assert statuses() == ["APPROVED", "REJECTED", "RETURNED"]
        decisions = [[*page_of(ada.get(each)).decisions] for each in (first, second, third)]
        assert decisions == [["block"], ["bonus", "block"], ["block"]]
        assert [page_of(ada.get(each)).line.is_excluded for each in (first, second, third)] == [False, False, True]

        for wrong in ("1.5", "", "0", "000000010000000", "9" * 5000):
            assert "amount" in page_of(ada.post(f"{second}/decide/bonus", {"amount": wrong})).problems
        bonus = {"amount": "50", "reason": "great care"}
        price = page_of(ada.post(f"{second}/decide/bonus", bonus))
        assert price.question.startswith("Pay £0.50")
        assert paid.bonuses_paid() == 0
        assert ada.post(f"{second}/decide/bonus", price.kept).status_code == 303
        assert ada.post(f"{second}/decide/bonus", price.kept).status_code == 409  # one for one reason
        assert page_of(ada.post(f"{first}/decide/bonus", price.kept)).problems.keys() == {""}  # was not paid
        paid.look()
        assert paid.bonuses_paid() == 1
    with sessions() as session:
        log = audit.entries(session, study_id=paid.study_id)
    assert [entry.action for entry in log] == [
        "granted a bonus for", "asked for the return of", "approved the submission of", "rejected the submission of",
    ]  # fmt: skip


@pytest.fixture
def recruiting(deployed: Settings) -> Iterator[TestClient]:
    """The site of a deployment that recruits."""
    with TestClient(create_app(deployed), follow_redirects=False) as recruiting:
        yield recruiting


def test_beginning_to_recruit_and_going_on(
    client: TestClient, recruiting: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    poor = make_study(sessions, storage, items=16, pay__budget=100, **SMALL)
    slug = make_study(sessions, storage, items=16, **SMALL)
    bare = sign_in(client, sessions, make_account(sessions, is_site_owner=True))
    unready = bare.post(f"/admin/studies/{slug}/recruiting/begin")
    assert (unready.status_code, "PROLIFIC_TOKEN" in page_of(unready).problems[""]) == (503, True)
    ada = sign_in(recruiting, sessions, make_account(sessions, is_site_owner=True))
    refused = ada.post(f"/admin/studies/{poor}/recruiting/begin")
    assert (refused.status_code, page_of(refused).problems[""][:23]) == (422, "pay.budget is £1.00, bu")
    study = f"/admin/studies/{slug}"
    assert [*page_of(ada.get(study)).recruiting] == ["begin"]
    assert "£500.00" in page_of(ada.get(f"{study}/recruiting/begin")).consequences[-1]
    assert ada.post(f"{study}/recruiting/begin").status_code == 303
    assert page_of(ada.get(study)).recruiting == {}
    assert ada.post(f"{study}/recruiting/begin").status_code == 409
    with sessions.begin() as session:
        found = study_lookup.by_slug(session, slug)
        tell(session, study_id=found.id, kind="last-tenth", message="Nine tenths are spent.", stops=True)
        now = current_protocol(session, found.id)
        direct = now.model_copy(update={"recruiting": Recruiting()})
        richer = now.model_copy(update={"pay": now.pay.model_copy(update={"budget": 60_000})})
        with pytest.raises(BadInput, match=r"recruiting\.recruiter cannot change once recruiting has begun"):
            revisions.revise(session, slug=slug, protocol=direct, based_on=1)
        with pytest.raises(Forbidden, match="only an owner of this site"):
            revisions.revise(session, slug=slug, protocol=richer, based_on=1)
        revisions.revise(session, slug=slug, protocol=richer, based_on=1, may_spend=True)
        assert money.balance(session, found.id).cap == 60_000
    page = page_of(ada.get(study))
    assert ("bad", "Nine tenths are spent.") in [(alert.level, alert.message) for alert in page.live.alerts]
    assert ada.post(f"{study}/recruiting/resume").status_code == 303
    assert page_of(ada.get(study)).recruiting == {}


def test_only_site_owners_spend_the_sites_money(
    recruiting: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    """Whoever makes a study owns it, but not the money that recruiting for it would take."""
    slug = make_study(sessions, storage, items=16, **SMALL)
    eve = visitor_as(recruiting, sessions, slug, "owner")
    study = f"/admin/studies/{slug}"
    page = page_of(eve.get(study))
    assert page.recruiting == {}
    assert "An owner of this site begins it" in page.live.alerts[-1].message
    for answer in (eve.get(f"{study}/recruiting/begin"), eve.post(f"{study}/recruiting/begin")):
        assert (answer.status_code, "only they may begin it" in answer.text) == (403, True)
    ada = sign_in(recruiting, sessions, make_account(sessions, is_site_owner=True))
    assert ada.post(f"{study}/recruiting/begin").status_code == 303
    fields = page_of(eve.get(f"{study}/protocol")).values | {"version": "1"}
    raised = eve.post(f"{study}/protocol", fields | {"pay.budget": "60000"})
    assert (raised.status_code, [*page_of(raised).problems]) == (403, ["pay.budget"])
    assert eve.post(f"{study}/protocol", fields | {"pay.budget": "40000"}).status_code == 303
    by_program = key_of(sessions, slug, "owner"), {"version": 2, "protocol": {"pay": {"budget": 60_000}}}
    refused = recruiting.patch(f"/api/v1/studies/{slug}/protocol", headers=by_program[0], json=by_program[1])
    assert (refused.status_code, refused.json()["fields"].keys()) == (403, {"pay.budget"})
    richer = fields | {"version": "2", "pay.budget": "60000"}
    assert ada.post(f"{study}/protocol", richer).status_code == 303
    with sessions() as session:
        assert money.balance(session, study_lookup.by_slug(session, slug).id).cap == 60_000


def test_the_overview_has_the_ledgers_money(
    client: TestClient, sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific
) -> None:
    slug = make_study(sessions, storage, items=24, pay__budget=3 * 183, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.look()
    paid.come(most=1)
    for _ in range(3):  # told, approved, and then nine tenths are reached, which asks first
        paid.look()
        with sessions.begin() as session:
            resolve_seen(session, study=study_lookup.by_slug(session, slug))
    ada = sign_in(client, sessions, make_account(sessions, is_site_owner=True))
    overview = ada.get(f"/admin/studies/{slug}")
    assert "£5.49<small>of £5.49: £1.83&nbsp;spent, £3.66&nbsp;committed</small>" in overview.text
    live = page_of(overview).live
    assert ("bad", "The budget is nearly spent.") in [(alert.level, alert.message) for alert in live.alerts]
