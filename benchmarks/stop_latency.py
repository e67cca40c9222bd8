"""Measures how long the load of sixteen processes takes to end on a busy machine, for each way in which it can end.

Whole campaigns are stopped by their STOP file and by the emergency stop's command; rigs (see stop_ways) lose PERMIT on a
full disk, their guardian or their supervisor, or meet a breaker. Twice as many busy loops as cores run beside them.
Writes docs/evidence/stop-latency.md. Its own process: ``python -m benchmarks.stop_latency``.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import stop_ways
from benchmarks.busy_cores import be_prompt, busy_cores
from benchmarks.evidence import DEFAULT_DIRECTORY, circumstances_now
from benchmarks.held_campaign import HeldCampaign, NeverHeldError, launch
from benchmarks.stop_page import (
    BURN_S,
    BURNERS_PER_CORE,
    CAMPAIGN_PATHS,
    NAME,
    Gone,
    NotStopped,
    Repetition,
    StillThere,
    StopPath,
    load_text,
    report,
)
from safety_monitoring.stopping import load_of, wait_gone
from stress_scenarios.demo_process import start_demo_service

REPETITIONS = 100
REPETITIONS_MAX = 1000
"""Ten times the usual, most of a day; more is a slip."""

BURN_S_MAX = 30.0
"""A busy loop ends by itself after this, should this program be killed before it can end it."""

STOP_S_MAX = 10.0
"""Twenty times the goal. What still makes load then counts as never stopped, and is killed."""

COMMAND_S_MAX = 90.0
"""The command waits for the report, which may take a minute on an overloaded machine."""

PATHS_TEXT = ",".join(path.value for path in StopPath)

NOT_HELD_MAX = 5
"""So many campaigns that never held their load mean that this machine cannot measure now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A campaign whose load was taken away and that now ends by itself, and the command that stopped it, if one did."""

    number: int
    path: StopPath
    campaign: HeldCampaign
    load: Gone | StillThere
    commands: tuple["subprocess.Popen[bytes]", ...]


class GivenUpError(Exception):
    """The measurement cannot be taken here and now."""


def main(argv: Sequence[str]) -> int:
    """Measure and write. Returns 0 if all goals were reached, 1 if not or if nothing could be measured."""
    options = _options(argv)
    # SIGTERM then leaves through the same doors as Ctrl-C: campaign, busy loops and demo service are ended.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    where = circumstances_now()
    be_prompt()
    base = Path(tempfile.mkdtemp(prefix="daybreak-stop-"))
    demo = start_demo_service(parent_pid=os.getpid())
    began_mono_s = time.monotonic()
    try:
        repetitions = measure(options.paths, options.repetitions, base=base, target_url=demo.url)
    except (GivenUpError, stop_ways.NoSmallDiskError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        demo.stop()
    took_s = time.monotonic() - began_mono_s
    if any(repetition.faults for repetition in repetitions):
        print(f"the campaigns with faults are kept in {base}")
    else:
        shutil.rmtree(base)
    return report(repetitions, where, directory=options.output, command=_command(options), took_s=took_s)


def measure(paths: Sequence[StopPath], repetitions: int, *, base: Path, target_url: str) -> tuple[Repetition, ...]:
    """End so many loads in each way, the ways in turn. Raises GivenUpError, NoSmallDiskError; leaves nothing running."""
    whole = [path for path in paths if path in CAMPAIGN_PATHS]
    done = _campaigns(whole, repetitions, base=base, target_url=target_url)
    for number in range(1, repetitions + 1):
        for path in paths:
            if path not in CAMPAIGN_PATHS:
                ended = stop_ways.repetition(number, path, base=base, target_url=target_url)
                if not ended.faults:
                    shutil.rmtree(base / f"{path.value}-{number}")
                done.append(_tell(ended))
                _give_up_if_hopeless(done)
    _give_up_without_stops(done, paths)
    return tuple(done)


def _campaigns(paths: Sequence[StopPath], repetitions: int, *, base: Path, target_url: str) -> list[Repetition]:
    """Stop so many whole campaigns on each path, the paths in turn. Raises GivenUpError; leaves nothing running.

    A stopped campaign writes its report while the next one prepares itself; none is stopped before the last has ended.
    """
    done: list[Repetition] = []
    ending: list[Stopped] = []
    running: list[HeldCampaign] = []
    numbers = [(number, path) for number in range(1, repetitions + 1) for path in paths]
    try:
        for number, path in numbers:
            campaign = launch(
                base / f"{path.value}-{number}", name=f"{NAME}-{path.value}-{number}", target_url=target_url
            )
            running.append(campaign)
            while ending:
                done.append(_tell(_look_over(ending.pop(), base)))
            try:
                ending.append(_stop(campaign, number, path))
            except NeverHeldError as error:
                campaign.abandon()
                fault = (f"never held its load: {error}",)
                done.append(_tell(Repetition(number=number, path=path, load=NotStopped(), exit_code=-1, faults=fault)))
                _give_up_if_hopeless(done)
            running = [stopped.campaign for stopped in ending]
        while ending:
            done.append(_tell(_look_over(ending.pop(), base)))
        running = []
    finally:
        for campaign in running:
            campaign.abandon()
    return done


def _stop(campaign: HeldCampaign, number: int, path: StopPath) -> Stopped:
    campaign.await_holding()
    with contextlib.ExitStack() as held:
        handles = [held.enter_context(handle) for handle in campaign.load_processes()]
        commands: tuple[subprocess.Popen[bytes], ...] = ()
        with busy_cores(per_core=BURNERS_PER_CORE, life_s=BURN_S_MAX):
            time.sleep(BURN_S)
            began_mono_s = time.monotonic()
            match path:
                case StopPath.FILE:
                    (campaign.run_dir / "STOP").touch()
                case StopPath.COMMAND:
                    commands = (campaign.emergency_stop(),)
                case _:
                    raise AssertionError(f"{path.value} is measured with a rig")
            gone = wait_gone(handles, timeout_s=STOP_S_MAX)
            seconds = time.monotonic() - began_mono_s
            quiet = len(gone) == len(handles) and not load_of(campaign.mark)
    load = Gone(seconds=seconds) if quiet else StillThere()
    return Stopped(number=number, path=path, campaign=campaign, load=load, commands=commands)


def _look_over(stopped: Stopped, base: Path) -> Repetition:
    faults = ["load was still made after the stop"] if isinstance(stopped.load, StillThere) else []
    for command in stopped.commands:
        try:
            code = command.wait(COMMAND_S_MAX)
        except subprocess.TimeoutExpired:
            command.kill()
            code = command.wait(COMMAND_S_MAX)
        if code != 0:
            faults.append(f"--emergency-stop ended with {code}")
    looked = stopped.campaign.look_over()
    faults += looked.faults
    if not faults:
        shutil.rmtree(base / f"{stopped.path.value}-{stopped.number}")
    return Repetition(
        number=stopped.number,
        path=stopped.path,
        load=stopped.load,
        exit_code=looked.exit_code,
        faults=tuple(faults),
    )


def _give_up_if_hopeless(done: Sequence[Repetition]) -> None:
    never_held = [repetition for repetition in done if isinstance(repetition.load, NotStopped)]
    if len(never_held) >= NOT_HELD_MAX:
        raise GivenUpError(
            f"{len(never_held)} loads were never held, so stops cannot be measured here now; "
            f"the last one: {never_held[-1].faults[0]}"
        )


def _give_up_without_stops(done: Sequence[Repetition], paths: Sequence[StopPath]) -> None:
    stopped = {repetition.path for repetition in done if not isinstance(repetition.load, NotStopped)}
    if missing := [path.value for path in paths if path not in stopped]:
        raise GivenUpError(f"no load was ended by {', '.join(missing)}: there is nothing to report")


def _tell(repetition: Repetition) -> Repetition:
    text = "; ".join(repetition.faults) or (f"exit {repetition.exit_code}" if repetition.path in CAMPAIGN_PATHS else "")
    print(f"{repetition.path.value:18} {repetition.number:4} {load_text(repetition):>10}  {text}", flush=True)
    return repetition


# Options --------------------------------------------------------------------------------------------------------------


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stop_latency", description=__doc__)
    parser.add_argument("--repeat", type=_repetitions, default=REPETITIONS, dest="repetitions", help="of each path")
    parser.add_argument("--paths", type=_paths, default=tuple(StopPath), help=PATHS_TEXT)
    parser.add_argument("--output", type=Path, default=DEFAULT_DIRECTORY, help="where the page is written")
    return parser.parse_args(argv)


def _repetitions(text: str) -> int:
    count = int(text)
    if not 1 <= count <= REPETITIONS_MAX:
        raise argparse.ArgumentTypeError(f"{count} is not between 1 and {REPETITIONS_MAX}")
    return count


def _paths(text: str) -> tuple[StopPath, ...]:
    try:
        return tuple(dict.fromkeys(StopPath(word) for word in text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"write some of {PATHS_TEXT}") from error


def _command(options: argparse.Namespace) -> str:
    paths = ",".join(path.value for path in options.paths)
    return f"python -m benchmarks.stop_latency --repeat {options.repetitions} --paths {paths}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
