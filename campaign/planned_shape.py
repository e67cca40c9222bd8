"""The durations of a night that was fitted, before they become its order. Pure; the planner's modules hand it on."""

from dataclasses import dataclass

from campaign.fitting import Ramp
from campaign.plan_phases import PhasePart
from campaign.planned_load import PlannedLoad
from campaign.planned_night import NotCompressed


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseShape:
    """A phase with tonight's durations, seconds; cut: why it does not run, or empty.

    duration_s: of its own load. search_s: of the search behind it, 0 without one; no_search: why a search that the plan
    asks for does not run, or empty.
    """

    phase: PhasePart
    load: PlannedLoad
    duration_s: float
    search_s: float
    no_search: str
    cut: str

    @property
    def whole_s(self) -> float:
        """Own load and search together."""
        return self.duration_s + self.search_s


@dataclass(frozen=True, slots=True, kw_only=True)
class NightShape:
    """All durations of tonight, seconds."""

    idle_s: float
    anchor_s: float
    anchor_load: PlannedLoad
    rest_s: float
    cooldown_s: float
    prepare_s: float
    handover_s: float
    conclude_s: float
    ramp: Ramp
    phases: tuple[PhaseShape, ...]
    compressed_to_s: float | NotCompressed

    @property
    def running(self) -> tuple[PhaseShape, ...]:
        """The phases that are not cut."""
        return tuple(phase for phase in self.phases if not phase.cut)
