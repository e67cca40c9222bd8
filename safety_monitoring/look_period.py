"""How soon memory has to be looked at again: from what is left of it and how fast it can go. Pure; the guardian uses it."""

from baseline_metrics.samples import Gap, Reading

PERIOD_S_MIN = 0.1
"""The floor of what is worth it: a stop takes a third of that again."""

PERIOD_S_MAX = 1.0
"""Readings older than 2.5 s are not fresh (see judge), and a beat with the newest one goes out every second."""

FILL_BYTES_PER_S = 4 << 30
"""Others may take memory this fast: twice what two processes filled together where this was measured (2.2 GiB/s on two
cores). A load of our own declares its rate, and comes on top."""

LOOKS_BEFORE_FULL = 2
"""Looked at this often before it could be gone: two readings below the reserve decide."""


def memory_period_s(headroom_bytes: Reading, *, ramp_bytes_per_s: float) -> float:
    """Seconds until the next look. headroom_bytes: what may still be taken; ramp: of our own load, bytes per second.

    Unknown headroom is looked at as often as none.
    """
    if isinstance(headroom_bytes, Gap):
        return PERIOD_S_MIN
    gone_s = max(0.0, headroom_bytes.value) / (FILL_BYTES_PER_S + max(0.0, ramp_bytes_per_s))
    return min(PERIOD_S_MAX, max(PERIOD_S_MIN, gone_s / LOOKS_BEFORE_FULL))
