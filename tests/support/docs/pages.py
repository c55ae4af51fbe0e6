"""The commands of a Markdown page, and what its source says of those that a test cannot run.

Every fenced block says what it is: `sh` and `python` are run, anything else is only shown. In an HTML comment directly
before a block, the page's source may say of the block, or of one of its commands, as it is written there:

    <!-- not run: REASON -->
    <!-- not run: `COMMAND`: REASON -->
    <!-- kept running: `COMMAND` -->
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

RUN = {"sh", "python"}
SHOWN = {"text", "csv", "json", "toml", "yaml"}
MARK = re.compile(r"<!-- (not run|kept running): (?:`([^`]+)`)?(?:: )?(.*?) ?-->", re.DOTALL)


class BadPage(Exception):
    """A page that this test cannot read; the message names the line and says what to write."""


@dataclass(frozen=True)
class Command:
    text: str  # what a shell gets, its comment included
    line: int
    language: str
    not_run: str | None = None  # why
    kept_running: bool = False


@dataclass
class _Marks:
    whole: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)


def read_commands(page: Path, root: Path) -> list[Command]:
    """In the page's order. Raises BadPage for a block that does not say what it is, and for marks of nothing."""
    name = page.relative_to(root)
    commands, comments = [], ""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            comments += token.content
        elif token.type == "fence":
            commands += _of_block(token, comments, f"{name}:{token.map[0] + 1}")
            comments = ""
        elif MARK.search(comments):
            raise BadPage(f"{name}: {comments.strip()} stands before no block")
        else:
            comments = ""
    return commands


def _of_block(token: Token, comments: str, where: str) -> list[Command]:
    language = token.info.strip()
    if language not in RUN | SHOWN:
        raise BadPage(f"{where}: write ```sh for commands, which are run, ```text for other text (found ```{language})")
    marks = _read_marks(comments, where)
    if language in SHOWN:
        if marks != _Marks():
            raise BadPage(f"{where}: a block of {language} is not run anyway: leave out {comments.strip()}")
        return []
    first = token.map[0] + 2
    if language == "python":
        return [Command(token.content, first, "python", marks.whole)]
    lines = list(_split(token.content, first))
    plain = {_without_comment(text) for text, _ in lines}
    for marked in (*marks.reasons, *marks.kept):
        if marked not in plain:
            raise BadPage(f"{where}: `{marked}` is marked, but is no command of this block")
    commands = []
    for text, line in lines:
        bare = _without_comment(text)
        commands.append(Command(text, line, "sh", marks.whole or marks.reasons.get(bare), bare in marks.kept))
    return commands


def _read_marks(comments: str, where: str) -> _Marks:
    marks = _Marks()
    for kind, command, reason in MARK.findall(comments):
        if kind == "kept running":
            marks.kept.add(command)
        elif not reason.strip():
            raise BadPage(f"{where}: say why it is not run: <!-- not run: REASON -->")
        elif command:
            marks.reasons[command] = reason.strip()
        else:
            marks.whole = reason.strip()
    return marks


def _split(block: str, first: int) -> list[tuple[str, int]]:
    """(command, line) of a block; a backslash at the end of a line continues it, a line of comment is none."""
    commands: list[tuple[str, int]] = []
    continues = False
    for number, line in enumerate(block.splitlines(), start=first):
        if continues:
            commands[-1] = (f"{commands[-1][0]}\n{line}", commands[-1][1])
        elif line.strip() and not line.lstrip().startswith("#"):
            commands.append((line, number))
        else:
            continue
        continues = line.endswith("\\")
    return commands


def _without_comment(command: str) -> str:
    return re.sub(r"\s+#\s.*", "", command).strip()
