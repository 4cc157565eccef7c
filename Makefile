# `make help` lists the targets. They only need git, make and Python 3.9 or newer.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON3 ?= python3

.PHONY: help setup demo faults soak clients bench test test-all test-more fuzz test-unit test-integration lab-up lab-converge lab-verify lab-down lab-test lint format wheel clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Get uv, Python, the packages, influxd, Prometheus and the other programs; does nothing the second time
	@$(PYTHON3) -m tools.bootstrap.setup

demo: setup ## The whole platform on this machine; Ctrl-C stops it (DEMO_SECONDS=240 checks and stops; EXCHANGE=binance)
	@exec env DEMO_SECONDS="$(DEMO_SECONDS)" EXCHANGE="$(EXCHANGE)" .venv/bin/python -m tools.demo

faults: setup ## Inject every fault into real servers, in parallel: is each candle stored and right? (FAULTS_ROWS=pattern)
	@exec env FAULTS_ROWS="$(FAULTS_ROWS)" FAULTS_AT_ONCE="$(FAULTS_AT_ONCE)" .venv/bin/python -m tools.faults

soak: setup ## 164 pairs, two collectors, a random fault each minute, then an audit (SOAK_MINUTES=60)
	@exec env SOAK_MINUTES="$(SOAK_MINUTES)" SOAK_PAIRS="$(SOAK_PAIRS)" SOAK_SEED="$(SOAK_SEED)" .venv/bin/python -m tools.faults.soak

clients: setup ## Run and measure real freqtrade bots on one gateway (CLIENTS_ARGUMENTS="--bots 12 --minutes 15 --days 30")
	@exec .venv/bin/python -m tools.clients $(CLIENTS_ARGUMENTS)

bench: setup ## Measure how fast the gateway responds, on its own servers (some minutes; needs an idle machine)
	@.venv/bin/python -m bench.gateway

test: ## Set-up, unit, contract and integration tests, on real servers in containers (offers to install Docker)
	@$(PYTHON3) -m tools.test

test-all: test test-more ## make test, then faults, real bots and the short lab

test-more: setup ## What test-all runs in addition to test (PYTEST_ARGUMENTS="-p randomly -p no:cacheprovider" is passed to pytest)
	@$(PYTHON3) -m tools.test docker images lab-image faults clients,lab

fuzz: setup ## Run all property tests and state machines with random seeds (FUZZ_SEEDS=3 FUZZ_TIMES=20 FUZZ_TESTS=path; FUZZ_SEED=n repeats)
	@exec env FUZZ_SEED="$(FUZZ_SEED)" FUZZ_SEEDS="$(FUZZ_SEEDS)" FUZZ_TIMES="$(FUZZ_TIMES)" FUZZ_TESTS="$(FUZZ_TESTS)" .venv/bin/python -m tools.fuzz

lab-test: ## The complete lab tests: converge, drifts, faults, rolls, outages, restore, decommission (two hours)
	@$(PYTHON3) -m tools.test setup docker lab-image lab-test

test-unit: ## Only unit and contract tests, without Docker
	@$(PYTHON3) -m tools.test setup unit+contract

test-integration: ## Only integration tests (PYTEST_ARGUMENTS="-k outage" selects)
	@$(PYTHON3) -m tools.test setup docker images integration

lab-up: setup ## Start the hosts of ansible/inventories/lab as containers that run systemd (needs root to build the image)
	@$(PYTHON3) -m tools.test docker && .venv/bin/python -m tools.lab up

lab-converge: ## Run the platform's playbook on the lab; changes nothing the second time (LAB_ARGUMENTS="--check --diff")
	@.venv/bin/python -m tools.lab converge $(LAB_ARGUMENTS)

lab-verify: ## Verify the lab and list what is wrong; all results are in dist/verify.json
	@.venv/bin/python -m tools.lab verify $(LAB_ARGUMENTS)

lab-down: ## Remove the lab
	@.venv/bin/python -m tools.lab down

lint: setup ## ruff, mypy, yamllint, ansible-lint, promtool, amtool, dashboards, uv.lock
	@.venv/bin/python -m tools.lint

format: setup ## Format the source with ruff
	@.venv/bin/ruff check --fix-only --quiet
	@.venv/bin/ruff format

wheel: setup ## Build the reader library's wheel into dist/
	@$(PYTHON3) -m tools.bootstrap.uv build --quiet --wheel --package marketdata --python .venv/bin/python --out-dir dist
	@ls dist/*.whl

clean: ## Remove everything that was generated here (not the cache of programs)
	rm -rf .venv .cache .clients .clients-run .demo .faults dist .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis
