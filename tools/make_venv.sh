#!/bin/sh
# Make a virtual environment: make_venv.sh PYTHON FOLDER. On a Debian without python3-venv, install
# that first where this user may.
set -eu
python=$1
folder=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$python is older than Python 3.11; name another: make PYTHON=python3.11 ..." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    root=
    if [ "$(id -u)" != 0 ]; then
        root=sudo
        if ! command -v sudo >/dev/null; then
            echo "$python cannot make virtual environments; as root: apt-get install python3-venv" >&2
            exit 1
        fi
    fi
    echo "installing python3-venv" >&2
    $root apt-get update -qq && $root apt-get install -y -qq python3-venv >/dev/null || {
        echo "$python cannot make virtual environments; install python3-venv" >&2
        exit 1
    }
fi
exec "$python" -m venv "$folder"
