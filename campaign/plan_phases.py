"""The parts of a plan that say how much load is made when: stress levels, phases, the anchor. Pure; see plan."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from campaign.plan_arrivals import ArrivalsPart
from campaign.plan_memory import MemoryPart
from campaign.plan_part import PlanPart, at_fault
from campaign.plan_steps import ThinkPart, one_of
from campaign.plan_types import UNPACED, Duration, Name, Pace, Percent, Rate, Share
from stress_scenarios.load_plan import Paced, Thinking, Unpaced

CONNECTIONS_MAX = 20_000
"""Per phase. Each takes a descriptor, a port and some memory in the load processes, and one address has 28,232 ports by
default; more than this needs several machines."""

SEARCH_SHARE_PERCENT = 50.0


class LevelPart(PlanPart):
    """A stress level: how fast one connection works, and what its phases have to reach. Write pace or think."""

    pace: Pace | None = Field(
        default=None,
        examples=[2],
        description="Operations per second and connection; or `unpaced`: the next one as soon as the last has ended.",
    )
    think: ThinkPart | None = Field(
        default=None, description="Instead of pace: the next operation so long after the last has ended."
    )
    success_percent_min: Annotated[
        Percent,
        Field(alias="success", examples=[90], description="Operations that have to succeed, percent, at least."),
    ]
    response_s_mean_max: Annotated[
        Duration, Field(alias="response", examples=["3s"], description="Mean response time, at most.")
    ]

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if self.pace is None and self.think is None:
            raise at_fault("pace", "is missing; write pace: 2, or think: 1s")
        one_of(self, ("pace", "think"))
        return self

    @property
    def model(self) -> Paced | Unpaced | Thinking:
        """How one connection works."""
        if self.think is not None:
            return Thinking(seconds_min=self.think.seconds_min, seconds_max=self.think.seconds_max)
        if self.pace == UNPACED:
            return Unpaced()
        assert isinstance(self.pace, float), "a level has a pace or a think time"
        return Paced(operations_per_s=self.pace)


class SearchPart(PlanPart):
    """What the last part of a phase does: look for the highest rate that the target just carries.

    An arrival rate doubles until a criterion of the level, the guardian or the generator gives way; then the bracket is
    halved until the time is over. `true` takes every default.
    """

    share_percent: Annotated[
        Share, Field(alias="share", examples=["50%"], description="Of the phase's duration, from 10 to 90 %.")
    ] = SEARCH_SHARE_PERCENT
    step_s: Duration | None = Field(
        default=None,
        alias="step",
        ge=2,
        le=3600,
        examples=["60s"],
        description="How long one rate is held; a sixteenth of the search within 2 s and 120 s unless given.",
    )
    start_per_s: Rate | None = Field(
        default=None,
        alias="start",
        examples=[10],
        description="The first rate; a quarter of the phase's own, at least 1/s, unless given.",
    )
    per_s_max: Rate | None = Field(
        default=None,
        alias="max",
        examples=[100_000],
        description="The highest rate tried; what the load processes can make unless given.",
    )
    connections: int | None = Field(
        default=None,
        ge=1,
        le=CONNECTIONS_MAX,
        examples=[200],
        description="At most at once; what the highest rate needs at the level's response time, but at most 500 or "
        "the phase's own, unless given.",
    )

    @model_validator(mode="after")
    def _upwards(self) -> Self:
        if self.start_per_s is not None and self.per_s_max is not None and self.start_per_s >= self.per_s_max:
            raise at_fault("max", "is not above start: write a higher rate")
        return self


def _read_search(value: object) -> object:
    if value is True:
        return {}
    return None if value is False else value


class PhasePart(PlanPart):
    """A timed stretch of load."""

    name: Annotated[Name, Field(examples=["light_load"], description="How reports call the phase.")]
    duration_s: Annotated[
        Duration,
        Field(
            alias="duration", ge=1, examples=["60min"], description="How long its load lasts, ramp and search included."
        ),
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
        int,
        Field(
            ge=1,
            le=CONNECTIONS_MAX,
            examples=[3],
            description="Virtual users at the same time; with arrivals, the most at once.",
        ),
    ]
    operations_per_session: Annotated[
        int,
        Field(
            alias="operations",
            ge=1,
            le=100_000,
            examples=[25],
            description="Operations of the mix in one session, between connect and disconnect. Python code decides for itself.",
        ),
    ]
    level: Annotated[Name, Field(examples=["low"], description="Name of the stress level that sets pace and criteria.")]
    arrivals: ArrivalsPart | None = Field(
        default=None, description="An open model instead of the level's pace. None unless given."
    )
    search: Annotated[
        SearchPart | None,
        BeforeValidator(_read_search),
        Field(
            description="Whether the phase ends with a search for the highest rate. Only the default stress_test does."
        ),
    ] = None
    memory: MemoryPart | None = Field(
        default=None, description="Memory that is held beside the requests. None unless given."
    )
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

    @property
    def own_share(self) -> float:
        """Which part of the duration the phase's own load has beside its search, 0..1."""
        return 1.0 - self.search.share_percent / 100.0 if self.search is not None else 1.0


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
