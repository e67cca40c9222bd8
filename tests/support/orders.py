"""Orders of nights for tests: round numbers, so that a test can say when something is due."""

from pathlib import Path
from typing import Any

from campaign.campaign_order import CampaignOrder, SafetyOrder
from monitoring_logs.load_orders import SearchOrder
from monitoring_logs.records import SCHEMA_VERSION, AnchorOrder, HostFacts, NightOrder, PhaseOrder
from stress_scenarios.load_plan import EngineName, NoBody, OperationSpec, TargetSpec

RUN_ID = "20251119T210000Z-night"

DRAIN_S = 10.0


def phase_order(index: int = 0, **changes: Any) -> PhaseOrder:
    """A phase with 5 s of ramp and 50 s of hold that needs health 70."""
    values: dict[str, Any] = {
        "index": index,
        "name": f"phase_{index}",
        "level": "moderate",
        "connections": 4 + index,
        "operations_per_session": 10,
        "operations_per_s": 2.0,
        "ramp_s": 5.0,
        "hold_s": 50.0,
        "scaled_from_s": 3600.0,
        "threshold_multiplier": 1.0,
        "required_health": 70.0,
        "success_percent_min": 90.0,
        "response_s_mean_max": 3.0,
        "operations_expected": 440,
        "cut": "",
    }
    return PhaseOrder(**{**values, **changes})


def searching_phase(index: int = 0, **changes: Any) -> PhaseOrder:
    """A phase that is followed by a search of 40 s."""
    search = SearchOrder(
        lasts_s=40.0,
        step_s=2.0,
        start_per_s=10.0,
        per_s_max=1000.0,
        connections=64,
        success_percent_min=90.0,
        response_s_mean_max=3.0,
        response_s_p99_max=0.0,
        achieved_percent_min=95.0,
    )
    return phase_order(index, search=search, **changes)


def night_order(*phases: PhaseOrder, **changes: Any) -> NightOrder:
    """A night of these phases (two by default): 10 s idle, anchors of 10 s, breaks of 20 s, cool-downs of 100 s."""
    anchor = AnchorOrder(
        connections=2,
        operations_per_session=10,
        operations_per_s=1.0,
        ramp_s=1.0,
        hold_s=9.0,
        operations_expected=18,
    )
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_id": RUN_ID,
        "name": "night",
        "zone": "Europe/Berlin",
        "planned_start_utc_s": 1_700_000_000.0,
        "window_end_utc_s": 1_700_001_000.0,
        "window_s": 1000.0,
        "compressed_to_s": 0.0,
        "rehearsal": False,
        "baseline_idle_s": 10.0,
        "break_s": 20.0,
        "cooldown_s": 100.0,
        "window_length_s": 1.0,
        "targets": ("http://127.0.0.1:8080",),
        "operations": ("get",),
        "anchor": anchor,
        "phases": phases or (phase_order(0), phase_order(1)),
        "gates": (),
        "gates_sha256": "",
        "plan_sha256": "",
        "seed": 7,
        "host_sample_period_s": 1.0,
        "health_minimum": 70.0,
        "consecutive_failures_max": 3,
        "response_s_slo": 0.5,
        "response_s_limit": 2.0,
        "error_percent_slo": 1.0,
        "error_percent_limit": 5.0,
    }
    return NightOrder(**{**values, **changes})


def campaign_order(directory: Path, night: NightOrder | None = None) -> CampaignOrder:
    """The supervisor's order of a night, with its runs in a directory of the test."""
    return CampaignOrder(
        planned_s=600.0,
        night=night or night_order(),
        host=HostFacts(
            daybreak_version="0.1.0",
            python_version="3.11.7",
            sqlite_version="3.40.1",
            kernel="Linux 6.1",
            host="testbench",
            cpu_count=2,
            memory_bytes=8 << 30,
            boot_id="b00t",
        ),
        target=TargetSpec(
            name="target", url="http://127.0.0.1:8080", address="127.0.0.1", port=8080, headers=(), ca_file=""
        ),
        operations=(
            OperationSpec(
                name="get",
                weight=1.0,
                method="GET",
                path="/",
                headers=(),
                body=NoBody(),
                expected_status=(200,),
                body_contains=(),
                timeout_s=5.0,
            ),
        ),
        engine=EngineName.HTTPX,
        workers=2,
        drain_s=DRAIN_S,
        response_bytes_max=1 << 20,
        safety=SafetyOrder(
            memory_percent=80.0,
            cpu_percent=85.0,
            disk_percent=90.0,
            own_percent=80.0,
            memory_reserve_bytes=1 << 29,
            disk_reserve_bytes=1 << 30,
            allow_critical=False,
        ),
        strict=False,
        runs_dir=str(directory / "runs"),
        state_dir=str(directory / "state"),
    )
