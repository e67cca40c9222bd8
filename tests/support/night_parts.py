"""The smaller records of synthetic nights: the host, parts of health scores, a load that was not made, memory."""

from baseline_metrics.health import SATURATION, HealthPart, KnownScore, Score
from baseline_metrics.samples import Sample
from monitoring_logs.load_orders import MemoryLoad, NoMemoryLoad
from monitoring_logs.memory_records import NO_MEMORY_HELD, MemoryFacts, NoMemoryHeld
from monitoring_logs.records import HostFacts, LoadFacts

HOST = HostFacts(
    daybreak_version="0.1.0",
    python_version="3.11.2",
    sqlite_version="3.40.1",
    kernel="Linux 6.1",
    host="bench",
    cpu_count=8,
    memory_bytes=16 << 30,
    boot_id="00000000-0000-0000-0000-000000000001",
)


def is_low(score: Score) -> bool:
    """Whether a part must have missed its objective."""
    return isinstance(score, KnownScore) and score.value < 90


def baseline_parts(*, low: str) -> tuple[HealthPart, ...]:
    """The parts of a baseline's health, all good but the one of this name."""
    parts = (
        ("system", 98.0, 40.0, "memory 41 %, CPU 6 %, disk 62 %"),
        ("connectivity", 100.0, 20.0, "40 of 40 succeeded"),
        ("performance", 95.0, 25.0, "mean 50 ms"),
        ("stability", 99.0, 15.0, "spread of the idle readings 4 % of their mean"),
    )
    return tuple(
        HealthPart(name=name, score=KnownScore(value=20.0 if name == low else score), weight=weight, detail=detail)
        for name, score, weight, detail in parts
    )


def running_parts(*, low: str) -> tuple[HealthPart, ...]:
    """The parts of a running score, all good but the one of this name."""
    return tuple(
        HealthPart(name=name, score=KnownScore(value=20.0 if name == low else 97.0), weight=25.0, detail="")
        for name in ("latency", "errors", "traffic", SATURATION)
    )


def no_load(*, connections: int, hold_s: float) -> LoadFacts:
    """What a phase that never ran achieved."""
    return LoadFacts(
        connections_requested=connections,
        connections_peak=0,
        connections_opened=0,
        operations_requested=0,
        operations_started=0,
        operations_succeeded=0,
        operations_failed=0,
        operations_abandoned=0,
        hold_s_requested=hold_s,
        hold_s_achieved=0.0,
        bytes_received=0,
    )


def memory_held(
    order: NoMemoryLoad | MemoryLoad, *, lasts_s: float, peak_share: float, time_share: float
) -> NoMemoryHeld | MemoryFacts:
    """What became of a memory load that ran for so long, as shares of what was asked; none without load."""
    if isinstance(order, NoMemoryLoad) or lasts_s <= 0:
        return NO_MEMORY_HELD
    asked = order.byte_s(lasts_s)
    return MemoryFacts(
        size_bytes=order.size_bytes,
        rise_bytes_per_s=order.rise_bytes_per_s,
        peak_bytes=int(order.size_bytes * peak_share),
        asked_byte_s=asked,
        achieved_byte_s=asked * time_share,
        release_s=Sample(value=0.008),
        refused="",
    )
