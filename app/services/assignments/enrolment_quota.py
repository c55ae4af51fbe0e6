"""How many people of one address may have signed up for a study without answering anything yet.

Whoever signs up is dealt trials, which nobody else gets for a while. A script could so keep a study to itself. A class
behind one address is let in: whoever answers no longer counts.

Addresses are kept nowhere but in the process, for as long as a first lease lasts: with several servers each counts for
itself.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from threading import Lock

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import TooMany
from app.services.assignments.dealing import FIRST_LEASE

RETRY_AFTER_S = 60

_IDLE = text("""
    SELECT a.id FROM assignments a
    WHERE a.id = ANY(:ids) AND a.state = 'active'
      AND NOT EXISTS (SELECT FROM trials t JOIN judgments j ON j.trial_id = t.id WHERE t.assignment_id = a.id)
""")


@dataclass
class Enrolments:
    """`most` unanswered assignments of a study at a time may be an address's."""

    most: int
    _recent: dict[tuple[int, str], deque[tuple[float, int]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def add(self, study_id: int, address: str, assignment_id: int) -> None:
        with self._lock:
            self._recent.setdefault((study_id, address), deque()).append((time.monotonic(), assignment_id))

    def recent(self, study_id: int, address: str) -> list[int]:
        """The assignments that began within a first lease."""
        since = time.monotonic() - FIRST_LEASE.total_seconds()
        with self._lock:
            for key in [key for key, each in self._recent.items() if each[-1][0] < since]:
                del self._recent[key]
            recent = self._recent.get((study_id, address), deque())
            while recent and recent[0][0] < since:
                recent.popleft()
            return [assignment for _, assignment in recent]


@dataclass(frozen=True)
class Quota:
    """What of it is one address's."""

    enrolments: Enrolments
    address: str

    def require_room(self, session: Session, *, study_id: int) -> None:
        """Raises TooMany."""
        ids, most = self.enrolments.recent(study_id, self.address), self.enrolments.most
        if len(ids) < most:
            return
        if len(session.scalars(_IDLE, {"ids": ids}).all()) >= most:
            raise TooMany(
                "Too many people on your network have signed up and not answered anything yet. Please try again in a "
                "minute.",
                retry_after=RETRY_AFTER_S,
            )

    def add(self, *, study_id: int, assignment_id: int) -> None:
        self.enrolments.add(study_id, self.address, assignment_id)
