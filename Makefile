# Two commands on a fresh machine (Python 3.11+ and make):
#   make quickstart    creates .venv, installs the project, runs the main job, writes runs/quickstart/report/index.html
#   make test          creates .venv if missing, installs what tests need, runs lint, types and the quick tests
# PYTHON chooses the interpreter. TORCH chooses the torch to install, e.g. TORCH=torch==2.13.0; for a build without CUDA
# pass your index in PIP_ARGS. TORCH goes into the same pip call as the rest, else torchvision may pull in a newer one.
PYTHON ?= python3
TORCH ?=
PIP_ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS)
# One thread a test process: on few cores, threads of many small tests only get into each other's way. Two processes, the
# tests of a file in one of them: more would not fit into small machines. Compiled modules are kept, whatever the shell
# says, for the many processes that tests start.
# Which benchmarks: all but the slow ones; BENCH= for all.
BENCH ?= not slow
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest
SIDE_BY_SIDE := -n 2 --dist loadfile

.PHONY: quickstart test test-quick test-slow torture cases bench bench-save gpu lint types clean

quickstart: .venv/installed
	$(BIN)/python -m benchmark run experiments/quickstart.yaml

# Pyright computes in one process: lint runs beside it. The tests keep both cores of a small machine busy by themselves.
test:
	$(MAKE) -j 2 lint types
	$(MAKE) test-quick

test-quick: .venv/installed-test
	$(PYTEST) $(SIDE_BY_SIDE)

test-slow: .venv/installed-test
	$(PYTEST) $(SIDE_BY_SIDE) -m 'slow and not torture' --durations=12

# By hand: kills at random moments and whatever else takes long and needs patience. KILLS=100 for more of them.
torture: .venv/installed-test
	$(PYTEST) -m torture -s

# Reported faults: of each case whether the fault is still there.
cases: .venv/installed-test
	$(BIN)/python tests/cases/run_cases.py

# Times as ratios to a plain convolution of the same run, beside the saved baseline; bench-save makes a new baseline.
# Then how many patches a second the batch maker makes, how long the scheduler keeps many devices busy, and what a plan of 10,000 stages takes.
bench bench-save: .venv/installed-test
	@mkdir -p .benchmarks
	$(PYTEST) tests/benchmarks --benchmark-only --benchmark-json=.benchmarks/latest.json -m '$(BENCH)'
	$(BIN)/python tests/benchmarks/compare_bench.py .benchmarks/latest.json tests/benchmarks/baseline.json $(if $(filter bench-save,$@),--save)
	$(BIN)/python tests/benchmarks/batch_maker.py
	$(BIN)/python tests/benchmarks/makespan_table.py
	$(BIN)/python tests/benchmarks/large_plan.py

# A GPU studied in parts of at most MINUTES each, set-up included: make gpu PART=1, again where it says 85; without PART
# the parts become one page. SMALL=1 DEVICE=cpu tries the study itself.
DEVICE ?= cuda
OUT ?= gpu_study
MINUTES ?= 8
STARTED := $(shell date +%s)
gpu: .venv/installed-test
	$(BIN)/python tools/gpu_study.py $(PART) --device $(DEVICE) --out $(OUT) --minutes $(MINUTES) --started $(STARTED) $(if $(SMALL),--small)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/generate_tables.py --check

types: .venv/installed-test
	$(BIN)/pyright --warnings

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml
	@echo "installing the project and torch into .venv (a few minutes, up to 6 GB with CUDA) ..."
	$(PIP) $(if $(TORCH),"$(TORCH)") -e .
	@touch $@

.venv/installed-test: .venv/installed
	@echo "installing what the tests need ..."
	$(PIP) $(if $(TORCH),"$(TORCH)") -e '.[test]'
	@touch $@

clean:
	rm -rf .venv runs .pytest_cache .ruff_cache .hypothesis .benchmarks *.egg-info
