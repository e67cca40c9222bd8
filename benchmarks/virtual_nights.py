"""Runs ten thousand virtual nights against the invariants, and shows that the invariants notice a damaged machine.

Nights without a broken invariant mean little while nobody knows whether the invariants would notice. So each guard of
the transition table is taken out, one at a time, and nights are run with that table until one of them breaks. Writes
docs/evidence/virtual-nights.md. Its own process: ``python -m benchmarks.virtual_nights``.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.evidence import (
    DEFAULT_DIRECTORY,
    Circumstances,
    Evidence,
    Goal,
    Section,
    Table,
    all_of,
    circumstances_now,
    conclude,
    write_evidence,
)
from campaign.machine import TABLE
from campaign.machine import Table as MachineTable
from campaign.machine_guards import always
from campaign.night import State
from campaign.simulate import SimulationSummary, simulate_nights

NAME = "virtual-nights"
NIGHTS = 10_000
NIGHTS_MAX = 1_000_000
"""An hour or so; more is a slip."""

MUTANT_NIGHTS = 300
"""Nights in which a damaged table may show itself. Of 60 that did, 37 took at most 20 nights, and the last one 241."""

BROKEN_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The table with one guard replaced by "always". place: state, event and rule, for people."""

    place: str
    table: MachineTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """An invariant broke, in the night with this seed. detail: which one, and how."""

    seed: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The machine's own assertions stopped it, in the night with this seed, before an invariant was broken."""

    seed: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Escaped:
    """No night showed a difference that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant."""

    place: str
    result: Caught | Refused | Escaped


def main(argv: Sequence[str]) -> int:
    """Simulate and write. Returns 0 if all goals were reached, else 1."""
    options = _options(argv)
    where = circumstances_now()
    began_mono_s = time.monotonic()
    summary = simulate_nights(nights=options.nights, seed=options.seed)
    nights_s = time.monotonic() - began_mono_s
    began_mono_s = time.monotonic()
    verdicts = tuple(Verdict(place=mutant.place, result=judge_mutant(mutant)) for mutant in mutants())
    mutants_s = time.monotonic() - began_mono_s
    evidence = Evidence(
        name=NAME,
        title="Virtual nights against the invariants",
        what=(
            "Simulated: whole nights on a fake clock, around the machine that runs real ones. Target, host, guardian and "
            "failures are scripted from each night's seed; the invariants are checked on every step. Nothing here "
            "measures a load, and the times below are those of the simulation."
        ),
        command=f"python -m benchmarks.virtual_nights --nights {options.nights} --seed {options.seed}",
        goals=_goals(summary, verdicts),
        sections=(_nights_section(summary, nights_s), _mutants_section(verdicts, mutants_s)),
    )
    return _write(evidence, where, verdicts, options.output)


def mutants() -> Iterator[Mutant]:
    """Every table that differs from the real one by one guard taken out."""
    for (state, event), rules in TABLE.items():
        for position, rule in enumerate(rules):
            if rule.guard is always:
                continue
            damaged = (*rules[:position], replace(rule, guard=always), *rules[position + 1 :])
            place = f"{state.value}, {event.__name__}: {rule.name}"
            yield Mutant(place=place, table={**TABLE, (state, event): damaged})


def judge_mutant(mutant: Mutant) -> Caught | Refused | Escaped:
    """Run nights with a damaged table until one breaks, at most MUTANT_NIGHTS."""
    for seed in range(1, MUTANT_NIGHTS + 1):
        try:
            summary = simulate_nights(nights=1, seed=seed, table=mutant.table)
        except AssertionError as error:
            return Refused(seed=seed, detail=str(error))
        if summary.broken:
            first = summary.broken[0].broken[0]
            return Caught(seed=seed, detail=f"invariant {first.number}: {first.detail}")
    return Escaped()


def _goals(summary: SimulationSummary, verdicts: Sequence[Verdict]) -> tuple[Goal, ...]:
    caught = sum(isinstance(verdict.result, Caught) for verdict in verdicts)
    return (
        all_of("nights without a broken invariant", good=summary.nights - summary.broken_count, total=summary.nights),
        Goal(
            text="every state of the machine is visited",
            observed=f"{len(summary.states)} of {len(State)}",
            reached=len(summary.states) == len(State),
        ),
        Goal(
            text="a table with one guard taken out is caught by the invariants",
            observed=f"{caught} of {len(verdicts)} such tables",
            reached=caught > 0,
        ),
    )


def _nights_section(summary: SimulationSummary, took_s: float) -> Section:
    last = summary.first_seed + summary.nights - 1
    text = (
        f"{summary.nights} nights, seeds {summary.first_seed} to {last}, {summary.steps} steps of the machine, "
        f"in {took_s:.1f} s ({summary.nights / took_s:.0f} nights per second). "
        f"Broken invariants in {summary.broken_count} nights."
    )
    content: list[str | Table] = [text]
    if summary.broken:
        rows = tuple(
            (str(night.seed), str(night.broken[0].number), night.broken[0].detail)
            for night in summary.broken[:BROKEN_SHOWN_MAX]
        )
        content.append(Table(head=("seed", "invariant", "what broke"), rows=rows))
    content.append(_counts("nights ended by", summary.causes))
    content.append(_counts("phases ended as", summary.outcomes))
    return Section(title="Nights", content=tuple(content))


def _counts(head: str, counts: Sequence[tuple[str, int]]) -> Table:
    return Table(head=(head, "count"), rows=tuple((name, str(count)) for name, count in counts))


def _mutants_section(verdicts: Sequence[Verdict], took_s: float) -> Section:
    caught = sum(isinstance(verdict.result, Caught) for verdict in verdicts)
    refused = sum(isinstance(verdict.result, Refused) for verdict in verdicts)
    escaped = [verdict.place for verdict in verdicts if isinstance(verdict.result, Escaped)]
    share = 100.0 * (caught + refused) / len(verdicts)
    text = (
        f'Each of the {len(verdicts)} guards was replaced by "always", one at a time, for up to {MUTANT_NIGHTS} nights '
        f"(seeds from 1), in {took_s:.1f} s: {caught} were caught by an invariant, {refused} by an assertion of the "
        f"machine itself, {len(escaped)} by neither ({share:.0f} % caught)."
    )
    if not escaped:
        return Section(title="Damaged tables", content=(text,))
    explanation = (
        "Not noticed in these nights: the guard is true whenever it is asked, as an earlier row or the state itself sees "
        "to that, or what changes without it breaks no invariant."
    )
    table = Table(head=("guard taken out",), rows=tuple((place,) for place in escaped))
    return Section(title="Damaged tables", content=(text, explanation, table))


def _write(evidence: Evidence, where: Circumstances, verdicts: Sequence[Verdict], directory: Path) -> int:
    rows = tuple((verdict.place, *_result_texts(verdict.result)) for verdict in verdicts)
    table = Table(head=("guard taken out", "result", "seed", "detail"), rows=rows)
    return conclude(evidence, write_evidence(directory, evidence, where, samples={f"{NAME}-mutants.csv": table}))


def _result_texts(result: Caught | Refused | Escaped) -> tuple[str, str, str]:
    match result:
        case Caught(seed=seed, detail=detail):
            return "caught by an invariant", str(seed), detail
        case Refused(seed=seed, detail=detail):
            return "caught by an assertion", str(seed), detail
        case Escaped():
            return "not noticed", "", ""


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.virtual_nights", description=__doc__)
    parser.add_argument("--nights", type=_nights, default=NIGHTS)
    parser.add_argument("--seed", type=int, default=1, help="of the first night; the others follow")
    parser.add_argument("--output", type=Path, default=DEFAULT_DIRECTORY, help="where the page is written")
    return parser.parse_args(argv)


def _nights(text: str) -> int:
    count = int(text)
    if not 1 <= count <= NIGHTS_MAX:
        raise argparse.ArgumentTypeError(f"{count} is not between 1 and {NIGHTS_MAX}")
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
