"""The supervisor's whole order: what a run directory holds before the campaign's first process starts.

The launcher resolves plan, target and window into this record, the supervisor needs nothing else. Header values may
still hold ``${env:NAME}`` references: secrets are resolved in memory, when workers are prepared, and never stored.
"""

from dataclasses import dataclass

from monitoring_logs.records import HostFacts, NightOrder
from stress_scenarios.load_plan import (
    NO_CODE,
    EngineName,
    FeederSpec,
    NoCode,
    OperationSpec,
    PythonScenario,
    TargetSpec,
    Variable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyOrder:
    """The guardian's limits before a phase's multiplier. Percent 0..100, reserves in bytes; no multiplier moves the last two."""

    memory_percent: float
    cpu_percent: float
    disk_percent: float
    own_percent: float
    memory_reserve_bytes: int
    disk_reserve_bytes: int
    allow_critical: bool
    temperature_celsius: float = 95.0
    battery_percent_min: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOrder:
    """order.json. planned_s: the night's planned length without the reserved cool-down. drain_s: how long operations in flight may take after the end of a load; strict: of the exit code. orphans_ended: load processes of dead campaigns that were ended before the start, as sentences."""

    night: NightOrder
    planned_s: float
    host: HostFacts
    target: TargetSpec
    operations: tuple[OperationSpec, ...]
    engine: EngineName
    workers: int
    drain_s: float
    response_bytes_max: int
    safety: SafetyOrder
    strict: bool
    runs_dir: str
    state_dir: str
    variables: tuple[Variable, ...] = ()
    feeders: tuple[FeederSpec, ...] = ()
    code: NoCode | PythonScenario = NO_CODE
    orphans_ended: tuple[str, ...] = ()
