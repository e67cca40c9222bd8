"""The plan of a campaign as it stands after reading: complete, checked, and every value in its unit.

A plan says what a person wants (intent); what is made of it for one night is the planner's NightOrder. Every key takes
effect or is refused, and every field here carries the words that the reference and the error messages use. Pure; the
launcher's process reads plans, the supervisor gets what follows from them.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from baseline_metrics.refused_value import shown
from campaign.plan_part import PlanPart, at_fault
from campaign.plan_requests import OperationPart, TargetPart
from campaign.plan_settings import (
    BaselinePart,
    FailuresPart,
    HealthPart,
    RampPart,
    RecordingPart,
    SafetyPart,
    SuccessPart,
)
from campaign.plan_types import ClockTime, Duration, Name, Pause, Percent

PHASES_MAX = 64
OPERATIONS_MAX = 64
CONNECTIONS_MAX = 5000
"""Per phase. Each takes a descriptor and some memory in the load processes; more than this needs several machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowHours:
    """The night may last this long from its start."""

    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUntil:
    """The night has to be over when the local clock shows this time."""

    clock: str


class WindowPart(PlanPart):
    """How long the night may last. Give hours or until, not both."""

    hours: Annotated[float, Field(gt=0, le=72)] | None = Field(
        default=None,
        examples=[8],
        description="Length of the night, hours. 6, 8 or 12 by the host's size unless given.",
    )
    until: ClockTime | None = Field(
        default=None, examples=["07:00"], description="Local time by which all has ended; instead of hours."
    )
    timezone: Annotated[
        str, Field(examples=["Europe/Berlin"], description="IANA name of the zone for until and for all printed times.")
    ]

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"{shown(value)} is not a zone of the IANA database: write one such as Europe/Berlin"
            ) from error
        return value

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.hours is not None and self.until is not None:
            raise at_fault("until", "stands beside hours: write one of the two")
        return self

    @property
    def length(self) -> WindowHours | WindowUntil:
        """Which of the two was asked for."""
        if self.until is not None:
            return WindowUntil(clock=self.until)
        assert self.hours is not None, "the defaults give hours"
        return WindowHours(hours=self.hours)


class LevelPart(PlanPart):
    """A stress level: how fast one connection works, and what its phases have to reach."""

    operations_per_s: Annotated[
        float, Field(alias="pace", gt=0, le=1000, examples=[2], description="Operations per second and connection.")
    ]
    success_percent_min: Annotated[
        Percent,
        Field(alias="success", examples=[90], description="Operations that have to succeed, percent, at least."),
    ]
    response_s_mean_max: Annotated[
        Duration, Field(alias="response", examples=["3s"], description="Mean response time, at most.")
    ]


class PhasePart(PlanPart):
    """A timed stretch of load."""

    name: Annotated[Name, Field(examples=["light_load"], description="How reports call the phase.")]
    duration_s: Annotated[
        Duration,
        Field(alias="duration", ge=1, examples=["60min"], description="How long its load lasts, ramp included."),
    ]
    duration_s_min: Annotated[
        Duration,
        Field(
            alias="duration_min",
            examples=["10min"],
            description="The shortest it may be scaled down to; a sixth, at least a minute, unless given.",
        ),
    ]
    connections: Annotated[
        int, Field(ge=1, le=CONNECTIONS_MAX, examples=[3], description="Virtual users at the same time.")
    ]
    operations_per_session: Annotated[
        int,
        Field(
            alias="operations",
            ge=1,
            le=100_000,
            examples=[25],
            description="Operations of one session, between connect and disconnect.",
        ),
    ]
    level: Annotated[Name, Field(examples=["low"], description="Name of the stress level that sets pace and criteria.")]
    threshold_multiplier: Annotated[
        float,
        Field(ge=0.1, le=2, examples=[1.0], description="Moves the guardian's limits in this phase; never past 95 %."),
    ] = 1.0
    required_health: Annotated[
        float, Field(ge=0, le=100, examples=[70], description="Health score that the phase needs to start.")
    ] = 70.0
    priority: Annotated[
        int, Field(ge=1, le=100, examples=[50], description="When the window is short, the lowest is cut first.")
    ] = 50

    @model_validator(mode="after")
    def _minimum_below_duration(self) -> Self:
        if self.duration_s_min > self.duration_s:
            raise at_fault("duration_min", "is longer than duration: write a shorter one, or leave it out")
        return self


class AnchorPart(PlanPart):
    """The small fixed load before each phase and at the end. Connections, operations and pace are the first phase's."""

    duration_s: Annotated[
        Duration, Field(alias="duration", ge=1, examples=["2min"], description="How long it lasts, ramp included.")
    ] = 120.0
    connections: Annotated[
        int, Field(ge=1, le=CONNECTIONS_MAX, examples=[2], description="Virtual users at the same time.")
    ]
    operations_per_session: Annotated[
        int, Field(alias="operations", ge=1, le=100_000, examples=[10], description="Operations of one session.")
    ]
    operations_per_s: Annotated[
        float, Field(alias="pace", gt=0, le=1000, examples=[1], description="Operations per second and connection.")
    ]


class Plan(PlanPart):
    """A whole plan, with every default filled in."""

    name: Annotated[Name, Field(examples=["overnight-http"], description="Part of the run directory's name.")] = (
        "campaign"
    )
    seed: Annotated[
        int, Field(ge=0, le=2**63 - 1, examples=[1], description="Of everything that is drawn at random.")
    ] = 1
    window: WindowPart
    target: Annotated[TargetPart, Field(examples=["{url: http://127.0.0.1:8080}"])]
    scenario: Annotated[
        tuple[OperationPart, ...],
        Field(
            min_length=1,
            max_length=OPERATIONS_MAX,
            description="The mix of requests; GET of the target's path unless given.",
        ),
    ]
    levels: Annotated[
        dict[Name, LevelPart],
        Field(
            max_length=64,
            description="Stress levels by name; low, moderate, high, extreme and sustained exist already.",
        ),
    ]
    phases: Annotated[
        tuple[PhasePart, ...],
        Field(
            min_length=1,
            max_length=PHASES_MAX,
            description="In the order in which they run; eight phases unless given.",
        ),
    ]
    anchor: AnchorPart
    baseline: BaselinePart = BaselinePart()
    break_s: Annotated[
        Pause,
        Field(
            alias="break",
            le=86_400,
            examples=["5min"],
            description="Between two phases; the anchor load lies inside it.",
        ),
    ] = 300.0
    cooldown_s: Annotated[
        Pause,
        Field(
            alias="cooldown",
            le=86_400,
            examples=["30min"],
            description="After a failed phase; one is reserved in the window.",
        ),
    ] = 1800.0
    ramp: RampPart = RampPart()
    workers: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=1, le=64)],
        Field(
            examples=["auto"],
            description="Load processes; auto: one per 250 operations per second (10,000 with wire), at most one per core.",
        ),
    ] = "auto"
    engine: Annotated[
        Literal["httpx", "wire"],
        Field(
            examples=["httpx"],
            description="Who makes the requests: httpx, or wire for many thousands a second over HTTP/1.1.",
        ),
    ] = "httpx"
    health: HealthPart = HealthPart()
    safety: SafetyPart = SafetyPart()
    failures: FailuresPart
    recording: RecordingPart = RecordingPart()
    success: SuccessPart = SuccessPart()

    @property
    def sha256(self) -> str:
        """Over the canonical JSON of the plan. Secrets are in it by reference only."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
