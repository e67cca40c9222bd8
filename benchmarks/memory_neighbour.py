"""Somebody else's program that takes memory when it is told to: ``python -m benchmarks.memory_neighbour``.

Reads numbers, one a line: MiB to hold from now on. Answers each with the CLOCK_MONOTONIC before and after it had touched
them. Ends with its input. A process of its own; it knows nothing of campaigns.
"""

import sys
import time

from stress_scenarios.loads.memory import MemoryChunks

LIFE_S_MAX = 600.0
"""It ends by itself, should whoever started it be gone without closing its input."""


def main() -> None:
    """Hold what is asked."""
    memory = MemoryChunks()
    ends_s = time.monotonic() + LIFE_S_MAX
    for line in sys.stdin:
        wanted, began_s = int(line) << 20, time.monotonic()
        if wanted < memory.held_bytes:
            memory.shrink(wanted)
        else:
            memory.grow(wanted, may_go_on=lambda: True)
        print(f"{began_s:.6f} {time.monotonic():.6f}", flush=True)
        if time.monotonic() > ends_s:
            return


if __name__ == "__main__":
    main()
