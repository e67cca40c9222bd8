"""Loads a plan: reads the file, lays the sources over each other, checks everything at once, names every fault's place.

This is where a plan touches the world: files, the environment, the size of this host. The launcher's process uses it.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import platformdirs
from pydantic import ValidationError

from baseline_metrics.host_files import HostFiles, usable_cores
from baseline_metrics.samples import Gap
from baseline_metrics.units import format_bytes
from baseline_metrics.zones import zone_named
from campaign.defaults import HostSize, PlanValue, campaign_defaults, default_layer, derived_defaults
from campaign.plan import Plan
from campaign.plan_inputs import PlanInputs, read_inputs
from campaign.plan_layers import FlagValue, Layer, Origins, environment_layer, flag_layer, merge
from campaign.plan_paths import with_absolute_paths
from campaign.plan_problems import PathProblem, PlanError, PlanProblem, model_problems, raw_problems
from campaign.plan_relations import relation_problems
from campaign.plan_types import ENVIRONMENT_REFERENCE
from campaign.yaml_source import PLAN_BYTES_MAX, YamlProblems, read_yaml

USER_FILE_NAME = "config.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoFile:
    """There is no such source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSources:
    """Where the values of a plan may come from. flags: by the names of OVERRIDES, as typed or already numbers."""

    file: Path | NoFile = NoFile()
    flags: Mapping[str, FlagValue] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    user_file: Path | NoFile = NoFile()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPlan:
    """A complete plan, with where each value came from, and what was read of the files that it names."""

    plan: Plan
    origins: Origins
    inputs: PlanInputs


def load_plan(path: Path) -> Plan:
    """The plan of one file, with the defaults of this host. Raises PlanError with everything that is wrong."""
    return resolve_plan(PlanSources(file=path)).plan


def plan_for_target(url: str) -> Plan:
    """Without a plan file, only a target: the default phases, and GET of the URL's path. Raises PlanError."""
    return resolve_plan(PlanSources(flags={"target": url})).plan


def resolve_plan(sources: PlanSources, *, host: HostSize | None = None, zone: str | None = None) -> LoadedPlan:
    """Lay all sources over each other and check the result. Raises PlanError with everything that is wrong.

    host and zone are this machine's unless given.
    """
    layers: list[Layer] = []
    if isinstance(sources.user_file, Path) and sources.user_file.is_file():
        layers.append(_file_layer(sources.user_file, _read_text(sources.user_file)))
    plan_name = "plan"
    if isinstance(sources.file, Path):
        plan_name = sources.file.name
        layers.append(_file_layer(sources.file, _read_text(sources.file)))
    return _resolve(layers, sources, plan_name=plan_name, host=host or this_host(), zone=zone or local_zone())


def resolve_plan_text(
    text: str, *, name: str, sources: PlanSources, host: HostSize | None = None, zone: str | None = None
) -> LoadedPlan:
    """Like resolve_plan, for plan text that lies in no file; ``name`` stands in messages. Raises PlanError.

    Paths in it begin at the working directory.
    """
    layers = [_file_layer(Path(name), text)]
    return _resolve(layers, sources, plan_name=name, host=host or this_host(), zone=zone or local_zone())


def _resolve(
    file_layers: list[Layer], sources: PlanSources, *, plan_name: str, host: HostSize, zone: str
) -> LoadedPlan:
    merged = merge(
        (
            Layer(values=default_layer(host=host, zone=zone), marks={}),
            *file_layers,
            environment_layer(sources.environ),
            flag_layer(sources.flags),
        )
    )
    by_size = campaign_defaults(host)
    origins = Origins(
        marks=merged.marks,
        reasons={
            ("window", "hours"): by_size.reason,
            ("failures", "consecutive"): by_size.reason,
            ("window", "timezone"): "this host's zone",
        },
    )
    values = derived_defaults(merged.values)
    problems = list(raw_problems(values))
    try:
        plan = Plan.model_validate(values)
    except ValidationError as error:
        problems = [*model_problems(error, values), *problems]
        raise PlanError(_located(problems, origins, plan_name, values)) from error
    inputs, of_files = read_inputs(plan)
    problems = [*problems, *relation_problems(plan), *of_files]
    if problems:
        raise PlanError(_located(problems, origins, plan_name, values))
    return LoadedPlan(plan=plan, origins=origins, inputs=inputs)


def _located(
    problems: list[PathProblem], origins: Origins, plan_name: str, values: dict[str, PlanValue]
) -> tuple[PlanProblem, ...]:
    found = [
        PlanProblem(
            where=origins.nearest_mark(problem.path, plan_name),
            path=".".join(str(part) for part in problem.path),
            text=problem.text,
        )
        for problem in problems
        if not _repeats_first_phase(problem, origins, values)
    ]
    return tuple(sorted(found, key=_reading_order))


def _reading_order(problem: PlanProblem) -> tuple[str, int, int]:
    """By source, then line and column; what stands nowhere comes first."""
    file, line, column = (*problem.where.split(":"), "", "")[:3]
    return file, int(line) if line.isdigit() else 0, int(column) if column.isdigit() else 0


def _repeats_first_phase(problem: PathProblem, origins: Origins, values: dict[str, PlanValue]) -> bool:
    """The anchor takes its load from the first phase; what is wrong there is said there."""
    return (
        problem.path[:1] == ("anchor",)
        and not origins.written(problem.path)
        and not origins.written(("anchor",))
        and bool(values.get("phases"))
    )


def _file_layer(path: Path, text: str) -> Layer:
    try:
        source = read_yaml(text)
    except YamlProblems as error:
        raise PlanError(
            tuple(
                PlanProblem(
                    where=f"{path.name}:{problem.place.line}:{problem.place.column}",
                    path=".".join(str(part) for part in problem.path),
                    text=problem.text,
                )
                for problem in error.problems
            )
        ) from error
    marks = {key: f"{path.name}:{place.line}:{place.column}" for key, place in source.places.items()}
    return Layer(values=with_absolute_paths(source.values, path.parent.absolute()), marks=marks)


def _read_text(path: Path) -> str:
    def refuse(text: str) -> PlanError:
        return PlanError((PlanProblem(where=str(path), path="", text=text),))

    try:
        with path.open("rb") as file:
            content = file.read(PLAN_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise refuse("there is no such file; `init` writes a commented plan to start from") from error
    except IsADirectoryError as error:
        raise refuse("is a directory; name the plan file in it") from error
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from error
    if len(content) > PLAN_BYTES_MAX:
        raise refuse(f"is larger than {format_bytes(PLAN_BYTES_MAX)}; a plan with everything in it takes some KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def unset_references(plan: Plan, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names of environment variables that the plan's headers refer to and that are not set, each once."""
    values = [*plan.target.headers.values()]
    for operation in plan.operations:
        values.extend(operation.headers.values())
    names = (name for value in values for name in ENVIRONMENT_REFERENCE.findall(value))
    return tuple(dict.fromkeys(name for name in names if name not in environ))


def this_host() -> HostSize:
    """The size of what this process may use of its machine: a container's limits count, not what its host has."""
    with HostFiles() as files:
        total, cores = files.memory().total_bytes, usable_cores(files)
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if isinstance(total, Gap) else total.value
    return HostSize(cpu_count=cores, memory_bytes=int(memory_bytes))


def local_zone() -> str:
    """IANA name of this machine's zone; UTC when it does not say."""
    candidates = [os.environ.get("TZ", "").removeprefix(":")]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        candidates.append(Path("/etc/timezone").read_text().strip())
    with contextlib.suppress(OSError):
        candidates.append(str(Path("/etc/localtime").readlink()).partition("zoneinfo/")[2])
    for candidate in candidates:
        if candidate and _is_zone(candidate):
            return candidate
    return "UTC"


def _is_zone(name: str) -> bool:
    try:
        zone_named(name)
    except ZoneInfoNotFoundError:
        return False
    return True


def user_file_path() -> Path:
    """Where a user's own defaults lie."""
    return Path(platformdirs.user_config_dir("daybreak")) / USER_FILE_NAME
