"""A real S3 server, and a wire to it that can be cut."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from app.settings import Settings
from app.storage.s3 import Bucket, open_bucket

KEY_ID, SECRET = "lookalike", "not-a-secret"
S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class S3Server:
    """`rclone serve s3` over a folder: a bucket is a folder in it, an object a file."""

    url: str
    folder: Path
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None

    @cached_property
    def bucket(self) -> Bucket:
        """One for all tests that bring a prefix of their own: to make a client takes a third of a second."""
        name = self.make_bucket()
        return open_bucket(self.settings(Path(), name), name)

    def place(self) -> Bucket:
        """An empty part of it."""
        return replace(self.bucket, prefix=f"{secrets.token_hex(6)}/images/")

    def make_bucket(self) -> str:
        name = f"bucket-{secrets.token_hex(6)}"
        (self.folder / name).mkdir()
        return name

    def settings(self, home: Path, bucket: str, **others: str) -> Settings:
        return Settings(LOOKALIKE_HOME=home, S3_BUCKET=bucket, **{"S3_ENDPOINT_URL": self.url} | others)

    def begin(self) -> None:
        self.process = subprocess.Popen(self.command, env=dict(os.environ) | {"GOMAXPROCS": "1"})
        wait_for(self.url.removeprefix("http://"))

    def end(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(10)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """It hangs while the block lasts: connections are taken, and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def running_s3(folder: Path, *, believes_listings: str = "1ms") -> Iterator[S3Server]:
    """The server, which believes for so long what it has seen of a folder: short, where tests change files by hand."""
    folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    command = (
        str(Path(sys.executable).with_name("rclone")), "serve", "s3", str(folder), "--addr", address,
        "--auth-key", f"{KEY_ID},{SECRET}", "--dir-cache-time", believes_listings, "--config", os.devnull,
        "--log-level", "ERROR",
    )  # fmt: skip
    server = S3Server(f"http://{address}", folder, command)
    server.begin()
    try:
        yield server
    finally:
        server.end()


def wait_for(address: str) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on {address}"
            time.sleep(0.02)


class Wire:
    """A TCP proxy. The first `cuts` connections that carry more than `after` bytes one way break off there."""

    def __init__(self, url: str, *, cuts: int, after: int) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._cuts, self._after = cuts, after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._carry, args=(server, client), daemon=True)
            back.start()
            self._carry(client, server)
            back.join()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        carried = 0
        with suppress(OSError):
            while data := source.recv(65536):
                carried += len(data)
                if carried > self._after and self.cut < self._cuts:
                    self.cut += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
