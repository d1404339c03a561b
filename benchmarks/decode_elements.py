"""How fast data elements become JSON: against a loop that only parses the protobuf messages.

Both loops read the same recorded messages, turn by turn, so that a busy machine hits both. The row
numbers are made different in each message (timestamps), as they are in life: caches get no help
that they would not have there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from igdash.sources.elements import RowFormat
from igdash_wire import ig_pb2 as pb
from tests.support.daemon import messages_of

STREAMS = ("trace_open", "trace_tcp", "trace_dns", "trace_exec", "trace_signal", "top_tcp")
ROUNDS = 15


def best(work: Callable[[], int]) -> float:
    """Return the CPU seconds per row of one pass."""
    start = time.process_time()
    rows = work()
    return (time.process_time() - start) / rows


def measure(name: str) -> tuple[int, float, float, float]:
    """Return rows and µs per row: parse only, parse and list the payload, parse and decode."""
    formats: dict[int, RowFormat] = {}
    messages: list[tuple[RowFormat, bytes]] = []
    for event, _ in messages_of(name):
        if event.type == 4:
            info = pb.GadgetInfo.FromString(event.payload)
            formats = {source.id: RowFormat(source) for source in info.dataSources}
        elif event.type == 0:
            messages.append((formats[event.dataSourceID], event.SerializeToString()))
    messages *= max(1, 2_000 // len(messages))

    def run(each: Callable[[RowFormat, list[bytes]], object] | None) -> int:
        rows = 0
        for form, message in messages:
            event = pb.GadgetEvent.FromString(message)
            if form.is_array:
                elements = pb.GadgetDataArray.FromString(event.payload).dataArray
            else:
                elements = [pb.GadgetData.FromString(event.payload).data]
            rows += len(elements)
            if each is not None:
                for element in elements:
                    each(form, element.payload)
        return rows

    runs: list[Callable[[], int]] = [
        lambda: run(None),
        lambda: run(lambda _, payload: list(payload)),
        lambda: run(lambda form, payload: form.row(payload)),
    ]
    found = [
        min(costs) for costs in zip(*[[best(r) for r in runs] for _ in range(ROUNDS)], strict=True)
    ]
    return run(None), *(cost * 1e6 for cost in found)  # type: ignore[return-value]


def main() -> None:
    print(
        f"{'stream':<28}{'rows':>7}{'parse µs':>10}{'+ list µs':>11}{'+ decode µs':>13}{'rate ratio':>12}"
    )
    for stream in STREAMS:
        rows, parse, listed, decoded = measure(f"kubernetes-{stream}")
        print(
            f"{stream:<28}{rows:>7}{parse:>10.2f}{listed:>11.2f}{decoded:>13.2f}{parse / decoded:>12.2f}"
        )


if __name__ == "__main__":
    main()
