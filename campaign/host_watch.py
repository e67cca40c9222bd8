"""The host's sensors during a night: every sample is stored, the recent ones are kept for scoring.

The monitor's thread only appends and hands over; the supervisor's main thread reads. A monitor that fails leaves gaps,
and gaps never raise a score.
"""

from collections import deque
from collections.abc import Callable

from baseline_metrics.clock import Clock
from baseline_metrics.codec import Json, to_json_value
from baseline_metrics.resource_monitor import NoFault, ResourceMonitor
from baseline_metrics.samples import HostSample
from baseline_metrics.sensors import HostSensors
from campaign.scoring import mean_of

KEPT_MAX = 4 * 3600
"""Samples in memory: the longest phase at one sample a second, about 20 MB."""

SUMMARY_SAMPLES = 10
STOP_S = 2.0


class HostWatch:
    """Samples, and what was made of them."""

    def __init__(
        self,
        *,
        disk_paths: tuple[str, ...],
        period_s: float,
        clock: Clock,
        store: Callable[[HostSample], None],
    ) -> None:
        self._kept: deque[HostSample] = deque(maxlen=KEPT_MAX)
        self._store = store
        self._monitor = ResourceMonitor(
            sensors=HostSensors(disk_paths=disk_paths, clock=clock),
            on_sample=self._take,
            clock=clock,
            period_s=period_s,
        )

    def start(self) -> None:
        """Begin to sample."""
        self._monitor.start()

    def stop(self) -> None:
        """Sample no more."""
        self._monitor.stop(STOP_S)

    def between(self, start_mono_s: float, end_mono_s: float) -> tuple[HostSample, ...]:
        """The samples taken within a stretch of time."""
        return tuple(item for item in self._snapshot() if start_mono_s <= item.at_mono_s <= end_mono_s)

    def summary(self) -> dict[str, Json]:
        """The last samples in a few words, for the log."""
        recent = self._snapshot()[-SUMMARY_SAMPLES:]
        fault = self._monitor.fault
        return {
            "samples": self._monitor.samples,
            "skipped": self._monitor.skipped,
            "fault": "" if isinstance(fault, NoFault) else fault.error,
            "cpu": to_json_value(mean_of(recent, "cpu_percent")),
            "memory": to_json_value(mean_of(recent, "memory_percent")),
        }

    def _snapshot(self) -> tuple[HostSample, ...]:
        return tuple(self._kept.copy())

    def _take(self, sample: HostSample) -> None:
        self._kept.append(sample)
        self._store(sample)
