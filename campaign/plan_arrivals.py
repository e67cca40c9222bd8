"""The part of a plan that describes an open model: when operations arrive, whether or not earlier ones were answered. Pure; see plan."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from campaign.plan_part import PlanPart, at_fault
from campaign.plan_steps import one_of
from campaign.plan_types import Duration, Rate, RateOrNone
from stress_scenarios.load_plan import (
    ConstantRate,
    Curve,
    RampRate,
    RateShape,
    ReplayRate,
    SawtoothRate,
    SineRate,
    Spacing,
    SpikeRate,
    StepRate,
)

CurveName = Literal["linear", "exponential", "logarithmic", "conservative", "aggressive"]

SHAPES = ("rate", "ramp", "step", "spike", "sine", "sawtooth", "replay")


class RampRatePart(PlanPart):
    """From one rate to another along a curve, and then that one."""

    from_per_s: Annotated[RateOrNone, Field(alias="from", examples=[10], description="Arrivals per second.")]
    to_per_s: Annotated[RateOrNone, Field(alias="to", examples=[200], description="Arrivals per second.")]
    over_s: Duration | None = Field(
        default=None, alias="over", examples=["5min"], description="How long it takes; all of the load unless given."
    )
    curve: Annotated[
        CurveName, Field(examples=["exponential"], description="With p from 0 to 1: see `ramp.curve` of the plan.")
    ] = "linear"

    @model_validator(mode="after")
    def _some_rate(self) -> Self:
        if self.from_per_s == self.to_per_s:
            raise at_fault("to", "is the same as from: write `rate` for a constant one")
        return self


class StepRatePart(PlanPart):
    """From one rate up to another in equal steps."""

    from_per_s: Annotated[Rate, Field(alias="from", examples=[10], description="Arrivals per second.")]
    by_per_s: Annotated[Rate, Field(alias="by", examples=[10], description="More after each step.")]
    to_per_s: Annotated[Rate, Field(alias="to", examples=[100], description="Never more than this.")]
    every_s: Annotated[Duration, Field(alias="every", examples=["1min"], description="How long a step lasts.")]

    @model_validator(mode="after")
    def _upwards(self) -> Self:
        if self.to_per_s <= self.from_per_s:
            raise at_fault("to", "is not above from: write a higher rate")
        return self


class SpikeRatePart(PlanPart):
    """A rate, and a higher one for a while."""

    base_per_s: Annotated[
        Rate, Field(alias="base", examples=[20], description="Arrivals per second, most of the time.")
    ]
    peak_per_s: Annotated[Rate, Field(alias="peak", examples=[200], description="Arrivals per second in the spike.")]
    at_s: Annotated[Duration, Field(alias="at", examples=["2min"], description="When the first spike begins.")]
    lasts_s: Annotated[Duration, Field(alias="lasts", examples=["30s"], description="How long a spike lasts.")]
    every_s: Duration | None = Field(
        default=None,
        alias="every",
        examples=["5min"],
        description="From one spike's beginning to the next one's; a single spike unless given.",
    )

    @model_validator(mode="after")
    def _one_after_another(self) -> Self:
        if self.peak_per_s <= self.base_per_s:
            raise at_fault("peak", "is not above base: write a higher rate")
        if self.every_s is not None and self.every_s <= self.lasts_s:
            raise at_fault("every", "is not longer than a spike lasts: write a longer time")
        return self


class SineRatePart(PlanPart):
    """A rate that rises and falls in waves."""

    mean_per_s: Annotated[Rate, Field(alias="mean", examples=[100], description="Arrivals per second on average.")]
    amplitude_per_s: Annotated[Rate, Field(alias="amplitude", examples=[50], description="So far up, and so far down.")]
    period_s: Annotated[Duration, Field(alias="period", examples=["10min"], description="Of one wave.")]

    @model_validator(mode="after")
    def _never_below_none(self) -> Self:
        if self.amplitude_per_s > self.mean_per_s:
            raise at_fault("amplitude", "is larger than mean, and no rate is below 0: write a smaller one")
        return self


class SawtoothRatePart(PlanPart):
    """A rate that goes from one to another, and begins again."""

    from_per_s: Annotated[RateOrNone, Field(alias="from", examples=[10], description="Arrivals per second.")]
    to_per_s: Annotated[RateOrNone, Field(alias="to", examples=[200], description="Arrivals per second.")]
    period_s: Annotated[Duration, Field(alias="period", examples=["5min"], description="Of one tooth.")]

    @model_validator(mode="after")
    def _some_rate(self) -> Self:
        if self.from_per_s == self.to_per_s:
            raise at_fault("to", "is the same as from: write `rate` for a constant one")
        return self


class ArrivalsPart(PlanPart):
    """Operations arrive at a rate over all connections, instead of the level's pace, and never wait for answers.

    One of rate, ramp, step, spike, sine, sawtooth, replay. The times of a shape are scaled with its phase.
    """

    rate: Rate | None = Field(default=None, examples=[200], description="Arrivals per second, all the time.")
    ramp: RampRatePart | None = None
    step: StepRatePart | None = None
    spike: SpikeRatePart | None = None
    sine: SineRatePart | None = None
    sawtooth: SawtoothRatePart | None = None
    replay: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        examples=["times.csv"],
        description="A CSV file with one time a line, ascending: seconds after the load's start. With a header line, the "
        "column `arrival_s`. Relative to the plan's directory; never scaled.",
    )
    spacing: Annotated[
        Literal["even", "poisson"],
        Field(examples=["poisson"], description="Evenly spaced, or independent of each other."),
    ] = "even"
    start_within_s: Annotated[
        Duration,
        Field(
            alias="start_within",
            ge=0.001,
            le=600,
            examples=["1s"],
            description="An arrival that finds no free connection waits so long (part of its response time), and is then "
            "dropped, which is counted.",
        ),
    ] = 1.0

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        shape = one_of(self, SHAPES)
        if shape == "replay" and "spacing" in self.model_fields_set:
            raise at_fault("spacing", "has no effect on a replay, whose times are given: leave it out")
        return self

    @property
    def even_or_not(self) -> Spacing:
        """How arrivals lie around the rate."""
        return Spacing(self.spacing)

    def shape(self, *, sha256: str = "") -> RateShape:
        """The rate over time, as written. sha256: of a replay's file."""
        if self.ramp is not None:
            return RampRate(
                from_per_s=self.ramp.from_per_s,
                to_per_s=self.ramp.to_per_s,
                over_s=self.ramp.over_s or 0.0,
                curve=Curve(self.ramp.curve),
            )
        if self.step is not None:
            step = self.step
            return StepRate(
                from_per_s=step.from_per_s, by_per_s=step.by_per_s, to_per_s=step.to_per_s, every_s=step.every_s
            )
        if self.spike is not None:
            spike = self.spike
            return SpikeRate(
                base_per_s=spike.base_per_s,
                peak_per_s=spike.peak_per_s,
                at_s=spike.at_s,
                lasts_s=spike.lasts_s,
                every_s=spike.every_s or 0.0,
            )
        if self.sine is not None:
            sine = self.sine
            return SineRate(mean_per_s=sine.mean_per_s, amplitude_per_s=sine.amplitude_per_s, period_s=sine.period_s)
        if self.sawtooth is not None:
            tooth = self.sawtooth
            return SawtoothRate(from_per_s=tooth.from_per_s, to_per_s=tooth.to_per_s, period_s=tooth.period_s)
        if self.replay is not None:
            return ReplayRate(path=self.replay, sha256=sha256)
        assert self.rate is not None, "one shape is given"
        return ConstantRate(per_s=self.rate)
