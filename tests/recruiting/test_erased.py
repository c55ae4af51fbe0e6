"""Somebody who came from Prolific is erased: no trace of their ids in the database, in what was logged, in exports."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pyarrow.parquet as parquet
import pytest
from sqlalchemy import text

from app.db import Sessions
from app.keys import Keys
from app.recruiters.prolific.recruiter import Prolific
from app.services import study_lookup
from app.services.assignments import erasure
from app.services.exports.export import export_study
from app.services.recruiting import bonuses
from app.settings import Settings
from app.storage import LocalStorage
from simulation.prolific.server import FakeProlific
from tests.conftest import serving
from tests.services.test_erasure import everything, pseudonym_of
from tests.support.assignments import answer
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, TERMS, PaidStudy, agree


def dissent(item: object) -> int:
    return 1


def silent(*_: object) -> None:
    pass


def text_of(export: Path) -> str:
    """Everything an export says, its tables unpacked."""
    files = [path for path in export.rglob("*") if path.is_file()]
    tables = [str(parquet.read_table(path).to_pylist()) for path in files if path.suffix == ".parquet"]
    plain = [path.read_bytes().decode("latin-1") for path in files if path.suffix != ".parquet"]
    return "\n".join(tables + plain)


def test_no_trace_is_left(
    deployed: Settings,
    sessions: Sessions,
    storage: LocalStorage,
    keys: Keys,
    prolific: Prolific,
    fake: FakeProlific,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    market = fake.marketplace
    market.hooks.secret = deployed.prolific_webhook_secret.get_secret_value()  # type: ignore[union-attr]
    slug = make_study(sessions, storage, items=8, rounds=2, min_votes=1, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.look()
    paid.come()
    for _ in range(2):
        paid.look()

    # The second person arrives over HTTP, trips over everything there is to trip over, and dissents everywhere.
    submission = market.take_place(next(iter(market.studies)))
    assert submission is not None
    who = (submission.participant, submission.id)
    link = dict(parse_qsl(urlsplit(market.link(submission)).query))
    with serving(deployed) as url, httpx.Client(base_url=url) as http:
        study = f"/studies/{slug}"
        assert http.get(study, params=link).status_code == 200
        token = http.post(f"{study}/assignments", json={**link, "consent": True}).json()["token"]
        for wrong in ({"STUDY_ID": "0" * 24}, {"PROLIFIC_PID": "1" * 24}, {"SESSION_ID": f"{submission.id}!"}):
            assert http.post(f"{study}/assignments", json={**link, **wrong, "consent": True}).is_client_error
        answer(sessions, token, dissent)
        code = http.post(f"/assignments/{token}/complete").json()["completion_code"]
        event = market.hooks.sign("submission.status.change", submission.id, submission.participant, "ACTIVE")
        assert http.post("/hooks/prolific", content=event.body, headers=event.headers).status_code == 204
    market.submit(submission.id, code)
    fake.mischief.next += [("throttle", "GET", "/submissions/")] * 8
    for _ in range(3):
        paid.look()
    with sessions.begin() as session:
        mine = bonuses.paid_assignments(session, study_lookup.by_slug(session, slug))[-1:]
        bonuses.grant(
            session,
            study=study_lookup.by_slug(session, slug),
            amount=10,
            reason="thanks",
            assignments=mine,
            terms=TERMS,
            today=paid.today,
        )
    submission.status = "REJECTED"  # so that Prolific refuses the bonus, and names the submission
    bonuses.send(sessions, keys, prolific, study_id=paid.study_id)
    submission.status = "APPROVED"
    paid.run()
    before = export_study(sessions, storage, slug=slug, out=tmp_path / "before", report=silent)
    assert before.counts["kept"] == 0, "they dissented from everybody else"

    with sessions.begin() as session:
        pseudonym = pseudonym_of(sessions, slug)
        erased = erasure.erase(session, pseudonym=pseudonym)
    assert (erased.judgments, len(erased.exports)) == (8, 1)
    paid.run()
    after = export_study(sessions, storage, slug=slug, out=tmp_path / "after", report=silent)
    assert after.counts["kept"] == 8, "as if they had never been here"

    captured = capfd.readouterr()
    base = tmp_path_factory.getbasetemp()
    home = (base if worker_id == "master" else base.parent) / "home"
    server_logs = [path.read_text("utf-8", "replace") for path in home.glob("**/postgres/**/log")]
    exported = text_of(tmp_path / "before") + text_of(tmp_path / "after")
    everywhere = {
        "database": everything(sessions),
        "logged": captured.out + captured.err,
        "Postgres's log": "\n".join(server_logs),
        "exports": exported,
    }
    assert pseudonym in exported
    assert "recruiter" in everywhere["logged"]
    assert server_logs
    for place, said in everywhere.items():
        for found in who:
            assert found not in said, place
            assert not re.search(found.encode().hex(), said), f"{place}, as bytes"
    with sessions() as session:
        assert session.scalars(text("SELECT count(*) FROM identities WHERE ciphertext IS NULL")).one() >= 2
