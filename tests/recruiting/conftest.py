"""A Prolific of our own behind a real socket, checked against Prolific's description where that is at hand."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from app.recruiters.prolific.api import Api
from app.recruiters.prolific.recruiter import Prolific
from app.recruiters.retry import Patience
from app.settings import Settings
from simulation.prolific.marketplace import Marketplace
from simulation.prolific.server import TOKEN, FakeProlific
from simulation.serving import serve
from tests.conftest import SHARED
from tests.support.recruiting.contract import Contract

SECRET = "whsec-of-the-workspace"
IMPATIENT = Patience(tries=8, first_wait_s=0.001)


@pytest.fixture(scope="session")
def description() -> Contract | None:
    path = SHARED / "prolific" / "openapi.yml"
    return Contract(path) if path.exists() else None


@pytest.fixture
def fake(description: Contract | None) -> Iterator[FakeProlific]:
    fake = FakeProlific(Marketplace())
    if description is not None:
        fake.on_exchange = description.check
    yield fake
    if description is not None:
        violations, description.violations = description.violations, []
        assert violations == []


@pytest.fixture
def fake_url(fake: FakeProlific) -> Iterator[str]:
    with serve(fake) as url:
        yield url


@pytest.fixture
def api(fake_url: str) -> Iterator[Api]:
    api = Api(fake_url, SecretStr(TOKEN), patience=IMPATIENT)
    yield api
    api.close()


@pytest.fixture
def prolific(api: Api, fake: FakeProlific) -> Prolific:
    return Prolific(api, workspace=fake.marketplace.workspace)


@pytest.fixture
def deployed(settings: Settings, fake: FakeProlific, fake_url: str) -> Settings:
    """A deployment that recruits on Prolific."""
    return Settings(
        LOOKALIKE_HOME=settings.home,
        DATABASE_URL=settings.database_url,
        PUBLIC_URL="https://lab.example",
        PROLIFIC_URL=fake_url,
        PROLIFIC_TOKEN=TOKEN,
        PROLIFIC_WORKSPACE=fake.marketplace.workspace,
        PROLIFIC_WEBHOOK_SECRET=SECRET,
    )
