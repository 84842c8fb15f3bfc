#!/usr/bin/env bash
# Make .venv with the locked packages and fetch the front-end files. Safe to run again; called by the Makefile.
#
#   scripts/setup.sh python        .venv with what production runs on (requirements.txt)
#   scripts/setup.sh development   the same, and what tests and checks need (requirements-dev.txt)
#   scripts/setup.sh front-end     static/vendor (package-lock.json)
#
# PYTHON=/path/to/python3.12 chooses the interpreter for a new .venv.
set -euo pipefail
cd "$(dirname "$0")/.."

# Without compiled files every start of the server is several times slower.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
# Somebody's PIP_USER or pip.conf must not send packages elsewhere than to .venv.
export PIP_USER=0

say() { printf '%s\n' "$*" >&2; }

fits() { # program: is it a Python we run on?
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" && { printf '%s' "$PYTHON"; return; }
        say "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13."
        return 1
    fi
    for candidate in python3 python3.11 python3.12 python3.13 /usr/bin/python3; do
        fits "$candidate" && { printf '%s' "$candidate"; return; }
    done
    say "csplatform needs Python 3.11, 3.12 or 3.13, and none is on the PATH (python3 is $(python3 -V 2>&1 || true))."
    say "On Debian 12 or Ubuntu: apt-get install python3 python3-venv. Elsewhere: make PYTHON=/path/to/python3.12 setup"
    return 1
}

has_pip() { .venv/bin/python -m pip --version >/dev/null 2>&1; }

# Debian and Ubuntu keep what `venv` needs in a package of its own, so it may be missing.
make_venv() {
    local python=$1 version
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 && has_pip && return
    rm -rf .venv
    if "$python" -m venv --without-pip .venv >/dev/null 2>&1; then
        # A pip outside can install one inside (pip 22.3 and newer).
        "$python" -m pip --python .venv/bin/python install --quiet pip >/dev/null 2>&1 && has_pip && return
        rm -rf .venv
    fi
    "$python" -m virtualenv --quiet .venv >/dev/null 2>&1 && has_pip && return
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Python's venv module is incomplete: installing python$version-venv."
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "python$version-venv" >/dev/null
        "$python" -m venv --clear .venv && has_pip && return
    fi
    say "Python's venv module is incomplete here. Please run: sudo apt-get install python$version-venv"
    return 1
}

ensure_venv() {
    local python
    if [ -x .venv/bin/python ] && fits .venv/bin/python && has_pip; then return; fi
    python=$(find_python)
    say "Making .venv with $("$python" -V 2>&1)."
    make_venv "$python"
}

install() { # requirement files…
    local arguments=() file
    for file in "$@"; do arguments+=(--requirement "$file"); done
    say "Installing locked packages ($*); about a minute the first time."
    .venv/bin/python -m pip install --quiet --quiet --require-hashes "${arguments[@]}"
}

case "${1:-}" in
python)
    ensure_venv
    install requirements.txt
    ;;
development)
    ensure_venv
    install requirements.txt requirements-dev.txt
    ;;
front-end)
    ensure_venv
    .venv/bin/python scripts/vendor.py
    ;;
*)
    say "Say what to set up: python, development or front-end."
    exit 2
    ;;
esac
