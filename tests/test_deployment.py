"""The compose file: what holds of it without a container engine."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.paths import ROOT
from app.settings import Settings

RUNNING = ("postgres", "s3", "web", "worker", "proxy", "gpu-worker")
ONCE = ("migrate", "training")


@pytest.fixture(scope="module")
def source() -> str:
    return (ROOT / "docker-compose.yml").read_text()


@pytest.fixture(scope="module")
def services(source: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(source)["services"]
    return found


def test_services_are_confined(services: dict[str, Any]) -> None:
    assert services.keys() == {*RUNNING, *ONCE}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"], "all else stays inside"
    assert {name for name, service in services.items() if "healthcheck" in service} == {
        "postgres",
        "s3",
        "web",
        "proxy",
    }
    assert services["web"]["deploy"]["replicas"] == 2


def test_volumes_are_declared_and_used(source: str, services: dict[str, Any]) -> None:
    mounted = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in mounted if not name.startswith("./")} == yaml.safe_load(source)["volumes"].keys()
    assert all((ROOT / name).exists() for name in mounted if name.startswith("./deploy"))


def test_secrets_come_from_the_environment_alone(source: str) -> None:
    """Every one is required, and the example names it."""
    required = set(re.findall(r"\$\{(\w+):\?", source))
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "deploy/env.example").read_text(), re.M))
    assert required == example.keys()
    assert [name for name in required if re.search("SECRET|PASSWORD", name) and example[name]] == []


def test_the_server_gets_settings_that_there_are(services: dict[str, Any]) -> None:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    others = {"AWS_DEFAULT_REGION", "TMPDIR"}  # of libraries
    for name in ("migrate", "web", "worker", "gpu-worker"):
        assert services[name]["environment"].keys() <= known | others
        assert {"DATABASE_URL", "SECRET_KEY", "S3_BUCKET"} <= services[name]["environment"].keys()


def test_recruiting_is_for_servers_and_workers_alone(services: dict[str, Any]) -> None:
    """The token has full rights over the account."""
    names = {"PUBLIC_URL", "PROLIFIC_TOKEN", "PROLIFIC_WORKSPACE", "PROLIFIC_WEBHOOK_SECRET"}
    told = {name for name, service in services.items() if names & set(service.get("environment", {}))}
    assert told == {"web", "worker"}


def test_every_setting_can_be_set_with_compose(services: dict[str, Any]) -> None:
    """But the home, which the image has, a file, which an override mounts, and what its own bucket does not need."""
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    unset = known - services["web"]["environment"].keys()
    assert unset == {"LOOKALIKE_HOME", "LOOKALIKE_FEES", "AWS_SESSION_TOKEN", "HF_TOKEN"}


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    unset = Settings()
    for field in Settings.model_fields.values():
        monkeypatch.setenv(str(field.validation_alias), "")
    assert Settings() == unset


def test_every_setting_is_documented() -> None:
    documented = (ROOT / "docs/deployment.md").read_text()
    for field in Settings.model_fields.values():
        assert f"`{field.validation_alias}`" in documented


def test_images_have_a_version(services: dict[str, Any]) -> None:
    for service in services.values():
        assert "build" in service or re.search(r":v?\d", service["image"])


def test_compose_itself_accepts_it(tmp_path: Path) -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed")
    filled = re.sub(r"(?m)^(\w+)=$", r"\1=0123456789abcdef0123456789abcdef", (ROOT / "deploy/env.example").read_text())
    (tmp_path / "env").write_text(filled)
    command = [compose, "--env-file", str(tmp_path / "env"), "--profile", "gpu", "--profile", "training"]
    subprocess.run([*command, "config", "--quiet"], cwd=ROOT, env={"PATH": os.environ["PATH"]}, check=True)
