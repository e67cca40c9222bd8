"""From a command line to a night: loads the plan, pins the target, fits the night into its window.

Each step refuses with what is wrong and what to write instead, so ``run``, ``check`` and ``plan`` say the same. Nothing
is written and no request is sent. The launcher's process uses it.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import assert_never

from baseline_metrics.target_policy import PinnedTarget, RefusalKind, TargetRefused, resolve_target, system_resolver
from baseline_metrics.units import UnitError, parse_duration_s
from campaign.host_heat import read_critical_celsius_max
from campaign.host_memory import read_host_memory
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.output import refuse
from campaign.plan import Plan
from campaign.plan_file import (
    LoadedPlan,
    NoFile,
    PlanSources,
    resolve_plan,
    resolve_plan_text,
    this_host,
    user_file_path,
)
from campaign.plan_layers import FlagValue
from campaign.plan_problems import PlanError
from campaign.planned_night import NotCompressed, PlannedNight, PlanRefused
from campaign.planner import fit_night
from campaign.run_directory import run_id_of
from campaign.starter_plan import DEMO_PLAN

OWN_PLAN = Path("campaign.yaml")
"""What `run` finds by itself in the working directory."""

DEMO_PLAN_NAME = "demo.yaml"

WAYS_TO_GO_ON = """\
nothing to load: there is no plan, no ./campaign.yaml and no target. Three ways to go on:
  run --demo --compress 2min           the bundled demo service, in two minutes
  run --target http://127.0.0.1:8080   a server of your own, with the default plan
  init                                 writes ./campaign.yaml, a commented plan to edit; then `run`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRequest:
    """What the command line asks for. flags: plan values by the names of plan_layers.OVERRIDES; compress: "" or a duration."""

    plan_file: Path | NoFile
    flags: Mapping[str, FlagValue]
    scale: float
    compress: str
    demo: bool
    runs_dir: Path
    allow_critical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTargetGiven:
    """Neither plan nor target: only the host can be looked at."""


def night_request(
    *,
    plan_file: Path | None,
    target: str | None,
    hours: str | None,
    until: str | None,
    scale: float,
    compress: str | None,
    demo: bool,
    name: str | None,
    seed: str | None,
    runs_dir: Path,
    allow_target: tuple[str, ...],
    allow_critical: bool,
    tags: str | None,
    exclude_tags: str | None,
) -> NightRequest:
    """The request of a command's options, as click hands them over (None: not given)."""
    given = {
        "target": target,
        "hours": hours,
        "until": until,
        "name": name,
        "seed": seed,
        "tags": tags,
        "exclude_tags": exclude_tags,
    }
    flags: dict[str, FlagValue] = {option: value for option, value in given.items() if value is not None}
    if allow_target:
        flags["allow_target"] = allow_target
    if hours is not None and until is not None:
        refuse("--hours and --until both say when the night ends: write one of the two")
    if demo and target is not None:
        refuse("--demo loads the bundled service, --target another one: write one of the two")
    return NightRequest(
        plan_file=NoFile() if plan_file is None else plan_file,
        flags=flags,
        scale=scale,
        compress=compress or "",
        demo=demo,
        runs_dir=runs_dir,
        allow_critical=allow_critical,
    )


def load(request: NightRequest, *, demo_url: str = "") -> LoadedPlan | NoTargetGiven:
    """The plan with all its layers. demo_url: where the demo service listens; "" leaves the plan's own address.

    Refuses (2) with every problem on a line of its own.
    """
    flags = {**request.flags, "target": demo_url} if demo_url else request.flags
    user_file = user_file_path()
    file = _plan_file(request)
    sources = PlanSources(file=file, flags=flags, environ=os.environ, user_file=user_file)
    if isinstance(file, NoFile) and not request.demo and not _target_given(request) and not user_file.is_file():
        return NoTargetGiven()
    try:
        if request.demo and isinstance(file, NoFile):
            return resolve_plan_text(DEMO_PLAN, name=DEMO_PLAN_NAME, sources=sources)
        return resolve_plan(sources)
    except PlanError as error:
        refuse(str(error))


def source_text(request: NightRequest) -> str:
    """Where the plan and its target come from, in one line: what was found by itself must not stay unseen."""
    match _plan_file(request):
        case Path() as path:
            plan = f"./{OWN_PLAN}" if path == OWN_PLAN else str(path)
        case NoFile():
            own = user_file_path()
            plan = "the demo's own" if request.demo else str(own) if own.is_file() else "the default one"
    if request.demo:
        return f"plan: {plan}, target from --demo"
    if "target" in request.flags:
        return f"plan: {plan}, target from --target"
    return f"plan: {plan}, target from DAYBREAK_TARGET" if _target_given(request) else f"plan: {plan}"


def _target_given(request: NightRequest) -> bool:
    return "target" in request.flags or bool(os.environ.get("DAYBREAK_TARGET"))


def _plan_file(request: NightRequest) -> Path | NoFile:
    """The plan that was named, else ./campaign.yaml where it is meant."""
    match request.plan_file:
        case Path() as path:
            _refuse_mistyped_command(path)
            return path
        case NoFile():
            return OWN_PLAN if OWN_PLAN.is_file() and not request.demo else NoFile()
    assert_never(request.plan_file)


def _refuse_mistyped_command(path: Path) -> None:
    """`daybreak statsu` arrives here as the name of a plan."""
    if path.exists() or path.suffix or len(path.parts) != 1:
        return
    from campaign.interfaces.cli import COMMANDS  # noqa: PLC0415 - cli imports the commands, which import this module

    near = get_close_matches(path.name, COMMANDS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"commands are {', '.join(COMMANDS)}"
    refuse(f'"{path}" is neither a command nor a plan file: {hint}')


def required(loaded: LoadedPlan | NoTargetGiven) -> LoadedPlan:
    """The plan; refuses (2) when there is none, with the three ways to go on."""
    match loaded:
        case LoadedPlan():
            return loaded
        case NoTargetGiven():
            refuse(WAYS_TO_GO_ON)
    assert_never(loaded)


def look_up(plan: Plan) -> PinnedTarget | TargetRefused:
    """The target with its address, or why it may not be loaded."""
    return resolve_target(plan.target.url, allow=plan.target.allow, resolver=system_resolver)


def pinned(plan: Plan) -> PinnedTarget:
    """Like look_up. Refuses: 2 when it is no HTTP address, 6 when it may not be loaded."""
    found = look_up(plan)
    match found:
        case PinnedTarget():
            return found
        case TargetRefused(kind=kind, reason=reason, remedy=remedy):
            code = Exit.USAGE if kind is RefusalKind.NOT_HTTP else Exit.REFUSED
            refuse(f"target: {reason}; {remedy}", exit_code=code)
    assert_never(found)


def fit(loaded: LoadedPlan, request: NightRequest) -> PlannedNight | PlanRefused:
    """The night that would begin now, or the planner's arithmetic against it."""
    now_utc_s = time.time()
    return fit_night(
        loaded.plan,
        inputs=loaded.inputs,
        now_utc_s=now_utc_s,
        host_cpu_count=this_host().cpu_count,
        run_id=run_id_of(name=loaded.plan.name, utc_s=now_utc_s),
        compress_to_s=_compress_to_s(request),
        scale=request.scale,
        host_memory=read_host_memory(),
        critical_celsius_max=read_critical_celsius_max(),
    )


def fitted(loaded: LoadedPlan, request: NightRequest) -> PlannedNight:
    """Like fit. Refuses (2) with the planner's arithmetic."""
    planned = fit(loaded, request)
    match planned:
        case PlannedNight():
            return planned
        case PlanRefused(reasons=reasons):
            refuse("\n".join(reasons))
    assert_never(planned)


def _compress_to_s(request: NightRequest) -> float | NotCompressed:
    if not request.compress:
        return NotCompressed()
    try:
        return parse_duration_s(request.compress)
    except UnitError as error:
        refuse(f"--compress: {error}")
