"""Scenario code is loaded as the plan saw it, or refused with what to change."""

import asyncio
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from stress_scenarios import python_scenario
from stress_scenarios.load_plan import PythonScenario
from stress_scenarios.python_scenario import PythonScenarioError, load_scenario, sha256_of_code
from tests.stress_scenarios.scripted_rig import some_code

GOOD = """
from dataclasses import dataclass

@dataclass(slots=True)
class Basket:
    items: int = 0

async def browse(session):
    return Basket(items=3)

def plain(session):
    pass

async def greedy(session, more):
    pass

constant = 5
"""


def test_a_function_of_a_file_is_loaded(tmp_path: Path) -> None:
    """With dataclasses, which look their module up, and without leaving files behind."""
    code = some_code(tmp_path / "flow.py", GOOD)
    assert sha256_of_code(str(tmp_path / "flow.py")) == code.sha256
    function = load_scenario(code)
    basket = asyncio.run(_call(function))
    assert getattr(basket, "items") == 3  # noqa: B009 - of a type that only exists at run time
    assert [path.name for path in tmp_path.iterdir()] == ["flow.py"]


async def _call(function: python_scenario.ScenarioFunction) -> object:
    return await function(object())  # type: ignore[arg-type]


def test_what_lies_beside_the_file_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario may be more than one file."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "beside_the_flow.py").write_text("ANSWER = 42\n")
    code = some_code(
        tmp_path / "flow.py", "from beside_the_flow import ANSWER\nasync def browse(session):\n    return ANSWER\n"
    )
    assert asyncio.run(_call(load_scenario(code))) == 42


@pytest.mark.parametrize(
    ("source", "function", "complaint"),
    [
        (GOOD, "missing", 'has no function "missing"; write async def missing'),
        (GOOD, "plain", "no coroutine function; write async def"),
        (GOOD, "constant", "no coroutine function"),
        (GOOD, "greedy", "must take one argument, the session"),
        ("async def browse(", "browse", "line 1: SyntaxError"),
        ("\nimport no_such_module_here\n", "browse", "line 2: ModuleNotFoundError"),
        ("\n\nraise RuntimeError('no')", "browse", "line 3: RuntimeError: no"),
        ("import sys\nsys.exit(3)", "browse", "line 2: SystemExit: 3"),
        ("password = 'x'\nraise ValueError('token=hunter2')", "browse", r"line 2: ValueError: token=\[secret\]"),
        ("\0", "browse", "does not load"),
    ],
)
def test_code_that_cannot_be_used_is_refused(tmp_path: Path, source: str, function: str, complaint: str) -> None:
    """File, line and what is wrong; whatever the module's own code raises."""
    with pytest.raises(PythonScenarioError, match=complaint) as refused:
        load_scenario(some_code(tmp_path / "flow.py", source, function=function))
    assert "flow.py" in str(refused.value)


def test_another_file_than_the_plan_saw_is_refused(tmp_path: Path) -> None:
    """Changed, gone, or far too large to be a scenario."""
    code = some_code(tmp_path / "flow.py", GOOD)
    (tmp_path / "flow.py").write_text(GOOD + "\n")
    with pytest.raises(PythonScenarioError, match="was changed since the plan was made"):
        load_scenario(code)
    (tmp_path / "flow.py").unlink()
    with pytest.raises(PythonScenarioError, match="cannot be read"):
        load_scenario(code)
    with (tmp_path / "flow.py").open("wb") as file:
        file.truncate(python_scenario.CODE_BYTES_MAX + 1)
    with pytest.raises(PythonScenarioError, match="no scenario"):
        load_scenario(code)


async def installed(session: object) -> str:
    """What an installed package would bring."""
    return f"ran with {type(session).__name__}"


def test_an_entry_point_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of exactly one installed package; the message names those that there are."""
    points = [
        EntryPoint(name="shop", value=f"{__name__}:installed", group="daybreak.scenarios"),
        EntryPoint(name="broken", value="no_such_module_here:x", group="daybreak.scenarios"),
        EntryPoint(name="twice", value=f"{__name__}:installed", group="daybreak.scenarios"),
        EntryPoint(name="twice", value=f"{__name__}:installed", group="daybreak.scenarios"),
    ]
    monkeypatch.setitem(sys.modules, __name__, sys.modules[installed.__module__])

    def find(*, group: str, name: str = "") -> EntryPoints:
        return EntryPoints(point for point in points if point.group == group and name in ("", point.name))

    monkeypatch.setattr(python_scenario, "entry_points", find)
    assert asyncio.run(_call(load_scenario(PythonScenario(code="shop", sha256="")))) == "ran with object"
    with pytest.raises(PythonScenarioError, match=r'0 installed packages .* "none" .*there are: broken, shop, twice'):
        load_scenario(PythonScenario(code="none", sha256=""))
    with pytest.raises(PythonScenarioError, match="2 installed packages"):
        load_scenario(PythonScenario(code="twice", sha256=""))
    with pytest.raises(PythonScenarioError, match=r"the entry point broken .* does not load"):
        load_scenario(PythonScenario(code="broken", sha256=""))
