"""A query worker for tests of the pool: it does what the question says."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from igdash.services import query_worker


def make(hello: bytes) -> query_worker.Answer:
    if hello == b"refuse":
        raise SystemExit(3)
    if hello.startswith(b"/"):
        Path(hello.decode()).touch()

    def answer(question: bytes, hearing: query_worker.Hearing) -> bytes:
        word = question.decode()
        if word == "die":
            os._exit(9)
        if word == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if word == "grow":
            query_worker.MAX_MEMORY = 1
        if word == "obey":
            pause = threading.Event()
            while not hearing.cancelled():
                pause.wait(0.01)
        if word == "count":
            numbers = itertools.count()
            while not hearing.cancelled():
                hearing.tell(str(next(numbers)).encode())
        if word == "deaf":
            threading.Event().wait(60)
        if word == "big":
            return b"x" * 20_000_000
        return f"{word} {os.getpid()}".encode()

    return answer


if __name__ == "__main__":
    assert sys.argv[1:] == ["worker"]
    query_worker.work(socket.socket(fileno=0), make)
