"""What comes before a request is one, over real sockets: its head is bounded in size and in time."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import pytest

from app.settings import Settings
from app.web import http_protocol
from app.web.http_protocol import MAX_HEAD, MAX_HEADERS
from app.web.limits import SECURITY_HEADERS
from tests.conftest import serving

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def hasty(settings: Settings) -> Iterator[tuple[str, int]]:
    """A server that gives a head a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_protocol, "HEAD_SECONDS", 1.0)
        with serving(settings) as url:
            host, port = url.removeprefix("http://").split(":")
            yield host, int(port)


def talk(to: tuple[str, int], *pieces: bytes, until_closed: bool = True) -> bytes:
    """What comes back until the server ends the connection; 20 s at most."""
    with closing(socket.create_connection(to, timeout=20)) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        answer = b""
        try:
            while data := connection.recv(65536):
                answer += data
                if not until_closed:
                    break
        except ConnectionResetError:
            pass
        return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def require_our_shape(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert status_of(answer) == status, answer[:300]
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["detail"]
    headers = {line.split(":", 1)[0].lower(): line.split(": ", 1)[1] for line in head.decode().split("\r\n")[1:]}
    assert headers["content-type"] == "application/problem+json"
    assert headers.items() >= {name.lower(): value for name, value in SECURITY_HEADERS.items()}.items()


@pytest.mark.parametrize(
    "head",
    [
        GET + b"Cookie: " + b"c" * MAX_HEAD + b"\r\n\r\n",
        b"GET /studies/x?participant=" + b"p" * MAX_HEAD + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"x" * MAX_HEAD + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        GET + b"".join(b"X-%d: 1\r\n" % number for number in range(MAX_HEADERS + 1)) + b"\r\n",
        GET + b"X: " + b"y" * 3_000_000,  # a line that never ends
        GET + b"Y" * 3_000_000,
        b"GET /" + b"x" * 3_000_000,
    ],
    ids=["cookie", "query", "path", "many", "endless value", "endless name", "endless path"],
)
def test_a_head_that_is_too_long_is_refused(hasty: tuple[str, int], head: bytes) -> None:
    answer = talk(hasty, head)
    # Whoever sends on and on may be cut off before they read it.
    if answer or len(head) < 1_000_000:
        require_our_shape(answer, 431)


@pytest.mark.parametrize("begun", [b"G", GET, GET + b"X: y", b"\r\n"], ids=["byte", "lines", "value", "line end"])
def test_a_head_that_does_not_end_is_given_up(hasty: tuple[str, int], begun: bytes) -> None:
    started = monotonic()
    require_our_shape(talk(hasty, begun), 408)
    assert monotonic() - started < 15


def test_who_says_nothing_is_let_go(hasty: tuple[str, int]) -> None:
    assert talk(hasty) == b""


def test_a_drip_buys_no_time(hasty: tuple[str, int]) -> None:
    """A byte now and then, which would keep any limit on silence happy."""
    with closing(socket.create_connection(hasty, timeout=20)) as connection:
        connection.settimeout(0.2)
        started, ended = monotonic(), False
        while not ended and monotonic() - started < 15:
            try:
                connection.sendall(b"X")
                ended = status_of(connection.recv(1000)) == 408
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                ended = True
    assert ended


def test_line_ends_between_requests_buy_no_time(hasty: tuple[str, int]) -> None:
    with closing(socket.create_connection(hasty, timeout=20)) as connection:
        connection.sendall(GET + b"\r\n")
        assert status_of(connection.recv(65536)) == 200
        connection.settimeout(0.2)
        started, ended = monotonic(), False
        while not ended and monotonic() - started < 15:
            try:
                connection.sendall(b"\r\n")
                answer = connection.recv(1000)
                ended = answer == b"" or status_of(answer) == 408
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                ended = True
    assert ended


def test_what_browsers_send_is_answered(hasty: tuple[str, int]) -> None:
    long = b"Cookie: " + b"c" * 8_000 + b"\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(50))
    one = GET + long + b"\r\n"
    last = GET + b"Connection: close\r\n\r\n"
    assert talk(hasty, one[:30], one[30:5_000], one[5_000:], one, last).count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "request_line",
    [
        b"nonsense\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_request_is_told_so(hasty: tuple[str, int], request_line: bytes) -> None:
    require_our_shape(talk(hasty, request_line), 400)


@pytest.mark.parametrize(
    "lines",
    [
        b"Host: [::1\r\n",
        b"Host: a b\r\n",
        b"Host: evil.example/\r\n",
        b"Host: user@evil.example\r\n",
        b"Host: a\r\nHost: b\r\n",
        b"Host: a:99999999\r\n",
        b"Host: \xff\r\n",
    ],
)
def test_a_host_that_is_none_is_refused(hasty: tuple[str, int], lines: bytes) -> None:
    require_our_shape(talk(hasty, b"GET /nowhere HTTP/1.1\r\nConnection: close\r\n" + lines + b"\r\n"), 400)


@pytest.mark.parametrize(
    ("address", "status"), [(b"/studies/a%00b", 404), (b"/studies/x?participant=%00", 422), (b"/static/%00", 404)]
)
def test_a_null_character_is_refused(hasty: tuple[str, int], address: bytes, status: int) -> None:
    request = b"GET " + address + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    require_our_shape(talk(hasty, request), status)


def test_whoever_hangs_up_is_no_failure_of_ours(hasty: tuple[str, int], capfd: pytest.CaptureFixture[str]) -> None:
    """Half a body, and gone: a route that reads JSON, one that reads a form, one that reads bytes."""
    for path in (b"/studies/x/assignments", b"/admin/sign-in", b"/hooks/prolific", b"/assignments/x/judgments"):
        head = b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        for length in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
            with closing(socket.create_connection(hasty, timeout=20)) as connection:
                connection.sendall(head + length)
    figures = talk(hasty, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").decode()
    assert 'status="500"' not in figures
    assert "Traceback" not in "".join(capfd.readouterr())
