"""What reaches the page of a job's progress."""

import pytest

from app.services import progress_writer
from app.services.progress_writer import ProgressWriter


def test_stages_and_their_ends_are_written_at_once_and_nothing_else_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress_writer.time, "monotonic", lambda: now)
    written: list[tuple[str, int, int]] = []
    report = ProgressWriter(lambda *step: written.append(step))
    assert report.latest is None
    report("checking", 0, 60)
    report("checking", 20, 60)
    assert written == [("checking", 0, 60)]
    now += progress_writer.EVERY_S
    report("checking", 40, 60)
    report("checking", 52, 60)
    report("adding", 0, 20)
    report("adding", 19, 20)
    assert report.latest == ("adding", 19, 20)
    report("adding", 20, 20)
    assert written == [("checking", 0, 60), ("checking", 40, 60), ("adding", 0, 20), ("adding", 20, 20)]
