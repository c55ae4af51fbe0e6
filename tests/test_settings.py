"""What the environment says: stripped, checked, named when it is wrong, and secret where it is."""

import base64
import logging
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import structlog
from pydantic import SecretStr

from app.errors import BadInput, Conflict
from app.logs import configure_logs
from app.redaction import redact, register
from app.settings import Settings, read_settings

DOCS = Path(__file__).parents[1] / "docs" / "deployment.md"
MARKER = "MARKER-in-a-secret-0123456789-abcdefgh"


def variables(*, secret: bool) -> list[str]:
    """Those whose value is text, by the Settings class itself."""
    return [
        str(field.validation_alias)
        for field in Settings.model_fields.values()
        if ("SecretStr" in str(field.annotation)) == secret and "str" in str(field.annotation).lower()
    ]


def value_of(name: str, core: str = MARKER) -> str:
    return f"postgresql://user:{core}@127.0.0.1:9/name" if name == "DATABASE_URL" else core


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)


def test_every_variable_that_documents_call_secret_is_one() -> None:
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", DOCS.read_text()))
    secret = {name for name in documented if re.search(r"TOKEN|SECRET|PASSWORD|ACCESS_KEY|DATABASE_URL", name)}
    assert secret
    assert secret <= set(variables(secret=True))


@pytest.mark.parametrize("name", variables(secret=True))
@pytest.mark.parametrize("around", ["{}\n", " {}", "{}\r\n", "\t{} ", "\N{NO-BREAK SPACE}{}"])
def test_white_space_around_a_secret_is_none_of_it(name: str, around: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, around.format(value_of(name)))
    settings = read_settings()
    values = [value for value in dict(settings).values() if isinstance(value, SecretStr)]
    assert [value.get_secret_value() for value in values] == [value_of(name)]
    assert MARKER not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize("name", variables(secret=True) + variables(secret=False))
def test_white_space_alone_is_no_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = read_settings()
    monkeypatch.setenv(name, " \n")
    assert read_settings() == unset


@pytest.mark.parametrize("name", sorted({*variables(secret=True)} - {"SECRET_KEY", "DATABASE_URL"}))
@pytest.mark.parametrize("inside", ["\N{EN DASH}", " ", "\n", "\0", "\N{ZERO WIDTH SPACE}", "é"])
def test_what_no_header_can_carry_is_refused_by_name(name: str, inside: str) -> None:
    with pytest.raises(BadInput, match=rf"{name} must be visible ASCII .* character 39 ") as refused:
        read_settings(**{name: f"{MARKER}{inside}{MARKER}"})
    assert MARKER not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", f"postgresql://user:pass@{MARKER}@host/name"),
        ("DATABASE_URL", f"postgresql://user:{MARKER}@host@host/name"),
        ("DATABASE_URL", f"postgresql://user:p/{MARKER}@x@host/name"),
        ("DATABASE_URL", f"mysql://user:{MARKER}@host/name"),
        ("DATABASE_URL", f"user:{MARKER}@host"),
        ("METRICS_TOKEN", "MARKER"),
        ("SECRET_KEY", "MARKER"),
        ("PUBLIC_URL", "lab.example"),
        ("PUBLIC_URL", f"https://user:{MARKER}@lab.example"),
        ("PUBLIC_URL", "https://lab.example:port"),
        ("PUBLIC_URL", "https://lab.example/\N{EN DASH}"),
        ("PROLIFIC_URL", "ftp://api.example"),
        ("PROLIFIC_URL", f"https://{MARKER}@api.example"),
        ("S3_ENDPOINT_URL", f"https://user:{MARKER}@s3.example"),
        ("MTURK_ENDPOINT_URL", "https://mturk.example/path"),
        ("PROLIFIC_WORKSPACE", "5f/../7"),
        ("PROLIFIC_WORKSPACE", "5f\N{EN DASH}7"),
        ("LOOKALIKE_IMPORTS", "s3:bucket"),
    ],
)
def test_a_wrong_value_is_named_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(BadInput, match=rf"The environment is not usable: {name} must ") as refused:
        read_settings(**{name: value})
    assert "MARKER" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%40ss@host:5432/name",
        "postgresql+psycopg://lookalike@/lookalike?host=%2Ftmp%2Fsocket&port=5433",
        "postgres://user@server:p/a:b?c#d e@[::1]:5432/name?sslmode=require",
        "postgresql:///name?host=/var/run/postgresql",
    ],
)
def test_addresses_of_databases_that_are_right(url: str) -> None:
    found = read_settings(DATABASE_URL=url).database_url
    assert found is not None
    assert found.get_secret_value() == url


def test_no_error_of_ours_holds_a_secret() -> None:
    register([MARKER])
    for before in ("", "T", "To", "Token "):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode((before + MARKER + "\r\n").encode()).decode()
            assert "[secret]" in redact(f"it said {text}, no more")
    spelled = quote(f"a/{MARKER}", safe="")
    assert str(Conflict(f"It said {MARKER}, {spelled}.")) == "It said [secret], a%2F[secret]."
    register(["lookalike"])
    assert redact("lookalike up") == "lookalike up"


def test_no_line_of_a_log_holds_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    register([MARKER])
    before = structlog.get_config()
    try:
        configure_logs()
        try:
            header = {"Authorization": f"Token {MARKER}"}
            raise ValueError(f"Illegal header value {header['Authorization']!r}")
        except ValueError:
            structlog.get_logger().exception("failed", sent=header)
            logging.getLogger("a.library").exception("failed with %s", header)
        told = capsys.readouterr().err
        assert told.count("Traceback") == 2
        assert "[secret]" in told
        assert MARKER not in told
    finally:
        structlog.configure(**before)
