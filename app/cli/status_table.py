"""A study's status as a table one likes to watch."""

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.domain.counted import counted
from app.domain.durations import duration
from app.services.studies.status import RoundStatus, StudyStatus

_COLOURS = {"collecting": "green", "finished": "cyan", "paused": "yellow", "closed": "dim", "draft": "dim"}


def status_view(status: StudyStatus) -> RenderableType:
    return Group(_headline(status), Text(), _rounds(status), Text(), _footline(status))


def _headline(status: StudyStatus) -> Text:
    return Text.assemble(
        (status.slug, "bold"),
        "  ",
        (status.status, _COLOURS[status.status]),
        f"  round {status.round} of {status.rounds}" if status.round else "  not opened yet",
    )


def _rounds(status: StudyStatus) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("round", justify="right")
    table.add_column("entered", justify="right")
    if status.has_filter:
        table.add_column("survivors", justify="right")
        table.add_column("", width=24)
    table.add_column("votes", justify="right")
    table.add_column("to go", justify="right")
    table.add_column("took")
    for row in status.by_round:
        bar = ProgressBar(total=max(status.items, 1), completed=row.survivors, width=24, complete_style="green")
        table.add_row(
            str(row.number),
            f"{row.entered:,}",
            *((f"{row.survivors:,}", bar) if status.has_filter else ()),
            f"{row.votes:,}",
            f"{row.wanted:,}" if row.wanted else "",
            _took(row),
        )
    return table


def _took(row: RoundStatus) -> str:
    return "" if row.closed_at is None else duration((row.closed_at - row.opened_at).total_seconds() / 60)


def _footline(status: StudyStatus) -> Text:
    survivors = f"{counted(status.survivors, 'survivor')} of " if status.has_filter else ""
    parts = [survivors + counted(status.items, "item"), counted(status.votes, "vote")]
    parts.append(f"{counted(status.assignments_completed, 'sitting')} done, {status.participants_now:,} under way")
    if status.votes_per_minute:
        parts.append(f"{counted(status.votes_per_minute, 'vote')} a minute")
    if status.minutes_left is not None:
        parts.append(f"about {duration(status.minutes_left)} to go")
    return Text(" · ".join(parts), style="dim")
