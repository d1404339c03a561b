"""A query worker: a process that answers one question at a time and can be told to stop.

It reads questions from the socket that is its stdin. A second thread listens meanwhile: a question
with no content takes back the one of its number, and the end of the socket (the owner is gone,
even by SIGKILL) ends the process at once, in the middle of whatever it does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from igdash.domain.threads import spawn
from igdash.services.frames import Frames, Gone
from igdash.services.memory import rss_bytes

log = logging.getLogger(__name__)

NICENESS: Final = 5
"""Collecting and the web process come first."""
MAX_MEMORY: Final = 1_073_741_824
"""A worker that has ever held more bytes than this ends after its answer: Python gives little back,
and the next one starts small."""
MORE: Final = b"\0"
"""First byte of an answer after which this worker takes another question …"""
LAST: Final = b"\1"
"""… and of the last one it gives."""
NEWS: Final = b"\2"
"""First byte of what is told before the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """The other side of a question: whether the answer is still wanted, and whom to tell how far
    it has come."""

    cancelled: Callable[[], bool]
    tell: Callable[[bytes], None]


Answer = Callable[[bytes, Hearing], bytes]
"""Answers a question; asks often whether it was taken back. Does not raise."""


class Inbox:
    """What came from the owner: questions in order, and up to which number they were taken back."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._questions: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        self._dropped = 0

    def listen(self) -> None:
        """Take in messages until the owner is gone, then end the process."""
        with contextlib.suppress(Gone):
            while True:
                message = self._frames.receive(None)
                if message is not None and message[1]:
                    self._questions.put(message)
                elif message is not None:
                    self._dropped = max(self._dropped, message[0])
        os._exit(0)

    def next(self) -> tuple[int, bytes]:
        """Return the next question and its number."""
        return self._questions.get()

    def dropped(self, number: int) -> bool:
        """Whether nobody waits for the answer to this question."""
        return self._dropped >= number


def work(ours: socket.socket, make: Callable[[bytes], Answer]) -> None:
    """Answer questions until the owner is gone. `make` gets the first message, which says what to
    open; what it raises ends the process after a line in the log."""
    os.nice(NICENESS)
    frames = Frames(ours)
    inbox = Inbox(frames)
    spawn("inbox", inbox.listen)
    number, hello = inbox.next()
    answer = make(hello)
    frames.send(number, LAST if _too_big() else MORE)
    while not _too_big():
        number, question = inbox.next()
        said = answer(question, _hearing(frames, inbox, number))
        frames.send(number, (LAST if _too_big() else MORE) + said)


def _hearing(frames: Frames, inbox: Inbox, number: int) -> Hearing:
    return Hearing(
        cancelled=lambda: inbox.dropped(number),
        tell=lambda news: frames.send(number, NEWS + news),
    )


def _too_big() -> bool:
    # Not its peak: that begins with the peak of the process that started this one.
    return rss_bytes() > MAX_MEMORY
