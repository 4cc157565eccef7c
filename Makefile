# `make help` lists what can be done. Nothing is needed but git, make and a Python 3.9 or newer.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON3 ?= python3

.PHONY: help setup demo faults soak clients bench test test-all test-more fuzz test-unit test-integration lab-up lab-converge lab-verify lab-down lab-test lint format wheel clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Get uv, Python, the packages, influxd, Prometheus and its like; again: does nothing and says so
	@$(PYTHON3) -m tools.bootstrap.setup

demo: setup ## The whole path on this machine; Ctrl-C ends it (DEMO_SECONDS=240 checks and ends; EXCHANGE=binance)
	@exec env DEMO_SECONDS="$(DEMO_SECONDS)" EXCHANGE="$(EXCHANGE)" .venv/bin/python -m tools.demo

faults: setup ## Every fault on real servers, side by side: is each candle there, and right? (FAULTS_ROWS=pattern)
	@exec env FAULTS_ROWS="$(FAULTS_ROWS)" FAULTS_AT_ONCE="$(FAULTS_AT_ONCE)" .venv/bin/python -m tools.faults

soak: setup ## 164 pairs, two collectors, a random fault each minute, then an audit (SOAK_MINUTES=60)
	@exec env SOAK_MINUTES="$(SOAK_MINUTES)" SOAK_PAIRS="$(SOAK_PAIRS)" SOAK_SEED="$(SOAK_SEED)" .venv/bin/python -m tools.faults.soak

clients: setup ## Real freqtrade bots on one gateway, measured (CLIENTS_ARGUMENTS="--bots 12 --minutes 15 --days 30")
	@exec .venv/bin/python -m tools.clients $(CLIENTS_ARGUMENTS)

bench: setup ## How fast the gateway answers, on servers of its own (some minutes; wants a quiet machine)
	@.venv/bin/python -m bench.gateway

test: ## Set-up, unit, contract and integration tests, on real servers in containers (installs Docker if asked)
	@$(PYTHON3) -m tools.test

test-all: test test-more ## make test, then faults, real bots and the short lab

test-more: setup ## What test-all has beyond test (PYTEST_ARGUMENTS="-p randomly -p no:cacheprovider" reaches pytest)
	@$(PYTHON3) -m tools.test docker images lab-image faults clients,lab

fuzz: setup ## Every property and state machine with random seeds (FUZZ_SEEDS=3 FUZZ_TIMES=20 FUZZ_TESTS=path; FUZZ_SEED=n again)
	@exec env FUZZ_SEED="$(FUZZ_SEED)" FUZZ_SEEDS="$(FUZZ_SEEDS)" FUZZ_TIMES="$(FUZZ_TIMES)" FUZZ_TESTS="$(FUZZ_TESTS)" .venv/bin/python -m tools.fuzz

lab-test: ## The whole list of the lab: converge, drifts, faults, rolls, outages, restore, decommission (two hours)
	@$(PYTHON3) -m tools.test setup docker lab-image lab-test

test-unit: ## Unit and contract tests alone, without Docker
	@$(PYTHON3) -m tools.test setup unit+contract

test-integration: ## Integration tests alone (PYTEST_ARGUMENTS="-k outage" selects)
	@$(PYTHON3) -m tools.test setup docker images integration

lab-up: setup ## The hosts of ansible/inventories/lab as containers that run systemd (needs root for the image)
	@$(PYTHON3) -m tools.test docker && .venv/bin/python -m tools.lab up

lab-converge: ## The platform's playbook on the lab; again: changes nothing (LAB_ARGUMENTS="--check --diff")
	@.venv/bin/python -m tools.lab converge $(LAB_ARGUMENTS)

lab-verify: ## Is it right? Names what is not; the proofs are in dist/verify.json
	@.venv/bin/python -m tools.lab verify $(LAB_ARGUMENTS)

lab-down: ## Remove the lab
	@.venv/bin/python -m tools.lab down

lint: setup ## ruff, mypy, yamllint, ansible-lint, promtool, amtool, dashboards, uv.lock
	@.venv/bin/python -m tools.lint

format: setup ## Let ruff put the source in order
	@.venv/bin/ruff check --fix-only --quiet
	@.venv/bin/ruff format

wheel: setup ## Build the reader library's wheel into dist/
	@$(PYTHON3) -m tools.bootstrap.uv build --quiet --wheel --package marketdata --python .venv/bin/python --out-dir dist
	@ls dist/*.whl

clean: ## Remove what was made here (not the cache of programs)
	rm -rf .venv .cache .clients .clients-run .demo .faults dist .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis
