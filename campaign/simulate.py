"""Whole nights on a fake clock, by the thousand: what runs is the real machine, all around it is scripted.

Thousands of nights run in seconds, each from its seed, each watched by the invariants; what breaks is reported with
the seed that repeats it. This is simulation and named so: nothing here measures anything. The ``simulate`` command and
the tests run it; the machine under it is the one that runs real nights.
"""

import random
from collections import Counter
from dataclasses import dataclass

from campaign.invariants import Broken
from campaign.machine import TABLE, Table
from campaign.night import State
from campaign.virtual_night import VirtualNight

BROKEN_NIGHTS_MAX = 20
"""Broken nights kept in a summary; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenNight:
    """A seed that repeats what broke."""

    seed: int
    broken: tuple[Broken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSummary:
    """What a run of virtual nights showed. outcomes and causes count phases and nights by how they ended."""

    nights: int
    first_seed: int
    steps: int
    broken_count: int
    broken: tuple[BrokenNight, ...]
    outcomes: tuple[tuple[str, int], ...]
    causes: tuple[tuple[str, int], ...]
    states: tuple[str, ...]

    def text(self) -> str:
        """A few lines for people."""
        last = self.first_seed + self.nights - 1
        lines = [
            f"{self.nights} virtual nights (simulated), seeds {self.first_seed}..{last}, {self.steps} steps",
            "nights ended by  " + ", ".join(f"{name} {count}" for name, count in self.causes),
            "phases ended as  " + ", ".join(f"{name} {count}" for name, count in self.outcomes),
            f"states visited   {len(self.states)} of {len(State)}",
            f"broken invariants in {self.broken_count} nights",
        ]
        for night in self.broken:
            first = night.broken[0]
            lines.append(f"  seed {night.seed}: invariant {first.number} at {first.at_mono_s:.1f} s: {first.detail}")
        return "\n".join(lines)


def simulate_nights(*, nights: int, seed: int, table: Table = TABLE) -> SimulationSummary:
    """Run nights with the seeds seed, seed + 1, ... and sum up what they showed."""
    outcomes: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    states: set[State] = set()
    broken: list[BrokenNight] = []
    broken_count = steps = 0
    for night_seed in range(seed, seed + nights):
        world = VirtualNight(random.Random(night_seed), table)  # noqa: S311 - seeded on purpose, to repeat a night
        found = world.run()
        steps += world.steps
        states |= world.states
        outcomes.update(outcome.value for _, outcome in world.night.records)
        causes[world.cause] += 1
        if found:
            broken_count += 1
            if len(broken) < BROKEN_NIGHTS_MAX:
                broken.append(BrokenNight(seed=night_seed, broken=found))
    return SimulationSummary(
        nights=nights,
        first_seed=seed,
        steps=steps,
        broken_count=broken_count,
        broken=tuple(broken),
        outcomes=tuple(outcomes.most_common()),
        causes=tuple(causes.most_common()),
        states=tuple(sorted(state.value for state in states)),
    )
