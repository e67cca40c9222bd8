"""The preflight: everything that can be known before a night, in one table, each row with its remedy.

It changes nothing and sends no load beyond one probe per target. A check that breaks is a row of its own and never the
end of the table. The launcher's process runs it before each campaign, and for ``check`` alone.
"""

import http
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.host_files import every_marked_process
from baseline_metrics.redaction import redact
from baseline_metrics.target_policy import PinnedTarget, TargetRefused
from baseline_metrics.units import format_duration
from campaign.check_rows import CheckRow, CheckState, fail, ok, unknown, warn
from campaign.plan import Plan
from campaign.plan_file import unset_references
from campaign.plan_specs import SecretError, operation_specs, operations_with_secrets, target_spec, with_secrets
from campaign.planned_memory import limit_percent
from campaign.planned_night import PlannedNight, PlanRefused
from campaign.preflight_host import (
    NEEDS_OF_NO_PLAN,
    HostView,
    Needs,
    check_clock,
    check_clock_changes,
    check_disk,
    check_file_system,
    check_files,
    check_memory,
    check_ports,
    check_power,
    check_sensors,
    check_sqlite,
    check_temperature,
    most_connections,
    needs_of,
    read_host,
)
from campaign.preflight_runs import (
    MarkedReader,
    check_last_drill,
    check_latch,
    check_leftovers,
    check_other_campaigns,
    check_runs_directory,
    check_stop_channels,
    nearest_directory,
)
from campaign.target_probe import Probe, ProbeAnswered, ProbeFailed, ProbeRequest, http_probe
from stress_scenarios.load_plan import TEMPLATE_START, HttpRequest, OperationSpec, Stage, WebSocketRequest

HostReader = Callable[[str, Clock], HostView]

ROOT = Path("/")
"""Where the sensors look at a disk when the runs directory cannot be used: they have to look somewhere."""

DISK_NOT_LOOKED_AT = unknown(
    "disk", "not looked at: the runs directory cannot be used", "see runs directory", critical=False
)
"""What a disk says about a place that is refused anyway would only distract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPlan:
    """There is no plan to look at: none was named, or it cannot be read. remedy: what to do."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTarget:
    """Nobody named a target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCampaign:
    """A plan that was read, with what the planner made of it."""

    plan: Plan
    night: PlannedNight | PlanRefused


def this_host(disk_path: str, clock: Clock) -> HostView:
    """The real machine."""
    return read_host(disk_path=disk_path, clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightInputs:
    """What to look at. probe, read_host and marked are the real ones unless a test gives others."""

    campaign: PlannedCampaign | NoPlan
    target: PinnedTarget | TargetRefused | NoTarget
    runs_dir: Path
    state_dir: Path
    environ: Mapping[str, str]
    clock: Clock
    probe: Probe = http_probe
    read_host: HostReader = this_host
    marked: MarkedReader = every_marked_process


def run_preflight(inputs: PreflightInputs) -> tuple[CheckRow, ...]:
    """All rows, in the order in which a person repairs things. Takes less than 3 s, most of it the probe's when a target hangs."""
    runs = _guarded("runs directory", lambda: check_runs_directory(inputs.runs_dir))
    place = nearest_directory(inputs.runs_dir) if runs.state is CheckState.OK else ROOT
    view = inputs.read_host(str(place), inputs.clock)
    needs = _needs(inputs.campaign)
    checks: list[tuple[str, Callable[[], CheckRow]]] = [
        ("plan", lambda: _check_plan(inputs.campaign)),
        ("target", lambda: _check_target(inputs)),
        ("disk", lambda: check_disk(view, needs) if runs.state is CheckState.OK else DISK_NOT_LOOKED_AT),
        ("memory", lambda: check_memory(view, needs)),
        ("temperature", lambda: check_temperature(view, needs)),
        ("open files", lambda: check_files(view, needs)),
        ("ports", lambda: check_ports(view, needs)),
        ("clock", lambda: check_clock(view)),
        ("power", lambda: check_power(view)),
        ("sensors", lambda: check_sensors(view)),
        ("runs directory", lambda: runs),
        ("file system", lambda: check_file_system(place)),
        ("stop channels", lambda: check_stop_channels(inputs.runs_dir, inputs.state_dir)),
        ("latch", lambda: check_latch(inputs.runs_dir, inputs.state_dir)),
        ("last drill", lambda: check_last_drill(inputs.runs_dir, utc_s=view.utc_s)),
        ("leftovers", lambda: check_leftovers(inputs.state_dir, inputs.marked)),
        ("other campaigns", lambda: check_other_campaigns(inputs.runs_dir, inputs.state_dir, inputs.marked)),
        ("sqlite", check_sqlite),
    ]
    night = _night(inputs.campaign)
    if isinstance(night, PlannedNight):
        checks.insert(8, ("clock changes", lambda: check_clock_changes(night)))
    return tuple(_guarded(name, check) for name, check in checks)


def _guarded(name: str, check: Callable[[], CheckRow]) -> CheckRow:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide the others
        return unknown(
            name,
            redact(f"could not be checked: {type(error).__name__}: {error}"),
            "report this as a fault of the program",
        )


def _night(campaign: PlannedCampaign | NoPlan) -> PlannedNight | PlanRefused | NoPlan:
    return campaign.night if isinstance(campaign, PlannedCampaign) else campaign


def _needs(campaign: PlannedCampaign | NoPlan) -> Needs:
    if isinstance(campaign, NoPlan) or isinstance(campaign.night, PlanRefused):
        return NEEDS_OF_NO_PLAN
    safety = campaign.plan.safety
    return needs_of(
        campaign.night,
        engine=campaign.plan.engine,
        memory_percent=min(
            limit_percent(safety.memory_percent, phase.threshold_multiplier)
            for phase in campaign.night.order.phases
            if not phase.cut
        ),
        disk_percent=safety.disk_percent,
        reserves=(safety.memory_reserve_bytes, safety.disk_reserve_bytes),
        temperature_celsius=safety.temperature_celsius,
    )


def _check_plan(campaign: PlannedCampaign | NoPlan) -> CheckRow:
    if isinstance(campaign, NoPlan):
        return fail("plan", campaign.reason, campaign.remedy)
    night = campaign.night
    if isinstance(night, PlanRefused):
        return fail("plan", "; ".join(night.reasons), "`plan` shows the arithmetic")
    running = [phase for phase in night.order.phases if not phase.cut]
    cut = len(night.order.phases) - len(running)
    detail = (
        f"{night.order.name}: {len(running)} phases in {format_duration(night.length_s)}, at most "
        f"{max(most_connections(phase) for phase in running)} connections"
    )
    if cut:
        return warn("plan", f"{detail}; {cut} phases are cut for want of time", "`plan` says which and why")
    return ok("plan", detail)


def _check_target(inputs: PreflightInputs) -> CheckRow:
    target = inputs.target
    if isinstance(target, NoTarget):
        return fail(
            "target", "nobody said whom to load", "name one: --target http://127.0.0.1:PORT, a PLAN.yaml, or --demo"
        )
    if isinstance(target, TargetRefused):
        return fail("target", target.reason, target.remedy)
    request = _probe_request(inputs, target)
    if isinstance(request, CheckRow):
        return request
    answer = inputs.probe(target, request)
    if isinstance(answer, ProbeFailed):
        return fail("target", answer.reason, answer.remedy)
    return _judge_answer(inputs, target, request, answer)


def _probe_request(inputs: PreflightInputs, target: PinnedTarget) -> ProbeRequest | CheckRow:
    """The first operation that only reads, as the load would send it; without one, HEAD of the root."""
    if isinstance(inputs.campaign, NoPlan):
        return ProbeRequest(method="HEAD", path="/", headers=(), ca_file="")
    plan = inputs.campaign.plan
    unset = unset_references(plan, inputs.environ)
    if unset:
        detail = f"headers refer to environment variables that are not set: {', '.join(unset)}"
        return fail("target", detail, f"export {unset[0]}=...")
    try:
        spec = with_secrets(target_spec(plan, target), inputs.environ)
        operations = operations_with_secrets(operation_specs(plan), inputs.environ)
    except SecretError as error:
        return fail("target", str(error), "correct the variable")
    for operation in operations:
        if _can_be_asked(operation):
            headers = {header.name.lower(): header for header in (*spec.headers, *operation.headers)}
            return ProbeRequest(
                method=operation.method, path=operation.path, headers=tuple(headers.values()), ca_file=spec.ca_file
            )
    for operation in operations:
        if isinstance(operation.kind, WebSocketRequest) and _is_known(operation):
            headers = {header.name.lower(): header for header in (*spec.headers, *operation.headers)}
            return ProbeRequest(
                method="GET",
                path=operation.path,
                headers=tuple(headers.values()),
                ca_file=spec.ca_file,
                websocket=True,
                subprotocols=operation.kind.subprotocols,
            )
    return ProbeRequest(method="HEAD", path="/", headers=spec.headers, ca_file=spec.ca_file)


def _can_be_asked(operation: OperationSpec) -> bool:
    """Whether it only reads, over HTTP, and is known now."""
    return operation.method in ("GET", "HEAD") and isinstance(operation.kind, HttpRequest) and _is_known(operation)


def _is_known(operation: OperationSpec) -> bool:
    """Whether nothing of it comes from a session that nobody has begun."""
    texts = (operation.path, *(header.value for header in operation.headers if not header.secrets))
    return operation.stage is not Stage.CODE and not any(TEMPLATE_START in text for text in texts)


def _judge_answer(
    inputs: PreflightInputs, target: PinnedTarget, request: ProbeRequest, answer: ProbeAnswered
) -> CheckRow:
    server = f" ({answer.server})" if answer.server else ""
    detail = f"{target.url} at {target.address}{server}: {request.method} {request.path} answers {answer.status}"
    if request.websocket and answer.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
        return warn("target", f"{detail}, which opens no WebSocket", "correct the server or the operation's path")
    if request.websocket or isinstance(inputs.campaign, NoPlan):
        return ok("target", detail)
    for operation in inputs.campaign.plan.operations:
        if (operation.method, operation.path) == (
            request.method,
            request.path,
        ) and answer.status not in operation.statuses:
            remedy = f"correct the server or the plan's operation {operation.name}: these answers count as failures"
            return warn("target", f"{detail}, which the plan does not expect", remedy)
    return ok("target", detail)
