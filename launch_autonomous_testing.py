"""Daybreak's one command: the emergency stop before anything else, then the command line.

``--emergency-stop`` has to work on bare Python, in milliseconds, whatever else is broken or not installed, so nothing is
imported before it. Everything else needs the installed packages; without them the program goes on with ``.venv`` beside
it, or says how to make that. Run by people and schedulers, directly or as the installed command ``daybreak``.
"""

import os
import sys

_REEXECUTED = "DAYBREAK_REEXECUTED"
"""Set when the program was started again inside .venv, so that a broken environment cannot start it for ever."""

EXIT_USAGE = 2


def main() -> int:
    """Run the command of sys.argv. Returns the exit code."""
    arguments = sys.argv[1:]
    if "--emergency-stop" in arguments:
        from safety_monitoring.emergency_stop import main as stop

        return stop([argument for argument in arguments if argument != "--emergency-stop"])
    try:
        from campaign.interfaces.cli import main as run
    except ModuleNotFoundError as error:
        return _without_packages(error)
    os.environ.pop(_REEXECUTED, None)
    return run()


def _without_packages(error: ModuleNotFoundError) -> int:
    rooms = {
        "baseline_metrics",
        "campaign",
        "monitoring_logs",
        "results_summary",
        "safety_monitoring",
        "stress_scenarios",
    }
    if (error.name or "").partition(".")[0] in rooms:
        raise error  # a module of ours is missing: that is a fault, and no package would mend it
    home = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - nothing is imported before it is needed
    python = f"{home}/.venv/bin/python"
    if os.access(python, os.X_OK) and _REEXECUTED not in os.environ:
        os.environ[_REEXECUTED] = "1"
        sys.stdout.flush()
        os.execv(python, [python, os.path.realpath(__file__), *sys.argv[1:]])  # noqa: S606 - no shell is wanted
    sys.stderr.write(
        f"the package {error.name} is not installed for {sys.executable}.\n"
        f"Make the environment once, in {home}:  make setup\n"
        "or:  python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e .\n"
    )
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
