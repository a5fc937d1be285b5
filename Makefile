# The two commands are `make run` and `make test`. All they need is Python 3.11-3.13 with venv, and make.
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check install --quiet

.PHONY: run install test quick format lock

run: .venv/installed
	@exec .venv/bin/groundswell up --demo

install: .venv/installed

test: .venv/installed-dev
	@exec .venv/bin/python -m tests

quick: .venv/installed-dev
	@exec .venv/bin/python -m tests --quick

format: .venv/installed-dev
	.venv/bin/ruff check --fix-only . && .venv/bin/ruff format .

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

# Pins everything anew, with hashes and without addresses. Needs uv (`pip install uv`).
LOCK = echo hatchling | uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-annotate --quiet
lock:
	$(LOCK) --extra embedded -o requirements.txt pyproject.toml -
	$(LOCK) --extra embedded --extra dev -o requirements-dev.txt -c requirements.txt pyproject.toml -
