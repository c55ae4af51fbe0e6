"""People at the dashboard in Chromium, and a study that has something on every page of it."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyotp
from fastapi.routing import iter_route_contexts
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app.db import Sessions
from app.domain.money import load_fees
from app.keys import Keys
from app.main import create_app
from app.models.items import Item
from app.models.recruiting import Recruitment, Submission
from app.recruiters.entry import Arrival
from app.recruiters.recruiter import AWAITING_REVIEW, CODE_KINDS
from app.services import study_lookup
from app.services.accounts import accounts, members
from app.services.assignments import enrolment, exclusions, lifecycle, people
from app.services.exports import requests
from app.services.generation import plans
from app.services.generation.orders import order_drawings
from app.services.items import import_requests
from app.services.items.import_sources import open_import_source
from app.services.items.uploads import open_uploads
from app.services.recruiting import alerts, plan
from app.services.rounds import rounds
from app.services.studies import lifecycle as study_lifecycle  # fmt: skip
from app.settings import Settings
from app.storage import LocalStorage
from tests.browser.conftest import Sittings
from tests.support.assignments import answer
from tests.support.dashboard import PASSWORD, make_account
from tests.support.factories import make_report, make_study

WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
NARROW: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}
AT_PROLIFIC = "65d1e0"


def open_page(sittings: Sittings, **options: Any) -> Page:
    context = sittings.researcher(**options)
    return sittings.new_page(context)


def type_password(page: Page, email: str) -> None:
    page.goto("/admin")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def sign_in(page: Page, email: str) -> None:
    type_password(page, email)
    expect(page.get_by_role("heading", name="Studies", level=1)).to_be_visible()


def import_what_waits(sessions: Sessions, storage: LocalStorage, settings: Settings, slug: str) -> None:
    """As a worker does it."""
    with sessions() as session:
        (waiting,) = import_requests.of_study(session, study_lookup.by_slug(session, slug))
    place, uploads = open_import_source(settings), open_uploads(settings)
    import_requests.run(sessions, storage, place, uploads, incoming=settings.incoming, request_id=waiting.id)


def press(page: Page, key: str) -> None:
    """A shortcut, once the script listens: it brings the button that lists them."""
    expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press(key)


@dataclass
class Showcase:
    """A study recruited for on Prolific, with sittings, one of them excluded, two exports and an open invitation: what
    the routes' parameters can be there. `more` are pages in other states, those of errors among them, `careful` an
    account with a second factor."""

    parameters: dict[str, list[str]]
    more: list[str]
    invitation: str
    careful: str

    def addresses(self) -> Iterator[str]:
        """Every route of the dashboard that can be opened, as the route table lists them."""
        for route in iter_route_contexts(create_app(Settings()).routes):
            path = route.path or ""
            if "GET" in (route.methods or ()) and path.startswith("/admin"):
                names = re.findall(r"{(\w+)", path)
                for values in itertools.product(*(self.parameters[name] for name in names)):
                    yield path.format(**dict(zip(names, values, strict=True)))
        yield from self.more


def make_showcase(sessions: Sessions, storage: LocalStorage, keys: Keys, settings: Settings) -> Showcase:
    small = {"assignment__trials": 6, "assignment__practice": 1, "assignment__sentinels": 2}
    slug = make_study(sessions, storage, items=16, recruiting__recruiter="prolific", **small)
    new = make_study(sessions, storage, items=8, recruiting__recruiter="prolific", **small)
    pairs = make_study(sessions, storage, items=8, preset="nights-jnd", **small)
    draft = make_study(sessions, storage, items=1, is_open=False)
    archived = make_study(sessions, storage, items=1, is_open=False)
    _recruit(sessions, slug)
    excluded, kept = _sit(sessions, keys, slug, "ada"), _sit(sessions, keys, slug, "bob")
    exports = [_export(sessions, storage, settings, slug)]
    with sessions.begin() as session:
        exclusions.exclude_by_hand(session, assignment_id=excluded, reason="looks at nothing", actor="ada")
    exports.append(_export(sessions, storage, settings, slug))
    make_report(sessions, slug)
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        invitation = members.invite(session, study=study, email="eve@example.org", role="viewer")
        alerts.tell(session, study_id=study.id, kind="last-tenth", message="Nine tenths are spent.", stops=True)
        item = session.scalars(select(Item.id).where(Item.study_id == study.id, Item.role == "pool")).first()
        plans.make_plan(session, slug=draft, order=order_drawings(["bird"], per_category=1))
        study_lifecycle.archive(session, slug=archived)
    url = "/admin/studies"
    return Showcase(
        parameters={
            "slug": [slug], "number": ["3"], "item_id": [str(item)], "place": ["reference"], "step": ["close"],
            "turn": ["exclude"], "decision": ["reject", "bonus", "unblock"], "act": ["resume"], "version": ["2"],
            "assignment_id": [str(kept)], "request_id": [str(exports[0])], "name": ["data.csv"], "token": [invitation],
            "chart": ["agreement"],
        },
        more=[
            f"{url}/{draft}", f"{url}/{draft}/imports", f"{url}/{draft}/report", f"{url}/{draft}/steps/open",
            f"{url}/{archived}", f"{url}/{new}/recruiting/begin",
            f"{url}/{slug}/assignments/{excluded}", f"{url}/{slug}/assignments/{excluded}/reinstate",
            f"{url}/{pairs}", f"{url}/{pairs}/items/3", f"{url}/{pairs}/log", f"{url}/{slug}/items?category=nothing",
            f"{url}/{slug}/steps/open", f"{url}/nowhere", f"/admin/new?like={slug}", "/admin?which=archived",
            "/admin?which=unheard-of",
        ],
        invitation=f"/admin/invitations/{invitation}",
        careful=_careful_account(sessions, keys),
    )  # fmt: skip


def _recruit(sessions: Sessions, slug: str) -> None:
    """As if a worker had put the study up at Prolific."""
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        plan.begin(session, study=study, terms=load_fees(), today=datetime.now(UTC).date())
        session.flush()
        codes = {kind: f"{kind}-{slug}" for kind in CODE_KINDS}
        offered = {"recruiter": "prolific", "external_id": AT_PROLIFIC + slug, "state": "open", "reference": slug}
        prices = {"places": 10, "reward": 120, "place_cost": 200, "codes": codes}
        session.add(Recruitment(study_id=study.id, number=1, round=1, **offered, **prices))


def _sit(sessions: Sessions, keys: Keys, slug: str, person: str) -> int:
    """Somebody from Prolific, whose submission it has listed; returns their assignment."""
    arrival = Arrival("prolific", participant=person + slug, submission=slug + person, study=AT_PROLIFIC + slug)
    with sessions.begin() as session:
        token = enrolment.sign_up(session, keys, study=study_lookup.by_slug(session, slug), arrival=arrival).token
    answer(sessions, token, lambda _: 0)
    with sessions.begin() as session:
        lifecycle.complete(session, token=token)
        study = study_lookup.by_slug(session, slug)
        rounds.advance(session, study_id=study.id)
        sitting = lifecycle.by_token(session, token)
        assert sitting.recruitment_id is not None
        lookup = people.submission_lookup(keys, "prolific", study.id, arrival.submission)
        listed = {"recruitment_id": sitting.recruitment_id, "assignment_id": sitting.id, "status": AWAITING_REVIEW}
        session.add(Submission(lookup=lookup, **listed))
        return sitting.id


def _export(sessions: Sessions, storage: LocalStorage, settings: Settings, slug: str) -> int:
    with sessions.begin() as session:
        asked = requests.request_export(session, study=study_lookup.by_slug(session, slug))
        session.flush()
        request_id = asked.id
    requests.run(sessions, storage, folder=settings.exports, request_id=request_id)
    return request_id


def _careful_account(sessions: Sessions, keys: Keys) -> str:
    email = make_account(sessions)
    with sessions.begin() as session:
        account = accounts.by_email(session, email)
        code = pyotp.parse_uri(accounts.propose_totp(session, keys, account=account)).now()
        accounts.confirm_totp(session, keys, account=account, code=code)
    return email
