"""The bucket: what is asked of the server, and what goes wrong with it."""

import base64
import datetime as dt
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from pydantic import ValidationError

from app.errors import Conflict, Unavailable
from app.settings import Settings
from app.storage import Storage, open_storage, patience
from app.storage.s3 import MULTIPART, Bucket, S3Storage
from tests.support.s3_server import S3Server, Wire, running_s3


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    return s3.place()


@pytest.fixture
def sent(bucket: Bucket) -> Iterator[list[tuple[str, dict[str, str]]]]:
    """Every request to the server: the operation and the headers, as they go out."""
    requests: list[tuple[str, dict[str, str]]] = []

    def note(request: Any, event_name: str, **others: Any) -> None:
        headers = {name.lower(): value if isinstance(value, str) else value.decode() for name, value in
                   request.headers.items()}  # fmt: skip
        requests.append((event_name.rpartition(".")[2], headers))

    bucket.client.meta.events.register("before-send.s3", note, unique_id="note")
    yield requests
    bucket.client.meta.events.unregister("before-send.s3", unique_id="note")


Sent = list[tuple[str, dict[str, str]]]


def test_the_server_is_told_the_sha256(bucket: Bucket, sent: Sent) -> None:
    key = S3Storage(bucket).put(b"one")
    ((operation, headers),) = sent
    assert operation == "PutObject"
    assert base64.b64decode(headers["x-amz-checksum-sha256"]).hex() == key
    assert "x-amz-server-side-encryption" not in headers
    assert "if-none-match" not in headers, "what is there is mended, and young again"


def test_a_large_object_goes_in_parts(bucket: Bucket, sent: Sent) -> None:
    store, data = S3Storage(bucket), os.urandom(MULTIPART + 1)
    key = store.put(data)
    operations = [operation for operation, _ in sent]
    assert sorted(operations) == ["CompleteMultipartUpload", "CreateMultipartUpload", "UploadPart", "UploadPart"]
    for operation, headers in sent:
        if operation == "UploadPart":
            assert "x-amz-checksum-sha256" in headers
    assert store.get(key) == data


@pytest.mark.parametrize("size", [10, MULTIPART + 1])
def test_a_file_that_is_refused(bucket: Bucket, tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(bytes(size))
    operation = "PutObject" if size < MULTIPART else "UploadPart"
    refused = answer(bucket, operation, 403, "AccessDenied")
    with refused, pytest.raises(Unavailable, match="refuses access to the bucket"):
        bucket.upload("file", tmp_path / "file")
    bucket.upload("file", tmp_path / "file")
    assert bucket.read("file") == bytes(size)


def test_encryption_is_asked_for(s3: S3Server, bucket: Bucket, sent: Sent) -> None:
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/images"}
    store = S3Storage(Bucket(bucket.client, bucket.name, bucket.prefix, encryption))
    store.put(b"one")
    store.put(bytes(MULTIPART))
    for operation, headers in sent:
        if operation in ("PutObject", "CreateMultipartUpload"):
            assert headers["x-amz-server-side-encryption"] == "aws:kms"
            assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/images"


def test_what_must_be_new_is_written_on_condition(bucket: Bucket, sent: Sent) -> None:
    bucket.write("manifest.json", b"{}", only_new=True)
    assert sent[0][1]["if-none-match"] == "*"


def test_a_refused_condition_is_a_conflict(bucket: Bucket) -> None:
    """The test server knows no conditions: the answer is the one that Amazon documents."""
    answered = answer(bucket, "PutObject", 412, "PreconditionFailed")
    with answered, pytest.raises(Conflict, match=r"There is a .*manifest.json in the bucket .* already"):
        bucket.write("manifest.json", b"{}", only_new=True)


class answer:  # noqa: N801 - reads like a word at its place
    """The server's answer to an operation, put in the place of the real one."""

    def __init__(self, bucket: Bucket, operation: str, status: int, code: str) -> None:
        self._events = bucket.client.meta.events
        self._name = f"before-send.s3.{operation}"
        self._status = status
        self._body = f"<Error><Code>{code}</Code><Message>so it says</Message></Error>".encode()

    def __enter__(self) -> None:
        self._events.register(self._name, self._reply, unique_id="answer")

    def __exit__(self, *error: object) -> None:
        self._events.unregister(self._name, unique_id="answer")

    def _reply(self, request: Any, **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        class Raw:
            def __init__(self, body: bytes) -> None:
                self._body = body

            def stream(self) -> Iterator[bytes]:
                yield self._body

        return AWSResponse(request.url, self._status, {}, Raw(self._body))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", r"refuses access to the bucket .* s3:PutObject"),
        (403, "KMS.DisabledException", r"reports KMS\.DisabledException: so it says"),
        (301, "PermanentRedirect", r"is in another region .* AWS_DEFAULT_REGION"),
        (400, "BadDigest", r"did not arrive as it left"),
        (403, "ExpiredToken", r"does not accept the credentials \(ExpiredToken\)"),
    ],
)
def test_what_servers_answer_is_put_in_words(bucket: Bucket, status: int, code: str, said: str) -> None:
    with answer(bucket, "PutObject", status, code), pytest.raises(Unavailable, match=said):
        S3Storage(bucket).put(b"one")


def opened(s3: S3Server, bucket: str = "", **others: str) -> Storage:
    return open_storage(s3.settings(Path(), bucket or s3.bucket.name, **others))


def uses(store: Storage) -> list[Callable[[], object]]:
    return [lambda: store.put(b"one"), lambda: store.get("0" * 64), lambda: list(store.objects())]


def test_a_bucket_that_does_not_exist(s3: S3Server) -> None:
    store = opened(s3, "no-such-bucket")
    for use in uses(store):
        with pytest.raises(Unavailable, match=r"There is no bucket 'no-such-bucket' at http.*Create it"):
            use()


def test_no_credentials(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for use in uses(opened(s3)):
        with pytest.raises(Unavailable, match=r"There are no credentials for .* Set AWS_ACCESS_KEY_ID"):
            use()


def test_half_the_credentials(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Unavailable, match=r"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        opened(s3)


def test_a_profile_that_does_not_exist(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Unavailable, match=r"nobody.* Correct AWS_PROFILE"):
        opened(s3)


def test_credentials_that_are_refused(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    for use in uses(opened(s3)):
        with pytest.raises(Unavailable, match=r"does not accept the credentials|refuses access"):
            use()


def test_a_clock_that_is_wrong(s3: S3Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server compares the time in the signature with its own."""
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: tomorrow)
    for use in uses(S3Storage(bucket)):
        with pytest.raises(Unavailable, match=r"The clock of this machine and that of http.* differ too much"):
            use()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "JOBS", replace(patience.JOBS, asks_for_s=1.0))


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_there(s3: S3Server) -> None:
    with pytest.raises(Unavailable, match=r"http://127.0.0.1:1 does not answer .* Check S3_ENDPOINT_URL"):
        opened(s3, S3_ENDPOINT_URL="http://127.0.0.1:1").put(b"one")


DATA = os.urandom(300_000)


@pytest.mark.parametrize("data", [DATA, os.urandom(MULTIPART + 1)], ids=["small", "in parts"])
def test_a_network_that_drops_while_sending(s3: S3Server, data: bytes) -> None:
    """Two connections break off in the middle; the third carries everything."""
    with closing(Wire(s3.url, cuts=2, after=100_000)) as wire:
        store = opened(s3, S3_ENDPOINT_URL=wire.url)
        key = store.put(data)
        assert wire.cut == 2
    assert opened(s3).get(key) == data


def test_a_network_that_drops_while_reading(s3: S3Server) -> None:
    key = opened(s3).put(DATA)
    with closing(Wire(s3.url, cuts=2, after=100_000)) as wire:
        assert opened(s3, S3_ENDPOINT_URL=wire.url).get(key) == DATA
        assert wire.cut == 2


@pytest.mark.usefixtures("impatient")
def test_a_network_that_never_holds(s3: S3Server) -> None:
    """Nothing arrives, and nothing half."""
    data = os.urandom(300_000)
    kept = opened(s3).put(DATA)
    with closing(Wire(s3.url, cuts=10**6, after=100_000)) as wire:
        store = opened(s3, S3_ENDPOINT_URL=wire.url)
        with pytest.raises(Unavailable, match=r"does not answer"):
            store.put(data)
        with pytest.raises(Unavailable, match=r"does not answer"):
            store.get(kept)
    key = hashlib.sha256(data).hexdigest()
    assert key not in {stored.key for stored in opened(s3).objects()}


def test_a_server_that_restarts_costs_a_pause(tmp_path: Path) -> None:
    """Sixteen at a time, as imports and exports do: botocore's own quota would end the retries of most of them."""
    data = [os.urandom(1000) for _ in range(48)]
    with running_s3(tmp_path / "buckets") as server, ThreadPoolExecutor(16) as readers:
        store = opened(server, server.make_bucket())
        keys = [store.put(piece) for piece in data]
        server.end()
        reading = [readers.submit(store.get, key) for key in keys]
        time.sleep(3.0)
        server.begin()
        assert [each.result() for each in reading] == data


def test_a_server_of_pages_does_not_wait(s3: S3Server, tmp_path: Path) -> None:
    """A bucket that hangs costs the first ones a moment and the others nothing, until it is back."""
    with running_s3(tmp_path / "buckets") as server:
        settings = server.settings(tmp_path, server.make_bucket())
        store = open_storage(settings, for_server=True)
        cached, other = store.put(b"cached"), store.put(b"other")
        store.get(cached)
        with server.suspended():
            with ThreadPoolExecutor(8) as readers:
                failed = [readers.submit(store.get, other) for _ in range(8)]
                assert all(isinstance(each.exception(), Unavailable) for each in failed)
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(Unavailable, match="has not answered lately"):
                    store.get(other)
            assert time.monotonic() - began < 1.0
            assert store.get(cached) == b"cached"
        deadline = time.monotonic() + 30
        while not came(store, other):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def came(store: Storage, key: str) -> bool:
    with suppress(Unavailable):
        return bool(store.get(key))
    return False


def test_parts_of_an_upload_that_never_ended_are_swept(bucket: Bucket) -> None:
    store, key = S3Storage(bucket), "0" * 64
    for name in (key, "elsewhere"):
        begun = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=bucket.prefix + name)
        bucket.client.upload_part(
            Bucket=bucket.name, Key=bucket.prefix + name, UploadId=begun["UploadId"], PartNumber=1, Body=b"one"
        )
    now = dt.datetime.now(dt.UTC)
    assert store.sweep(before=now - dt.timedelta(hours=1), remove=True) == []
    for remove in (False, True):
        assert store.sweep(before=now + dt.timedelta(hours=1), remove=remove) == [key]
    assert store.sweep(before=now + dt.timedelta(hours=1), remove=True) == []


def test_more_objects_than_a_page_lists(bucket: Bucket, sent: Sent) -> None:
    """The test server is asked for pages of two."""
    store = S3Storage(bucket)
    keys = {store.put(str(number).encode()) for number in range(5)}
    bucket.client.meta.events.register_first("before-parameter-build.s3.ListObjectsV2", _two_at_a_time, unique_id="two")
    try:
        assert {stored.key for stored in store.objects()} == keys
    finally:
        bucket.client.meta.events.unregister("before-parameter-build.s3.ListObjectsV2", unique_id="two")
    assert [operation for operation, _ in sent].count("ListObjectsV2") == 3


def _two_at_a_time(params: dict[str, Any], **others: Any) -> None:
    params["MaxKeys"] = 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_BUCKET", "s3://bucket"),
        ("S3_ENDPOINT_URL", "minio:9000"),
        ("S3_ENDPOINT_URL", "http://minio:9000/bucket"),
        ("S3_SSE", "AES"),
        ("S3_CACHE_SIZE", "0"),
        ("S3_CACHE_SIZE", "much"),
    ],
)
def test_settings_that_cannot_be_meant(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


def test_a_prefix_is_a_folder_however_it_is_written(s3: S3Server) -> None:
    for prefix in ("a/b", "/a/b", "a/b/"):
        assert Settings(S3_PREFIX=prefix).s3_prefix == "a/b/"
    assert Settings(S3_PREFIX="/").s3_prefix == ""
    key = opened(s3, S3_PREFIX="a/b").put(b"one")
    assert (s3.folder / s3.bucket.name / "a/b" / key).read_bytes() == b"one"
