"""A host's memory that exists in numbers only, and a clock that is moved by hand."""

from collections.abc import Callable

from stress_scenarios.loads.memory import MemoryRefusedError

MIB = 1 << 20


class FakeClock:
    """CLOCK_MONOTONIC, by hand."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """Now."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


class FakeMemory:
    """Holds what it is told to, up to what the kernel gives. touch_s: how long touching a MiB takes on the clock."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.held_bytes = 0
        self.given_bytes = 1 << 60
        self.swapped_bytes = 0
        self.touch_s = 0.0
        self.after_touch: Callable[[], None] = lambda: None
        self.shrinks: list[int] = []
        self.refusals = 0

    def resident_bytes(self) -> int:
        """The process's own 15 MiB and what it holds."""
        return 15 * MIB + self.held_bytes - min(self.swapped_bytes, self.held_bytes)

    def grow(self, to_bytes: int, *, may_go_on: Callable[[], bool]) -> None:
        """A MiB after the other."""
        while self.held_bytes < to_bytes and may_go_on():
            step = min(MIB, to_bytes - self.held_bytes)
            if self.held_bytes + step > self.given_bytes:
                self.refusals += 1
                raise MemoryRefusedError("no more")
            self.held_bytes += step
            self._clock.sleep(self.touch_s)
            self.after_touch()

    def shrink(self, to_bytes: int) -> None:
        """At once."""
        self.shrinks.append(to_bytes)
        self.held_bytes = min(self.held_bytes, to_bytes)
