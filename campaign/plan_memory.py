"""The part of a plan that says how much memory a phase holds beside its requests. Pure; see plan_phases."""

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from baseline_metrics.refused_value import shown
from baseline_metrics.units import UnitError, format_bytes, parse_bytes
from campaign.plan_part import PlanPart, at_fault
from campaign.plan_steps import one_of
from campaign.plan_types import ByteSize, exact_bytes
from stress_scenarios.loads.memory_order import SIZE_BYTES_MIN

PERCENT_MIN = 1.0
PERCENT_MAX = 90.0
"""Of the memory there is; beyond this nothing is left to guard the host with, whatever else is in use."""

RATE_BYTES_MAX = 8 << 30
"""A second; one core touches 0.5 GiB a second in a virtual machine and some more outside, so this is a slip of the unit."""

_RATE = re.compile(r"(.+)/\s*s", re.IGNORECASE)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


def _read_rate(value: object) -> int:
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{shown(value)} is not a rate of memory: write it with its unit, "50MiB/s"')
    try:
        count = parse_bytes(found[1])
    except UnitError as error:
        raise ValueError(f'{shown(value)} is not a rate of memory ({error}): write "50MiB/s"') from error
    if not 1 <= count <= RATE_BYTES_MAX:
        raise ValueError(f'{shown(value)} is not above 0 and at most {format_bytes(RATE_BYTES_MAX)}/s: write "50MiB/s"')
    return count


def _read_percent(value: object) -> float:
    text = f"{value}%" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    found = _PERCENT.fullmatch(text)
    if found is None:
        raise ValueError(f'{shown(value)} is not a share of the memory; write "40%"')
    percent = float(found[1])
    if not PERCENT_MIN <= percent <= PERCENT_MAX:
        raise ValueError(f"{shown(value)} is not within {PERCENT_MIN:g} and {PERCENT_MAX:g} %; write 40%")
    return percent


ByteRate = Annotated[int, BeforeValidator(_read_rate), PlainSerializer(lambda count: f"{exact_bytes(count)}/s")]
"""Bytes per second, written with a unit: 50MiB/s."""

MemoryShare = Annotated[float, BeforeValidator(_read_percent), PlainSerializer(lambda percent: f"{percent:g}%")]
"""A part of the memory there is, written in percent: 40%."""


class MemoryPart(PlanPart):
    """Memory that a load process of its own holds beside the phase's requests: touched page by page, released at once.

    It rises from the phase's start on and is held to the end of its own load; the guardian may lower it. Write size or
    percent. What the guardian could not stop in time is refused, with the arithmetic.
    """

    size_bytes: ByteSize | None = Field(
        default=None, alias="size", examples=["400MiB"], description="How much is held, at least 1 MiB."
    )
    percent: MemoryShare | None = Field(
        default=None,
        examples=["40%"],
        description="Instead of size: of the memory there is, within the limits of containers.",
    )
    rise_bytes_per_s: Annotated[
        ByteRate,
        Field(alias="rate", examples=["50MiB/s"], description="How fast it rises, at most 8 GiB/s."),
    ]

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.size_bytes is None and self.percent is None:
            raise at_fault("size", "is missing; write size: 400MiB, or percent: 40%")
        one_of(self, ("size", "percent"))
        if self.size_bytes is not None and self.size_bytes < SIZE_BYTES_MIN:
            raise at_fault("size", f"is below {format_bytes(SIZE_BYTES_MIN)}, which nobody could tell from noise")
        return self

    def bytes_of(self, total_bytes: int) -> int:
        """How much is held where there is so much memory."""
        if self.size_bytes is not None:
            return self.size_bytes
        assert self.percent is not None, "a memory load has a size or a share"
        return max(SIZE_BYTES_MIN, int(total_bytes * self.percent / 100.0))
