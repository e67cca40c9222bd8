"""The virtual users of scripted orders: which program each connection follows, declared in the plan or written in Python.

Worker processes use it.
"""

from stress_scenarios.declared_program import DeclaredPrograms
from stress_scenarios.engines.engine import Engine
from stress_scenarios.feeder import read_feeder
from stress_scenarios.feeder_turns import FeederTurns
from stress_scenarios.load_plan import LoadOrder, NoCode, PythonScenario
from stress_scenarios.memory_limit import MemoryLimit
from stress_scenarios.python_program import PythonPrograms
from stress_scenarios.python_scenario import load_scenario
from stress_scenarios.ready_operation import ready_operations
from stress_scenarios.session_program import MakeProgram


def programs_for(order: LoadOrder, engine: Engine) -> MakeProgram:
    """What makes the program of each connection of a scripted order. The engine was prepared for the order before.

    Called in the worker's loop. Reads feeders and loads code, so it may take seconds. Raises ScenarioError, EngineError.
    """
    operations = ready_operations(order)
    feeders = tuple(FeederTurns(spec, order, read_feeder(spec)) for spec in order.feeders)
    match order.code:
        case NoCode():
            return DeclaredPrograms(order, engine, operations, feeders)
        case PythonScenario() as code:
            function = load_scenario(code)
            return PythonPrograms(order, engine, operations, feeders, function=function, memory=MemoryLimit())
