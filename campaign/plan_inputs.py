"""Reads what lies beside a plan before the night: feeders' files, replayed arrivals, Python code. Never runs any of it.

What a plan names has to be there, readable and fitting, while somebody is awake. The launcher's process uses it.
"""

import ast
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path as FilePath
from types import MappingProxyType

from campaign.plan import Plan
from campaign.plan_layers import nearest_key
from campaign.plan_phases import PhasePart
from campaign.plan_problems import PathProblem
from campaign.plan_relations import used_columns
from stress_scenarios.arrival_replay import ReplayError, read_replay, sha256_of_replay
from stress_scenarios.feeder import FeederError, read_feeder, sha256_of_feeder
from stress_scenarios.load_plan import FeederOrder, FeederSpec
from stress_scenarios.python_scenario import ENTRY_POINT_GROUP, PythonScenarioError, sha256_of_code


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederFile:
    """A feeder's file as it was seen."""

    sha256: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFile:
    """A replay's file as it was seen. times_s: after the load's start, ascending."""

    sha256: str
    times_s: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInputs:
    """Everything that was read: feeders by name, replays by path. code_sha256: "" for an entry point, and without code."""

    feeders: Mapping[str, FeederFile] = field(default_factory=dict)
    replays: Mapping[str, ReplayFile] = field(default_factory=dict)
    code_sha256: str = ""

    def replay_of(self, phase: PhasePart) -> ReplayFile:
        """What a phase replays; nothing when it replays nothing."""
        path = phase.arrivals.replay if phase.arrivals is not None else None
        return NO_REPLAY if path is None else self.replays[path]


NO_REPLAY = ReplayFile(sha256="", times_s=())
NO_INPUTS = PlanInputs(feeders=MappingProxyType({}), replays=MappingProxyType({}))
"""Of a plan that names nothing beside it."""


def read_inputs(plan: Plan) -> tuple[PlanInputs, tuple[PathProblem, ...]]:
    """What lies beside the plan, and what is wrong with it."""
    problems: list[PathProblem] = []
    feeders = _read_feeders(plan, problems)
    replays = _read_replays(plan, problems)
    code_sha256 = _read_code(plan, problems)
    return PlanInputs(feeders=feeders, replays=replays, code_sha256=code_sha256), tuple(problems)


def _read_replays(plan: Plan, problems: list[PathProblem]) -> dict[str, ReplayFile]:
    found: dict[str, ReplayFile] = {}
    for index, phase in enumerate(plan.phases):
        path = phase.arrivals.replay if phase.arrivals is not None else None
        if path is None or path in found:
            continue
        try:
            sha256 = sha256_of_replay(path)
            found[path] = ReplayFile(sha256=sha256, times_s=read_replay(path, sha256))
        except ReplayError as error:
            problems.append(PathProblem(path=("phases", index, "arrivals", "replay"), text=str(error)))
    return found


# Python code ----------------------------------------------------------------------------------------------------------


def _read_code(plan: Plan, problems: list[PathProblem]) -> str:
    code = plan.code
    if code is None:
        return ""
    if code.entry_point is not None:
        names = tuple(sorted(metadata.entry_points(group=ENTRY_POINT_GROUP).names))
        if code.entry_point not in names:
            hint = nearest_key(code.entry_point, names) if names else "none is installed"
            text = f'"{code.entry_point}" is no entry point of the group {ENTRY_POINT_GROUP}: {hint}'
            problems.append(PathProblem(path=("code", "entry_point"), text=text))
        return ""
    assert code.file is not None, "code has one place"
    path, _, function = code.file.rpartition(":")
    try:
        sha256 = sha256_of_code(path)
        content = FilePath(path).read_bytes()
    except (PythonScenarioError, OSError) as error:
        problems.append(PathProblem(path=("code", "file"), text=str(error)))
        return ""
    text = _code_problem(path, content, function)
    if text:
        problems.append(PathProblem(path=("code", "file"), text=text))
    return sha256


def _code_problem(path: str, content: bytes, function: str) -> str:
    """What is wrong with a file that is to hold a coroutine function; "" when nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python finds odd in it is its author's business
            tree = ast.parse(content, filename=path)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        return f"{path}{line} is not Python: {error.msg if isinstance(error, SyntaxError) else error}"
    coroutines: list[str] = []
    for node in _top_level(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            coroutines.append(node.name)
        elif isinstance(node, ast.FunctionDef) and node.name == function:
            return (
                f"{path}:{node.lineno}: {function} is not a coroutine function: write `async def {function}(session)`"
            )
        elif function in _bound_names(node):
            return ""  # imported or assigned: what it is shows only when it runs
    if function in coroutines:
        return ""
    hint = nearest_key(function, tuple(coroutines)) if coroutines else f"write `async def {function}(session)`"
    return f"{path} has no function {function}; {hint}"


def _top_level(tree: ast.Module) -> list[ast.stmt]:
    """Statements of the module itself, those under an if, a try or a with included."""
    found: list[ast.stmt] = []
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        found.append(node)
        if isinstance(node, ast.If | ast.Try | ast.With):
            waiting.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))
            waiting.extend(child for handler in getattr(node, "handlers", ()) for child in handler.body)
    return found


def _bound_names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()


# Feeders --------------------------------------------------------------------------------------------------------------


def _read_feeders(plan: Plan, problems: list[PathProblem]) -> dict[str, FeederFile]:
    found: dict[str, FeederFile] = {}
    used = used_columns(plan)
    for name, part in plan.feeders.items():
        try:
            sha256 = sha256_of_feeder(part.file)
            spec = FeederSpec(
                name=name, path=part.file, sha256=sha256, format=part.format, order=FeederOrder(part.order)
            )
            rows = read_feeder(spec)
        except FeederError as error:
            problems.append(PathProblem(path=("feeders", name, "file"), text=str(error)))
            continue
        found[name] = FeederFile(sha256=sha256, rows=len(rows))
        problems.extend(
            PathProblem(path=("feeders", name), text=_no_column(name, column, rows.columns))
            for column in used[name]
            if column not in rows.columns
        )
    return found


def _no_column(feeder: str, column: str, columns: tuple[str, ...]) -> str:
    return f"has no column {column}, which ${{{feeder}.{column}}} asks for; {nearest_key(column, columns)}"
