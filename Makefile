# The same words here, in CONTRIBUTING and in CI.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PIP := .venv/bin/python -m pip --disable-pip-version-check
ROOMS := events streams detectors alerts notifiers replay service

.PHONY: help setup run test soak check fmt lint types arrows tools bench pins clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.venv/bin/python:
	@./.ci/make-venv

.venv/.run-stamp: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing what adwatch needs (once, until requirements.txt changes) ..."
	@$(PIP) install -q --require-hashes -r requirements.txt
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev-stamp: requirements-dev.txt pyproject.toml | .venv/bin/python
	@echo "Installing what the tests need (once, until requirements-dev.txt changes) ..."
	@$(PIP) install -q --require-hashes -r requirements-dev.txt
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@ .venv/.run-stamp

setup: .venv/.dev-stamp  ## environment for development

.venv/.compiled-stamp: .venv/.run-stamp
	@echo "Compiling what is calculated often (once, about a minute) ..."
	@set -o pipefail; .venv/bin/adwatch simulate --days 1 --accounts 1 --campaigns 2 --incidents 0 --out - \
		--labels /dev/null 2>/dev/null | .venv/bin/adwatch replay - --json >/dev/null
	@touch $@

run: .venv/.compiled-stamp  ## the whole service in one process, with a demo world
	@.venv/bin/adwatch run --demo

tools:
	@./.ci/find-tools

fmt: setup  ## format the code
	@.venv/bin/ruff check -q --fix $(ROOMS) tests benchmarks || true
	@.venv/bin/ruff format -q $(ROOMS) tests benchmarks

lint: setup
	@.venv/bin/ruff check $(ROOMS) tests benchmarks

types: setup  ## mypy --strict
	@.venv/bin/mypy

arrows: setup  ## who may import whom
	@.venv/bin/lint-imports

check: lint types arrows  ## lint, types, arrows

test: setup tools check .venv/.compiled-stamp  ## everything: lint, types, arrows, doctests, tests on real parts
	@.venv/bin/pytest -q -n 2 --dist loadgroup

soak: setup tools  ## the tests that take many minutes
	@.venv/bin/pytest -q -m soak

bench: setup  ## facts per second of every road, as ratios
	@.venv/bin/python benchmarks/road.py

pins: setup  ## pin pyproject.toml's requirements anew
	@./.ci/pin

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
