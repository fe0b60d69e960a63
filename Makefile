# Each target sets up first: a fresh machine needs Python 3.10 to 3.14 with venv and pip, and no more.
# `make setup PYTHON=python3.12` chooses the Python, EXTRAS=dev,bench what is installed with the program.
PYTHON ?= python3
EXTRAS ?= dev
VENV := .venv
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin

.PHONY: setup train bench peers gpu-setup gpu-check test test-slow test-ray test-mutants test-lowest lint format clean

setup:
	@scripts/setup $(VENV) $(CONSTRAINTS) "$(EXTRAS)" $(PYTHON) $(if $(filter file,$(origin PYTHON)),,asked)

train: setup
	$(BIN)/rl-speed train $(ARGS)

bench: setup
	$(BIN)/rl-speed bench $(ARGS)

# The other people's programs that `bench --peers` measures.
peers:
	@$(MAKE) --no-print-directory setup EXTRAS=dev,bench

# All that needs a CUDA device, in under ten minutes: the GPU tests, speeds and times of the kernels, and the comparison
# of 4,096 consoles with the CPU, every frame. GPU_PYTHON=python3 takes an environment that is there already.
ifndef GPU_PYTHON
GPU_PYTHON := $(BIN)/python
gpu-check: gpu-setup
endif
GPU_RESULT ?= bench_results/gpu_check.json

gpu-setup:
	@$(MAKE) --no-print-directory setup EXTRAS=dev,cuda

gpu-check:
	mkdir -p $(dir $(GPU_RESULT))
	$(GPU_PYTHON) -m pytest -q -m gpu
	$(GPU_PYTHON) cli.py emulator bench pong --device cuda --num-envs 256,4096,16384,65536 --repeats 2 --seconds 1 \
		--json $(GPU_RESULT)
	$(GPU_PYTHON) cli.py emulator verify pong --device cuda --num-envs 4096 --frames 10000

# Two processes: a test keeps one core busy, or waits for programs that it has started.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

MARKERS ?= slow
test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist load --maxschedchunk 1 -m "$(MARKERS)" $(ARGS)

# Clusters of several nodes on this machine, which are killed one after the other.
test-ray:
	@$(MAKE) --no-print-directory setup EXTRAS=dev,ray
	@$(MAKE) --no-print-directory test-slow EXTRAS=dev,ray MARKERS=ray

# Whether the tests notice the mistakes listed in tests/mutants/catalogue.yaml; ARGS="--only replay" for some of them.
test-mutants: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants $(ARGS)

# The fast tests on the lowest versions that pyproject.toml allows, in an environment of their own.
test-lowest:
	@$(MAKE) --no-print-directory setup VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt EXTRAS=dev
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -q -n 2 --dist loadfile $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-lowest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
