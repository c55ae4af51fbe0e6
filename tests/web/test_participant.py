"""The participant's HTTP contract."""

from concurrent.futures import ThreadPoolExecutor

from fastapi.testclient import TestClient

from app.db import Sessions
from app.storage import LocalStorage
from tests.factories import make_study


def enrol(client: TestClient, slug: str, participant: str) -> str:
    response = client.post(f"/studies/{slug}/assignments", json={"participant": participant, "consent": True})
    assert response.status_code == 201, response.text
    return str(response.json()["url"])


def test_fifty_identical_judgments_at_once_make_one_row(
    client: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    url = enrol(client, make_study(sessions, storage), "a")
    trial = client.get(f"{url}/trials").json()["trials"][-1]["id"]
    body = {"judgments": [{"trial": trial, "answers": ["left"], "rt_ms": 400, "timing": {}}]}
    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(lambda _: client.post(f"{url}/judgments", json=body), range(50)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.text for response in responses}) == 1
