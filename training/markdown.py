"""Names that people chose, in Markdown: shown as they are, whatever Markdown would make of them."""

import re

PLAIN = re.compile(r"(?!_)(?:(?!__)[\w ./:,()%+-])*(?<![_ ])")


def plain(text: str) -> str:
    """`text` itself where Markdown has no meaning for any of it, else as code."""
    return text if PLAIN.fullmatch(text) else code(text)


def cell(text: str) -> str:
    """The same within a table, whose cells end at a bar."""
    return plain(text).replace("|", r"\|")


def code(text: str) -> str:
    """A code span: on one line, fenced by more backticks than are in it."""
    text = " ".join(text.split("\n"))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    gap = " " if "`" in text else ""
    return f"{fence}{gap}{text}{gap}{fence}"
