"""What a person gets from the command line itself: places that cannot be written, and names of any kind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from tests.training.conftest import draw_images
from training import cli
from training.errors import OutputError
from training.outputs import require_file, require_folder, require_picture


class Command:
    """`python -m training …`, with what it prints in a pipe."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self._monkeypatch.setattr("sys.argv", ["training", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return int(stopped.value.code or 0), *self._capsys.readouterr()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


def test_where_no_picture_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    require_picture(tmp_path / "a.png")
    require_picture(tmp_path / "A.PNG")
    for path, complaint in (
        (tmp_path, "is a folder: name a file in it"),
        (tmp_path / "none/a.png", "cannot be written: there is no folder .*none"),
        (tmp_path / "file/a.png", "cannot be written: there is no folder .*file"),
        (Path("/proc/a.png"), "nothing can be written in /proc"),
    ):
        with pytest.raises(OutputError, match=complaint):
            require_file(path)
    with pytest.raises(OutputError, match=r"attention: the name of a picture ends in \.png, or in"):
        require_picture(tmp_path / "attention")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


def test_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    require_folder(tmp_path)
    require_folder(tmp_path / "new/below")
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(OutputError, match=r"cannot be a folder: .*/file is a file"):
            require_folder(path)
    with pytest.raises(OutputError, match="nothing can be written in /proc"):
        require_folder(Path("/proc/none"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "line",
    [
        "train EXPERIMENT --data DATA --out FILE",
        "train EXPERIMENT --data DATA --out FILE --resume",
        "evaluate nowhere --data DATA --out FILE",
        "compare --metric nowhere --data DATA --out FILE",
        "attention nowhere IMAGE --out none/a.png",
        "sensitivity nowhere PHOTOS --out none/a.png",
        "retrieve nowhere IMAGE PHOTOS --out none/a.png",
        "retrieve nowhere IMAGE PHOTOS --out PHOTOS",
        "retrieve nowhere IMAGE PHOTOS --index none/index",
        "retrieve nowhere IMAGE PHOTOS --index IMAGE",
        "retrieve nowhere none.png PHOTOS",
        "retrieve nowhere IMAGE none",
        "invert nowhere IMAGE --out none/a.png",
        "import-dreamsim nowhere FILE",
        "export-dreamsim nowhere FILE",
    ],
)
def test_what_cannot_be_written_or_read_is_one_sentence_before_the_work(
    line: str, command: Command, experiment_file: Callable[..., Path], steady_export: Path, tmp_path: Path
) -> None:
    """There is no metric `nowhere`: that it is not what is complained of shows that nothing was opened yet."""
    (tmp_path / "FILE").write_text("kept")
    named = {"EXPERIMENT": experiment_file(), "DATA": steady_export, "FILE": tmp_path / "FILE"}
    named |= {"IMAGE": steady_export / "ref/000/000.png", "PHOTOS": steady_export / "ref"}
    before = sorted(path for folder in (tmp_path, steady_export) for path in folder.rglob("*"))
    code, _, message = command(*(named.get(part, part) for part in line.split()))
    assert code == 1
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert "nowhere" not in message
    assert sorted(path for folder in (tmp_path, steady_export) for path in folder.rglob("*")) == before


def test_a_name_is_printed_as_it_is(command: Command, towers: Path, tmp_path: Path) -> None:
    """Brackets, colons, dollars and long names, in a pipe; markup in an error; a name that is no UTF-8."""
    folder = tmp_path / "[bold] photos of :cat: $x_1$"
    names = ["cat [final].png", "[/closing].png", ":smile:.png", "$a$ and $b^.png", f"{'long name ' * 15}.png"]
    names += ["two\nlines.png", "café [x].png"]
    (folder / "[").mkdir(parents=True)
    for name, pixels in zip(names, draw_images(0, len(names)), strict=True):
        Image.fromarray(pixels).save(folder / name)
    Image.fromarray(draw_images(9, 1)[0]).save(str(folder / "x").encode() + b"\xff.png")
    code, out, err = command("retrieve", towers / "vit", folder / names[0], folder, "--out", tmp_path / "[n].png")
    assert code == 0, err
    printed = [line.partition("  ")[2] for line in out.splitlines() if line[:1].isdigit()]
    assert printed[0] == "cat [final].png"
    assert sorted(printed) == sorted([*names[:-2], "two\\x0alines.png", "café [x].png", "x\\udcff.png"])
    assert f"Written to {tmp_path}/[n].png." in out.splitlines()
    code, _, err = command("retrieve", towers / "vit", folder / "[red]none.png", folder)
    assert (code, err) == (1, f"error: {folder}/[red]none.png cannot be read (No such file or directory)\n")


def test_reports_show_names_as_they_are(command: Command, towers: Path, steady_export: Path, tmp_path: Path) -> None:
    """A metric and categories whose names mean something to Markdown and to matplotlib."""
    metric, data = tmp_path / "my *best* [v2] $x", tmp_path / "export_of |all|"
    shutil.copytree(towers / "vit", metric)
    shutil.copytree(steady_export, data)
    (data / "manifest.json").unlink()
    table = (data / "data.csv").read_text().replace("thing 0", "a*b*_c_|d|`e` <f> $\\g$")
    (data / "data.csv").write_text(table)
    for verb, report in (("evaluate", "2afc/report.md"), ("compare", "comparison.md")):
        own = [metric] if verb == "evaluate" else ["--metric", metric]
        code, out, err = command(verb, *own, "--data", data, "--out", tmp_path / verb)
        assert code == 0, err
        text = (tmp_path / verb / report).read_text()
        assert out.strip().startswith(text.strip())
        html = MarkdownIt("commonmark").enable("table").render(text)
        assert f"<code>{metric.name}</code>" in html
        assert f"<code>{data}</code>" in html
    assert "<td><code>a*b*_c_|d|`e` &lt;f&gt; $\\g$</code></td>" in MarkdownIt("commonmark").enable("table").render(
        (tmp_path / "evaluate/2afc/report.md").read_text()
    )
