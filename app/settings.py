"""What a deployment sets, read from the environment once, checked, and passed on from there.

Whoever reads a value may rely on its form: a token is sent in a header, an address called, and no library finds a line
end in it that came with the file it was pasted from.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    AfterValidator,
    ByteSize,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app import redaction
from app.errors import BadInput

_OURS: Final = "setting"
_ALLOWED = {
    "SECRET_KEY": "must have at least 32 characters",
    "S3_BUCKET": "must be the name of a bucket, without s3:// or a path",
    "S3_SSE": "must be AES256, aws:kms or aws:kms:dsse",
    "METRICS_TOKEN": "must have at least 16 characters",
    "S3_CACHE_SIZE": "must be a size of at least 1 MiB, such as 5GiB",
    "UNSTARTED_PER_ADDRESS": "must be a whole number from 1 to 100000",
    "MTURK_SITES": "must be addresses such as https://worker.example without paths, separated by spaces",
    "PROLIFIC_WORKSPACE": "must be the workspace's id: letters, digits, - and _ alone",
}
"""In place of pydantic's words where those are a pattern's or a length's."""

_ANYBODY = "*"
_BUCKET = "[A-Za-z0-9][A-Za-z0-9._-]{1,62}"
_DATABASE = re.compile(
    r"postgres(?:ql)?(?:\+psycopg)?://(?:[^:/\x00-\x1f]*(?::(?P<password>[^@\x00-\x1f]*))?@)?"  # user, password
    r"[^@/?\s]*(?:/[^@?\s]*)?(?:\?\S*)?"  # host and port, name, options
)


def _wrong(sentence: str) -> PydanticCustomError:
    """What the variable must be, or holds; never its value."""
    return PydanticCustomError(_OURS, "{sentence}", {"sentence": sentence})


def _folder_like(prefix: str) -> str:
    """`a/b`, `/a/b` and `a/b/` all mean what begins with `a/b/`."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _bucket_or_folder(place: str) -> str:
    """Refuses an address of S3 that names no bucket."""
    if place.startswith("s3:") and not re.fullmatch(rf"s3://{_BUCKET}(/.*)?", place):
        raise _wrong("must be a folder or s3://BUCKET/PREFIX")
    return place


def _sendable(secret: SecretStr) -> SecretStr:
    """Refuses what no header can carry. Editors turn a hyphen into a dash and add spaces that nobody sees."""
    for position, character in enumerate(secret.get_secret_value(), start=1):
        if not "!" <= character <= "~":
            raise _wrong(
                f"must be visible ASCII characters, without spaces, but character {position} is none: copy it anew, "
                "as plain text"
            )
    return secret


def _web_address(url: str) -> str:
    """Refuses what no client can call. Without a name and password, which would stand in every message about it."""
    sentence = "must be an address such as https://lab.example, without a user name, spaces, ? and #"
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, brackets that do not close
        raise _wrong(sentence) from None
    if not is_usable or re.search(r"[^!-~]|[@?#\\]", url):
        raise _wrong(sentence)
    return url


def _server_address(url: str) -> str:
    """A web address without a path."""
    if urlsplit(_web_address(url)).path not in ("", "/"):
        raise _wrong("must be the address of a server without a path, such as https://s3.example.org:9000")
    return url


def _database_address(url: SecretStr) -> SecretStr:
    """Refuses an address whose password would be taken for a part of its host, and named in messages."""
    if not _DATABASE.fullmatch(url.get_secret_value()):
        raise _wrong(
            "must be a PostgreSQL URL, such as postgresql://user:password@host/name, with @ in the password as %40"
        )
    return url


def _addresses(text: str) -> str:
    """Numbers and networks alone: a name would never fit the number that a connection comes from."""
    if text != _ANYBODY:
        for part in text.split(","):
            try:
                ip_network(part.strip())
            except ValueError:
                raise _wrong("must be addresses or networks such as 10.0.0.1,10.1.0.0/16, or *") from None
    return text


Token = Annotated[SecretStr, AfterValidator(_sendable)]
Addresses = Annotated[str, AfterValidator(_addresses)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
ServerAddress = Annotated[str, AfterValidator(_server_address)]


class Settings(BaseSettings):
    """Every value has a default that works on one machine; docs/deployment.md explains each.

    What is secret is a SecretStr, which `repr` hides, and never leaves this process in a message (`redaction`).
    """

    # Set but empty is not set: docker-compose.yml hands variables on that nobody filled in.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    home: Annotated[Path, Field(validation_alias="LOOKALIKE_HOME")] = Path(".lookalike")
    database_url: Annotated[
        Annotated[SecretStr, AfterValidator(_database_address)] | None, Field(validation_alias="DATABASE_URL")
    ] = None
    secret_key: Annotated[Annotated[SecretStr, Field(min_length=32)] | None, Field(validation_alias="SECRET_KEY")] = (
        None
    )
    s3_bucket: Annotated[
        Annotated[str, StringConstraints(pattern=f"^{_BUCKET}$")] | None,
        Field(validation_alias="S3_BUCKET"),
    ] = None
    s3_prefix: Annotated[str, AfterValidator(_folder_like), Field(validation_alias="S3_PREFIX")] = ""
    s3_endpoint_url: Annotated[
        ServerAddress | None,
        Field(validation_alias="S3_ENDPOINT_URL"),
    ] = None
    s3_sse: Annotated[Literal["AES256", "aws:kms", "aws:kms:dsse"] | None, Field(validation_alias="S3_SSE")] = None
    s3_sse_kms_key_id: Annotated[str | None, Field(validation_alias="S3_SSE_KMS_KEY_ID")] = None
    s3_cache_size: Annotated[
        Annotated[ByteSize, Field(ge=2**20)], Field(validation_alias="S3_CACHE_SIZE", validate_default=True)
    ] = ByteSize(5 * 2**30)

    imports: Annotated[
        Annotated[str, AfterValidator(_bucket_or_folder)] | None,
        Field(validation_alias="LOOKALIKE_IMPORTS"),
    ] = None

    # Of these boto3 and the Hugging Face hub's library know more sources; what the environment says is checked.
    aws_access_key_id: Annotated[Token | None, Field(validation_alias="AWS_ACCESS_KEY_ID")] = None
    aws_secret_access_key: Annotated[Token | None, Field(validation_alias="AWS_SECRET_ACCESS_KEY")] = None
    aws_session_token: Annotated[Token | None, Field(validation_alias="AWS_SESSION_TOKEN")] = None
    hf_token: Annotated[Token | None, Field(validation_alias="HF_TOKEN")] = None

    metrics_token: Annotated[Annotated[Token, Field(min_length=16)] | None, Field(validation_alias="METRICS_TOKEN")] = (
        None
    )
    public_url: Annotated[WebAddress, Field(validation_alias="PUBLIC_URL")] = "http://127.0.0.1:8000"
    trusted_proxies: Annotated[Addresses, Field(validation_alias="FORWARDED_ALLOW_IPS")] = "127.0.0.1,::1"
    unstarted_per_address: Annotated[
        Annotated[int, Field(ge=1, le=100_000)], Field(validation_alias="UNSTARTED_PER_ADDRESS")
    ] = 100
    fees: Annotated[Path | None, Field(validation_alias="LOOKALIKE_FEES")] = None
    prolific_url: Annotated[WebAddress, Field(validation_alias="PROLIFIC_URL")] = "https://api.prolific.com"
    prolific_token: Annotated[Token | None, Field(validation_alias="PROLIFIC_TOKEN")] = None
    prolific_workspace: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]*$")], Field(validation_alias="PROLIFIC_WORKSPACE")
    ] = ""
    prolific_webhook_secret: Annotated[Token | None, Field(validation_alias="PROLIFIC_WEBHOOK_SECRET")] = None

    mturk_endpoint_url: Annotated[
        ServerAddress | None,
        Field(validation_alias="MTURK_ENDPOINT_URL"),
    ] = None
    mturk_sites: Annotated[
        Annotated[str, StringConstraints(pattern=r"^https?://[^/\s;,]+( https?://[^/\s;,]+)*$")],
        Field(validation_alias="MTURK_SITES"),
    ] = "https://www.mturk.com https://worker.mturk.com https://workersandbox.mturk.com"

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Files, shells and editors add line ends and spaces, which belong to no value. All white space is no value."""
        bare = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in bare.items() if value != ""}

    def model_post_init(self, context: Any) -> None:  # noqa: ARG002 - pydantic hands it over
        redaction.register(self._secrets())

    def _secrets(self) -> Iterator[str]:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                yield value.get_secret_value()
        if self.database_url is not None:
            url = self.database_url.get_secret_value()
            found = _DATABASE.fullmatch(url)
            password = (found and found["password"]) or ""
            yield from (password, unquote(password))
            yield from (value for name, value in parse_qsl(url.partition("?")[2]) if name.endswith("password"))

    @property
    def aws_credentials(self) -> dict[str, str]:
        """What boto3 is told of who we are; nothing where it has to find that out by itself: a profile, a role."""
        if self.aws_access_key_id is None or self.aws_secret_access_key is None:
            return {}
        given = {
            "aws_access_key_id": self.aws_access_key_id,
            "aws_secret_access_key": self.aws_secret_access_key,
            "aws_session_token": self.aws_session_token,
        }
        return {name: value.get_secret_value() for name, value in given.items() if value is not None}

    @property
    def has_public_url(self) -> bool:
        """Whether PUBLIC_URL was set, so that links for others are more than a guess."""
        return "public_url" in self.model_fields_set

    @property
    def mturk_origins(self) -> list[str]:
        """The sites that may show our pages in a frame and get our forms; none unless MTurk is configured."""
        return self.mturk_sites.split() if self.mturk_endpoint_url else []

    @property
    def images(self) -> Path:
        """The folder of the local image store."""
        return self.home / "images"

    @property
    def image_cache(self) -> Path:
        """Where a server keeps what it has read from S3."""
        return self.home / "cache"

    @property
    def import_place(self) -> str:
        """The folder or s3://BUCKET/PREFIX below which the dashboard finds what it may import."""
        return self.imports or str(self.home / "imports")

    @property
    def incoming(self) -> Path:
        """Where a worker keeps what it copies from S3 while it imports it."""
        return self.home / "incoming"

    @property
    def exports(self) -> Path:
        """The folder where exports are written unless a command names another."""
        return self.home / "exports"


def read_settings(**given: Any) -> Settings:
    """The environment's settings, and what is `given` under a variable's name in place of it.

    Raises:
        BadInput: a variable is wrong; names it, but not its value, which may be secret.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(map(_in_words, error.errors(include_input=False)))
        raise BadInput(f"The environment is not usable: {wrong}.") from None


def _in_words(problem: ErrorDetails) -> str:
    name = str(problem["loc"][0])
    return f"{name} {problem['msg'] if problem['type'] == _OURS else _ALLOWED.get(name, problem['msg'])}"
