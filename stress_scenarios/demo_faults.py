"""The faults that the demo service can be given: slow, failing, leaking, browned out, or at the end of its capacity.

A demo against a target that never fails shows nothing. Every fault is real (time is waited, memory is held) and
deterministic: N percent of errors are spread evenly, not thrown by dice. Pure but for the memory that a leak holds;
the demo service's process uses it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from baseline_metrics.codec import Json

SLOWNESS_MS_MAX = 60_000.0
"""A minute: beyond any timeout that a plan for this service would set."""

LEAK_BYTES_MAX = 512 << 20
"""The leak stops here: a demo has to show a leak, not to take the machine down."""

LEAK_KIB_PER_REQUEST_MAX = 1024.0
"""512 requests to the bound; faster than this would be a bang, not a leak."""

BROWNOUT_SLOWNESS_MS = 400.0
"""Added to each answer in a brownout: clearly visible beside the few milliseconds of a normal answer."""

BROWNOUT_ERROR_PERCENT = 30.0
"""Fails every success criterion that the stress levels know (80 % is the lowest)."""

QUEUE_S_MAX = 5.0
"""Beyond its capacity the service queues for this long, and refuses (503) what would wait longer."""


class DemoSettingsError(ValueError):
    """A fault that cannot be set; the message names the field and what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """No brownout is planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brownout:
    """For a while the service is slow and fails: from ``after_s`` (seconds since the start of the service) for ``for_s``."""

    after_s: float
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlimited:
    """The service answers as fast as its process can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cliff:
    """The service finishes at most this many operations per second; what comes faster queues, then is refused."""

    operations_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """All faults at one time. Error percentage 0..100; the leak is real memory, KiB per operation."""

    slowness_ms: float = 0.0
    error_percent: float = 0.0
    leak_kib_per_request: float = 0.0
    brownout: Steady | Brownout = Steady()
    capacity: Unlimited | Cliff = Unlimited()

    def __post_init__(self) -> None:
        _check("slowness_ms", self.slowness_ms, SLOWNESS_MS_MAX)
        _check("error_percent", self.error_percent, 100.0)
        _check("leak_kib_per_request", self.leak_kib_per_request, LEAK_KIB_PER_REQUEST_MAX)
        if isinstance(self.brownout, Brownout):
            _check("brownout_after_s", self.brownout.after_s, 86_400.0)
            _check("brownout_seconds", self.brownout.for_s, 86_400.0)
        if isinstance(self.capacity, Cliff):
            _check("cliff_at_rps", self.capacity.operations_per_s, 1e6)
            if self.capacity.operations_per_s == 0:
                raise DemoSettingsError("cliff_at_rps has to be above 0; leave it out for a service without a cliff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """Answer normally, after this long."""

    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """Answer with an error, after this long; ``detail`` says which fault did it."""

    delay_s: float
    detail: str


class Faults:
    """Decides for each operation what goes wrong with it. Times are seconds since the service's start."""

    def __init__(self, settings: DemoSettings) -> None:
        self.settings = settings
        self._error_debt_percent = 0.0
        self._busy_until_s = 0.0
        self._leaked: list[bytes] = []
        self.leaked_bytes = 0

    def decide(self, now_s: float) -> Serve | Fail:
        """What happens to the operation that arrives now. Takes the leak's memory as well."""
        self._leak()
        slowness_ms, error_percent = self._current(now_s)
        queue_s = self._queue_s(now_s)
        if queue_s > QUEUE_S_MAX:
            return Fail(delay_s=0.0, detail="over capacity")
        delay_s = queue_s + slowness_ms / 1000.0
        self._error_debt_percent += error_percent
        if self._error_debt_percent >= 100.0:
            self._error_debt_percent -= 100.0
            return Fail(delay_s=delay_s, detail="an error was asked for")
        return Serve(delay_s=delay_s)

    def in_brownout(self, now_s: float) -> bool:
        """Whether the planned brownout is on."""
        planned = self.settings.brownout
        return isinstance(planned, Brownout) and planned.after_s <= now_s < planned.after_s + planned.for_s

    def _current(self, now_s: float) -> tuple[float, float]:
        if not self.in_brownout(now_s):
            return self.settings.slowness_ms, self.settings.error_percent
        return (
            self.settings.slowness_ms + BROWNOUT_SLOWNESS_MS,
            max(self.settings.error_percent, BROWNOUT_ERROR_PERCENT),
        )

    def _queue_s(self, now_s: float) -> float:
        """How long this operation waits for its turn, in a queue served at the cliff's rate (a D/D/1 queue)."""
        capacity = self.settings.capacity
        if isinstance(capacity, Unlimited):
            return 0.0
        # An idle service takes the first operation at once, so the wait excludes the operation's own slot.
        wait_s = max(0.0, self._busy_until_s - now_s)
        if wait_s <= QUEUE_S_MAX:
            self._busy_until_s = max(now_s, self._busy_until_s) + 1.0 / capacity.operations_per_s
        return wait_s

    def _leak(self) -> None:
        block_bytes = int(self.settings.leak_kib_per_request * 1024)
        if block_bytes == 0 or self.leaked_bytes + block_bytes > LEAK_BYTES_MAX:
            return
        # Written bytes, not zeroes: a page that nobody wrote to is not resident, and would be no leak.
        self._leaked.append(b"\xa5" * block_bytes)
        self.leaked_bytes += block_bytes


def changed(settings: DemoSettings, document: Mapping[str, Json], *, now_s: float) -> DemoSettings:
    """Apply a change sent at run time. A brownout's start counts from now. Raises DemoSettingsError.

    Known: slowness_ms, error_percent, leak_kib_per_request, cliff_at_rps (null: none), brownout_seconds (null: none)
    with brownout_after_s (default: at once).
    """
    known = {
        "slowness_ms",
        "error_percent",
        "leak_kib_per_request",
        "cliff_at_rps",
        "brownout_seconds",
        "brownout_after_s",
    }
    unknown = sorted(set(document) - known)
    if unknown:
        raise DemoSettingsError(f"unknown: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    result = settings
    if "slowness_ms" in document:
        result = replace(result, slowness_ms=_number(document, "slowness_ms"))
    if "error_percent" in document:
        result = replace(result, error_percent=_number(document, "error_percent"))
    if "leak_kib_per_request" in document:
        result = replace(result, leak_kib_per_request=_number(document, "leak_kib_per_request"))
    if "cliff_at_rps" in document:
        unlimited = document["cliff_at_rps"] is None
        result = replace(
            result,
            capacity=Unlimited() if unlimited else Cliff(operations_per_s=_number(document, "cliff_at_rps")),
        )
    if "brownout_seconds" in document:
        result = replace(result, brownout=_brownout(document, now_s))
    elif "brownout_after_s" in document:
        raise DemoSettingsError("brownout_after_s needs brownout_seconds beside it")
    return result


def _brownout(document: Mapping[str, Json], now_s: float) -> Steady | Brownout:
    if document["brownout_seconds"] is None:
        return Steady()
    after_s = _number(document, "brownout_after_s") if "brownout_after_s" in document else 0.0
    return Brownout(after_s=now_s + after_s, for_s=_number(document, "brownout_seconds"))


def _number(document: Mapping[str, Json], name: str) -> float:
    value = document[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DemoSettingsError(f"{name} has to be a number")
    return float(value)


def _check(name: str, value: float, most: float) -> None:
    if not (math.isfinite(value) and 0.0 <= value <= most):
        raise DemoSettingsError(f"{name} is {value:g}; it has to be between 0 and {most:g}")
