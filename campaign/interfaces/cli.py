"""The command line: finds the command that is meant, runs it, and turns whatever comes of it into an exit code.

Command modules are imported only when they are called, so that ``--help`` and ``status`` stay quick on a busy host.
Without a command's name, ``run`` is meant. Runs in the launcher's process.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.output import CommandError, refuse, shared_options, warn

PROGRAM = "daybreak"

PACKAGES = (
    "apscheduler",
    "httpx",
    "jinja2",
    "platformdirs",
    "psutil",
    "pydantic",
    "rich",
    "ruamel",
    "sqlalchemy",
    "structlog",
    "tenacity",
)
"""What the commands import later. Looked up here (3 ms), since the launcher can only go on with .venv before it starts."""

for _package in PACKAGES:
    if importlib.util.find_spec(_package) is None:
        raise ModuleNotFoundError(f"No module named '{_package}'", name=_package)

COMMANDS_MODULE = "campaign.interfaces.commands"


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyCommand:
    """Where a command is, and its line in the help."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    "run": LazyCommand(module="run_campaign", attribute="run", summary="Launch a campaign and watch it."),
    "check": LazyCommand(module="look_ahead", attribute="check", summary="Preflight: may it start? Changes nothing."),
    "plan": LazyCommand(module="look_ahead", attribute="plan", summary="What would happen, as a timeline."),
    "baseline": LazyCommand(module="measure", attribute="baseline", summary="Measure the idle host and the target."),
    "drill": LazyCommand(module="drilling", attribute="drill", summary="Rehearse every way to stop; no campaign."),
    "status": LazyCommand(module="watching", attribute="status", summary="What runs now; --watch shows it live."),
    "stop": LazyCommand(module="ending", attribute="stop", summary="End a running campaign in an orderly way."),
    "pause": LazyCommand(module="pausing", attribute="pause", summary="Hold a running campaign's load for a while."),
    "resume-load": LazyCommand(module="pausing", attribute="resume_load", summary="Let held load go on."),
    "reset": LazyCommand(module="ending", attribute="reset", summary="Take a latched stop away; starts nothing."),
    "report": LazyCommand(module="reporting", attribute="report", summary="Build a run's report again, and print it."),
    "list": LazyCommand(module="listing", attribute="list_runs", summary="All runs with their verdicts."),
    "init": LazyCommand(module="beginnings", attribute="init", summary="Write a commented plan to edit."),
    "schedule": LazyCommand(
        module="scheduling", attribute="schedule", summary="Every night, by systemd; installs nothing."
    ),
    "simulate": LazyCommand(module="beginnings", attribute="simulate", summary="Virtual nights on a fake clock."),
}

LATER_COMMANDS = frozenset({"why", "replay", "compare", "resume", "hud"})
"""Names that later versions use. A plan of such a name is given as `run NAME`."""

_GLOBAL_FLAGS = frozenset({"--json", "-q", "--quiet", "-v", "--verbose", "--no-color", "-qv", "-vq"})
_ENDING_FLAGS = frozenset({"-h", "--help", "--version"})
_CHECK_ONLY = "--check-only"
_EMERGENCY_STOP = "--emergency-stop"


class Commands(click.Group):
    """The group of all commands, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of a night, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command's module."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        command = getattr(importlib.import_module(f"{COMMANDS_MODULE}.{lazy.module}"), lazy.attribute)
        assert isinstance(command, click.Command), f"{cmd_name} is not a command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The commands' lines, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without a command, `run` is meant, with all its options: see `run --help`. "
    "Exit codes: 0 fit or done, 1 not fit, 2 usage or plan error, 3 inconclusive, 4 stopped by a person, "
    "5 stopped by the guardian, 6 refused before start, 70 our own fault.",
)
@shared_options
@click.version_option(package_name=PROGRAM, prog_name=PROGRAM)
@click.option(_CHECK_ONLY, is_flag=True, expose_value=False, help="The same as `check`; takes run's options.")
@click.option(
    _EMERGENCY_STOP,
    is_flag=True,
    expose_value=False,
    help="Stop whatever runs, now; --emergency-stop --help tells more.",
)
def root() -> None:
    """Load a system all night, unattended and safely, and say at daybreak whether it is fit."""


def with_command(arguments: Sequence[str]) -> list[str]:
    """The arguments with the command's name written out: ``run`` when none is given, ``check`` for --check-only.

    Refuses (2) the name of a command that this version does not have.
    """
    written = list(arguments)
    end = written.index("--") if "--" in written else len(written)
    check_only = _CHECK_ONLY in written[:end]
    written = [word for index, word in enumerate(written) if index >= end or word != _CHECK_ONLY]
    first = next((index for index, word in enumerate(written) if word not in _GLOBAL_FLAGS), len(written))
    word = written[first] if first < len(written) else ""
    if word in LATER_COMMANDS:
        refuse(f"`{word}` is not part of this version; --help lists its commands")
    if word in COMMANDS:
        return [*written[:first], "check", *written[first + 1 :]] if check_only and word == "run" else written
    if word in _ENDING_FLAGS and not check_only:
        return written
    return [*written[:first], "check" if check_only else "run", *written[first:]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Never raises: an exception that nobody expected is our own fault (70)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if _EMERGENCY_STOP in words:
        from safety_monitoring import emergency_stop  # noqa: PLC0415 - nothing else is loaded before a stop

        return emergency_stop.main([word for word in words if word != _EMERGENCY_STOP])
    try:
        code = root.main(with_command(words), prog_name=PROGRAM, standalone_mode=False)
    except CommandError as error:
        error.show()
        return int(error.code)
    except click.ClickException as error:
        error.show()
        return int(Exit.USAGE)
    except SystemExit as leaving:  # modules that also run on their own end like this on a usage error
        return leaving.code if isinstance(leaving.code, int) else int(Exit.USAGE)
    except (click.Abort, KeyboardInterrupt):
        warn("interrupted before anything was started")
        return int(Exit.REFUSED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one clear line instead of a traceback
        _own_fault(error, verbose=bool({"-v", "--verbose", "-vq", "-qv"} & set(words)))
        return int(Exit.FAULT)
    return int(code) if isinstance(code, int) else int(Exit.DONE)


def _own_fault(error: Exception, *, verbose: bool) -> None:
    if verbose:
        traceback.print_exception(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    hint = "" if verbose else "; the same command with -v shows where it comes from"
    warn(f"{PROGRAM}: our own fault: {type(error).__name__}: {error} ({place.name}){hint}")
