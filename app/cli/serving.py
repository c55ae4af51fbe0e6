"""`serve`, `worker` and `up`."""

import shlex
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.console import HOME, Home, err, plain_errors, settings_for
from app.cli.server_address import announced
from app.cli.supervisor import Child, supervise
from app.db import open_sessions
from app.errors import BadInput, Unavailable
from app.queue import DEFAULT, GPU, QUEUES
from app.signals import end_undisturbed

if TYPE_CHECKING:
    from uvicorn import Server

HOST = "127.0.0.1"
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]


def serve(port: Port = 8000, host: Host = HOST, home: Home = HOME) -> None:
    """Run the web server.

    Example: lookalike serve --port 8000
    """
    from app.main import create_app
    from app.web.server import server_of

    with plain_errors():
        settings = settings_for(home)
        with (
            listen(host, port, command=as_given("serve", host, home)) as listener,
            open_sessions(settings),
            announced(settings.home, listener),
        ):
            server = server_of(create_app(settings), settings)
            _run(server, listener)
    if not server.started:
        raise typer.Exit(1)


def _run(server: "Server", listener: socket.socket) -> None:
    """Until a signal to stop. uvicorn ends in order and then sends itself the signal once more, as if it had not."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    end_undisturbed()


def worker(
    queue: Annotated[str, typer.Option(help="default: rounds and leases; gpu: generation.")] = DEFAULT,
    device: Annotated[
        str | None, typer.Option(help="gpu: what the model runs on, such as cuda:1; the first accelerator if not said.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, max=64, help="Jobs at a time.")] = None,
    home: Home = HOME,
) -> None:
    """Run a worker: it closes rounds, opens the next and expires leases; or, on the queue gpu, generates items.

    Example: lookalike worker --queue gpu --device cuda:1
    """
    from worker.__main__ import run

    with plain_errors():
        if queue not in QUEUES:
            raise BadInput(f"--queue is one of {', '.join(QUEUES)} (got {queue!r}).")
        if device is not None and queue != GPU:
            raise BadInput("--device goes with --queue gpu.")
        run(settings_for(home), queue=queue, device=device, concurrency=concurrency)


def up(port: Port = 8000, host: Host = HOST, home: Home = HOME) -> None:
    """Run server and worker together, for one machine. Ctrl-C ends both.

    Example: lookalike up --port 8000
    """
    with plain_errors():
        settings = settings_for(home)
        command = as_given("up", host, home)
        require_port(host, port, command=command)
        with open_sessions(settings):
            err.print(f"[bold]Lookalike[/] at [cyan]http://{host}:{port}[/]  [dim](Ctrl-C to stop)[/]")
            supervise(
                [
                    server_child(host, port, home, command=command),
                    Child("worker", ["worker", "--home", str(home)]),
                ]
            )


def server_child(host: str, port: int, home: Path, *, command: str) -> Child:
    arguments = ["serve", "--port", str(port), "--host", host, "--home", str(home)]
    return Child("server", arguments, check=lambda: require_port(host, port, command=command))


def as_given(command: str, host: str, home: Path) -> str:
    """The command with what was said of where: messages name what can be copied as it is."""
    options = [] if host == HOST else ["--host", host]
    options += [] if home == HOME else ["--home", str(home)]
    return shlex.join([*command.split(), *options])


def require_port(host: str, port: int, *, command: str) -> None:
    """Say now that the port is taken, not from a child that keeps failing. Raises Unavailable like `listen`."""
    listen(host, port, command=command).close()


def listen(host: str, port: int, *, command: str) -> socket.socket:
    """Raises Unavailable, saying what to do, if the port is taken."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {host}:{port}: {error.strerror}. Stop what runs there, or choose another --port: "
            f"lookalike {command} --port {port + 1}"
        ) from None
