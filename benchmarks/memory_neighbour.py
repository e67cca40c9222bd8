"""Somebody else's program that takes memory when it is told to: ``python -m benchmarks.memory_neighbour``.

Reads two numbers a line: MiB to hold from now on, and a mark below that. Answers with the CLOCK_MONOTONIC just before it
passed the mark, within a MiB; with the time of the answer where it did not have to. Ends with its input. A process of its
own; it knows nothing of campaigns.
"""

import sys
import time

from benchmarks.busy_cores import be_prompt
from stress_scenarios.loads.memory import MemoryChunks

LIFE_S_MAX = 600.0
"""It ends by itself, should whoever started it be gone without closing its input."""


def hold(memory: MemoryChunks, *, wanted_bytes: int, mark_bytes: int) -> float:
    """Hold so much; when the mark was still not passed."""
    before_mark_s = time.monotonic()

    def may_go_on() -> bool:
        nonlocal before_mark_s
        if memory.held_bytes < mark_bytes:
            before_mark_s = time.monotonic()
        return True

    if wanted_bytes < memory.held_bytes:
        memory.shrink(wanted_bytes)
    else:
        memory.grow(wanted_bytes, may_go_on=may_go_on)
    return before_mark_s


def main() -> None:
    """Hold what is asked."""
    be_prompt()
    memory = MemoryChunks()
    ends_s = time.monotonic() + LIFE_S_MAX
    for line in sys.stdin:
        wanted, mark = (int(word) << 20 for word in line.split())
        print(f"{hold(memory, wanted_bytes=wanted, mark_bytes=mark):.6f}", flush=True)
        if time.monotonic() > ends_s:
            return


if __name__ == "__main__":
    main()
