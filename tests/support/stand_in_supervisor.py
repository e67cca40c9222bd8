"""A supervisor for tests: starts a guardian and workers, sends heartbeats, concludes when the load was ended.

Prints one JSON line with the pids once the load runs. ``--stubborn``: goes on after its load was ended. ``--mute``: sends
no heartbeat at all. ``--no-entry``: does not enter the registry. Run as
``python -m tests.support.stand_in_supervisor BASE RUN_ID [options]``.
"""

import json
import os
import sys
import time
from pathlib import Path

from safety_monitoring import registry
from safety_monitoring.messages import LoadEnded
from tests.support.guardian_rig import Places, Rig

LIFE_S_MAX = 90.0
HEARTBEAT_S_MAX = 1.0


def main() -> None:
    """Lead a small campaign."""
    places = Places(base=Path(sys.argv[1]), run_id=sys.argv[2])
    options = set(sys.argv[3:])
    identity = registry.identity_of(os.getpid())
    assert isinstance(identity, registry.ProcessIdentity)
    places.run_dir.mkdir(parents=True)
    if "--no-entry" in options:
        places.permit.parent.mkdir(parents=True)
        places.permit.touch()
    else:
        registry.ensure_state_directory(str(places.state_dir))
        entry = registry.CampaignEntry(
            run_id=places.run_id,
            run_dir=str(places.run_dir),
            runs_dir=str(places.runs_dir),
            started_utc_s=time.time(),
            supervisor=identity,
        )
        registry.register(str(places.state_dir), entry)
    limit_s = HEARTBEAT_S_MAX if "--mute" in options else 30.0
    with Rig(places, places.order(heartbeat_s_max=limit_s)) as rig:
        worker = rig.worker(*options & {"--deaf", "--escape"})
        print(json.dumps({"guardian": rig.guardian.pid, "worker": worker.process.pid}), flush=True)
        ends_mono_s = time.monotonic() + LIFE_S_MAX
        while time.monotonic() < ends_mono_s:
            if any(isinstance(report, LoadEnded) for report in rig.reports()) and "--stubborn" not in options:
                break
            if "--mute" not in options:
                rig.beat()
            time.sleep(0.005)
        rig.conclude()
        registry.unregister(str(places.state_dir), places.run_id)


if __name__ == "__main__":
    main()
