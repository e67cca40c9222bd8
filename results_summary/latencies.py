"""The two latencies: from the intended start, which is what users feel, and from the actual one, which is what was served.

Everything is judged by the first. Where the two part, users waited before their request could even start, because all
connections were busy or our own side was late, and a report that shows only one of them misleads. Pure; see view_tables.
"""

from dataclasses import dataclass

from baseline_metrics.estimates import samples_needed
from baseline_metrics.samples import Sample
from results_summary import wording
from results_summary.measures import SegmentMeasure

PART_RATIO_MIN = 1.2
"""A fifth more than the service time; a percentile is up to 0.8 % off, and the rest is the noise of turning a loop."""

PART_S_MIN = 0.001
"""Less than a millisecond apart is our own loop's doing, whatever its share of a very fast answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Response and service time are the same for what they are used for, or cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """p99 of successes from the intended and from the actual start, seconds."""

    response_s_p99: float
    service_s_p99: float

    @property
    def words(self) -> str:
        """What it means."""
        return (
            f"p99 is {wording.seconds(self.response_s_p99)} from the intended start and "
            f"{wording.seconds(self.service_s_p99)} from the actual one: users waited before their request could even start"
        )


def latencies(measure: SegmentMeasure) -> Together | Parted:
    """Compare them where both are known of the same operations, and of enough of them."""
    response, service = measure.minutes.response, measure.service
    if service.count != response.count or service.count < samples_needed(quantile=0.99):
        return Together()
    match response.quantile(0.99), service.quantile(0.99):
        case Sample(value=response_s), Sample(value=service_s) if (
            response_s > PART_RATIO_MIN * service_s and response_s - service_s > PART_S_MIN
        ):
            return Parted(response_s_p99=response_s, service_s_p99=service_s)
        case _:
            return Together()
