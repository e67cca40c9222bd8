"""The plans that a user copies: each can be read, planned and turned into orders, without any network."""

from pathlib import Path

import pytest

from campaign.plan_file import LoadedPlan, PlanSources, resolve_plan
from campaign.plan_specs import code_spec, feeder_specs, is_scripted, operation_specs
from campaign.planned_memory import HostMemory
from campaign.planned_night import PlannedNight
from campaign.planner import fit_night
from monitoring_logs.load_orders import NO_MEMORY_LOAD, MemoryLoad, SearchOrder
from stress_scenarios.load_plan import (
    Arrivals,
    Curve,
    PythonScenario,
    RampRate,
    SineRate,
    Spacing,
    SpikeRate,
    Stage,
    StepRate,
    WebSocketRequest,
)
from tests.support.plans import MIDDLE_HOST

ROOMY = HostMemory(total_bytes=8 << 30, available_bytes=6 << 30, swap_bytes=0)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PLANS = sorted(path.name for path in EXAMPLES.glob("*.yaml"))


def example(name: str, **flags: str) -> LoadedPlan:
    """One of them, as it would be loaded."""
    return resolve_plan(PlanSources(file=EXAMPLES / name, flags=flags), host=MIDDLE_HOST, zone="UTC")


def planned(name: str, *, compress_to_s: float) -> PlannedNight:
    """A rehearsal of it on a small machine."""
    found = example(name)
    night = fit_night(
        found.plan,
        inputs=found.inputs,
        now_utc_s=1_800_000_000.0,
        host_cpu_count=2,
        run_id="run",
        compress_to_s=compress_to_s,
        host_memory=ROOMY,
    )
    assert isinstance(night, PlannedNight), night
    return night


@pytest.mark.parametrize("name", PLANS)
def test_every_example_can_be_planned_and_rehearsed_in_five_minutes(name: str) -> None:
    """A plan that is copied has to run as it stands."""
    night = planned(name, compress_to_s=300.0)

    assert not [phase.name for phase in night.order.phases if phase.cut]
    assert all(forecast.enough for forecast in night.forecasts if forecast.gates != "drift")


def test_there_is_an_example_of_each_kind() -> None:
    """None was lost, and none came without a test."""
    assert PLANS == [
        "demo.yaml",
        "login-flow.yaml",
        "memory.yaml",
        "open-arrivals.yaml",
        "overnight-http.yaml",
        "python-flow.yaml",
        "websocket.yaml",
    ]


def test_the_login_flow_logs_in_uses_its_token_uploads_and_leaves() -> None:
    """Setup, extraction, feeder, checks, tags, teardown."""
    found = example("login-flow.yaml")
    specs = {spec.name: spec for spec in operation_specs(found.plan)}
    (users,) = feeder_specs(found.plan, found.inputs)

    assert specs["log_in"].stage is Stage.SETUP
    assert specs["log_out"].stage is Stage.TEARDOWN
    assert [extraction.variable for extraction in specs["log_in"].extractions] == ["token"]
    assert specs["account"].headers[0].value == "Bearer ${token}"
    assert len(specs["account"].checks) == 3
    assert users.path == str(EXAMPLES / "users.csv")
    assert found.inputs.feeders["users"].rows == 6
    without = example("login-flow.yaml", exclude_tags="upload").plan
    assert without.operation_names == ("log_in", "account", "log_out")


def test_the_same_flow_in_python_counts_under_the_same_names() -> None:
    """So that both reports can be compared."""
    found = example("python-flow.yaml")
    code = code_spec(found.plan, found.inputs)

    assert code == PythonScenario(code=f"{EXAMPLES / 'login_flow.py'}:browse", sha256=found.inputs.code_sha256)
    assert found.plan.operation_names == example("login-flow.yaml").plan.operation_names
    assert is_scripted(found.plan)


def test_open_arrivals_show_the_shapes_and_a_search() -> None:
    """Constant, curved, in steps, with spikes, in waves; and the answer to "how much"."""
    phases = planned("open-arrivals.yaml", compress_to_s=300.0).order.phases
    paces = [phase.pace for phase in phases]
    shapes = [pace.shape for pace in paces if isinstance(pace, Arrivals)]

    assert [type(shape) for shape in shapes[1:5]] == [RampRate, StepRate, SpikeRate, SineRate]
    assert isinstance(shapes[1], RampRate)
    assert shapes[1].curve is Curve.EXPONENTIAL
    assert isinstance(paces[1], Arrivals)
    assert paces[1].spacing is Spacing.POISSON
    assert isinstance(phases[-1].search, SearchOrder)


def test_the_memory_example_holds_a_size_and_a_share() -> None:
    """Two phases between two that hold none."""
    loads = [phase.memory for phase in planned("memory.yaml", compress_to_s=300.0).order.phases]

    assert loads == [
        NO_MEMORY_LOAD,
        MemoryLoad(size_bytes=512 << 20, rise_bytes_per_s=20.0 * (1 << 20)),
        MemoryLoad(size_bytes=int(0.2 * (8 << 30)), rise_bytes_per_s=100.0 * (1 << 20)),
        NO_MEMORY_LOAD,
    ]


def test_the_websocket_example_mixes_messages_and_requests() -> None:
    """In one load."""
    kinds = [type(spec.kind) for spec in operation_specs(example("websocket.yaml").plan)]

    assert kinds.count(WebSocketRequest) == 1
    assert len(kinds) == 2
