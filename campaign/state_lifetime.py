"""Whether the state directory outlives the login session: PERMIT lies in it, and a PERMIT that is gone stops the campaign.

systemd-logind removes the user's runtime directory, where the state directory lies by default, when the last session of
the user ends, unless the user lingers. Reads only. The launcher's process uses it.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

REMEDY = "loginctl enable-linger, or set DAYBREAK_STATE_DIR=~/.local/state/daybreak"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPlaces:
    """Where the login service keeps runtime directories, and one file per user who lingers."""

    runtime: Path = Path("/run/user")
    linger: Path = Path("/var/lib/systemd/linger")


LOGIN_PLACES = LoginPlaces()


def ends_with_session(state_dir: Path, places: LoginPlaces = LOGIN_PLACES) -> bool:
    """Whether the directory is removed when the user's last session ends."""
    if not Path(os.path.realpath(state_dir)).is_relative_to(places.runtime):
        return False
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a user without a name cannot linger
        return True
    return not (places.linger / user).exists()
