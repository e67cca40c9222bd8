#!/usr/bin/env bash
# Installs the peers of the benchmark that Debian has and that are missing. Does nothing when all are there.
set -euo pipefail

declare -A package_of=([wrk]=wrk [ab]=apache2-utils [hey]=hey [taskset]=util-linux)

missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
if ((${#missing[@]} == 0)); then
    exit 0
fi
if ! command -v apt-get >/dev/null || ((EUID != 0)); then
    echo "install_system_packages: ${missing[*]} missing; run as root: apt-get install ${missing[*]}" >&2
    exit 2
fi
export DEBIAN_FRONTEND=noninteractive
if ! apt-get install --yes --quiet --no-install-recommends "${missing[@]}" >/dev/null 2>&1; then
    apt-get update --quiet
    apt-get install --yes --quiet --no-install-recommends "${missing[@]}"
fi
