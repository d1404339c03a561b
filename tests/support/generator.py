"""A stand-in for `ig` that numbers its events, so that tests can say exactly what is missing.

Run as a program it takes `ig run`'s command line: `generator.py FOLDER RATE run IMAGE …`. Its
numbers go on across restarts: they are kept per `--k8s-namespace` in FOLDER, together with a log of
every number and timestamp, written before the line itself is printed. RATE is events per second,
0 = as fast as it can; LIMIT (`RATE:LIMIT`) ends the events, not the program. A file `FOLDER/quiet`
pauses it.

Imported, it reads those logs.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
from pathlib import Path

RECORD = struct.Struct("<qq")
"""number, timestamp (ns)"""
LINE = (
    '{"k8s":{"containerName":"app","hostnetwork":false,"namespace":"%s","node":"node-1",'
    '"owner":{"kind":"Deployment","name":"shop"},"podLabels":"app=shop,tier=web",'
    '"podName":"shop-7d4b9c6f5-x2x9z"},"proc":{"comm":"curl","creds":{"gid":0,"uid":0},'
    '"mntns_id":4026533126,"parent":{"comm":"sh","pid":4711},"pid":31337,"tid":31337},'
    '"runtime":{"containerId":"b6d5f1c0aa1b","containerImageDigest":"sha256:0123456789abcdef",'
    '"containerImageName":"docker.io/library/shop:1.4","containerName":"app",'
    '"containerPid":4000,"runtimeName":"containerd"},'
    '"dst":{"addr":"10.96.0.1","port":443,"version":4},"src":{"addr":"10.244.1.7","port":51234,'
    '"version":4},"n":%d,"timestamp":"2026-11-22T22:00:18.000000000Z","timestamp_raw":%d,'
    '"type":"connect"}\n'
)


def sent(folder: Path, key: str) -> dict[int, int]:
    """Return what was sent under `key`: number to timestamp (ns)."""
    path = folder / f"{key}.sent"
    data = path.read_bytes() if path.exists() else b""
    whole = len(data) - len(data) % RECORD.size
    return dict(RECORD.iter_unpack(data[:whole]))


def _last(path: Path) -> int:
    size = path.stat().st_size if path.exists() else 0
    if size < RECORD.size:
        return 0
    with path.open("rb") as file:
        file.seek(size - size % RECORD.size - RECORD.size)
        number: int = RECORD.unpack(file.read(RECORD.size))[0]
        return number


class Generator:
    """Prints events until it is told to stop."""

    def __init__(self, folder: Path, key: str, rate: float, limit: int) -> None:
        self.folder = folder
        self.key = key
        self.rate = rate
        self.limit = limit
        self.log = os.open(folder / f"{key}.sent", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.number = _last(folder / f"{key}.sent")
        self.stopping = False

    def stop(self, *_: object) -> None:
        self.stopping = True

    def emit(self, count: int) -> None:
        first = self.number + 1
        now = time.time_ns()
        numbers = [(n, now + n - first) for n in range(first, first + count)]
        os.write(self.log, b"".join(RECORD.pack(*item) for item in numbers))
        text = "".join(LINE % (self.key, *item) for item in numbers).encode()
        while text:
            text = text[os.write(1, text) :]
        self.number += count

    def run(self) -> None:
        begun, done = time.monotonic(), 0
        while not self.stopping:
            if (self.folder / "quiet").exists():
                begun, done = time.monotonic(), 0
                time.sleep(0.02)
                continue
            due = int((time.monotonic() - begun) * self.rate) - done if self.rate else 500
            due = min(due, 5_000, self.limit - self.number if self.limit else due)
            if due > 0:
                self.emit(due)
                done += due
            if self.rate or due <= 0:
                time.sleep(0.01)


def _key(argv: list[str]) -> str:
    for flag in ("--k8s-namespace", "--namespace", "-n"):
        if flag in argv:
            return argv[argv.index(flag) + 1]
        for arg in argv:
            if arg.startswith(flag + "="):
                return arg.partition("=")[2]
    return "all"


def main(argv: list[str]) -> int:
    if argv[2:3] != ["run"]:
        print("v0.55.0")
        return 0
    rate, _, limit = argv[1].partition(":")
    generator = Generator(Path(argv[0]), _key(argv[3:]), float(rate), int(limit or 0))
    signal.signal(signal.SIGINT, generator.stop)
    signal.signal(signal.SIGTERM, generator.stop)
    message = 'time="2026-11-22T22:00:18Z" level=warning msg="image signature verification is off"'
    print(message, file=sys.stderr, flush=True)
    try:
        generator.run()
    except BrokenPipeError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
