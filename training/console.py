"""What the command line prints. Names come from people: a line shows them as they are, and stays one line."""

import sys

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127)}


def print_what_a_terminal_lacks() -> None:
    """Characters that the output's encoding does not have are printed as escapes instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(console: Console, *parts: str | tuple[str, str]) -> None:
    """One line of parts (text, or text and style): brackets, colons and length have no effect on it."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    line = Text.assemble(*((text.translate(CONTROL), style) for text, style in pairs))
    console.print(line, soft_wrap=True)


def show_markdown(console: Console, text: str) -> None:
    """Markdown for a person; for a pipe or a file, its source, whose lines are not wrapped."""
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        console.print(Text(text.rstrip("\n")), soft_wrap=True)
