"""Exports for large studies: shards that other libraries read, buckets, and what happens after an interruption."""

import gc
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from pyarrow import parquet

from app.db import Sessions
from app.errors import BadInput, Conflict
from app.keys import Keys
from app.models.studies import ExportRequest
from app.services import study_lookup
from app.services.exports import export as export_export
from app.services.exports import requests, shards
from app.services.exports.export import ExportResult, Format, export_study
from app.services.progress_writer import GivenBack
from app.services.studies import lifecycle
from app.settings import Settings
from app.storage import LocalStorage
from app.storage.s3 import Bucket
from tests.services.test_jnd import sit as sit_at_pairs
from tests.support.assignments import answer, sign_up, sit
from tests.support.factories import make_study
from tests.support.pictures import encoded, noise
from tests.support.s3_server import S3Server
from tests.support.triplet_folder import TripletFolder, bring, make_draft, pool, silent
from training.data import read_triplets
from training.errors import DataError
from training.image_cache import open_cache
from training.jnd import read_jnd
from training.run_folder import data_hash

NO_EXTRAS = {"assignment.trials": "9", "assignment.practice": "0", "assignment.sentinels": "0"}
FORMATS: tuple[Format, ...] = ("folder", "webdataset", "parquet")


def export(
    sessions: Sessions,
    storage: LocalStorage,
    slug: str,
    out: Path | Bucket,
    form: Format,
    report: Callable[[str, int, int], None] = silent,
) -> ExportResult:
    return export_study(sessions, storage, slug=slug, out=out, form=form, report=report)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the studies were large."""
    monkeypatch.setattr(export_export, "AT_A_TIME", 2)
    monkeypatch.setattr(shards, "SHARD", 2)
    monkeypatch.setattr(shards, "ROW_GROUP", 1)


@pytest.fixture(scope="module")
def study(sessions: Sessions, storage: LocalStorage, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Nine items: seven kept, number 3 dropped, number 7 short of votes; two splits."""
    folder = TripletFolder(tmp_path_factory.mktemp("formats"))
    slug = make_draft(sessions, rounds="2", min_votes="2", **NO_EXTRAS)
    rows = [row | {"split": "val" if row["id"] in "56" else "train"} for row in folder.nights_rows(9)]
    bring(sessions, storage, slug, folder.nights(rows))
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    sit(sessions, keys, slug, "Ada", lambda item: item.number % 2)
    token = sign_up(sessions, keys, slug, "Ben")
    answer(sessions, token, lambda item: {3: 0, 7: None}.get(item.number, item.number % 2))
    return slug


def fates(sessions: Sessions, slug: str) -> dict[str, list[int]]:
    """The numbers of the items by part: what the shards should hold."""
    found: dict[str, list[int]] = {}
    for item in pool(sessions, slug):
        is_kept = item.dropped_round is None and item.votes_0 + item.votes_1 >= 2
        found.setdefault(item.split if is_kept else "others", []).append(item.number)
    return found


@pytest.mark.parametrize(("form", "written"), [*((form, 9) for form in FORMATS), ("bapps", 7)])
def test_a_finished_export_has_written_all(
    sessions: Sessions, storage: LocalStorage, study: str, tmp_path: Path, form: Format, written: int
) -> None:
    with sessions.begin() as session:
        asked = requests.request_export(session, study=study_lookup.by_slug(session, study), form=form).id
    requests.run(sessions, storage, folder=tmp_path, request_id=asked)
    with sessions() as session:
        request = session.get_one(ExportRequest, asked)
        assert (request.state, request.done, request.total) == ("done", written, written)


def test_a_failed_export_says_how_far_it_came_and_another_try_begins_anew(
    sessions: Sessions, storage: LocalStorage, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sessions.begin() as session:
        asked = requests.request_export(session, study=study_lookup.by_slug(session, study)).id

    def fulfil() -> ExportRequest:
        requests.run(sessions, storage, folder=tmp_path, request_id=asked)
        with sessions() as session:
            return session.get_one(ExportRequest, asked)

    with monkeypatch.context() as patch:
        patch.setattr(export_export.tables, "write_parquet", Mock(side_effect=Conflict("The disk is full.")))
        failed = fulfil()
    assert (failed.state, failed.message, failed.done, failed.total) == ("failed", "The disk is full.", 9, 9)
    done = fulfil()
    assert (done.state, done.message, done.done, done.total) == ("done", None, 9, 9)


def test_an_export_is_given_back_by_a_worker_that_is_to_stop_and_written_once(
    sessions: Sessions, storage: LocalStorage, study: str, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        asked = requests.request_export(session, study=study_lookup.by_slug(session, study)).id
    with pytest.raises(GivenBack):
        requests.run(sessions, storage, folder=tmp_path, request_id=asked, stopping=lambda: True)
    for _ in range(2):  # as when the database was lost before the job could be noted as done
        requests.run(sessions, storage, folder=tmp_path, request_id=asked)
        with sessions() as session:
            assert session.get_one(ExportRequest, asked).state == "done"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves closing files to the collector
def test_webdataset_reads_every_item(sessions: Sessions, storage: LocalStorage, study: str, tmp_path: Path) -> None:
    import webdataset

    export(sessions, storage, study, tmp_path / "out", "webdataset")
    items = {item.number: item for item in pool(sessions, study)}
    for part, numbers in fates(sessions, study).items():
        tars = sorted(map(str, (tmp_path / "out/data").glob(f"{part}-*.tar")))
        assert len(tars) == -(-len(numbers) // 2)
        samples = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False))
        assert [int(sample["__key__"]) for sample in samples] == numbers
        for sample in samples:
            told = json.loads(sample["json"])
            item = items[told["number"]]
            for image in shards.IMAGES:
                assert sample[f"{image}.png"] == storage.get(getattr(item, image))
            assert (told["votes_0"], told["votes_1"], told["split"]) == (item.votes_0, item.votes_1, item.split)
            assert told["status"] == "kept" if part != "others" else told["status"] in ("dropped", "short")
    gc.collect()


def test_datasets_reads_the_folder_by_its_card(
    sessions: Sessions, storage: LocalStorage, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    export(sessions, storage, study, tmp_path / "out", "parquet")
    items, cache = {item.number: item for item in pool(sessions, study)}, str(tmp_path / "cache")
    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=cache)
    wanted = fates(sessions, study)
    assert {split: rows["number"][:] for split, rows in loaded.items()} == {
        part: numbers for part, numbers in wanted.items() if part != "others"
    }
    for row in loaded["train"]:
        item = items[row["number"]]
        assert (row["votes_0"], row["votes_1"], row["prompt"], row["status"]) == (
            item.votes_0, item.votes_1, item.prompt, "kept",
        )  # fmt: skip
        for image in shards.IMAGES:
            assert row[image].size == (24, 16)
    raw = loaded["train"].cast_column("reference", datasets.Image(decode=False))
    assert [row["reference"]["bytes"] for row in raw] == [storage.get(items[n].reference) for n in wanted["train"]]
    others = datasets.load_dataset(str(tmp_path / "out"), "others", split="train", cache_dir=cache)
    assert others["number"][:] == wanted["others"]
    judgments = datasets.load_dataset(str(tmp_path / "out"), "judgments", split="train", cache_dir=cache)
    assert len(judgments) == 17


def test_datasets_reads_tars_whose_later_samples_differ(
    sessions: Sessions, storage: LocalStorage, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another image type, a prompt and a round of dropping that first come after what `datasets` looks at by itself."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(shards, "SHARD", 500)
    import datasets

    folder = TripletFolder(tmp_path / "later")
    slug = make_draft(sessions, rounds="3", min_votes="3", **NO_EXTRAS)
    rows = folder.nights_rows(9)
    for row in rows[7:]:
        row["ref_path"] = folder.picture(
            row["ref_path"].replace(".png", ".jpg"), encoded(noise(2_000_000 + int(row["id"])), "JPEG")
        )
    bring(sessions, storage, slug, folder.nights([row | {"prompt": ""} if int(row["id"]) < 6 else row for row in rows]))
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    sit(sessions, keys, slug, "Ada", lambda _: 0)
    sit(sessions, keys, slug, "Ben", lambda item: int(item.number == 8))
    export(sessions, storage, slug, tmp_path / "out", "webdataset")
    datasets.disable_progress_bars()
    (others,) = datasets.load_dataset(str(tmp_path / "out"), "others", cache_dir=str(tmp_path / "cache")).values()
    items = pool(sessions, slug)
    for row, item in zip(others, items, strict=True):
        (reference,) = (row[name] for name in row if name.startswith("reference.") and row[name] is not None)
        assert reference.size == (24, 16)
        told = row["json"]
        assert (told["number"], told["dropped_round"]) == (item.number, 2 if item.number == 8 else None)
        assert told["prompt"] == item.prompt


def test_pairs_have_no_second_candidate(sessions: Sessions, storage: LocalStorage, tmp_path: Path) -> None:
    slug = make_draft(sessions, "bapps-jnd")
    bring(sessions, storage, slug, TripletFolder(tmp_path / "pairs").pairs(3))
    export(sessions, storage, slug, tmp_path / "tar", "webdataset")
    export(sessions, storage, slug, tmp_path / "parquet", "parquet")
    items = {item.number: item for item in pool(sessions, slug)}
    for path in (tmp_path / "tar/data").iterdir():
        with tarfile.open(path) as tar:
            names = {name.split(".")[1] for name in tar.getnames()}
            assert names == {"reference", "candidate_0", "json"}
    rows = [
        row for path in sorted((tmp_path / "parquet/data").iterdir()) for row in parquet.read_table(path).to_pylist()
    ]
    assert [row["number"] for row in rows] == sorted(items)
    assert {row["candidate_1"] for row in rows} == {None}
    assert "jnd.csv" in json.loads((tmp_path / "parquet/manifest.json").read_bytes())["files"]


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_training_reads_every_format_alike(
    sessions: Sessions, storage: LocalStorage, study: str, tmp_path: Path, form: Format
) -> None:
    """The same triplets in the same order, with the same splits and the same hashes, of triplets and of images."""
    cache = tmp_path / "cache"
    for name in ("folder", form):
        export(sessions, storage, study, tmp_path / name, name)
    for statuses in ((), ("kept", "dropped", "short")):
        folder, shards = (read_triplets(tmp_path / name, statuses, cache) for name in ("folder", form))
        assert len(folder) == (9 if statuses else 7)
        for array in ("indices", "targets", "votes", "ids", "splits", "is_imagenet", "categories"):
            assert np.array_equal(getattr(folder, array), getattr(shards, array)), array
        assert folder.sha256 is not None
        assert shards.sha256 is not None
        assert [folder.sha256[path] for path in folder.images] == [shards.sha256[path] for path in shards.images]
        pixels = [open_cache(read.images, 8, cache, read.sha256) for read in (folder, shards)]
        assert data_hash(folder, pixels[0]) == data_hash(shards, pixels[1])


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_training_reads_pairs_of_every_format_alike(
    sessions: Sessions, storage: LocalStorage, keys: Keys, tmp_path: Path, form: Format
) -> None:
    sitting = {"trials": "3", "practice": "0", "sentinels": "0", "same_sentinels": "0"}
    slug = make_draft(sessions, "bapps-jnd", **{f"assignment.{name}": value for name, value in sitting.items()})
    bring(sessions, storage, slug, TripletFolder(tmp_path / "pairs").pairs(3, method="blur"))
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    sit_at_pairs(sessions, keys, slug, "Ada", lambda item, _: item.number % 2)
    for name in ("folder", form):
        export(sessions, storage, slug, tmp_path / name, name)
    folder, shards = (read_jnd(tmp_path / name, tmp_path / "cache") for name in ("folder", form))
    assert folder.same.tolist() == [1, 0, 1]
    assert folder.kinds.tolist() == ["blur"] * 3
    for array in ("indices", "same", "kinds", "splits"):
        assert np.array_equal(getattr(folder, array), getattr(shards, array)), array
    assert folder.sha256 is not None
    assert shards.sha256 is not None
    assert [folder.sha256[path] for path in folder.images] == [shards.sha256[path] for path in shards.images]


def test_a_damaged_shard_is_named_and_nothing_is_unpacked(
    sessions: Sessions, storage: LocalStorage, study: str, tmp_path: Path
) -> None:
    export(sessions, storage, study, tmp_path / "out", "webdataset")
    shard = tmp_path / "out/data/train-00001.tar"
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] + b"x")
    with pytest.raises(DataError, match=r"train-00001\.tar is not the file that was exported"):
        read_triplets(tmp_path / "out", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    shard.write_bytes(data)
    assert len(read_triplets(tmp_path / "out", cache=tmp_path / "cache")) == 7
    shard.unlink()
    with pytest.raises(DataError, match=r"incomplete: 1 of its files"):
        read_triplets(tmp_path / "out", cache=tmp_path / "cache")


@pytest.fixture
def places(s3: S3Server, tmp_path: Path) -> Callable[[str, str], tuple[Path | Bucket, Path]]:
    """A place of that kind to export to, and the folder in which its files are found."""

    def place(kind: str, name: str) -> tuple[Path | Bucket, Path]:
        if kind == "folder":
            return tmp_path / name, tmp_path / name
        bucket = s3.place()
        return bucket, s3.folder / bucket.name / bucket.prefix

    return place


Places = Callable[[str, str], tuple[Path | Bucket, Path]]


@pytest.mark.parametrize("form", FORMATS)
def test_a_bucket_gets_the_same_files(
    sessions: Sessions, storage: LocalStorage, study: str, places: Places, form: Format
) -> None:
    """And so does another folder: the same state has the same bytes."""
    found = []
    for kind, name in (("folder", "a"), ("bucket", "b"), ("folder", "c")):
        out, folder = places(kind, name)
        found.append((export(sessions, storage, study, out, form).manifest_sha256, tree(folder)))
    assert found[0] == found[1] == found[2]


class Counted(LocalStorage):
    reads = 0

    def get(self, key: str) -> bytes:
        self.reads += 1
        return super().get(key)


class Interruption(Exception):
    pass


def interrupted(at: int) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, total: int) -> None:
        if done >= at:
            raise Interruption

    return report


@pytest.mark.parametrize("kind", ["folder", "bucket"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_interrupted_export_goes_on(
    sessions: Sessions, settings: Settings, study: str, places: Places, form: Format, kind: str
) -> None:
    storage = Counted(settings.images)
    out, folder = places(kind, "out")
    with pytest.raises(Interruption):
        export(sessions, storage, study, out, form, interrupted(at=4))
    assert not (folder / "manifest.json").exists()
    before = storage.reads
    assert before == 12
    resumed = export(sessions, storage, study, out, form)
    assert storage.reads - before == 27 - 12, "what was there was not read again"
    whole, whole_folder = places(kind, "whole")
    assert export(sessions, storage, study, whole, form).manifest_sha256 == resumed.manifest_sha256
    assert tree(folder) == tree(whole_folder)
    assert not list(folder.parent.glob(".out*"))


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_votes_that_come_during_an_interruption_are_in(
    sessions: Sessions, storage: LocalStorage, keys: Keys, places: Places, kind: str
) -> None:
    """What goes on is an export of the study as it is now; shards of what was are gone."""
    slug = make_study(
        sessions, storage, items=5, rounds=1, min_votes=1, assignment__sentinels=0, assignment__practice=0
    )
    out, folder = places(kind, "out")
    with pytest.raises(Interruption):
        export(sessions, storage, slug, out, "parquet", interrupted(at=5))
    answer(sessions, sign_up(sessions, keys, slug, "somebody"), lambda _: 0)
    export(sessions, storage, slug, out, "parquet")
    assert {path.name for path in (folder / "data").iterdir()} == {f"train-0000{n}.parquet" for n in range(3)}
    whole, whole_folder = places("folder", "whole")
    export(sessions, storage, slug, whole, "parquet")
    assert tree(folder) == tree(whole_folder)


def test_after_a_power_cut_nothing_is_believed(
    sessions: Sessions, storage: LocalStorage, study: str, tmp_path: Path
) -> None:
    """Files that were written may be empty: they are hashed before they are used."""
    for form in FORMATS:
        out = tmp_path / form
        with pytest.raises(Interruption):
            export(sessions, storage, study, out, form, interrupted(at=4))
        scratch = tmp_path / f".{form}.unfinished"
        damaged = [path for path in scratch.rglob("*") if path.is_file() and path.name != "unfinished.json"]
        for path in damaged:
            path.write_bytes(b"")
        export(sessions, storage, study, out, form)
        export(sessions, storage, study, tmp_path / f"whole-{form}", form)
        assert tree(out) == tree(tmp_path / f"whole-{form}")


def test_another_format_or_study_takes_nothing_over(
    sessions: Sessions, storage: LocalStorage, study: str, places: Places
) -> None:
    other = make_study(sessions, storage, items=2, is_open=False)
    for kind in ("folder", "bucket"):
        out, folder = places(kind, "out")
        with pytest.raises(Interruption):
            export(sessions, storage, study, out, "webdataset", interrupted(at=4))
        if kind == "bucket":
            for slug, form in ((study, "parquet"), (other, "webdataset")):
                with pytest.raises(BadInput, match="holds an unfinished export of something else"):
                    export(sessions, storage, slug, out, form)
            continue
        export(sessions, storage, other, out, "parquet")
        assert {path.suffix for path in (folder / "data").iterdir()} == {".parquet"}


def test_a_prefix_in_use_is_refused(sessions: Sessions, storage: LocalStorage, study: str, places: Places) -> None:
    out, folder = places("bucket", "")
    folder.mkdir(parents=True)
    (folder / "file").write_text("theirs")
    with pytest.raises(BadInput, match=r"s3://.* is not empty\. Choose another prefix"):
        export(sessions, storage, study, out, "parquet")
    assert tree(folder) == {"file": b"theirs"}
    (folder / "file").unlink()
    export(sessions, storage, study, out, "parquet")
    with pytest.raises(BadInput, match="is not empty"):
        export(sessions, storage, study, out, "parquet")
    (folder / "manifest.json").unlink()
    (folder / "unfinished.json").write_text("{}")
    with pytest.raises(BadInput, match="is not what an export leaves"):
        export(sessions, storage, study, out, "parquet")


def test_two_exports_to_one_place(sessions: Sessions, storage: LocalStorage, study: str, places: Places) -> None:
    for kind in ("folder", "bucket"):
        out, folder = places(kind, "out")

        def meanwhile(what: str, done: int, total: int) -> None:
            with pytest.raises(Conflict, match="Another export is being written"):
                export(sessions, storage, study, out, "parquet")  # noqa: B023 - called within this turn

        export(sessions, storage, study, out, "parquet", meanwhile)
        assert (folder / "manifest.json").exists()


def test_the_manifest_comes_last(sessions: Sessions, storage: LocalStorage, study: str, places: Places) -> None:
    out, _ = places("bucket", "")
    assert isinstance(out, Bucket)
    written: list[tuple[str, str | None]] = []

    def note(params: dict[str, Any], **others: Any) -> None:
        written.append((params["Key"].removeprefix(out.prefix), params.get("IfNoneMatch")))

    out.client.meta.events.register("provide-client-params.s3.PutObject", note, unique_id="note")
    try:
        export(sessions, storage, study, out, "parquet")
    finally:
        out.client.meta.events.unregister("provide-client-params.s3.PutObject", unique_id="note")
    assert written[-1] == ("manifest.json", "*")
    assert {condition for _, condition in written[:-1]} == {None}
