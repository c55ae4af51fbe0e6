"""kill -9 of server, worker and database while a crowd judges: nothing acknowledged is lost, nothing counted twice."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.cli.supervisor import Child, restart_dead, running, wait_until_serving
from app.db import Sessions, open_sessions
from app.models.assignments import Judgment, Trial
from app.models.items import Item, Slot
from app.settings import Settings
from app.storage import LocalStorage
from simulation.crowd import CrowdPlan, CrowdReport, run_crowd
from tests.support.factories import make_study

ITEMS = 120


def kill_9(process_id: int) -> None:
    os.kill(process_id, signal.SIGKILL)


def postmaster(home: Path) -> int:
    return int((home / "postgres/data/postmaster.pid").read_text().splitlines()[0])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_crowd_survives_every_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    settings = Settings(LOOKALIKE_HOME=tmp_path / "home")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    children = [
        Child("server", ["serve", "--port", str(port), "--home", str(settings.home)]),
        Child("worker", ["worker", "--home", str(settings.home)]),
    ]
    with open_sessions(settings, migrate=True) as sessions:
        slug = make_study(
            sessions,
            LocalStorage(settings.images),
            items=ITEMS,
            recorded=[(4, 0) if number % 3 else (3, 1) for number in range(ITEMS)],
            rounds=4,
            min_votes=4,
            assignment__trials=20,
            assignment__sentinels=4,
        )
        with running(children):
            wait_until_serving(url, children)
            report = _judge_through_crashes(settings, sessions, children, url, slug)
        _check_books(sessions, report)


def _judge_through_crashes(
    settings: Settings, sessions: Sessions, children: list[Child], url: str, slug: str
) -> CrowdReport:
    server, worker = children
    plan = CrowdPlan(slug=slug, participants=200, concurrency=6, answers="recorded", think_s=0.01)
    seen: list[CrowdReport] = []
    crowd = threading.Thread(target=lambda: seen.append(run_crowd(url, sessions, plan, on_judgment=progress.append)))
    progress: list[CrowdReport] = []
    crowd.start()

    def after(judgments: int) -> None:
        while crowd.is_alive() and (not progress or progress[-1].judgments < judgments):
            restart_dead(children)
            time.sleep(0.02)

    for judgments, victims in ((60, [server]), (160, [worker]), (260, []), (340, [server, worker])):
        after(judgments)
        assert crowd.is_alive(), "the crowd was done before the crash"
        for victim in victims:
            assert victim.process is not None
            kill_9(victim.process.pid)
            victim.process.wait()
        if victims != [worker]:
            kill_9(postmaster(settings.home))
    while crowd.is_alive():
        restart_dead(children)
        crowd.join(0.05)
    (report,) = seen
    return report


def _check_books(sessions: Sessions, report: CrowdReport) -> None:
    with sessions() as session:
        stored = dict(
            session.execute(
                select(
                    Judgment.trial_id,
                    func.abs(Judgment.choice - Trial.left_candidate),
                ).join(Trial, Trial.id == Judgment.trial_id)
            ).all()
        )
        assert report.retries > 0, "nobody noticed the crashes"
        lost = {trial for trial in report.acknowledged if trial not in stored}
        assert lost == set()
        assert all(stored[trial] == (answers == ["right"]) for trial, answers in report.acknowledged.items())
        votes = session.scalars(select(func.count()).select_from(Slot).where(Slot.state == "filled")).one()
        counted = session.scalars(select(func.sum(Item.votes_0 + Item.votes_1))).one()
        assert votes == counted
        unanimous = session.scalars(
            select(Item.number).where(Item.dropped_round.is_(None), Item.role == "pool").order_by(Item.number)
        ).all()
        assert unanimous == [number for number in range(ITEMS) if number % 3]
