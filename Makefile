# Each target sets up first: a fresh machine needs Python 3.10 or newer with venv and pip, and no more.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
# On Linux the registry's torch carries gigabytes of CUDA; without a GPU the CPU build is asked for first.
CPU_TORCH_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: setup train bench peers gpu-setup gpu-check test test-slow lint format clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ "$$(uname -s)" = Linux ] && ! nvidia-smi -L >/dev/null 2>&1 && ! $(BIN)/python -c 'import torch' 2>/dev/null; then \
		echo "no NVIDIA GPU found: installing the CPU build of $(TORCH)"; \
		$(BIN)/pip install --quiet --no-deps --retries 0 --timeout 20 --index-url $(CPU_TORCH_INDEX) "$(TORCH)" 2>/dev/null \
			|| echo "the CPU build could not be had; taking the registry's"; \
	fi
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

train: setup
	$(BIN)/rl-speed train $(ARGS)

bench: setup
	$(BIN)/rl-speed bench $(ARGS)

# The other people's programs that `bench --peers` measures.
peers: setup
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'

# All that needs a CUDA device, in under ten minutes: the GPU tests, speeds and times of the kernels, and the comparison
# of 4,096 consoles with the CPU, every frame. GPU_PYTHON=python3 takes an environment that is there already.
ifndef GPU_PYTHON
GPU_PYTHON := $(BIN)/python
gpu-check: gpu-setup
endif
GPU_RESULT ?= bench_results/gpu_check.json

gpu-setup: setup
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,cuda]'

gpu-check:
	mkdir -p $(dir $(GPU_RESULT))
	$(GPU_PYTHON) -m pytest -q -m gpu
	$(GPU_PYTHON) cli.py emulator bench pong --device cuda --num-envs 256,4096,16384,65536 --repeats 2 --seconds 1 \
		--json $(GPU_RESULT)
	$(GPU_PYTHON) cli.py emulator verify pong --device cuda --num-envs 4096 --frames 10000

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(ARGS)

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
