"""What a deployment sets, read from the environment once and passed on from there."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every value has a default that works on one machine; docs/deployment.md explains each."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    home: Annotated[Path, Field(validation_alias="LOOKALIKE_HOME")] = Path(".lookalike")
    database_url: Annotated[
        Annotated[str, StringConstraints(pattern=r"^postgres(ql)?(\+psycopg)?://")] | None,
        Field(validation_alias="DATABASE_URL"),
    ] = None
    secret_key: Annotated[Annotated[SecretStr, Field(min_length=32)] | None, Field(validation_alias="SECRET_KEY")] = (
        None
    )

    public_url: Annotated[str, Field(validation_alias="PUBLIC_URL")] = "http://127.0.0.1:8000"
    fees: Annotated[Path | None, Field(validation_alias="LOOKALIKE_FEES")] = None
    prolific_url: Annotated[str, Field(validation_alias="PROLIFIC_URL")] = "https://api.prolific.com"
    prolific_token: Annotated[SecretStr | None, Field(validation_alias="PROLIFIC_TOKEN")] = None
    prolific_workspace: Annotated[str, Field(validation_alias="PROLIFIC_WORKSPACE")] = ""
    prolific_webhook_secret: Annotated[SecretStr | None, Field(validation_alias="PROLIFIC_WEBHOOK_SECRET")] = None

    @property
    def images(self) -> Path:
        """The folder of the local image store."""
        return self.home / "images"

    @property
    def exports(self) -> Path:
        """The folder where exports are written unless a command names another."""
        return self.home / "exports"
