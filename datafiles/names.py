"""Files by the names that tables give them, which other systems and spreadsheets write otherwise than the disk does."""

import os
import re
import unicodedata
from pathlib import Path

from datafiles.errors import BadFile

_OF_ANOTHER_COMPUTER = re.compile(r"[/\\]|[A-Za-z]:[/\\]")


class NoSuchFile(BadFile):
    """There is none of that name, nor of a similar one."""


class Files:
    """The files below a folder. Folders are listed once, and only if a name is not there as it is written.

    Args:
        follow_links: also to what lies outside the folder. A server does not; on one's own machine, data are links.
    """

    def __init__(self, root: Path, *, follow_links: bool) -> None:
        self.root = Path(os.path.abspath(root)) if follow_links else root.resolve()
        self._follow_links = follow_links
        self._listings: dict[Path, dict[str, list[str]]] = {}
        self._found: dict[str, Path] = {}

    def find(self, name: str) -> Path:
        """The absolute path of the file of that name; or, where there is none, of the only one whose name differs in no
        more than backslashes for slashes, spaces around it, capitals, and how accents are composed.

        Raises:
            NoSuchFile: there is none. BadFile: there are several, or it lies outside the folder. OSError,
            RuntimeError: a folder cannot be read, or a link leads to itself.
        """
        if name not in self._found:
            path = self._inside(self.root / name)
            path = path if path.exists() else self._similar(name.strip())
            if not path.is_file():
                raise NoSuchFile("is no file.")
            self._found[name] = path
        return self._found[name]

    def _inside(self, path: Path) -> Path:
        path = Path(os.path.abspath(path)) if self._follow_links else path.resolve()
        if not path.is_relative_to(self.root):
            raise BadFile("leads out of the table's folder.")
        return path

    def _similar(self, name: str) -> Path:
        if _OF_ANOTHER_COMPUTER.match(name):
            raise NoSuchFile("does not exist: it is a path of another computer. Write it relative to the table.")
        path = self.root
        for part in re.split(r"[/\\]+", name):
            if part not in ("", "."):
                path = self._inside(path / self._entry(path, part))
        return path

    def _entry(self, folder: Path, name: str) -> str:
        """What in the folder is called so: exactly, else with accents composed otherwise, else in other capitals."""
        alike = self._listing(folder).get(_alike(name), [])
        exact = [entry for entry in alike if entry == name]
        composed = [entry for entry in alike if _composed(entry) == _composed(name)]
        found = exact or composed or alike
        if not found:
            raise NoSuchFile("does not exist.")
        if len(found) > 1:
            raise BadFile(f"may be {' or '.join(map(ascii, sorted(found)))}. Write it exactly as the file is called.")
        return found[0]

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        """Its entries by what makes them alike."""
        if folder not in self._listings:
            listing = self._listings[folder] = {}
            for entry in os.listdir(folder) if folder.is_dir() else ():
                listing.setdefault(_alike(entry), []).append(entry)
        return self._listings[folder]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _alike(name: str) -> str:
    return _composed(_composed(name).casefold())
