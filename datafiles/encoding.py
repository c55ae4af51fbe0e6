"""Text files as editors and spreadsheets save them: UTF-8 and UTF-16, with or without a byte order mark."""

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from datafiles.errors import BadFile

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_OTHER_KINDS = (
    (b"PK\x03\x04", "a ZIP file or an Excel workbook (.xlsx)"), (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)"),
    (b"PAR1", "a Parquet file"), (b"\x1f\x8b", "compressed with gzip"), (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"), (b"%PDF", "a PDF file"),
)  # fmt: skip
_LINE_END = re.compile(rb"\r\n|\n|\r")
_SAVE_AS = "Save it as UTF-8 (in Excel: CSV UTF-8)."


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The file as text, its line ends as they are.

    Raises:
        BadFile: when opened or while it is read: it is no text, or in an encoding that cannot be told for sure. Names
            the line. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        encoding = encoding_of(file.read(8))
    try:
        with path.open(encoding=encoding, newline="") as text:
            yield text
    except UnicodeDecodeError:
        raise _not_text(path, encoding) from None


def decode_text(data: bytes) -> str:
    """The whole of a small file as text. Raises BadFile as `open_text` does."""
    encoding = encoding_of(data[:8])
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _at_byte(data, error.start, encoding) from None


def encoding_of(head: bytes) -> str:
    """What a file that begins so is written in. Raises BadFile for what is no text at all."""
    for magic, kind in _OTHER_KINDS:
        if head.startswith(magic):
            raise BadFile(f"this is {kind}, not a text file. If it is a table, save it as CSV UTF-8.")
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    # Without a mark, UTF-16 shows in the zeros beside its first ASCII letters.
    if re.match(rb"[\x09-\x7f]\0[\x09-\x7f]\0", head):
        return "utf-16-le"
    if re.match(rb"\0[\x09-\x7f]\0[\x09-\x7f]", head):
        return "utf-16-be"
    return "utf-8"


def _not_text(path: Path, encoding: str) -> BadFile:
    """Looks for the place, which a decoder that reads in blocks does not tell."""
    data = path.read_bytes()
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return _at_byte(data, error.start, encoding)
    return BadFile("the file was changed while it was read. Try again.")


def _at_byte(data: bytes, start: int, encoding: str) -> BadFile:
    if not encoding.startswith("utf-8"):
        return BadFile(f"this is not {encoding.upper()} text, as its first bytes say. {_SAVE_AS}")
    line = len(_LINE_END.findall(data[:start])) + 1
    return BadFile(
        f"this is not UTF-8 text (byte {data[start]:#04x}). It may be in an older encoding such as Windows-1252, "
        f"which cannot be told for sure. {_SAVE_AS}",
        line=line,
    )
