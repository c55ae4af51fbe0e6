"""The dashboard's pages as their contexts say them, and its forms with everything wrong."""

import io
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.db import Sessions
from app.domain import protocol as protocols
from app.keys import Keys
from app.services import audit, studies
from app.services.exports import requests
from app.services.protocols import current_protocol
from app.settings import Settings
from app.storage import LocalStorage
from app.web.admin.charts import FORECAST, OBSERVED
from app.web.admin.protocol_form import values_of
from tests.dashboard import Visitor, make_account, page_of, sign_in
from tests.factories import make_slug, make_study
from tests.sittings import judge_all, sit
from tests.triplet_folder import TripletFolder, contents, make_draft

SMALL = {"assignment__trials": 6, "assignment__practice": 1, "assignment__sentinels": 2}
NIGHTS = values_of(protocols.load("nights-2afc")) | {"preset": "nights-2afc", "items": "500"}


@pytest.fixture(scope="module")
def ada(client: TestClient, sessions: Sessions) -> Visitor:
    return sign_in(client, sessions, make_account(sessions, is_site_owner=True))


@pytest.fixture(scope="module")
def judged(sessions: Sessions, storage: LocalStorage, keys: Keys) -> str:
    """A finished study of three rounds in which people agreed about every other item."""
    slug = make_study(sessions, storage, items=8, rounds=3, min_votes=3, **SMALL)
    judge_all(sessions, keys, slug, lambda item: item.number % 2 and item.left_candidate)
    return slug


def test_a_study_from_the_form_is_what_was_typed(ada: Visitor, sessions: Sessions) -> None:
    slug = make_slug()
    typed = NIGHTS | {
        "slug": slug,
        "assignment.trials": "30",
        "presentation.scale": "0.5",
        "title": "Häuser",
        "screening.touch": "",
    }
    assert ada.post("/admin/new", typed).headers["Location"] == f"/admin/studies/{slug}"
    with sessions() as session:
        study = studies.by_slug(session, slug)
        protocol = current_protocol(session, study.id)
        assert [entry.action for entry in audit.entries(session, study_id=study.id)] == [
            "gave the role of owner to", "made the study",
        ]  # fmt: skip
    assert (protocol.assignment.trials, protocol.presentation.scale, protocol.title) == (30, 0.5, "Häuser")
    assert protocol.screening.touch is False
    assert page_of(ada.get(f"/admin/studies/{slug}")).frame.notice == "The study is made. Now bring in its images."
    assert page_of(ada.get(f"/admin/studies/{slug}")).frame.notice is None


def test_every_field_wrong_at_once(ada: Visitor) -> None:
    wrong = {
        "slug": "Not a name", "items": "many", "title": "", "question": "q" * 201, "language": "english please",
        "rounds": "0", "votes_per_round": "1e3", "min_votes": "", "drop": "sometimes", "assignment.trials": "-1",
        "assignment.practice": "ten", "assignment.sentinels": "1.5", "presentation.scale": "nan",
        "screening.min_width": "10", "quality.failed_sentinels": "maybe", "pay.currency": "pounds",
        "pay.reward": "-5", "ethics": "<script>alert(1)</script>" * 30,
    }  # fmt: skip
    response = ada.post("/admin/new", NIGHTS | wrong)
    assert response.status_code == 422
    page = page_of(response)
    assert page.problems.keys() == wrong.keys()
    assert {name: page.values[name] for name in wrong} == wrong
    assert "<script>alert(1)" not in response.text
    assert page.outlook.expected is None
    for name in wrong:
        assert f'id="problem-{name}"' in response.text


def test_the_outlook_follows_what_is_typed(ada: Visitor) -> None:
    def text(**typed: str) -> str:
        return ada.post("/admin/new/outlook", NIGHTS | {"slug": "x"} | typed).text

    assert "9.00 GBP an hour" in text()
    assert "less than the 9.00 GBP an hour" in text(**{"pay.reward": "60"})
    assert "more than the budget" in text(items="1000000")
    assert "min_votes must be at most" not in text()
    assert "Min_votes must be at most rounds × votes_per_round = 4" in text(rounds="4")


def test_what_there_is_to_say_of_a_name(ada: Visitor, judged: str) -> None:
    assert page_of(ada.post("/admin/new", NIGHTS | {"slug": judged})).problems == {
        "slug": f"There is already a study '{judged}'. Choose another name."
    }


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def bring(ada: Visitor, slug: str, data: bytes, name: str = "triplets.zip") -> tuple[int, str]:
    """Upload it; returns the status and what is said."""
    response = ada.post(
        f"/admin/studies/{slug}/import?form_key={ada.key}", files={"archive": (name, data, "application/zip")}
    )
    return response.status_code, "" if response.status_code == 303 else page_of(response).import_problem


def test_a_zip_file_fills_a_draft(ada: Visitor, sessions: Sessions, tmp_path: Path) -> None:
    slug, folder = make_draft(sessions), TripletFolder(tmp_path)
    folder.nights(folder.nights_rows(3))
    files = {f"inner/{path.relative_to(tmp_path)}": path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert bring(ada, slug, zipped(files | {"__MACOSX/x.csv": b"", "inner/notes.txt": b"hi"})) == (303, "")
    page = page_of(ada.get(f"/admin/studies/{slug}"))
    assert page.live.status.items == 3
    assert page.frame.notice == "3 items are in the pool."


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"no zip file", "not a ZIP file"),
        (zipped({}), "holds no CSV file"),
        (zipped({"a.csv": b"reference,candidate_0,candidate_1\nx.png,y.png,z.png\n"}), "a.csv, line 2"),
        (zipped({"a.csv": b"reference,candidate_0,candidate_1\n../x.png,y.png,z.png\n", "../x.png": b"x"}), "line 2"),
        (zipped({"a.csv": b"", "b.csv": b""}), "more than one CSV file: a.csv, b.csv"),
        (zipped({"data.csv": b"id,nonsense\n"}), "data.csv is missing the columns"),
        (zipped({"<b>.csv": b"reference\n"}), "is missing the columns"),
    ],
)
def test_zip_files_that_will_not_do(ada: Visitor, sessions: Sessions, data: bytes, complaint: str) -> None:
    slug = make_draft(sessions)
    before = contents(sessions, slug)
    status, said = bring(ada, slug, data)
    assert status == 422
    assert complaint in said
    assert "lookalike-upload" not in said
    assert contents(sessions, slug) == before


def test_a_bomb_does_not_unpack(ada: Visitor, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.uploads.LARGEST_UNPACKED", 1_000_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(50_000_000))
    status, said = bring(ada, make_draft(sessions), buffer.getvalue())
    assert (status, "is larger than" in said) == (422, True)


def test_steps_say_what_follows(ada: Visitor, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=30, is_open=False, **SMALL)
    assert "30 items are fixed" in page_of(ada.get(f"/admin/studies/{slug}/steps/open")).consequences[0]
    assert ada.get(f"/admin/studies/{slug}/steps/pause").status_code == 409
    for step, status in (("open", "collecting"), ("pause", "paused"), ("open", "collecting"), ("close", "closed")):
        assert ada.post(f"/admin/studies/{slug}/steps/{step}").status_code == 303
        assert page_of(ada.get(f"/admin/studies/{slug}")).head.status == status
    assert ada.post(f"/admin/studies/{slug}/steps/open").status_code == 409
    log = page_of(ada.get(f"/admin/studies/{slug}/log")).entries
    assert [entry.action for entry in log] == [f"{word} the study" for word in ("closed", "opened", "paused", "opened")]


def test_the_live_page_and_its_charts(ada: Visitor, judged: str) -> None:
    page = page_of(ada.get(f"/admin/studies/{judged}"))
    assert (page.head.status, page.live.status.survivors, page.live.status.items) == ("finished", 4, 8)
    fragment = ada.get(f"/admin/studies/{judged}/live", headers={"HX-Request": "true"}).text
    assert 'id="study-status" hx-swap-oob="true"' in fragment
    chart = ada.get(f"/admin/studies/{judged}/charts/survivors.json").json()
    points = [point for values in chart["datasets"].values() for point in values]
    assert [point["survivors"] for point in points if point["what"] == OBSERVED] == [8, 8, 4, 4]
    assert any(point["what"] == FORECAST for point in points)
    (votes,) = ada.get(f"/admin/studies/{judged}/charts/votes.json").json()["datasets"].values()
    assert sum(minute["votes"] for minute in votes) == page.live.status.votes
    assert ada.get(f"/admin/studies/{judged}/charts/rounds.csv").text.count("\n") == 4


def test_items_are_found_by_what_became_of_them(ada: Visitor, judged: str) -> None:
    def numbers(query: str) -> list[int]:
        return [item.number for item in page_of(ada.get(f"/admin/studies/{judged}/items?{query}")).items]

    dropped = numbers("fate=dropped")
    assert sorted(dropped + numbers("fate=surviving")) == numbers("") == list(range(8))
    assert numbers("dropped=2") == dropped
    assert numbers("category=GORY+3") == [3]
    assert numbers("category=%25") == []
    item = page_of(ada.get(f"/admin/studies/{judged}/items/{dropped[0]}"))
    assert len({vote.choice for vote in item.votes}) == 2
    assert item.history.startswith("It was dropped in round 2")
    picture = ada.get(f"/admin/studies/{judged}/pictures/{item.item.id}/candidate_1")
    assert picture.headers["Content-Type"] == "image/webp"


@pytest.mark.parametrize("path", ["items", "assignments", "log"])
@pytest.mark.parametrize(
    "query",
    [
        "fate=x",
        "after=-5",
        "after=99999999999",
        "dropped=9999999999999",
        "category=%00",
        "which=';--",
        "before=0",
        "before=x",
    ],
)
def test_odd_questions_get_plain_answers(ada: Visitor, judged: str, path: str, query: str) -> None:
    assert ada.get(f"/admin/studies/{judged}/{path}?{query}").status_code in (200, 422)


@pytest.mark.parametrize(
    "path",
    [
        "items/999",
        "items/99999999999999999999",
        "assignments/999999",
        "assignments/99999999999999999999",
        "pictures/99999999999999999999/reference",
        "pictures/1/answer",
        "data/exports/99999999999999999999.zip",
        "data/exports/1/..%2f..%2fsecret.key",
    ],
)
def test_what_is_not_there_is_not_found(ada: Visitor, judged: str, path: str) -> None:
    assert ada.get(f"/admin/studies/{judged}/{path}").status_code == 404


def test_excluding_does_what_was_announced(ada: Visitor, sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=8, rounds=3, min_votes=3, **SMALL | {"assignment__trials": 8})
    sit(sessions, keys, slug, "ada", lambda _: 0)
    sit(sessions, keys, slug, "eve", lambda _: 1)  # disagrees about everything
    url = f"/admin/studies/{slug}/assignments"
    eve, _ = lines = page_of(ada.get(url)).lines
    assert [line.missed for line in lines] == [0, 0]
    before = contents(sessions, slug)
    announced = page_of(ada.get(f"{url}/{eve.id}/exclude")).consequence
    assert contents(sessions, slug) == before
    assert announced.returned == 8
    assert ada.post(f"{url}/{eve.id}/exclude", {"reason": "  "}).status_code == 422
    assert contents(sessions, slug) == before
    assert ada.post(f"{url}/{eve.id}/exclude", {"reason": "<b>a test</b>"}).status_code == 303
    assert alive(ada, slug) == announced.returned
    page = ada.get(f"{url}/{eve.id}")
    assert page_of(page).line.is_excluded
    assert "<b>a test</b>" not in page.text
    assert ada.get(f"{url}/{eve.id}/exclude").status_code == 409
    back = page_of(ada.get(f"{url}/{eve.id}/reinstate")).consequence
    assert (back.dropped, back.votes_wanted) == (8, -announced.votes_wanted)
    assert ada.post(f"{url}/{eve.id}/reinstate", {"reason": "she was right"}).status_code == 303
    assert alive(ada, slug) == 0
    assert [line.id for line in page_of(ada.get(f"{url}?which=excluded")).lines] == []


def alive(ada: Visitor, slug: str) -> int:
    return int(page_of(ada.get(f"/admin/studies/{slug}")).live.status.survivors)


def test_an_export_is_asked_for_written_and_downloaded(
    ada: Visitor, sessions: Sessions, storage: LocalStorage, settings: Settings, judged: str
) -> None:
    url = f"/admin/studies/{judged}/data"
    assert page_of(ada.get(url)).counts["kept"] == 4
    assert ada.post(f"{url}/exports").status_code == 303
    (asked,) = page_of(ada.get(url)).exports.requests
    assert asked.state == "waiting"
    assert ada.get(f"{url}/exports/{asked.id}.zip").status_code == 404
    requests.fulfil(sessions, storage, folder=settings.exports, request_id=asked.id)
    assert page_of(ada.get(url)).exports.requests[0].version == 1
    with zipfile.ZipFile(io.BytesIO(ada.get(f"{url}/exports/{asked.id}.zip").content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert archive.read("data.csv") == ada.get(f"{url}/exports/{asked.id}/data.csv").content
    assert {"manifest.json", "judgments.parquet"} < set(names)
    assert sum(name.startswith("ref/") for name in names) == 8


def test_an_export_that_fails_says_why(
    sessions: Sessions, storage: LocalStorage, tmp_path: Path, ada: Visitor, judged: str
) -> None:
    ada.post(f"/admin/studies/{judged}/data/exports")
    asked = page_of(ada.get(f"/admin/studies/{judged}/data")).exports.requests[0]
    requests.place_of(tmp_path, judged, asked.id).mkdir()
    (requests.place_of(tmp_path, judged, asked.id) / "in the way").touch()
    requests.fulfil(sessions, storage, folder=tmp_path, request_id=asked.id)
    failed = page_of(ada.get(f"/admin/studies/{judged}/data")).exports.requests[0]
    assert failed.state == "failed"
    assert "is not an empty folder" in failed.message


def test_the_preview_offers_nothing_to_send(ada: Visitor, judged: str) -> None:
    page = ada.get(f"/admin/studies/{judged}/preview")
    assert page_of(page).preview
    assert "<form" not in page.text
