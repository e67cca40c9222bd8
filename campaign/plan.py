"""The plan of a campaign as it stands after reading: complete, checked, and every value in its unit.

A plan says what a person wants (intent); what is made of it for one night is the planner's NightOrder. Every key takes
effect or is refused, and every field here carries the words that the reference and the error messages use. Pure; the
launcher's process reads plans, the supervisor gets what follows from them.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from baseline_metrics.refused_value import shown
from baseline_metrics.zones import zone_named
from campaign.plan_part import PlanPart, at_fault
from campaign.plan_phases import AnchorPart, LevelPart, PhasePart
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
from campaign.plan_sources import FEEDERS_MAX, VARIABLES_MAX, CodePart, FeederPart, TagsPart, Variables
from campaign.plan_steps import FreeName
from campaign.plan_types import ClockTime, Name, Pause
from stress_scenarios.load_plan import Stage

PHASES_MAX = 64
OPERATIONS_MAX = 64


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
            zone_named(value)
        except ZoneInfoNotFoundError as error:
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
        Field(max_length=OPERATIONS_MAX, description="What sessions do; GET of the target's path unless given."),
    ] = ()
    code: CodePart | None = Field(default=None, description="Sessions in Python, instead of scenario.")
    tags: TagsPart = TagsPart()
    variables: Annotated[
        Variables,
        Field(
            default_factory=dict,
            max_length=VARIABLES_MAX,
            examples=[{"region": "north"}],
            description="Every session begins with them: `${region}` in a template. No secrets: a plan is stored.",
        ),
    ]
    feeders: Annotated[
        dict[FreeName, FeederPart],
        Field(default_factory=dict, max_length=FEEDERS_MAX, description="Files whose rows sessions take, by name."),
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
            description="Load processes; auto: by the highest rate and the engine, at most one per core.",
        ),
    ] = "auto"
    engine: Annotated[
        Literal["httpx", "wire"],
        Field(
            examples=["wire"],
            description="Who makes the requests: wire, HTTP/1.1 at tens of thousands of requests a second and core; or "
            "httpx, some hundreds a second, for HTTP/2 and proxies.",
        ),
    ] = "wire"
    health: HealthPart = HealthPart()
    safety: SafetyPart = SafetyPart()
    failures: FailuresPart
    recording: RecordingPart = RecordingPart()
    success: SuccessPart = SuccessPart()

    @model_validator(mode="after")
    def _sessions_do_something(self) -> Self:
        if self.code is not None and self.scenario:
            raise at_fault("code", "stands beside scenario: write one of the two")
        if self.code is None and not self.scenario:
            raise at_fault("scenario", "has no operations: write one, or leave it out for a GET of the target's path")
        return self

    @property
    def operations(self) -> tuple[OperationPart, ...]:
        """The operations that run, by their tags, in the plan's order; none with Python code, which has its own."""
        return tuple(operation for operation in self.scenario if self._chosen(operation))

    def _chosen(self, operation: OperationPart) -> bool:
        tags = set(operation.tags)
        if tags & set(self.tags.exclude):
            return False
        return operation.when is not Stage.MIX or not self.tags.include or bool(tags & set(self.tags.include))

    @property
    def operation_names(self) -> tuple[str, ...]:
        """What reports count by."""
        if self.code is not None:
            return self.code.operations
        return tuple(operation.name for operation in self.operations)

    @property
    def sha256(self) -> str:
        """Over the canonical JSON of the plan. Secrets are in it by reference only."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
