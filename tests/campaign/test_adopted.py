"""What load processes leave behind, in a process of its own that stands for the supervisor."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.guardian_rig import ROOT, runs

pytestmark = pytest.mark.process

HANG_S = 60.0

LEAVES_BEHIND = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", sys.argv[1]], {})
    os._exit(0)
os.wait()
"""
"""A load process whose grandchild has another session, another parent and an empty environment."""

SUPERVISOR = """
import json, os, subprocess, sys, time
from campaign.adopted import Adopted, become_subreaper
row = become_subreaper()
ours = subprocess.Popen(["sleep", "60"])
zombie = subprocess.Popen(["true"])
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
adopted = Adopted(lambda: frozenset({ours.pid, zombie.pid, worker.pid}))
worker.wait(60)
%s
print(json.dumps({"row": row.works, "ours": ours.poll(), "zombie": zombie.wait(60), "found": found}))
ours.kill()
ours.wait(60)
"""

STAYS = "import time; time.sleep(60)"


def supervised(behaviour: str, *, leaves: str) -> dict[str, object]:
    """What the stand-in supervisor has found."""
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISOR % behaviour, LEAVES_BEHIND, leaves],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=HANG_S,
    )
    said = json.loads(done.stdout)
    assert isinstance(said, dict)
    return said


def test_what_lives_is_ended_and_what_we_started_is_not() -> None:
    """A grandchild that no mark finds is ended; a child of ours goes on, and another one's exit code is still there."""
    said = supervised("found = [stat.pid for stat in adopted.end()]", leaves=STAYS)
    assert (said["row"], said["ours"], said["zombie"]) == (True, None, 0)
    found = said["found"]
    assert isinstance(found, list)
    assert len(found) == 1
    assert not runs(found[0])


def test_what_has_ended_is_reaped() -> None:
    """No zombie stays: after reaping nothing but our own children is there."""
    behaviour = """
zombie.wait(60)
found = 0
while found == 0:
    time.sleep(0.01)
    found = adopted.reap()
mine = {int(name) for name in os.listdir("/proc") if name.isdecimal() and name != str(os.getpid())}
def parent(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except OSError:
        return 0
found = [found, sorted(pid == ours.pid for pid in mine if parent(pid) == os.getpid())]
"""
    said = supervised(behaviour, leaves="pass")
    assert said["found"] == [1, [True]]


def test_generations_are_followed() -> None:
    """Ending a process that has a child makes that one ours; it is ended as well."""
    parent = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    behaviour = """
from baseline_metrics.host_files import process_tree
zombie.wait(60)
while len(process_tree((os.getpid(),))) < 4:  # this process, ours, the one that was left behind, and its child
    time.sleep(0.01)
found = [stat.pid for stat in adopted.end()]
"""
    found = supervised(behaviour, leaves=parent)["found"]
    assert isinstance(found, list)
    assert len(found) == 2
    assert not any(runs(pid) for pid in found)
