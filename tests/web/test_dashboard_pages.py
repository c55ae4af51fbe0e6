"""The dashboard's pages as their contexts say them, and its forms with everything wrong."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db import Sessions
from app.domain import protocol as protocols
from app.errors import Forbidden
from app.keys import Keys
from app.recruiters.entry import Arrival
from app.services import audit, study_lookup
from app.services.assignments import enrolment
from app.services.exports import requests
from app.services.items import import_requests
from app.services.items.import_sources import open_import_source
from app.services.items.uploads import open_uploads
from app.services.study_lookup import current_protocol
from app.settings import Settings
from app.storage import LocalStorage
from app.web.admin.studies.charts import FORECAST, OBSERVED
from app.web.admin.studies.protocol_form import values_of
from tests.services.test_jnd import sit as sit_at_pairs
from tests.support.assignments import judge_all, sit
from tests.support.dashboard import Visitor, make_account, page_of, sign_in, visitor_as
from tests.support.factories import make_slug, make_study
from tests.support.triplet_folder import TripletFolder, contents, make_draft

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
        study = study_lookup.by_slug(session, slug)
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
        "pay.reward": "-5", "ethics": "<script>alert(1)</script>" * 30, "check": "Only a question?",
        "recruiting.recruiter": "friends", "recruiting.places_at_once": "0", "brakes.return_rate": "2",
        "people.retention_days": "for ever",
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

    assert "£9.00 an hour" in text()
    assert "less than the £9.00 an hour" in text(**{"pay.reward": "60"})
    assert "more than the budget" in text(items="1000000")
    assert "of those who answer" not in text()
    weak = {"assignment.sentinels": "3", "assignment.sentinel_misses_allowed": "1"}
    assert "50% of those who answer at random or always press the same side pass 3 sentinels" in text(**weak)
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


def send(ada: Visitor, slug: str, data: bytes, name: str = "triplets.zip") -> httpx.Response:
    url = f"/admin/studies/{slug}/import?form_key={ada.key}"
    return ada.post(url, files={"archive": (name, data, "application/zip")})


@pytest.fixture
def work(sessions: Sessions, storage: LocalStorage, settings: Settings) -> Callable[[int], None]:
    """What a worker does with an import."""
    place, uploads = open_import_source(settings), open_uploads(settings)

    def work(request_id: int) -> None:
        import_requests.run(
            sessions, storage, place, uploads, incoming=settings.incoming, request_id=request_id
        )  # fmt: skip

    return work


def test_a_zip_file_is_kept_and_a_worker_fills_the_draft(
    ada: Visitor, sessions: Sessions, work: Callable[[int], None], tmp_path: Path
) -> None:
    slug, folder = make_draft(sessions), TripletFolder(tmp_path)
    url = f"/admin/studies/{slug}"
    folder.nights(folder.nights_rows(3))
    files = {f"inner/{path.relative_to(tmp_path)}": path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert send(ada, slug, zipped(files), "<b>.zip").headers["Location"] == url
    waiting = ada.get(url)
    assert "Waiting for a worker to import &lt;b&gt;.zip." in waiting.text
    assert page_of(waiting).live.status.items == 0
    again = send(ada, slug, zipped(files))
    assert (again.status_code, "is still being imported" in page_of(again).import_problem) == (409, True)
    work(page_of(waiting).importing.request.id)
    page = page_of(ada.get(url))
    assert (page.live.status.items, page.importing.in_pool) == (3, 3)


def test_what_is_wrong_in_a_zip_file_is_said_on_the_page(
    ada: Visitor, sessions: Sessions, work: Callable[[int], None]
) -> None:
    slug = make_draft(sessions)
    url = f"/admin/studies/{slug}"
    refused = send(ada, slug, b"no zip file")
    assert (refused.status_code, page_of(refused).import_problem) == (422, "This is not a ZIP file.")
    assert ada.post(f"{url}/import?form_key={ada.key}", {"archive": "text"}).status_code == 422
    assert send(ada, slug, zipped({"a.csv": b"reference,candidate_0,candidate_1\nx.png,y.png,z.png\n"})).is_redirect
    work(page_of(ada.get(url)).importing.request.id)
    page = ada.get(url).text
    assert "The import of triplets.zip did not finish. a.csv, line 2: reference &#39;x.png&#39; does not exist." in page
    assert "Import triplets.zip again" not in page, "it is there no more"


def test_nobody_else_has_a_zip_file_read(client: TestClient, sessions: Sessions, settings: Settings) -> None:
    """Who may import into this study is known before the body is read: it stays where it is."""
    slug, other, data = make_draft(sessions), make_draft(sessions), zipped({"a.csv": b"x"})
    viewer, stranger = visitor_as(client, sessions, slug, "viewer"), visitor_as(client, sessions, other, "researcher")
    for visitor, status in ((viewer, 403), (stranger, 404), (Visitor(client), 401)):
        assert send(visitor, slug, data).status_code in (status, 303)
    unread = iter(lambda: pytest.fail("the body was read"), None)
    for visitor in (viewer, stranger):
        for key in (f"?form_key={visitor.key}", ""):
            answer = visitor._client.post(
                f"/admin/studies/{slug}/import{key}",
                content=unread,
                headers={"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(10**8)},
            )
            assert answer.status_code in (403, 404)
    assert not list((settings.home / "uploads").glob("*"))


def test_a_folder_of_the_servers_fills_a_draft(
    ada: Visitor, sessions: Sessions, work: Callable[[int], None], settings: Settings
) -> None:
    slug, name = make_draft(sessions), make_slug()
    url, folder = f"/admin/studies/{slug}", TripletFolder(Path(settings.import_place) / name / "<b>")
    page = page_of(ada.get(f"{url}/imports?folder=nowhere"))
    assert (page.folder, page.problem) == ("", "There is no folder 'nowhere' among the imports.")
    folder.nights(rows := folder.nights_rows(2))
    page = page_of(ada.get(f"{url}/imports"))
    assert name in page.listing.folders
    page = page_of(ada.get(page.url_of(name)))
    assert (page.listing.folders, page.listing.tables) == (["<b>"], [])
    inner = ada.get(page.url_of("<b>"))
    assert page_of(inner).listing.tables == ["data.csv"]
    assert "<b>" not in inner.text
    refused = ada.post(f"{url}/imports", {"source": name})
    assert refused.status_code == 422
    problem = page_of(refused).problem
    assert problem.startswith(f"The folder '{name}' holds no CSV file")
    assert problem.endswith(f"There is '{name}/<b>'.")

    picture = folder.path / rows[0]["ref_path"]
    data = picture.read_bytes()
    picture.write_text("none")
    assert ada.post(f"{url}/imports", {"source": f"{name}/<b>"}).headers["Location"] == url
    assert page_of(ada.get(url)).importing.is_under_way
    assert "Waiting for a worker" in ada.get(f"{url}/imports/progress").text
    assert ada.post(f"{url}/imports", {"source": f"{name}/<b>"}).status_code == 409
    assert ada.post(f"{url}/imports/stop").status_code == 303
    assert "Stopped by" in ada.get(url).text
    for _ in range(2):
        assert ada.post(f"{url}/imports", {"source": f"{name}/<b>"}).status_code == 303
        work(page_of(ada.get(url)).importing.request.id)
        assert ada.get(f"{url}/imports/progress").headers["HX-Refresh"] == "true"
        said = ada.get(url)
        assert "<b>" not in said.text
        picture.write_bytes(data)
        if page_of(said).importing.request.state == "failed":
            assert page_of(said).importing.request.message.startswith("data.csv, line 2: ref/000/000.png: ")
    assert (page_of(said).importing.in_pool, page_of(said).live.status.items) == (2, 2)


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
    rounds = list(csv.DictReader(ada.get(f"/admin/studies/{judged}/charts/rounds.csv").text.splitlines()))
    assert [(row["number"], row["survivors"], row["wanted"]) for row in rounds] == [
        ("1", "8", "0"), ("2", "4", "0"), ("3", "4", "0"),
    ]  # fmt: skip


def test_items_are_found_by_what_became_of_them(ada: Visitor, judged: str) -> None:
    def numbers(query: str) -> list[int]:
        return [item.number for item in page_of(ada.get(f"/admin/studies/{judged}/items?{query}")).items]

    dropped = numbers("fate=dropped")
    assert sorted(dropped + numbers("fate=surviving")) == numbers("") == list(range(8))
    assert numbers("dropped=2") == dropped
    assert numbers("category=GORY+3") == [3]
    assert numbers("category=%25") == []
    assert numbers("agreement=unanimous") == numbers("fate=surviving")
    assert numbers("agreement=divided") == dropped
    assert numbers("agreement=most") == numbers("pace=slow") == []
    assert numbers("pace=fast") == list(range(8))  # everybody takes 812.5 ms
    item = page_of(ada.get(f"/admin/studies/{judged}/items/{dropped[0]}"))
    assert len({vote.choice for vote in item.votes}) == 2
    assert item.after == dropped[0] + 1
    assert page_of(ada.get(f"/admin/studies/{judged}/items/{dropped[0]}?fate=dropped")).after == dropped[1]
    (turn,) = item.history
    assert (turn.round, "disagreed" in turn.why) == (2, True)
    picture = ada.get(f"/admin/studies/{judged}/pictures/{item.item.id}/candidate_1")
    assert picture.headers["Content-Type"] == "image/webp"


@pytest.mark.parametrize(
    "query",
    ["", "fate=dropped", "dropped=2", "category=gory+3", "category=no", "agreement=divided", "pace=fast", "pace=slow"],
)
def test_a_search_goes_on_from_stretch_to_stretch(
    ada: Visitor, judged: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/admin/studies/{judged}/items"
    at_once = [item.number for item in page_of(ada.get(f"{url}?{query}")).items]
    near = [page_of(ada.get(f"{url}/{number}?{query}")) for number in at_once]
    monkeypatch.setattr("app.services.items.browse.STRETCH", 3)
    monkeypatch.setattr("app.services.items.browse.PACED", 2)
    found: list[int] = []
    more: str | None = f"?{query}"
    while more:
        response = ada.get(url + more, headers={"HX-Request": "true"})
        found += [item.number for item in page_of(response).items]
        more = page_of(response).more
    assert found == at_once
    assert ("No more items like that." in response.text) == (page_of(response).items == [])
    for page in near:
        before, after = page.before, page.after
        page = page_of(ada.get(f"{url}/{page.item.number}?{query}"))
        assert page.before == (before if before is None or page.item.number - before <= 3 else None)
        assert page.after == (after if after is None or after - page.item.number <= 3 else None)


@pytest.mark.parametrize("path", ["items", "assignments", "log"])
@pytest.mark.parametrize(
    "query",
    [
        "fate=x",
        "after=-5",
        "pace=slow&agreement=most",
        "pace=1&agreement=x",
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
    (fell, came_back) = page_of(ada.get(f"/admin/studies/{slug}/items/3")).history
    assert (fell.round, came_back.round, "<b>a test</b>" in came_back.why) == (2, None, True)
    back = page_of(ada.get(f"{url}/{eve.id}/reinstate")).consequence
    assert (back.dropped, back.votes_wanted) == (8, -announced.votes_wanted)
    assert ada.post(f"{url}/{eve.id}/reinstate", {"reason": "she was right"}).status_code == 303
    assert alive(ada, slug) == 0
    for query, found in (
        ("which=excluded", []), ("which=with+findings", []), (f"participant={eve.participant}", [eve.id]),
        ("participant=nobody", []), ("which=completed", [line.id for line in lines]),
    ):  # fmt: skip
        assert [line.id for line in page_of(ada.get(f"{url}?{query}")).lines] == found, query


def alive(ada: Visitor, slug: str) -> int:
    return int(page_of(ada.get(f"/admin/studies/{slug}")).live.status.survivors)


def test_an_export_is_asked_for_written_and_downloaded(
    ada: Visitor, sessions: Sessions, storage: LocalStorage, settings: Settings, judged: str
) -> None:
    url = f"/admin/studies/{judged}/data"
    assert page_of(ada.get(url)).preview.counts["kept"] == 4
    assert ada.post(f"{url}/exports").status_code == 303
    (asked,) = page_of(ada.get(url)).exports.requests
    assert asked.state == "waiting"
    assert ada.get(f"{url}/exports/{asked.id}.zip").status_code == 404
    requests.run(sessions, storage, folder=settings.exports, request_id=asked.id)
    assert page_of(ada.get(url)).exports.requests[0].version == 1
    with zipfile.ZipFile(io.BytesIO(ada.get(f"{url}/exports/{asked.id}.zip").content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert archive.read("data.csv") == ada.get(f"{url}/exports/{asked.id}/data.csv").content
    assert {"manifest.json", "judgments.parquet"} < set(names)
    assert sum(name.startswith("ref/") for name in names) == 8


def test_an_export_of_a_choice_and_what_changed(
    ada: Visitor, sessions: Sessions, storage: LocalStorage, settings: Settings, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=8, rounds=3, min_votes=3, **SMALL)
    judge_all(sessions, keys, slug, lambda item: item.number % 2 and item.left_candidate)
    url = f"/admin/studies/{slug}/data"
    with sessions.begin() as session:
        session.execute(text("UPDATE items SET split = 'test' WHERE number = 0 AND study_id = "
                             "(SELECT id FROM studies WHERE slug = :slug)"), {"slug": slug})  # fmt: skip

    def export(**choice: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The manifest of such an export, and what was previewed."""
        previewed = ada.get(f"{url}/preview", params=choice).context["preview"].counts  # type: ignore[attr-defined]
        assert ada.post(f"{url}/exports", choice).status_code == 303
        asked = page_of(ada.get(url)).exports.requests[0]
        requests.run(sessions, storage, folder=settings.exports, request_id=asked.id)
        return ada.get(f"{url}/exports/{asked.id}/manifest.json").json(), previewed

    whole, seen = export()
    assert (whole["counts"]["kept"], seen["kept"]) == (4, 4)
    assert whole["filters"] == {"min_votes": 3, "drop": "dissent"}
    chosen, seen = export(form="parquet", split="train", only_kept="on", min_votes="2")
    assert chosen["filters"] == {"min_votes": 2, "drop": "dissent", "split": "train", "status": "kept"}
    assert {name: chosen["counts"][name] for name in seen} == seen
    assert (seen["items"], seen["kept"], chosen["format"]) == (3, 3, "parquet")
    change = page_of(ada.get(f"{url}/versions/2")).change
    assert (change.came, change.went) == ([], [0])
    assert ada.get(f"{url}/versions/1").status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"form": "../../etc"}, {"split": "'; --"}, {"min_votes": "-1"}, {"min_votes": "11"}, {"min_votes": "²"}]
)
def test_an_export_of_what_there_is_not(ada: Visitor, judged: str, wrong: dict[str, str]) -> None:
    before = page_of(ada.get(f"/admin/studies/{judged}/data")).exports.requests
    assert ada.post(f"/admin/studies/{judged}/data/exports", wrong).status_code == 422
    assert ada.get(f"/admin/studies/{judged}/data/preview", params=wrong).context["problem"]  # type: ignore[attr-defined]
    after = page_of(ada.get(f"/admin/studies/{judged}/data")).exports.requests
    assert [request.id for request in after] == [request.id for request in before]


def report_of(measure: str, value: float, **more: Any) -> bytes:
    score = {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 60}
    known = {"measure": measure, "data": "shoes test", "shares": score, "majority": None, "ceilings": {"oracle": 0.9}}
    return json.dumps(known | {"ties": 0, "groups": {}} | more).encode()


def compared(ada: Visitor, slug: str, *files: bytes, name: str = "report.json") -> httpx.Response:
    url = f"/admin/studies/{slug}/data/metrics?form_key={ada.key}"
    return ada.post(url, files=[("reports", (name, data, "application/json")) for data in files])


def test_metrics_beside_people(ada: Visitor, judged: str) -> None:
    elsewhere = report_of("stranger", 0.9, data="other triplets")
    response = compared(ada, judged, report_of("ours", 0.8), report_of("<b>LPIPS</b>", 0.85), elsewhere)
    page = page_of(response)
    assert [report.measure for report in page.reports] == ["<b>LPIPS</b>", "ours"]
    assert (page.ceilings, [report.measure for report in page.others]) == ({"oracle": 0.9}, ["stranger"])
    assert "On shoes test, 60 triplets</h2>" in response.text
    assert "stranger was measured on 60 other triplets (other triplets)" in response.text
    assert '<tr class="ceiling"><td>people: oracle</td>' in response.text


def test_metrics_on_different_triplets_are_not_put_beside_each_other(ada: Visitor, judged: str) -> None:
    """The name of a folder says nothing: its split may have been another, or more people have judged since."""

    def beside(first: bytes, second: bytes) -> bool:
        return len(page_of(compared(ada, judged, first, second)).reports) == 2

    few = {"value": 0.9, "low": 0.5, "high": 1.0, "n": 3}
    assert not beside(report_of("ours", 0.8), report_of("LPIPS", 0.8, shares=few))
    assert not beside(report_of("ours", 0.8), report_of("LPIPS", 0.8, ceilings={"oracle": 0.91}))
    one, other = {"triplets_sha256": "a" * 64}, {"triplets_sha256": "b" * 64}
    assert not beside(report_of("ours", 0.8, **one), report_of("LPIPS", 0.8, **other))
    assert beside(report_of("ours", 0.8, **one), report_of("LPIPS", 0.8, data="a copy elsewhere", **one))
    assert beside(report_of("ours", 0.8, **one), report_of("of an earlier version", 0.8))


@pytest.mark.parametrize(
    "wrong",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"measure": NaN}', report_of("x", 7.0), report_of("x", 0.5, ceilings=[1]),
     report_of("y" * 300, 0.5)],
    ids=["empty", "binary", "deep", "nan", "more than all", "list", "long name"],
)  # fmt: skip
def test_what_is_no_report(ada: Visitor, judged: str, wrong: bytes) -> None:
    response = compared(ada, judged, wrong, name="../<script>x.json")
    assert response.status_code == 422
    assert "is no report.json" in page_of(response).problem
    assert "<script>x" not in response.text


def test_an_export_that_fails_says_why(
    sessions: Sessions, storage: LocalStorage, tmp_path: Path, ada: Visitor, judged: str
) -> None:
    ada.post(f"/admin/studies/{judged}/data/exports")
    asked = page_of(ada.get(f"/admin/studies/{judged}/data")).exports.requests[0]
    requests.place_of(tmp_path, judged, asked.id).mkdir()
    (requests.place_of(tmp_path, judged, asked.id) / "in the way").touch()
    requests.run(sessions, storage, folder=tmp_path, request_id=asked.id)
    failed = page_of(ada.get(f"/admin/studies/{judged}/data")).exports.requests[0]
    assert failed.state == "failed"
    assert "is not an empty folder" in failed.message


def test_the_preview_offers_nothing_to_send(ada: Visitor, judged: str) -> None:
    page = ada.get(f"/admin/studies/{judged}/preview")
    assert page_of(page).preview
    assert "<form" not in page.text


def protocol_form(ada: Visitor, slug: str) -> dict[str, str]:
    """The form of the study's protocol as a browser sends it back."""
    page = page_of(ada.get(f"/admin/studies/{slug}/protocol"))
    fixed = {field.name for group in page.groups for field in group.fields if field.is_fixed}
    sent = {name: value for name, value in page.values.items() if name not in fixed}
    return sent | {"version": str(page.version)}


def test_nobodys_change_of_a_protocol_is_lost(
    ada: Visitor, client: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    slug = make_study(sessions, storage, items=4, is_open=False)
    bob, url = visitor_as(client, sessions, slug, "researcher"), f"/admin/studies/{slug}/protocol"
    hers, his = protocol_form(ada, slug), protocol_form(bob, slug)
    check = "What is compared?\n* Images\n- Words\n\nHow often?\n- Once\n* Often"
    assert ada.post(url, hers | {"title": "Hers", "pay.reward": "150", "check": check}).status_code == 303
    assert page_of(ada.get(url)).frame.notice == "Version 2 holds from the next sitting on."
    stale = bob.post(url, his | {"title": "His", "thanks": "Danke", "rounds": "x"})
    assert stale.status_code == 409
    page = page_of(stale)
    assert [(each.label, each.theirs, each.typed) for each in page.differences] == [
        ("Title", "Hers", "His"), ("Reward for a sitting", "150", None), ("Comprehension check", check, None),
    ]  # fmt: skip
    assert (page.version, page.problems.keys()) == (2, {"rounds"})
    merged = {name: page.values[name] for name in his if name != "version"} | {"version": "2", "rounds": "4"}
    assert bob.post(url, merged).status_code == 422  # min_votes is above what four rounds can give
    assert bob.post(url, merged | {"min_votes": "4"}).status_code == 303
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        now = current_protocol(session, study.id)
        log = audit.entries(session, study_id=study.id)
    assert (now.title, now.thanks, now.pay.reward, now.rounds) == ("His", "Danke", 150, 4)
    assert [(question.question, question.answer) for question in now.check] == [
        ("What is compared?", "Images"), ("How often?", "Often"),
    ]  # fmt: skip
    assert log[0].details == {"fields": "title, thanks, rounds, min_votes"}
    wrong = bob.post(url, protocol_form(bob, slug) | {"check": "How?\n- a\n- b"})
    assert page_of(wrong).problems == {"check": "Question 1: answer must be one of the choices"}
    assert bob.post(url, protocol_form(bob, slug)).status_code == 303
    assert page_of(bob.get(url)).frame.notice == "Nothing has changed."
    assert bob.post(url, his | {"version": "9"}).status_code == 422


def test_what_votes_mean_is_fixed_once_somebody_takes_part(
    ada: Visitor, sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=8, **SMALL)
    url = f"/admin/studies/{slug}/protocol"
    # Open, but nobody has come: the round gets the slots of the new rule.
    assert ada.post(url, protocol_form(ada, slug) | {"votes_per_round": "3"}).status_code == 303
    assert page_of(ada.get(f"/admin/studies/{slug}")).live.status.by_round[0].wanted == 24
    more = page_of(ada.post(url, protocol_form(ada, slug) | {"assignment.sentinels": "3"}))
    assert more.problems == {"assignment.sentinels": "at most 2 were made when the study opened"}
    sit(sessions, keys, slug, "ada", lambda _: 0)
    form = protocol_form(ada, slug)
    assert not form.keys() & {"rounds", "question", "presentation.scale"}
    before = contents(sessions, slug)
    refused = ada.post(url, form | {"rounds": "3", "presentation.scale": "2", "title": "New"})
    assert refused.status_code == 422
    assert page_of(refused).problems == dict.fromkeys(
        ("rounds", "presentation.scale"), "is fixed since the first sitting; duplicate the study to change it"
    )
    assert page_of(refused).values["title"] == "New"
    assert contents(sessions, slug) == before
    assert ada.post(url, form | {"title": "New"}).status_code == 303
    twin, like = make_slug(), values_of(page_protocol(sessions, slug))
    assert page_of(ada.get(f"/admin/new?like={slug}")).values["title"] == "New"
    assert ada.post("/admin/new", like | {"like": slug, "slug": twin, "items": "9", "rounds": "7"}).status_code == 303
    assert (page_protocol(sessions, twin).rounds, page_protocol(sessions, twin).title) == (7, "New")


def page_protocol(sessions: Sessions, slug: str) -> protocols.Protocol:
    with sessions() as session:
        return current_protocol(session, study_lookup.by_slug(session, slug).id)


def test_an_archived_study_is_out_of_the_way(ada: Visitor, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=30, **SMALL)
    steps = f"/admin/studies/{slug}/steps"
    assert ada.post(f"{steps}/archive").status_code == 409
    ada.post(f"{steps}/close")

    def listed(which: str) -> bool:
        return slug in [glance.slug for glance in page_of(ada.get(f"/admin?which={which}")).studies]

    assert ada.post(f"{steps}/archive").status_code == 303
    assert (listed("current"), listed("archived")) == (False, True)
    assert page_of(ada.get(f"/admin/studies/{slug}/protocol")).head.may_change is False
    assert ada.post(f"/admin/studies/{slug}/protocol", protocol_form(ada, slug)).status_code == 409
    assert ada.post(f"{steps}/restore").status_code == 303
    assert (listed("current"), listed("archived")) == (True, False)


def test_an_exclusion_is_undone_at_once_and_a_person_blocked(
    ada: Visitor, sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=16, **SMALL)
    sit(sessions, keys, slug, "eve", lambda _: 0)
    (eve,) = page_of(ada.get(f"/admin/studies/{slug}/assignments")).lines
    url = f"/admin/studies/{slug}/assignments/{eve.id}"
    ada.post(f"{url}/exclude", {"reason": "a slip"})
    assert page_of(ada.get(url)).can_undo
    assert "Undo the exclusion" in ada.get(url).text
    assert ada.post(f"{url}/reinstate", {"reason": "taken back at once"}).status_code == 303
    assert not page_of(ada.get(url)).can_undo
    assert page_of(ada.post(f"{url}/decide/block", {"reason": " "})).problems.keys() == {"reason"}
    assert ada.get(f"{url}/decide/approve").status_code == 404  # nobody pays for a direct link
    assert ada.post(f"{url}/decide/block", {"reason": "is a program"}).status_code == 303
    assert page_of(ada.get(url)).blocked.reason == "is a program"

    def come_back() -> str:
        with sessions.begin() as session:
            arrival = Arrival("direct", participant="eve", submission="again")
            return enrolment.sign_up(session, keys, study=study_lookup.by_slug(session, slug), arrival=arrival).token

    with pytest.raises(Forbidden, match="do not take part in it again"):
        come_back()
    assert ada.post(f"{url}/decide/unblock").status_code == 303
    assert come_back()


def test_a_draft_has_its_items_generated(ada: Visitor, sessions: Sessions) -> None:
    slug = make_draft(sessions)
    url = f"/admin/studies/{slug}/generate"
    before = contents(sessions, slug)
    wrong = {"generator": "diffusers", "per_category": "0", "model": "/etc", "categories": "bird\n\nbird"}
    refused = ada.post(url, wrong)
    assert (refused.status_code, page_of(refused).problems.keys()) == (422, {"per_category", "model", "categories"})
    assert page_of(refused).values["categories"] == wrong["categories"]
    undrawable = ada.post(url, {"generator": "procedural", "per_category": "2", "categories": "a philosopher"})
    assert page_of(undrawable).problems[""].startswith("Nobody can draw a philosopher.")
    assert contents(sessions, slug) == before
    assert (
        ada.post(url, {"generator": "procedural", "per_category": "2", "categories": "bird\r\nfish"}).status_code == 303
    )
    page = page_of(ada.get(f"/admin/studies/{slug}"))
    assert (page.making.progress.items, page.making.progress.waiting) == (4, 4)
    assert "hx-get" in ada.get(f"{url}/progress").text
    assert ada.post(f"/admin/studies/{slug}/generate/cancel").status_code == 303
    assert page_of(ada.get(f"/admin/studies/{slug}")).making.footline == "4 taken back"
    assert "hx-get" not in ada.get(f"{url}/progress").text


def test_pairs_are_shown_as_pairs(ada: Visitor, sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=8, preset="nights-jnd", **SMALL)
    sit_at_pairs(sessions, keys, slug, "ada", lambda _, candidate: candidate == 1)
    study = f"/admin/studies/{slug}"
    (line,) = page_of(ada.get(f"{study}/assignments")).lines
    assert (line.left, line.answered, line.missed) == (None, line.trials, 0)
    trials = page_of(ada.get(f"{study}/assignments/{line.id}")).trials
    judged = next(trial for trial in trials if trial.role == "pool")
    assert (judged.images, judged.answers) == (["reference", "candidate_0", "candidate_1"], ["same", "different"])
    item = page_of(ada.get(f"{study}/items/{judged.number}"))
    assert item.tallies == {"candidate_0": "1 same, 0 different", "candidate_1": "0 same, 1 different"}
    assert ([vote.side for vote in item.votes], item.history) == ([None, None], [])
    assert not page_of(ada.get(f"{study}/items?agreement=unanimous")).has_filter
    (shares,) = ada.get(f"{study}/charts/shares.json").json()["datasets"].values()
    assert [share["items"] for share in shares] == [6] + [0] * 9
