"""A server that takes connections and requests, and never answers: what a suspended process looks like."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Silence:
    def __init__(self, url: str) -> None:
        self.url = url
        self.requests = 0


@contextmanager
def silent_server() -> Iterator[Silence]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silence = Silence(f"http://127.0.0.1:{listener.getsockname()[1]}")
        taken: list[socket.socket] = []

        def take() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    taken.append(connection)
                    silence.requests += 1

        threading.Thread(target=take, daemon=True).start()
        yield silence
        listener.shutdown(socket.SHUT_RDWR)  # which ends the wait for the next
        for connection in taken:
            connection.close()
