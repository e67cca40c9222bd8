"""Steps made by hand for the watcher of the invariants: what a machine is said to have done, true or not."""

import dataclasses
import math
from typing import Any

from baseline_metrics.health import KnownScore
from campaign.events import (
    BaselineScored,
    Command,
    Criteria,
    DrillPassed,
    EndLoad,
    Event,
    GeneratorValid,
    LoadKind,
    LoadReady,
    LoadScored,
    LoadZero,
    PrepareLoad,
    StartLoad,
    Tick,
)
from campaign.invariants import Broken, InvariantWatcher
from campaign.night import LoadStep, State, first_night
from monitoring_logs.records import NightOrder
from tests.support.orders import night_order

AT = 1000.0
WELL = KnownScore(value=95.0)
VALID = GeneratorValid()
ANCHOR = PrepareLoad(kind=LoadKind.ANCHOR, phase=0, ramp_s=1.0, hold_s=9.0)
PHASE = PrepareLoad(kind=LoadKind.PHASE, phase=0, ramp_s=5.0, hold_s=50.0)
START = StartLoad(start_mono_s=AT)
END = EndLoad(reason="test")
DRILLED = DrillPassed(at_mono_s=AT)
READY = LoadReady(at_mono_s=AT)
ZERO = LoadZero(at_mono_s=AT)
TICK = Tick(at_mono_s=AT)


class Story:
    """Steps made by hand: what the machine is said to have done, true or not."""

    def __init__(self, order: NightOrder | None = None) -> None:
        self.order = order or night_order()
        self.watcher = InvariantWatcher(self.order)
        first = first_night(self.order, drain_s=10.0, at_mono_s=AT, end_by_mono_s=AT + 1000.0)
        self.night = dataclasses.replace(first, timer_mono_s=AT, deadline_mono_s=AT + 500.0)

    def at(self, state: State, load: LoadStep = LoadStep.NONE, **fields: Any) -> "Story":
        """Put the night somewhere, without a step."""
        self.night = dataclasses.replace(self.night, state=state, load=load, **fields)
        return self

    def step(self, event: Event, *commands: Command, **fields: Any) -> list[tuple[int, str]]:
        """One step; fields: what it changed of the night. Returns number and detail of what was broken."""
        before = self.night
        self.night = dataclasses.replace(before, **fields)
        return said(self.watcher.step(before, event, self.night, commands))

    def drilled(self) -> "Story":
        """A passed drill, a good baseline and a good anchor."""
        self.step(DRILLED)
        self.at(State.ANCHOR, LoadStep.SCORING)
        self.step(BaselineScored(at_mono_s=AT, score=WELL, phases_allowed=2), phases_allowed=2)
        self.step(LoadScored(at_mono_s=AT, score=WELL, criteria=Criteria.MET, generator=VALID, detail=""))
        return self

    def loaded(self) -> "Story":
        """A phase that runs."""
        self.drilled().at(State.ANCHOR, LoadStep.SCORING)
        self.step(TICK, PHASE, state=State.ARMING, load=LoadStep.PREPARING)
        self.step(READY, START, state=State.RAMPING, load=LoadStep.RUNNING)
        return self.at(State.HOLDING, LoadStep.RUNNING, timer_mono_s=math.inf)


def said(broken: tuple[Broken, ...]) -> list[tuple[int, str]]:
    """Numbers and details."""
    return [(item.number, item.detail) for item in broken]


def assert_broken(found: list[tuple[int, str]], number: int, words: str) -> None:
    """An invariant of this number was reported, in these words."""
    assert any(item == number and words in detail for item, detail in found), found
