#!/usr/bin/env bash
# Installs the Debian packages that the tests need and that are missing. Does nothing when all are there.
set -euo pipefail

# nginx: the unmodified server that the tests put load on, and whose access log they count.
# cc: builds the small library that makes a disk's sync fail. openssl: makes the certificates of TLS servers.
# mosquitto: a server that speaks WebSocket, but nothing that a scenario would understand. mkfs.ext4: makes the file
# systems whose power is cut. systemd-analyze: reads unit files as systemd does.
declare -A package_of=([nginx]=nginx-light [cc]="gcc libc6-dev" [openssl]=openssl [mosquitto]=mosquitto
    [mkfs.ext4]=e2fsprogs [systemd-analyze]=systemd)

missing=()
for program in "${!package_of[@]}"; do
    # Servers live in /usr/sbin, which is not on everybody's path.
    if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null; then
        read -r -a packages <<<"${package_of[$program]}"
        missing+=("${packages[@]}")
    fi
done
if ((${#missing[@]} == 0)); then
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "install_system_packages: no apt-get here; install ${missing[*]} with your system's own means" >&2
    exit 2
fi
if ((EUID == 0)); then
    as_root=()
elif command -v sudo >/dev/null && sudo --non-interactive true 2>/dev/null; then
    as_root=(sudo --non-interactive)
else
    echo "install_system_packages: ${missing[*]} missing; run as root: apt-get install ${missing[*]}" >&2
    exit 2
fi

export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get install --yes --quiet --no-install-recommends)
# The package lists of a fresh image are empty or old: install, and on failure update them once.
if ! "${install[@]}" "${missing[@]}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get update --quiet
    "${install[@]}" "${missing[@]}"
fi

if [[ -d /run/systemd/system ]]; then
    echo "install_system_packages: the tests run their own servers; Debian may have started its own nginx on port 80" >&2
    echo "and mosquitto on port 1883, which 'systemctl disable --now nginx mosquitto' ends" >&2
fi
