"""The command that makes a campaign a nightly one: schedule. It prints or writes units of systemd, and starts nothing."""

import os
import pwd
import sys
from pathlib import Path

import click

from baseline_metrics.units import UnitError as NoClockTimeError
from baseline_metrics.units import parse_clock_time
from campaign.interfaces import preparation
from campaign.interfaces.commands.run_campaign import run
from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.output import emit, manner, refuse, say, shared_options, tell
from campaign.preflight_runs import nearest_directory
from campaign.processes import PACKAGE_ROOT
from campaign.run_directory import write_whole
from campaign.systemd_units import Schedule, UnitError, units_of
from safety_monitoring.state_place import STATE_VARIABLE

LAUNCHER = "launch_autonomous_testing.py"

HAPPENS_BY_ITSELF = ("--detach", "--yes", "--progress")
"""Options of run that the unit decides: systemd watches the launcher, and nobody is there to be asked or shown anything."""

_CARRIED = frozenset({STATE_VARIABLE, "DAYBREAK_RUNS_DIR", "DAYBREAK_TEST_SESSION"})

INSTALLED_AT = "/etc/systemd/system"


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--systemd", is_flag=True, help="Units of systemd; there is no other kind yet.")
@click.option("--at", metavar="HH:MM", default="", help="When it starts each day, in the plan's time zone.")
@click.option("--unit", metavar="NAME", default="daybreak", show_default=True, help="Name of the units.")
@click.option(
    "--output", metavar="DIR", type=click.Path(path_type=Path), help="Write the files there instead of printing them."
)
@click.argument("words", metavar="[PLAN.yaml] [OPTIONS OF run]...", nargs=-1, type=click.UNPROCESSED)
@shared_options
def schedule(words: tuple[str, ...], *, systemd: bool, at: str, unit: str, output: Path | None) -> int:
    """Make a campaign a nightly one: a timer, its service, and a service that goes on after a crash or a reboot.

    Everything but the options below is handed to `run`, and looked at now as `run` would. Nothing is installed or started.
    """
    if not systemd:
        refuse("write schedule --systemd: units of systemd are the only kind there is")
    made = _schedule(words, at=at, unit=unit)
    try:
        units = units_of(made)
    except UnitError as error:
        refuse(str(error))
    if output is not None:
        _write(units, output)
    if manner().json:
        emit({"units": dict(units), "directory": str(output) if output is not None else ""})
    elif output is None:
        say("\n".join(f"# {name}\n{text}" for name, text in units.items()))
    for name in sorted(name for name in os.environ if name.startswith("DAYBREAK_") and name not in _CARRIED):
        tell(f"{name} is set here and will not be in the unit: write it as an option, or into its EnvironmentFile")
    tell(_next_steps(made, units, output))
    return Exit.DONE


def _schedule(words: tuple[str, ...], *, at: str, unit: str) -> Schedule:
    if not at:
        refuse("--at is missing: write the time of day, such as --at 22:30")
    try:
        clock = f"{parse_clock_time(at):%H:%M}"
    except NoClockTimeError as error:
        refuse(f"--at {at}: {error}")
    taken = [word for word in words if word.split("=")[0] in HAPPENS_BY_ITSELF]
    if taken:
        refuse(f"{taken[0]}: the unit decides that itself; leave it out")
    with run.make_context("run", list(words)) as context:
        given = {name: value for name, value in context.params.items() if name not in _LAUNCH_ONLY}
    request = preparation.night_request(**given)
    loaded = preparation.required(preparation.load(request))
    state_dir = _state_directory()
    return Schedule(
        name=unit,
        at=clock,
        zone=loaded.plan.window.timezone,
        user=_user(),
        program=(sys.executable, str(Path(PACKAGE_ROOT) / LAUNCHER)),
        run=(*words, "--runs-dir", str(request.runs_dir), "--yes", "--progress", "none"),
        directory=str(Path.cwd()),
        runs_dir=str(request.runs_dir),
        state_dir=state_dir,
        writable=tuple(dict.fromkeys(str(nearest_directory(path)) for path in (request.runs_dir, Path(state_dir)))),
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        refuse(f"user {os.geteuid()} has no name here, and a unit needs one: schedule it as another user")


_LAUNCH_ONLY = frozenset({"detach", "yes", "strict", "progress"})


def _state_directory() -> str:
    """The one that was named, else the user's own: a service has no login session whose directory it could use."""
    if named := os.environ.get(STATE_VARIABLE):
        return str(Path(named).absolute())
    return str(Path.home() / ".local" / "state" / "daybreak")


def _write(units: dict[str, str], directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            write_whole(directory / name, text)
    except OSError as error:
        refuse(f"{directory} cannot be written: {error.strerror}; name another --output")


def _next_steps(made: Schedule, units: dict[str, str], output: Path | None) -> str:
    names = " ".join(str(output / name) if output is not None else name for name in units)
    return (
        f"to install: sudo cp {names} {INSTALLED_AT}/ && sudo systemctl daemon-reload && "
        f"sudo systemctl enable --now {made.name}.timer && sudo systemctl enable {made.name}-resume.service\n"
        f"for status, stop and the others in a shell: export {STATE_VARIABLE}={made.state_dir}"
    )
