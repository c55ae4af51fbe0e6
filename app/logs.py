"""How every process of ours logs: to stderr, without secrets."""

import logging
import sys
from typing import Any, TextIO

import structlog

from app.redaction import redact


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _ToStderr(logging.StreamHandler[TextIO]):
    """To what stderr is when something is logged."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(_Redacting("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure_logs(level: str = "warning") -> None:
    """Our logs go to stderr, of this level and worse, and libraries' warnings: stdout is for what a command reports.

    Tracebacks are plain: those of rich show the local variables of every frame, and so the headers of a request.
    """
    root = logging.getLogger()
    if not any(isinstance(handler, _ToStderr) for handler in root.handlers):
        root.addHandler(_ToStderr())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
            _redact_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _redact_line(logger: Any, method: str, line: Any) -> str:  # noqa: ARG001 - what ConsoleRenderer made
    return redact(line)
