"""Sittings without a browser: people sign up, answer and complete through the services."""

from collections.abc import Callable
from itertools import count
from typing import Any

from sqlalchemy import text

from app.db import Sessions
from app.errors import Gone
from app.keys import Keys
from app.recruiters.entry import Arrival
from app.services import study_lookup
from app.services.assignments import enrolment, judgments, lifecycle
from app.services.assignments.judgments import Answer
from app.services.rounds import rounds

Choose = Callable[[Any], int | None]
"""Which candidate (0 or 1) somebody chooses of an item; None: the trial is left unanswered."""

TRIALS = text("""
    SELECT t.id AS trial, t.left_candidate, i.* FROM trials t JOIN items i ON i.id = t.item_id
    JOIN assignments a ON a.id = t.assignment_id WHERE a.token_sha256 = sha256(convert_to(:token, 'UTF8'))
    ORDER BY t.position
""")


def sign_up(sessions: Sessions, keys: Keys, slug: str, person: str) -> str:
    with sessions.begin() as session:
        arrival = Arrival("direct", participant=person, submission=person)
        return enrolment.sign_up(session, keys, study=study_lookup.by_slug(session, slug), arrival=arrival).token


def answer(sessions: Sessions, token: str, choose: Choose, *, most: int = 1000) -> None:
    """Answer the assignment's practice and sentinels, rightly, and at most so many of its pool trials."""
    with sessions.begin() as session:
        answers, judged = [], 0
        for trial in session.execute(TRIALS, {"token": token}):
            judged += trial.role == "pool"
            if trial.role != "pool" or judged <= most:
                choice = choose(trial) if trial.answer is None else trial.answer
                if choice is None:
                    continue
                side = "left" if choice == trial.left_candidate else "right"
                answers.append(Answer(trial.trial, (side,), input="mouse", rt_ms=812.5, timing={"shown": 3}))
        judgments.record(session, token=token, answers=answers)


def sit(sessions: Sessions, keys: Keys, slug: str, person: str, choose: Choose) -> str:
    """A whole sitting; returns its token."""
    token = sign_up(sessions, keys, slug, person)
    answer(sessions, token, choose)
    with sessions.begin() as session:
        lifecycle.complete(session, token=token)
        rounds.advance(session, study_id=study_lookup.by_slug(session, slug).id)
    return token


def judge_all(sessions: Sessions, keys: Keys, slug: str, choose: Choose, *, name: str = "person") -> int:
    """One person after the other until the study is finished; returns how many it took."""
    for number in count(1):
        try:
            sit(sessions, keys, slug, f"{name}-{number}", choose)
        except Gone:
            return number - 1
    raise AssertionError


def recorded_majority(item: Any) -> int:
    return int(item.recorded_1 > item.recorded_0)
