"""The parts of a plan that set how a night is measured, guarded and judged; every value has a default. Pure; see plan."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from baseline_metrics.units import format_bytes
from campaign.plan_arrivals import CurveName
from campaign.plan_part import PlanPart, at_fault
from campaign.plan_types import ByteSize, Duration, Percent
from results_summary.gates import NoResponseLimit, ResponseLimit
from stress_scenarios.load_plan import Curve

REPORT_BYTES = 50 << 20
"""What a reporter takes of memory, and a night's last rows, journals and reports together of the disk, at most."""

RESERVE_BYTES_MIN = 64 << 20
"""A smaller reserve could never be acted on: what ends and reports a night has to fit into it."""


TEMPERATURE_CELSIUS_MIN, TEMPERATURE_CELSIUS_MAX = 40.0, 110.0
"""Below the first an idle machine is, on a warm day; at the second processors have switched themselves off."""


class BaselinePart(PlanPart):
    """The measurement before the first load. The first anchor load belongs to it."""

    idle_s: Annotated[
        Duration, Field(alias="idle", ge=1, examples=["10min"], description="How long the idle host is measured.")
    ] = 600.0


class RampPart(PlanPart):
    """How connections are started one after another, or arrivals rise from none, at the beginning of each load."""

    percent: Annotated[float, Field(ge=0, le=50, examples=[10], description="Share of the load's duration.")] = 10.0
    duration_s_max: Annotated[Duration, Field(alias="max", examples=["60s"], description="Never longer than this.")] = (
        60.0
    )
    curve: Annotated[
        CurveName,
        Field(
            examples=["linear"],
            description="With p from 0 to 1: linear p, exponential (e^3p - 1) / (e^3 - 1), logarithmic log10(1 + 9p), "
            "conservative p^2, aggressive the root of p.",
        ),
    ] = "linear"

    @property
    def form(self) -> Curve:
        """How it rises."""
        return Curve(self.curve)


class HealthPart(PlanPart):
    """What the health score measures against. The score steers the night; it never decides the verdict."""

    minimum: Annotated[float, Field(ge=0, le=100, examples=[70], description="Needed after the baseline to go on.")] = (
        70.0
    )
    response_s_slo: Annotated[
        Duration,
        Field(
            alias="response_slo",
            examples=["2s"],
            description="Mean response time that counts as good; the low level's criterion.",
        ),
    ] = 2.0
    response_s_limit: Annotated[
        Duration,
        Field(
            alias="response_limit",
            examples=["8s"],
            description="Mean response time that counts as half; the extreme level's criterion.",
        ),
    ] = 8.0
    error_percent_slo: Annotated[
        float,
        Field(
            alias="errors_slo", gt=0, le=100, examples=[5], description="Failed operations that count as good, percent."
        ),
    ] = 5.0
    error_percent_limit: Annotated[
        float,
        Field(
            alias="errors_limit",
            gt=0,
            le=100,
            examples=[20],
            description="Failed operations that count as half, percent.",
        ),
    ] = 20.0

    @model_validator(mode="after")
    def _slo_below_limit(self) -> Self:
        if self.response_s_limit <= self.response_s_slo:
            raise at_fault("response_limit", "is not above response_slo: write a longer time")
        if self.error_percent_limit <= self.error_percent_slo:
            raise at_fault("errors_limit", "is not above errors_slo: write a larger share")
        return self


class SafetyPart(PlanPart):
    """The guardian's limits: percent of the whole machine, what must stay free in any case, heat and battery."""

    memory_percent: Annotated[
        float, Field(alias="memory", gt=0, le=95, examples=[80], description="Memory in use, percent.")
    ] = 80.0
    cpu_percent: Annotated[
        float, Field(alias="cpu", gt=0, le=95, examples=[85], description="CPU in use, percent.")
    ] = 85.0
    disk_percent: Annotated[
        float,
        Field(alias="disk", gt=0, le=95, examples=[90], description="Fullest file system that is written, percent."),
    ] = 90.0
    own_percent: Annotated[
        float,
        Field(
            alias="own",
            gt=0,
            le=80,
            examples=[80],
            description="CPU or memory of our own processes, percent; never above 80.",
        ),
    ] = 80.0
    memory_reserve_bytes: Annotated[
        ByteSize, Field(alias="memory_reserve", examples=["512MiB"], description="Memory that must stay free.")
    ] = 512 << 20
    disk_reserve_bytes: Annotated[
        ByteSize, Field(alias="disk_reserve", examples=["1GiB"], description="Disk space that must stay free.")
    ] = 1 << 30

    temperature_celsius: Annotated[
        float,
        Field(
            alias="temperature",
            ge=TEMPERATURE_CELSIUS_MIN,
            le=TEMPERATURE_CELSIUS_MAX,
            examples=[95],
            description="Degrees Celsius of the hottest sensor; also 95 % of what a sensor calls critical is never passed.",
        ),
    ] = 95.0
    battery_percent_min: Annotated[
        float,
        Field(
            alias="battery",
            ge=1,
            le=90,
            examples=[20],
            description="What the battery keeps while it discharges, percent.",
        ),
    ] = 20.0

    @model_validator(mode="after")
    def _reserves_can_be_acted_on(self) -> Self:
        for key, count, what in (
            (
                "memory_reserve",
                self.memory_reserve_bytes,
                f"a report alone takes {format_bytes(REPORT_BYTES)} of memory",
            ),
            ("disk_reserve", self.disk_reserve_bytes, f"the record's last rows need {format_bytes(REPORT_BYTES)}"),
        ):
            if count < RESERVE_BYTES_MIN:
                raise at_fault(
                    key,
                    f"{format_bytes(count)} would be reached when it is too late: {what}, and that has to be left when "
                    f"the guardian stops the load; write at least {format_bytes(RESERVE_BYTES_MIN)}",
                )
        return self


class FailuresPart(PlanPart):
    """When failing phases end the night."""

    consecutive_max: Annotated[
        int, Field(alias="consecutive", ge=1, le=64, examples=[3], description="Failed phases in a row that end it.")
    ]


class RecordingPart(PlanPart):
    """What is measured how often."""

    host_sample_period_s: Annotated[
        Duration,
        Field(
            alias="host_sample_period",
            ge=0.1,
            le=60,
            examples=["1s"],
            description="Between two readings of the host's sensors.",
        ),
    ] = 1.0


class SuccessPart(PlanPart):
    """What the campaign as a whole has to reach to be fit."""

    phases_percent: Annotated[
        Percent, Field(alias="phases", examples=[70], description="Phases that have to pass, percent.")
    ] = 70.0
    operations_percent: Annotated[
        Percent, Field(alias="operations", examples=[90], description="Operations that have to succeed, percent.")
    ] = 90.0
    achieved_percent: Annotated[
        Percent,
        Field(
            alias="achieved",
            examples=[98],
            description="Requested operations that have to be started in each phase, percent.",
        ),
    ] = 98.0
    drift_percent: Annotated[
        float,
        Field(
            alias="drift",
            gt=0,
            le=1000,
            examples=[20],
            description="Response time at the anchor load may rise by, percent.",
        ),
    ] = 20.0
    response_s_p99_max: Duration | None = Field(
        default=None,
        alias="response_p99",
        examples=["2s"],
        description="p99 of the response time in each phase, at most. No such gate unless given.",
    )

    @property
    def response_p99(self) -> ResponseLimit | NoResponseLimit:
        """The objective for the slowest percent, if there is one."""
        if self.response_s_p99_max is None:
            return NoResponseLimit()
        return ResponseLimit(response_s_p99_max=self.response_s_p99_max)
