"""ZIP files as people pack them, and as nobody should."""

import io
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import BadInput
from app.services.items import archives
from app.services.items.archives import unpack

TABLE = b"reference,candidate_0,candidate_1\n"


def pack(path: Path, files: dict[str, bytes], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:  # type: ignore[arg-type]
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def unpacked(tmp_path: Path, archive: Path) -> tuple[str, set[str]]:
    """The table, and all that is there."""
    folder = tmp_path / "out"
    folder.mkdir()
    table = unpack(archive, folder, report=lambda *_: None)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return str(table.relative_to(folder)), files


def renamed(path: Path, old: bytes, new: bytes) -> Path:
    """The archive with other bytes for a name, which Python would not write so."""
    data = path.read_bytes()
    assert len(old) == len(new)
    assert data.count(old) == 2
    path.write_bytes(data.replace(old, new))
    return path


NFD = unicodedata.normalize("NFD", "stühle")

PACKED: dict[str, tuple[dict[str, bytes], str, set[str]]] = {
    "plain": ({"triplets.csv": TABLE, "a.png": b""}, "triplets.csv", {"triplets.csv", "a.png"}),
    "capitals": ({"TRIPLETS.CSV": TABLE, "IMG_1.JPG": b""}, "TRIPLETS.CSV", {"TRIPLETS.CSV", "IMG_1.JPG"}),
    "tabs": ({"t.tsv": TABLE}, "t.tsv", {"t.tsv"}),
    "PowerShell 5": ({r"study\\t.csv": TABLE, r"study\\images\\a.png": b""}, "study/t.csv",
                     {"study/t.csv", "study/images/a.png"}),
    "macOS": ({"s/t.csv": TABLE, f"s/{NFD}.png": b"", "__MACOSX/s/._t.csv": b"", "s/._a.png": b"", "s/.DS_Store": b"",
               "s/Thumbs.db": b"", "s/": b""}, "s/t.csv", {"s/t.csv", f"s/{NFD}.png"}),
    "./ and /": ({"./t.csv": TABLE, "/images/a.png": b""}, "t.csv", {"t.csv", "images/a.png"}),
    "an export": ({"data.csv": b"", "unfiltered.csv": b""}, "data.csv", {"data.csv", "unfiltered.csv"}),
    "an export in a folder": ({"e/DATA.CSV": b"", "e/unfiltered.csv": b""}, "e/DATA.CSV",
                              {"e/DATA.CSV", "e/unfiltered.csv"}),
    "..": ({"t.csv": TABLE, "../a.png": b"", r"..\\b.png": b"", "x/../../c.png": b""}, "t.csv", {"t.csv"}),
}  # fmt: skip


@pytest.mark.parametrize(("files", "table", "there"), PACKED.values(), ids=PACKED)
def test_as_people_pack_them(tmp_path: Path, files: dict[str, bytes], table: str, there: set[str]) -> None:
    assert unpacked(tmp_path, pack(tmp_path / "x.zip", files)) == (table, there)


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-8", "\u00fc.png"), ("utf-8", "u\u0308.png"), ("cp437", "\u00fc.png")]
)
def test_names_that_do_not_say_their_encoding(tmp_path: Path, encoding: str, name: str) -> None:
    stand_in = "x" * (len(name.encode(encoding)) - 4) + ".png"
    archive = pack(tmp_path / "x.zip", {"t.csv": TABLE, stand_in: b""})
    renamed(archive, stand_in.encode(), name.encode(encoding))
    assert unpacked(tmp_path, archive)[1] == {"t.csv", name}


def many(path: Path) -> Path:
    return pack(path, {f"{number}.png": b"" for number in range(12)} | {"t.csv": TABLE})


def bomb(path: Path) -> Path:
    return pack(path, {"t.csv": TABLE + b"a.png,b.png,c.png\n" * 400_000}, compression=zipfile.ZIP_DEFLATED)


def encrypted(path: Path) -> Path:
    data = bytearray(pack(path, {"t.csv": TABLE}).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


def deflate64(path: Path) -> Path:
    """As Windows packs what is larger than 2 GB."""
    data = bytearray(pack(path, {"t.csv": TABLE}).read_bytes())
    data[8:10] = data[(at := data.index(b"PK\x01\x02") + 10) : at + 2] = struct.pack("<H", 9)
    path.write_bytes(data)
    return path


def corrupt(path: Path) -> Path:
    """Its compressed data are none."""
    data = bytearray(pack(path, {"t.csv": TABLE * 20}, compression=zipfile.ZIP_DEFLATED).read_bytes())
    data[30 + len("t.csv")] = 0xFF  # after the header: a kind of block that there is not
    path.write_bytes(data)
    return path


def bad_utf8(path: Path) -> Path:
    return renamed(pack(path, {"t.csv": TABLE, "\u00fcx.png": b""}), "\u00fcx.png".encode(), b"\xff\xffx.png")


def a_file_for_a_folder(path: Path) -> Path:
    return pack(path, {"t.csv": TABLE, "a.png": b"", "a.png/b.png": b""})


def directory(path: Path) -> Path:
    buffer = io.BytesIO(pack(path, {f"{'x' * 200}{number}.txt": b"" for number in range(100)}).read_bytes())
    path.write_bytes(buffer.getvalue())
    return path


BAD: list[tuple[Callable[[Path], Path], str]] = [
    (lambda path: pack(path, {}), "holds no CSV file"),
    (lambda path: pack(path, {"study.xlsx": b"PK", "a.png": b""}), r"no CSV file.*Save .*, such as \.xlsx, as CSV"),
    (lambda path: pack(path, {"a.csv": b"", "b.csv": b""}), r"more than one CSV file: a\.csv, b\.csv"),
    (lambda path: pack(path, {"a.csv": b"", r"x\\" + "y" * 300 + ".png": b""}), "whose name is too long"),
    (lambda path: pack(path, {"a.csv": b"", "y/" * 500 + "a.png": b""}), "whose name is too long"),
    (lambda path: pack(path, {"a.csv": b"", "x/a.png": b"", r"x\\a.png": b""}), "holds 'x/a.png' twice"),
    (many, "more than 10 tables and images"),
    (bomb, "or than 100 times its own size"),
    (encrypted, "is encrypted"),
    (deflate64, "Pack it with Deflate"),
    (corrupt, "not a ZIP file that can be read"),
    (bad_utf8, "not a ZIP file that can be read"),
    (a_file_for_a_folder, "not a ZIP file that can be read"),
    (directory, "holds too many files"),
]


@pytest.mark.parametrize(("make", "complaint"), BAD, ids=[complaint for _, complaint in BAD])
def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path], complaint: str
) -> None:
    monkeypatch.setattr(archives, "MOST_FILES", 10)
    monkeypatch.setattr(archives, "ANY_RATIO", 2**20)
    monkeypatch.setattr(archives, "_LARGEST_DIRECTORY", 20_000)
    with pytest.raises(BadInput, match=complaint) as refused:
        unpacked(tmp_path, make(tmp_path / "x.zip"))
    assert len(refused.value.message) < 500
    assert not (tmp_path / "a.png").exists()
