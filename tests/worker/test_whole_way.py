"""A few triplets go the whole way: from prompts through a killed worker, a bucket and a crowd to other libraries."""

from pathlib import Path

import pytest
from sqlalchemy.orm import sessionmaker

from app.db import make_engine
from app.settings import Settings
from tests.conftest import make_database
from tests.support.s3_server import S3Server
from tests.support.worker.whole_way import WholeWay, environment


@pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves closing files to the collector
def test_the_whole_way_on_s3(
    server_url: str, worker_id: str, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_database(server_url, f"whole_way_{worker_id}")
    for name, value in (environment(tmp_path / "home", database, s3) | {"HF_HUB_OFFLINE": "1"}).items():
        monkeypatch.setenv(name, value)
    engine = make_engine(database)
    way = WholeWay(Settings(), sessionmaker(engine), tmp_path, categories=10, per_category=3, batch_size=2)
    way.generate()
    way.judge()
    for form in ("parquet", "webdataset"):
        way.export(form)
    engine.dispose()
