# The loop of everyone who changes so8t.  PYTHON names another interpreter than the checkout's own.

set windows-shell := ["powershell.exe", "-NoLogo", "-Command"]

python := env("PYTHON", if os_family() == "windows" { ".venv/Scripts/python.exe" } else { ".venv/bin/python" })

# Lint, format, types and generated pages.
check:
    {{ python }} -m ruff check --quiet .
    {{ python }} -m ruff format --check --quiet .
    {{ python }} -m mypy --no-error-summary
    {{ python }} -m doit schema --check

# Repair what ruff and the generators can.
fix:
    {{ python }} -m ruff check --fix --quiet .
    {{ python }} -m ruff format --quiet .
    {{ python }} -m doit schema

# The tests of a minute: no real training, no long build, no random kills.
fast *arguments:
    {{ python }} -m pytest -m "not gpu and not soak and not slow" {{ arguments }}

# The default suite, as the README says it.
[unix]
test *arguments:
    .ci/browser && {{ python }} -m pytest {{ arguments }}

# The default suite, as the README says it.
[windows]
test *arguments:
    {{ python }} -m pytest {{ arguments }}

# What needs patience: 100 kills at random moments.
[linux]
soak *arguments:
    .ci/slurm && .ci/nginx && {{ python }} -m pytest -m "soak and not gpu" {{ arguments }}

# What needs patience: 100 kills at random moments.
[macos, windows]
soak *arguments:
    {{ python }} -m pytest -m "soak and not gpu" {{ arguments }}

# Write the generated pages, then follow every page to the letter.
docs:
    {{ python }} -m doit schema
    {{ python }} -m pytest tests/whole/test_docs.py

# A benchmark by its name, with its options.
bench name *options:
    {{ python }} benchmarks/{{ name }}.py {{ options }}

# The wheel, alone in an empty environment.
release-check:
    {{ python }} tools/release_check.py

# An environment with everything; `just install ''` takes the newest versions that pyproject.toml allows.
install pins="-c constraints.txt":
    python -m venv .venv
    {{ python }} -m pip install -q {{ pins }} uv torch
    {{ python }} -m uv pip install -q {{ pins }} -e ".[all,dev]"

# What the README's set-up command does: install, then build the sample.
setup: install
    {{ python }} -m doit
