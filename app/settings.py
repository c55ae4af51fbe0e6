"""What a deployment sets, read from the environment once and passed on from there."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ByteSize, Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

_BUCKET = "[A-Za-z0-9][A-Za-z0-9._-]{1,62}"


def _folder_like(prefix: str) -> str:
    """`a/b`, `/a/b` and `a/b/` all mean what begins with `a/b/`."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _bucket_or_folder(place: str) -> str:
    """Raises ValueError for an address of S3 that names no bucket."""
    if place.startswith("s3:") and not re.fullmatch(rf"s3://{_BUCKET}(/.*)?", place):
        raise ValueError("it should be a folder or s3://BUCKET/PREFIX")
    return place


class Settings(BaseSettings):
    """Every value has a default that works on one machine; docs/deployment.md explains each."""

    # Set but empty is not set: docker-compose.yml hands variables on that nobody filled in.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    home: Annotated[Path, Field(validation_alias="LOOKALIKE_HOME")] = Path(".lookalike")
    database_url: Annotated[
        Annotated[str, StringConstraints(pattern=r"^postgres(ql)?(\+psycopg)?://")] | None,
        Field(validation_alias="DATABASE_URL"),
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
        Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/?$")] | None,
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

    metrics_token: Annotated[
        Annotated[SecretStr, Field(min_length=16)] | None, Field(validation_alias="METRICS_TOKEN")
    ] = None
    public_url: Annotated[str, Field(validation_alias="PUBLIC_URL")] = "http://127.0.0.1:8000"
    fees: Annotated[Path | None, Field(validation_alias="LOOKALIKE_FEES")] = None
    prolific_url: Annotated[str, Field(validation_alias="PROLIFIC_URL")] = "https://api.prolific.com"
    prolific_token: Annotated[SecretStr | None, Field(validation_alias="PROLIFIC_TOKEN")] = None
    prolific_workspace: Annotated[str, Field(validation_alias="PROLIFIC_WORKSPACE")] = ""
    prolific_webhook_secret: Annotated[SecretStr | None, Field(validation_alias="PROLIFIC_WEBHOOK_SECRET")] = None

    mturk_endpoint_url: Annotated[
        Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/?$")] | None,
        Field(validation_alias="MTURK_ENDPOINT_URL"),
    ] = None
    mturk_sites: Annotated[
        Annotated[str, StringConstraints(pattern=r"^https?://[^/\s;,]+( https?://[^/\s;,]+)*$")],
        Field(validation_alias="MTURK_SITES"),
    ] = "https://www.mturk.com https://worker.mturk.com https://workersandbox.mturk.com"

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
