#!/bin/bash
# Installs the packages ecgfm is built from, on Debian 12 and Ubuntu 24.04 or newer. Needs root or
# sudo only if something is missing; safe to run again.
#   scripts/setup.sh           what building and the C tests need
#   scripts/setup.sh --tests   also clang, for the second compiler and the format check
set -euo pipefail

packages="gcc cmake ninja-build pkg-config libdnnl-dev libsndfile1-dev
    libcjson-dev zlib1g-dev libcmocka-dev"
case ${1-} in
"") ;;
--tests) packages="$packages clang clang-format libomp-dev" ;;
*)
    echo "usage: scripts/setup.sh [--tests]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    # shellcheck disable=SC2086
    echo "setup: no Debian or Ubuntu; please install what these packages hold:" $packages >&2
    exit 1
fi

missing=
for package in $packages; do
    # shellcheck disable=SC2016
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
        missing="$missing $package"
    fi
done
if [ -z "$missing" ]; then
    echo "setup: every package is there" >&2
    exit 0
fi

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: neither root nor sudo; please have these installed:$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "setup: installing$missing" >&2
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2
}
apt update || echo "setup: package lists could not be renewed, going on with those there are" >&2
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing
