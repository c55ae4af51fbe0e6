"""One device with the model that is loaded on it: batches go through one at a time, and are stored beside the next."""

import io
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import structlog
from PIL import Image
from sqlalchemy.exc import OperationalError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from app.db import Sessions
from app.errors import Unavailable
from app.generators.diffusion_models import require_libraries
from app.services.generation import batches
from app.services.generation.batches import Made, MadeItem, Overtaken, Work
from app.services.items import images
from app.services.items.images import CheckedImage
from app.storage import Storage
from worker.generator import CannotGenerate, Drawn, Generator, Stopped, Stopping
from worker.heartbeat import Heartbeat
from worker.procedural_generator import Procedural

log = structlog.get_logger()

_COMPRESSION = 3
"""PNG level: a third to seven tenths of the default's time, for up to a quarter more bytes (drawings; photographs need
a few hundredths more)."""
_LOWEST = 19
"""The priority that gives way to all others."""


class GenerationEngine:
    """Makes batches. `problem` is why it cannot, since it last tried."""

    def __init__(self, sessions: Sessions, storage: Storage, heartbeat: Heartbeat, *, device: str | None) -> None:
        self.problem: str | None = None
        self._sessions = sessions
        self._storage = storage
        self._heartbeat = heartbeat
        self._device = device
        self._one_at_a_time = threading.Lock()
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._encoders = ThreadPoolExecutor(thread_name_prefix="encode", initializer=_give_way)
        self._generator: Generator | None = None
        self._loaded: tuple[object, ...] = ()

    def prepare(self) -> bool:
        """Load what the next batch needs, before taking jobs; False if it cannot be loaded.

        On the caller's thread, which a signal can stop.
        """
        with self._sessions() as session:
            work = batches.next_waiting(session)
        try:
            with self._one_at_a_time, self._problems_said():
                if work is not None:
                    self._load(work)
        except CannotGenerate:
            return False
        return True

    def close(self) -> None:
        """Let go of the model and the threads."""
        self._generator = None
        self._model_thread.shutdown(wait=False)
        self._encoders.shutdown(wait=False)

    def make(self, batch_id: int, stopping: Stopping) -> None:
        """Make a batch and store it, if it still waits.

        Raises:
            Stopped: nothing was stored. CannotGenerate: the same, and this worker must take no further jobs.
        """
        with self._sessions() as session:
            work = batches.waiting(session, batch_id=batch_id)
        if work is None:
            return
        drawn, seconds = self._model_thread.submit(self._draw, work, stopping).result()
        self._store(work, self._encoded(work, drawn, seconds), stopping)

    def _draw(self, work: Work, stopping: Stopping) -> tuple[Drawn, float]:
        """The images, and the seconds that they took."""
        with self._one_at_a_time, self._problems_said():
            if stopping():
                raise Stopped
            started = time.monotonic()
            drawn = self._load(work).make(work, stopping)
            return drawn, time.monotonic() - started

    @contextmanager
    def _problems_said(self) -> Iterator[None]:
        try:
            yield
        except CannotGenerate as error:
            self._generator = None  # whatever is wrong with it: next time it is loaded again
            self.problem = str(error)
            raise
        else:
            self.problem = None
        finally:
            self._report()

    def _report(self) -> None:
        model = None if self._generator is None else str(self._loaded[1] or self._loaded[0])
        note = None if self._generator is None else self._generator.note
        self._heartbeat.set_status(model=model, note=note, problem=self.problem)

    def _load(self, work: Work) -> Generator:
        wanted = (work.generator, work.model, work.revision, work.options)
        if self._generator is None or self._loaded != wanted:
            self._generator = None  # the old model makes room first
            self._generator, self._loaded = self._new_generator(work), wanted
        return self._generator

    def _new_generator(self, work: Work) -> Generator:
        if work.generator == "procedural":
            return Procedural()
        try:
            require_libraries()
        except Unavailable as error:
            raise CannotGenerate(error.message) from None
        from worker.text_to_image import TextToImage

        assert work.model is not None
        assert work.revision is not None
        return TextToImage.load(work.model, work.revision, work.options, self._device)

    def _store(self, work: Work, made: Made, stopping: Stopping) -> None:
        """Work on the device is dear: a database or storage that is away is waited for."""
        for attempt in Retrying(
            retry=retry_if_exception_type((OperationalError, Unavailable)),
            wait=wait_exponential(max=10),
            stop=lambda _: stopping(),
            before_sleep=lambda state: log.warning("a batch could not be stored yet", error=_error(state)),
            reraise=True,
        ):
            with attempt:
                self._store_once(work, made)

    def _store_once(self, work: Work, made: Made) -> None:
        with self._sessions() as session:
            if batches.waiting(session, batch_id=work.batch_id) is None:
                return
        with suppress(Overtaken), self._sessions.begin() as session:
            batches.finish(session, self._storage, work=work, made=made)

    def _encoded(self, work: Work, drawn: Drawn, seconds: float) -> Made:
        generated = [image for item in drawn.items for image in item.images]
        derivative = images.DERIVATIVE_FOR[work.kind]
        checked = list(self._encoders.map(lambda image: _checked(image, derivative), generated))
        items = []
        for position, item in enumerate(drawn.items):
            start = position * len(item.images)
            own: Sequence[CheckedImage] = checked[start : start + len(item.images)]
            items.append(MadeItem(item.wanted, own, item.origins, item.distances))
        return Made(items, drawn.rejected, drawn.calls, seconds)


def _give_way() -> None:
    """Encode when the model leaves a core free: it waits for the slowest of its threads."""
    if sys.platform == "linux":  # where threads have priorities of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)


def _checked(image: Image.Image, derivative: str) -> CheckedImage:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", compress_level=_COMPRESSION)
    return images.check(buffer.getvalue(), name="a generated image", derivative=derivative)


def _error(state: RetryCallState) -> str:
    return str(state.outcome.exception()) if state.outcome else ""
