"""Signing up and never answering: it keeps trials from nobody for long, and a whole class gets in at one address."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text, update

from app.db import Sessions
from app.main import create_app
from app.models.assignments import Assignment
from app.models.items import Slot
from app.services import study_lookup
from app.services.assignments.dealing import FIRST_LEASE
from app.services.rounds import rounds
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.dashboard import BROWSER
from tests.support.factories import make_study

SMALL: dict[str, Any] = {"assignment__trials": 8, "assignment__practice": 1, "assignment__sentinels": 2}


@pytest.fixture
def few(settings: Settings) -> Iterator[TestClient]:
    """A server that takes three of one address."""
    changed = Settings(LOOKALIKE_HOME=settings.home, DATABASE_URL=settings.database_url, UNSTARTED_PER_ADDRESS=3)
    with TestClient(create_app(changed), follow_redirects=False) as client:
        yield client


def sign_up(client: TestClient, slug: str, address: str = "192.0.2.1", **more: Any) -> Any:
    person = TestClient(client.app, client=(address, 1), follow_redirects=False)
    return person.post(f"/studies/{slug}/assignments", json={"consent": True} | more)


def answer(client: TestClient, url: str, count: int = 1) -> None:
    for trial in client.get(f"{url}/trials").json()["trials"][:count]:
        given = {"trial": trial["id"], "answers": ["left"]}
        assert client.post(f"{url}/judgments", json={"judgments": [given]}).status_code == 200


def leases(sessions: Sessions, slug: str) -> list[timedelta]:
    """How much longer slots are leased, one number for each."""
    with sessions() as session:
        until = session.scalars(
            select(Slot.leased_until).where(
                Slot.study_id == study_lookup.by_slug(session, slug).id, Slot.state == "leased"
            )
        ).all()
    return [each - datetime.now(UTC) for each in until if each is not None]


def let_time_pass(sessions: Sessions, slug: str, passed: timedelta) -> None:
    with sessions.begin() as session:
        study_id = study_lookup.by_slug(session, slug).id
        for column, table in (("leased_until", Slot), ("deadline", Assignment)):
            present = getattr(table, column)
            session.execute(update(table).where(table.study_id == study_id).values({column: present - passed}))
        rounds.release_expired_leases(session, study_id=study_id)


def test_who_never_begins_keeps_trials_for_a_moment(
    client: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    """Three anonymous requests lease all that is free; five minutes later it is free for others."""
    slug = make_study(sessions, storage, items=24, **SMALL)
    assert [sign_up(client, slug).status_code for _ in range(4)] == [201, 201, 201, 409]
    assert max(leases(sessions, slug)) <= FIRST_LEASE
    let_time_pass(sessions, slug, FIRST_LEASE)
    assert [sign_up(client, slug, "192.0.2.2").status_code for _ in range(3)] == [201, 201, 201]


@pytest.mark.parametrize("first", ["practice", "pool"])
def test_who_has_begun_keeps_them_until_the_deadline(
    client: TestClient, sessions: Sessions, storage: LocalStorage, first: str
) -> None:
    slug = make_study(sessions, storage, items=24, **SMALL | {"assignment__practice": int(first == "practice")})
    url = sign_up(client, slug).json()["url"]
    answer(client, url)
    with sessions() as session:
        deadline = session.scalars(
            select(Assignment.deadline).where(Assignment.study_id == study_lookup.by_slug(session, slug).id)
        ).one()
    assert min(leases(sessions, slug)) > FIRST_LEASE * 2
    assert max(leases(sessions, slug)) <= deadline - datetime.now(UTC) + timedelta(seconds=1)
    let_time_pass(sessions, slug, FIRST_LEASE)
    answer(client, url, 20)
    assert client.post(f"{url}/complete").status_code == 200
    assert late_votes(sessions, slug) == 0


def late_votes(sessions: Sessions, slug: str) -> int:
    with sessions() as session:
        late = text("SELECT count(*) FROM judgments j JOIN slots s ON s.id = j.slot_id JOIN studies d "
                    "ON d.id = s.study_id WHERE d.slug = :slug AND j.late")  # fmt: skip
        return session.scalars(late, {"slug": slug}).one()


def test_who_begins_slowly_loses_nothing_that_nobody_else_wants(
    client: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    """Opening the page leases again what ran out, and what was dealt to somebody else stays theirs."""
    slug = make_study(sessions, storage, items=16, **SMALL)
    slow = sign_up(client, slug).json()["url"]
    let_time_pass(sessions, slug, FIRST_LEASE)
    assert leases(sessions, slug) == []
    client.get(f"{slow}/trials")
    assert len(leases(sessions, slug)) == 8
    let_time_pass(sessions, slug, FIRST_LEASE)
    quick = [sign_up(client, slug, "192.0.2.2").json()["url"] for _ in range(2)]
    client.get(f"{slow}/trials")
    assert len(leases(sessions, slug)) == 16
    for url in (*quick, slow):
        answer(client, url, 20)
        assert client.post(f"{url}/complete").status_code == 200
    assert late_votes(sessions, slug) == 8


def test_a_class_behind_one_address_gets_in(client: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=40, **SMALL | {"assignment__trials": 1})
    assert [sign_up(client, slug).status_code for _ in range(40)] == [201] * 40


def test_an_address_has_so_many_that_have_not_begun(few: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
    slug, other = (make_study(sessions, storage, items=40, **SMALL | {"assignment__trials": 1}) for _ in range(2))
    first, *_ = [sign_up(few, slug).json()["url"] for _ in range(3)]
    refused = sign_up(few, slug)
    assert (refused.status_code, int(refused.headers["Retry-After"])) == (429, 60)
    page = few.post(
        f"/studies/{slug}/assignments", data={"consent": "true"}, headers=BROWSER | {"X-Forwarded-For": "203.0.113.1"}
    )
    assert page.status_code == 303  # the test client is another address, whatever it says of itself
    # Another network, another study, and who was here before.
    assert sign_up(few, slug, "2001:db8::1").status_code == 201
    assert sign_up(few, other).status_code == 201
    answer(few, first)
    assert sign_up(few, slug, participant="ada").status_code == 201
    assert sign_up(few, slug, participant="bob").status_code == 429
    assert sign_up(few, slug, participant="ada").status_code == 200


def test_what_was_refused_leaves_nothing_behind(few: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=40, **SMALL | {"assignment__trials": 1})
    for _ in range(3):
        sign_up(few, slug)
    count = text("SELECT (SELECT count(*) FROM participants), (SELECT count(*) FROM identities)")
    with sessions() as session:
        before = session.execute(count).one()
    assert sign_up(few, slug).status_code == 429
    with sessions() as session:
        assert session.execute(count).one() == before
