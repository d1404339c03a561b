"""A stand-in for `ig` and `kubectl-gadget` that behaves as the real ones were seen to.

    python fake_ig.py [OPTION…] run IMAGE [FLAG…]      python fake_ig.py [OPTION…] version

logrus lines on stderr, one JSON object per event on stdout, SIGINT ends it with 0 and a complete
last line, an unknown flag ends it with 1 and `Error: …`. Options before the command say what else
it should do; this file imports nothing but the standard library, so that it starts fast.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

KNOWN = {
    "pid", "comm", "accept-only", "k8s-namespace", "k8s-podname", "containername", "k8s-selector",
    "host", "verify-image", "namespace", "podname", "selector", "node", "all-namespaces",
    "gadget-namespace", "annotate", "timeout",
}  # fmt: skip
EVENT = (
    '{{"k8s":{{"containerName":"c","namespace":"demo","node":"","podName":"p"}},"n":{n},'
    '"runtime":{{"containerName":"c"}},"timestamp_raw":{at}}}'
)


def main(argv: list[str]) -> int:
    options: dict[str, str] = {}
    while argv and argv[0].startswith("--"):
        name, _, value = argv.pop(0)[2:].partition("=")
        options[name] = value
    if argv[0] == "version":
        return version(options)
    return run(options, argv[1:])


def version(options: dict[str, str]) -> int:
    if "version-fails" in options:
        print("Error: no cluster: connection refused", file=sys.stderr)
        return 1
    if "version-hangs" in options:
        time.sleep(60)
    print("v0.55.0-55-gaeac857bd")
    return 0


def log(level: str, text: str) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    print(f'time="{now}" level={level} msg="{quoted}"', file=sys.stderr, flush=True)


def run(options: dict[str, str], args: list[str]) -> int:
    ending: list[int] = []
    if "stubborn" in options:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGINT, lambda *_: ending.append(1))
        signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    if "args" in options:
        Path(options["args"]).write_text("\n".join(args))
    for arg in args[1:]:
        name = arg.lstrip("-").partition("=")[0]
        if arg.startswith("--") and name not in KNOWN:
            print(f"Error: unknown flag: --{name}", file=sys.stderr)
            return 1
    if "fail" in options:
        log("warning", "gadget signature verification is disabled")
        print(f"Error: {options['fail']}", file=sys.stderr)
        return 1
    log("warning", "gadget signature verification is disabled due to using corresponding option")
    return events(options, ending)


def events(options: dict[str, str], ending: list[int]) -> int:
    total = int(options.get("lines", "-1"))
    n = 0
    while not ending and n != total:
        n += 1
        sys.stdout.write(EVENT.format(n=n, at=time.time_ns()) + "\n")
        if n % int(options.get("burst", "1")) == 0:
            sys.stdout.flush()
            time.sleep(float(options.get("every", "0.005")))
    sys.stdout.flush()
    if "lost" in options:
        log("warning", f"reading event: lost {options['lost']} samples")
    if "stay" in options:
        while not ending:
            time.sleep(0.005)
    if "long" in options:
        sys.stdout.write('{"x":"' + "y" * int(options["long"]) + '"}\n')
    if "leave-child" in options and os.fork() == 0:
        time.sleep(60)
    sys.stdout.write('{"last":true}' + ("" if "cut" in options else "\n"))
    sys.stdout.flush()
    return int(options.get("code", "0"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
