"""A campaign in the registry whose supervisor is the test's own process: something to look at, nothing to stop."""

import os
from pathlib import Path

from safety_monitoring import registry
from safety_monitoring.registry import CampaignEntry, ProcessIdentity


def own_entry(state_dir: Path, runs_dir: Path, *, run_id: str) -> CampaignEntry:
    """Register it; the entry as it stands in the registry."""
    identity = registry.identity_of(os.getpid())
    assert isinstance(identity, ProcessIdentity)
    entry = CampaignEntry(
        run_id=run_id,
        run_dir=str(runs_dir / run_id),
        runs_dir=str(runs_dir),
        started_utc_s=1_763_690_400.0,
        supervisor=identity,
    )
    registry.register(str(state_dir), entry)
    return entry
