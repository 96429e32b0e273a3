#!/bin/sh
# Usage: make_venv.sh DIR [PYTHON]
# Makes a virtual environment with a working pip in DIR, unless DIR has one already.
# PYTHON is the interpreter to use; default: the first on PATH that is Python 3.11 or newer.
set -eu

dir=$1
candidates=${2:-"python3 python3.13 python3.12 python3.11 python"}
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

if "$dir/bin/python" -c "$new_enough" 2>/dev/null && "$dir/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

python=
seen=
for candidate in $candidates; do
    if ! command -v "$candidate" >/dev/null; then
        seen="$seen $candidate (not found),"
    elif ! version=$("$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null); then
        seen="$seen $candidate (does not run),"
    elif "$candidate" -c "$new_enough"; then
        python=$candidate
        break
    else
        seen="$seen $candidate ($version),"
    fi
done
if [ -z "$python" ]; then
    fail "Python 3.11 or newer is needed, but none was found. Tried:${seen%,}." \
        "Debian 12+, Ubuntu 24.04+:  sudo apt install python3 python3-venv" \
        "Fedora:                     sudo dnf install python3" \
        "macOS (Homebrew):           brew install python@3.13" \
        "Is it somewhere else? Name it:  make PYTHON=/path/to/python3.12 venv"
fi

echo "Making $dir with $python (Python $version)"
if "$python" -c 'import venv, ensurepip' 2>/dev/null && "$python" -m venv --clear "$dir"; then
    :
elif "$python" -c 'import venv' 2>/dev/null && "$python" -m pip --python "$python" --version >/dev/null 2>&1; then
    # Debian and Ubuntu leave ensurepip out of python3: the system's pip installs pip into the environment.
    "$python" -m venv --clear --without-pip "$dir"
    "$python" -m pip --python "$dir/bin/python" install pip
else
    short=${version%.*}
    fail "$python (Python $version) cannot make virtual environments: it has neither ensurepip nor pip." \
        "Debian, Ubuntu:  sudo apt install python$short-venv" \
        "elsewhere:       install Python $short together with its venv and ensurepip modules" \
        "Or name another Python:  make PYTHON=/path/to/python3.12 venv"
fi
