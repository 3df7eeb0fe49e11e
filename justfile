# Nothing but Python 3.11 and pip is needed: every recipe first completes .venv with what it lacks.
#
#     python3 -m venv .venv && .venv/bin/pip install -q rust-just && .venv/bin/just test

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

bin := justfile_directory() / ".venv/bin"
sources := "contracts/callboard_contracts shared services tests"
fast := "not slow and not docker"

export PATH := bin + ":" + env("PATH")

[private]
default:
    @just --list --unsorted

# ── Use it ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# A whole goal on this machine: broker, services and a real model, no key
[group('use')]
demo *args: (setup "demo")
    @callboard demo "$@"

# Broker and all services, until Ctrl-C
[group('use')]
up *args: (setup "demo")
    @callboard up "$@"

# ── Prove it ────────────────────────────────────────────────────────────────────────────────────────────────────────

# Every fast test, with real processes and a real broker, three at once: most of them wait most of the time
[group('prove')]
test *args: (setup "dev,demo")
    @pytest -m "{{ fast }}" -n 3 --dist loadgroup "$@"

# Random runs under random faults, in virtual time: `just simulate --seeds 1000`
[group('prove')]
simulate *args: (setup "dev,demo")
    @python -m tests.simulation "$@"

# Every slow fault test, or some: `just faults -k crash_points`. Two need root and are skipped without it
[group('prove')]
faults *args: (setup "dev,demo")
    @pytest -q -m slow tests/fault "$@"

# A run of 10,000 rounds and 200 MB of tool output: some minutes
[group('prove')]
soak *args: (setup "dev,demo")
    @pytest -q -s -m slow tests/soak "$@"

# The benchmark of this machine: `just bench --help`
[group('prove')]
bench *args: (setup "dev,demo")
    @python -m tests.bench "$@"

# ── Work on it ──────────────────────────────────────────────────────────────────────────────────────────────────────

# Before every commit: under 30 s
[group('work')]
check: fmt-check lint types layers contracts-check unit

# What can be corrected without thinking: format, lint, contracts
[group('work')]
fix: (setup "dev,demo")
    @ruff check --quiet --fix-only {{ sources }}
    @ruff format {{ sources }}
    @python -m callboard.contracts_export

# Regenerate contracts/schemas and contracts/asyncapi.json (examples are written by hand, once)
[group('work')]
contracts: (setup "dev,demo")
    @python -m callboard.contracts_export

# Complete .venv from requirements.lock, every hash verified; at once when nothing changed
[group('work')]
setup extras="dev,demo":
    #!/usr/bin/env bash
    set -euo pipefail
    stamp=".venv/.callboard-${1//,/-}"
    cat pyproject.toml requirements.lock | cmp --quiet - "$stamp" 2>/dev/null && exit 0
    .venv/bin/python -c '' 2>/dev/null || { echo "setup: .venv"; python3 -m venv .venv; }
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "setup: Python 3.11 or newer is needed")'
    uv=$(awk '/^[^ ]/ { on = /^uv==/ } on' requirements.lock)
    if [[ "$(.venv/bin/uv --version 2>/dev/null)" != "uv $(sed -n '1s/^uv==\([^ ]*\).*/\1/p' <<<"$uv")"* ]]; then
        echo "setup: uv, which installs the rest"
        .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r /dev/stdin <<<"$uv"
    fi
    # uv is told what pip was told: a certificate of one's own, an index of one's own.
    told() { .venv/bin/pip config list 2>/dev/null | sed -n -E "s/^(global|install|:env:)\.$1='(.*)'\$/\2/p" | tail -1; }
    cert=${SSL_CERT_FILE:-$(told cert)}
    index=${UV_DEFAULT_INDEX:-$(told index-url)}
    if [[ -n $cert ]]; then export SSL_CERT_FILE=$cert; fi
    if [[ -n $index ]]; then export UV_DEFAULT_INDEX=$index; fi
    echo "setup: callboard[$1] (the first time a minute or two)"
    export VIRTUAL_ENV="$PWD/.venv"
    [[ -t 2 ]] || export UV_NO_PROGRESS=1 quiet=--quiet
    .venv/bin/uv pip install ${quiet:-} --constraint requirements.lock --build-constraint requirements.lock -e ".[$1]"
    cat pyproject.toml requirements.lock >"$stamp"

# Solve requirements.lock anew; `just lock --upgrade` takes the newest of everything
[group('work')]
lock *args:
    @uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --quiet \
        --no-header --no-annotate -o requirements.lock "$@"

# ── Faults that need root, a disk of their own, several servers or minutes ──────────────────────────────────────────

# The power is cut under the whole system (root): ext4 on a loop device, its journal not flushed
[group('faults')]
faults-power-cut: (setup "dev,demo")
    @pytest -q -s tests/fault/test_power_cut.py

# The disk under the broker fills up (root)
[group('faults')]
faults-disk-full: (setup "dev,demo")
    @pytest -q tests/fault/test_disk_full.py

# Bits of the journal flip while the system is down: `callboard up` tells
[group('faults')]
faults-bit-flip: (setup "dev,demo")
    @pytest -q -s tests/fault/test_bit_flip.py

# Three servers, every stream on each: leaders are killed, then all three
[group('faults')]
faults-cluster: (setup "dev,demo")
    @pytest -q -s tests/fault/test_cluster.py

# ── The parts of `check`; each fixer has a -check twin ──────────────────────────────────────────────────────────────

# Is every file formatted?
[group('parts')]
fmt-check: (setup "dev,demo")
    @ruff format --check --quiet {{ sources }}

# What ruff finds
[group('parts')]
lint: (setup "dev,demo")
    @ruff check --quiet {{ sources }}

# mypy, strict
[group('parts')]
types: (setup "dev,demo")
    @mypy --no-error-summary

# Who imports whom, and may not
[group('parts')]
layers: (setup "dev,demo")
    @lint-imports --no-cache > .venv/layers.txt || { cat .venv/layers.txt; exit 1; }

# Is what `just contracts` writes what is committed?
[group('parts')]
contracts-check: (setup "dev,demo")
    @python -m callboard.contracts_export --check

# The tests of pure functions and of the contracts
[group('parts')]
unit: (setup "dev,demo")
    @pytest -q -n 2 -m "{{ fast }}" tests/unit tests/contract

# Is requirements.lock what pyproject.toml asks for? (asks the package index)
[group('parts')]
lock-check:
    @cp requirements.lock .venv/lock.txt
    @uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --quiet \
        --no-header --no-annotate -o .venv/lock.txt
    @diff requirements.lock .venv/lock.txt
