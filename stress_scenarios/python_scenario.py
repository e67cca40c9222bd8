"""Loads the coroutine function that a plan names: from a file, or from an installed package's entry point.

The file is read once: what was hashed is what runs. Loading runs the module's own code, so whatever that raises is told as
a fault of the plan. Runs in worker processes.
"""

import hashlib
import inspect
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from baseline_metrics.redaction import redact
from stress_scenarios.load_plan import PythonScenario
from stress_scenarios.plain_file import open_plain
from stress_scenarios.scenario import ScenarioError, bounded_message

if TYPE_CHECKING:
    from stress_scenarios.scenario_session import ScenarioSession

ENTRY_POINT_GROUP = "daybreak.scenarios"

CODE_BYTES_MAX = 4 << 20
"""A scenario has some hundred lines; this only refuses what cannot be one."""

ScenarioFunction = Callable[["ScenarioSession"], Awaitable[object]]


class PythonScenarioError(ScenarioError):
    """The code cannot be loaded. The message says what to change."""


def load_scenario(code: PythonScenario) -> ScenarioFunction:
    """The function. Raises PythonScenarioError."""
    path, colon, name = code.code.rpartition(":")
    if colon and path.endswith(".py"):
        return _function(_module(Path(path), code.sha256), name, where=path)
    return _from_entry_point(code.code)


def sha256_of_code(path: str) -> str:
    """What a plan notes about the file. Raises PythonScenarioError."""
    return hashlib.sha256(_source(Path(path))).hexdigest()


def _source(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            source = file.read(CODE_BYTES_MAX + 1)
    except OSError as error:
        raise PythonScenarioError(
            f"{path} cannot be read: {error.strerror}; write FILE.py:FUNCTION of a scenario"
        ) from error
    if len(source) > CODE_BYTES_MAX:
        raise PythonScenarioError(f"{path} is larger than {CODE_BYTES_MAX:,} bytes: no scenario")
    return source


def _module(path: Path, sha256: str) -> ModuleType:
    source = _source(path)
    if hashlib.sha256(source).hexdigest() != sha256:
        raise PythonScenarioError(f"{path} was changed since the plan was made; plan again")
    module = ModuleType(f"daybreak_scenario_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses, for one, look their module up
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # what lies beside it can be imported, and hides nothing installed
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 - it is the user's own code
    except (Exception, SystemExit) as error:
        sys.modules.pop(module.__name__, None)
        raise PythonScenarioError(f"{path} does not load: {_said(error, str(path))}") from error
    return module


def _function(module: object, name: str, *, where: str) -> ScenarioFunction:
    function = getattr(module, name, None)
    if function is None:
        raise PythonScenarioError(f'{where} has no function "{name}"; write async def {name}(session)')
    return _checked(function, f'"{name}" in {where}')


def _from_entry_point(name: str) -> ScenarioFunction:
    points = entry_points(group=ENTRY_POINT_GROUP, name=name)
    if len(points) != 1:
        known = ", ".join(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)})) or "none"
        raise PythonScenarioError(
            f'{len(points)} installed packages have the entry point "{name}" in the group {ENTRY_POINT_GROUP}'
            f" (there are: {known}); install one, or write /path/of/file.py:function"
        )
    (point,) = points
    try:
        function = point.load()
    except (Exception, SystemExit) as error:
        raise PythonScenarioError(f"the entry point {name} ({point.value}) does not load: {error!r}") from error
    return _checked(function, f'the entry point "{name}" ({point.value})')


def _checked(function: object, what: str) -> ScenarioFunction:
    if not inspect.iscoroutinefunction(function):
        raise PythonScenarioError(f"{what} is no coroutine function; write async def")
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        raise PythonScenarioError(f"{what} must take one argument, the session") from error
    return cast(ScenarioFunction, function)


def _said(error: BaseException, path: str) -> str:
    """Kind, words and line of an error; a syntax error brings its own line."""
    line = error.lineno if isinstance(error, SyntaxError) else 0
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return bounded_message(redact(f"line {line}: {type(error).__name__}: {error}"))
