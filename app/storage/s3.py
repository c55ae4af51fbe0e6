"""Images in an S3 bucket, and buckets as such: every trouble of theirs becomes an error that says what to do."""

import base64
import hashlib
import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ResponseStreamingError,
)
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from app.errors import Conflict, LookalikeError, NotFound, Unavailable
from app.outside import explain
from app.settings import Settings
from app.storage.base import KEY, Stored, missing, verified
from app.storage.patience import JOBS, Breaker, Patience

MULTIPART = 16 * 2**20
"""Bytes from which on an object is sent in parts, and the size of a part."""
CONNECTIONS = 40  # more than a server asks at a time
_IN_PARTS = TransferConfig(multipart_threshold=MULTIPART, multipart_chunksize=MULTIPART, max_concurrency=4)

_SET_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role."
_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId")
_CLOCK = ("RequestTimeTooSkewed", "RequestExpired")
_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301")
_BUSY = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "RequestTimeoutException", "Throttling")
_GARBLED = ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch")
_NO_PLACE = (None, "us-east-1", "aws-global")  # where buckets are made that name no region
_ABSENT = ("NoSuchKey", "404", "NotFound")
_PIECE = 2**20

# Botocore tries again what fails before the body comes, not what breaks off in it.
_AGAIN = retry(
    retry=retry_if_exception_type((ResponseStreamingError, IncompleteReadError)),
    stop=stop_after_attempt(3),
    reraise=True,
)


def open_bucket(settings: Settings, name: str, *, prefix: str = "", patience: Patience = JOBS) -> "Bucket":
    """The bucket with the deployment's endpoint and encryption; nothing is asked of the server yet.

    Credentials and region come from where boto3 finds them: the environment, a profile, the machine's role.

    Raises:
        Unavailable: the environment's credentials are incomplete, or its profile does not exist.
    """
    config = Config(
        max_pool_connections=CONNECTIONS,
        # Servers other than Amazon's seldom have names for buckets below their own.
        s3={"addressing_style": "path"} if settings.s3_endpoint_url else None,
        # We name the checksums that matter; what botocore adds by itself some servers refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    encryption = {"ServerSideEncryption": settings.s3_sse, "SSEKMSKeyId": settings.s3_sse_kms_key_id}
    try:
        client = boto3.Session(**settings.aws_credentials).client(
            "s3", endpoint_url=settings.s3_endpoint_url, config=config.merge(patience.config())
        )
    except PartialCredentialsError:
        raise Unavailable("Half of the S3 credentials is missing. " + _SET_CREDENTIALS) from None
    except ProfileNotFound as error:
        raise Unavailable(f"{error}. Correct AWS_PROFILE.") from None
    patience.practised_by(client)
    asked_for = {key: value for key, value in encryption.items() if value}
    return Bucket(client, name, prefix, asked_for, Breaker() if patience.for_server else None)


@dataclass(frozen=True)
class Bucket:
    """A bucket, or what of it begins with a prefix; names are relative to that.

    Every method raises Unavailable, saying what to do, if the bucket or its server is not to be had.
    """

    client: Any
    name: str
    prefix: str
    encryption: dict[str, str]
    breaker: Breaker | None = None

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".removesuffix("/")

    def create(self) -> bool:
        """Make the bucket; False if it is there."""
        region = self.client.meta.region_name
        place = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region not in _NO_PLACE else {}
        with self._in_words():
            try:
                self.client.create_bucket(Bucket=self.name, **place)
            except (self.client.exceptions.BucketAlreadyOwnedByYou, self.client.exceptions.BucketAlreadyExists):
                self.is_empty()  # raises if it is somebody else's
                return False
        return True

    def write(self, name: str, data: bytes, *, only_new: bool = False) -> None:
        """Store bytes under a name; the server compares their sha256 with ours.

        Raises:
            Conflict: with `only_new`, if there is something of that name.
        """
        if len(data) >= MULTIPART and not only_new:
            with self._in_words(name):
                self.client.upload_fileobj(io.BytesIO(data), self.name, self.prefix + name, **self._in_parts())
            return
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        options = self.encryption | ({"IfNoneMatch": "*"} if only_new else {})
        with self._in_words(name):
            self.client.put_object(
                Bucket=self.name, Key=self.prefix + name, Body=data, ChecksumSHA256=checksum, **options
            )

    def upload(self, name: str, path: Path) -> None:
        """Store a file, a large one in parts, of which only those are sent again that did not arrive."""
        with self._in_words(name):
            # By its path: what has no path is read into memory, ten parts at a time.
            self.client.upload_file(str(path), self.name, self.prefix + name, **self._in_parts())

    def _in_parts(self) -> dict[str, Any]:
        return {"ExtraArgs": self.encryption | {"ChecksumAlgorithm": "SHA256"}, "Config": _IN_PARTS}

    def read(self, name: str) -> bytes:
        """Raises NotFound if there is no such object."""
        with self._in_words(name):
            return self._read(name)

    @_AGAIN
    def _read(self, name: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=self.prefix + name)["Body"].read()
        return body

    def download(self, name: str, path: Path) -> None:
        """Write an object to a file, of whatever size. Raises NotFound if there is no such object."""
        with self._in_words(name):
            self._download(name, path)

    @_AGAIN
    def _download(self, name: str, path: Path) -> None:
        body = self.client.get_object(Bucket=self.name, Key=self.prefix + name)["Body"]
        with path.open("wb") as file:
            shutil.copyfileobj(body, file, _PIECE)

    def within(self, folder: str) -> "Bucket":
        """What of it begins with `folder/`."""
        return replace(self, prefix=f"{self.prefix}{folder}/") if folder else self

    def folders(self) -> Iterator[str]:
        """What lies directly below the prefix and has something below it, by name."""
        pages = self.client.get_paginator("list_objects_v2")
        with self._in_words():
            for page in pages.paginate(Bucket=self.name, Prefix=self.prefix, Delimiter="/"):
                for found in page.get("CommonPrefixes", []):
                    yield found["Prefix"].removeprefix(self.prefix).removesuffix("/")

    def files(self) -> Iterator[tuple[str, int]]:
        """Name and size in bytes of all objects below the prefix, however deep."""
        pages = self.client.get_paginator("list_objects_v2")
        with self._in_words():
            for page in pages.paginate(Bucket=self.name, Prefix=self.prefix):
                for found in page.get("Contents", []):
                    yield found["Key"].removeprefix(self.prefix), found["Size"]

    def entries(self) -> Iterator[tuple[str, int, datetime]]:
        """Name, size in bytes and time of change of the objects that lie directly below the prefix."""
        pages = self.client.get_paginator("list_objects_v2")
        with self._in_words():
            for page in pages.paginate(Bucket=self.name, Prefix=self.prefix, Delimiter="/"):
                for found in page.get("Contents", []):
                    yield found["Key"].removeprefix(self.prefix), found["Size"], found["LastModified"]

    def has(self, name: str) -> bool:
        try:
            with self._in_words(name):
                self.client.head_object(Bucket=self.name, Key=self.prefix + name)
        except NotFound:
            return False
        return True

    def is_empty(self) -> bool:
        """Whether nothing begins with the prefix."""
        with self._in_words():
            found = self.client.list_objects_v2(Bucket=self.name, Prefix=self.prefix, MaxKeys=1)
        return not found.get("Contents")

    def delete(self, name: str) -> None:
        with self._in_words(name):
            self.client.delete_object(Bucket=self.name, Key=self.prefix + name)

    def abandoned_uploads(self, *, before: datetime) -> Iterator[tuple[str, str]]:
        """Name and id of the uploads in parts that were begun before that moment and never ended."""
        pages = self.client.get_paginator("list_multipart_uploads")
        with self._in_words(), suppress(self.client.exceptions.NoSuchUpload):  # what some servers say for none
            for page in pages.paginate(Bucket=self.name, Prefix=self.prefix):
                for upload in page.get("Uploads", []):
                    if upload["Initiated"] < before:
                        yield upload["Key"].removeprefix(self.prefix), upload["UploadId"]

    def abort_upload(self, name: str, upload_id: str) -> None:
        with self._in_words(name):
            self.client.abort_multipart_upload(Bucket=self.name, Key=self.prefix + name, UploadId=upload_id)

    @contextmanager
    def _in_words(self, name: str = "") -> Iterator[None]:
        guard = self.breaker.guarding(self.client.meta.endpoint_url) if self.breaker else nullcontext()
        try:
            with guard:
                yield
        except S3UploadFailedError as error:  # boto3 makes a sentence of what the server said
            said = error.__context__
            known = isinstance(said, ClientError | BotoCoreError)
            raise (self._explained(said, name) if known else Unavailable(f"{self}: {explain(error)}.")) from None
        except (ClientError, BotoCoreError) as error:
            raise self._explained(error, name) from None

    def _explained(self, error: ClientError | BotoCoreError, name: str) -> LookalikeError:
        server = self.client.meta.endpoint_url
        if isinstance(error, ClientError):
            return self._refused(error, name, server)
        if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
            return Unavailable(f"There are no credentials for {server}. {_SET_CREDENTIALS}")
        if isinstance(error, ConnectionError | HTTPClientError | IncompleteReadError):
            return Unavailable(f"{server} does not answer ({explain(error)}). Check S3_ENDPOINT_URL and the network.")
        return Unavailable(f"{server} cannot be used ({explain(error)}).")

    def _refused(self, error: ClientError, name: str, server: str) -> LookalikeError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        message = error.response.get("Error", {}).get("Message", "")
        if code == "NoSuchBucket" or (code in _ABSENT and not name):
            return Unavailable(
                f"There is no bucket {self.name!r} at {server}. "
                "Create it (`lookalike storage create`), or name another one."
            )
        if code in _ABSENT:
            return NotFound(f"There is no {self.prefix}{name} in the bucket {self.name!r}.")
        if code in ("PreconditionFailed", "ConditionalRequestConflict"):
            return Conflict(f"There is a {self.prefix}{name} in the bucket {self.name!r} already.")
        if code in _CLOCK:
            return Unavailable(
                f"The clock of this machine and that of {server} differ too much. Set it right (NTP), and try again."
            )
        if code in _CREDENTIALS:
            return Unavailable(
                f"{server} does not accept the credentials ({code}). "
                "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."
            )
        if code in _REGION:
            return Unavailable(f"The bucket {self.name!r} is in another region ({message}). Set AWS_DEFAULT_REGION.")
        if code in _BUSY:
            return Unavailable(f"{server} is overloaded ({code}). Try again in a while.")
        if code in _GARBLED:
            return Unavailable(f"What was sent to {server} did not arrive as it left ({code}). Try again.")
        if "Denied" in code or code in ("403", "AllAccessDisabled"):
            return Unavailable(
                f"{server} refuses access to the bucket {self.name!r} ({code}). It must allow this account "
                "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject, and the use of its KMS key."
            )
        return Unavailable(f"{server} reports {code}: {message}")


class S3Storage:
    """A bucket: `PREFIX` + key."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def put(self, data: bytes) -> str:
        """Unconditional: the same bytes under the same key change nothing, or mend what was there."""
        key = hashlib.sha256(data).hexdigest()
        self.bucket.write(key, data)
        return key

    def get(self, key: str) -> bytes:
        try:
            return verified(key, self.bucket.read(key))
        except NotFound:
            raise missing(key) from None

    def objects(self) -> Iterator[Stored]:
        for name, size, modified in self.bucket.entries():
            if re.fullmatch(KEY, name):
                yield Stored(name, size, modified)

    def delete(self, key: str) -> None:
        self.bucket.delete(key)

    def sweep(self, *, before: datetime, remove: bool) -> list[str]:
        uploads = [found for found in self.bucket.abandoned_uploads(before=before) if re.fullmatch(KEY, found[0])]
        if remove:
            for name, upload_id in uploads:
                self.bucket.abort_upload(name, upload_id)
        return [name for name, _ in uploads]
