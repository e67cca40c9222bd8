"""Status documents for tests of the screens: a night in its fourth phase, and any change to it."""

import dataclasses
from typing import Any

from baseline_metrics.health import KnownScore
from baseline_metrics.samples import Sample
from campaign.status import PhaseStatus, Running, Status, StatusEvent

NOW_MONO_S = 5_000.0
NOW_UTC_S = 1_763_690_400.0
"""2025-11-21 02:00:00 UTC, 03:00:00 in Berlin."""

PHASES = (
    ("warmup", "COMPLETED", 2, 900.0),
    ("light_load", "COMPLETED", 3, 1800.0),
    ("moderate_load_1", "EASED", 5, 2700.0),
    ("moderate_load_2", "running", 7, 2700.0),
    ("high_load_1", "waiting", 10, 3600.0),
    ("high_load_2", "waiting", 12, 3600.0),
    ("stress_test", "waiting", 15, 4500.0),
    ("endurance_test", "cut", 8, 5400.0),
)


def phase_statuses(*rows: tuple[str, str, int, float]) -> tuple[PhaseStatus, ...]:
    """Phases of a document, from name, state, connections, planned seconds."""
    return tuple(
        PhaseStatus(index=index, name=name, state=state, connections=connections, planned_s=planned_s)
        for index, (name, state, connections, planned_s) in enumerate(rows)
    )


def events(count: int, *, first: int = 1) -> tuple[StatusEvent, ...]:
    """Events a minute apart, the last one a minute ago."""
    return tuple(
        StatusEvent(
            sequence=first + index, at_utc_s=NOW_UTC_S - 60.0 * (count - index), text=f"event {first + index} happened"
        )
        for index in range(count)
    )


def status_document(**changes: Any) -> Status:
    """A healthy night, half a second old, holding its fourth phase; with these fields changed."""
    status = Status(
        version=1,
        run_id="20251120T210000Z-nightly",
        run_dir="/srv/daybreak/runs/20251120T210000Z-nightly",
        name="nightly",
        zone="Europe/Berlin",
        state="HOLDING",
        end=Running(),
        at_mono_s=NOW_MONO_S - 0.5,
        at_utc_s=NOW_UTC_S - 0.5,
        started_utc_s=NOW_UTC_S - 18_000.0,
        window_end_utc_s=NOW_UTC_S + 14_400.0,
        phase=3,
        phases=phase_statuses(*PHASES),
        step_elapsed_s=1_350.0,
        step_planned_s=2_700.0,
        night_elapsed_s=18_000.0,
        night_planned_s=28_800.0,
        health=KnownScore(value=97.3),
        health_age_s=1.5,
        rate_per_s=Sample(value=13.94),
        response_s_p99=Sample(value=0.1234),
        error_percent=Sample(value=0.25),
        connections_open=7,
        connections_asked=7,
        operations_succeeded=123_456,
        operations_failed=309,
        guardian_rung="CLEAR",
        permitted_share=1.0,
        memory_percent=Sample(value=43.2),
        cpu_percent=Sample(value=20.1),
        disk_percent=Sample(value=61.0),
        supervisor_pid=4_000_001,
        guardian_pid=4_000_002,
        worker_pids=(4_000_003,),
        events=events(7),
    )
    return dataclasses.replace(status, **changes)
