# Each target sets up first: a fresh machine needs Python 3.10 to 3.14 with venv and pip, and no more.
# `make setup PYTHON=python3.12` chooses the Python; EXTRAS='dev,bench' chooses what is installed with the program.
PYTHON ?= python3
EXTRAS ?= dev
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSTRAINTS ?= constraints.txt
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
# On Linux the registry's torch carries gigabytes of CUDA; without a GPU the CPU build is asked for first.
CPU_TORCH_INDEX := https://download.pytorch.org/whl/cpu
PIP := $(BIN)/pip install --quiet --constraint $(CONSTRAINTS)

# The Python that .venv was made with, as its stamp says, and the one that is asked for.
MADE_WITH := $(shell cat $(STAMP) 2>/dev/null)
ASKED_FOR := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

.PHONY: setup train bench peers gpu-setup gpu-check test test-slow test-lowest lint format clean again

setup: $(STAMP)

# Another Python than before was asked for by name: .venv is made anew.
ifneq ($(origin PYTHON),file)
ifneq ($(MADE_WITH),$(ASKED_FOR))
$(STAMP): again
endif
endif

# The stamp is written last, so a set-up that was cut off is noticed and begins anew.
$(STAMP): pyproject.toml constraints.txt
	@case "$(ASKED_FOR)" in 3.1[0-4]) ;; "") echo "no Python at '$(PYTHON)'; name one: make setup PYTHON=python3.12"; exit 2;; \
		*) echo "Python 3.10 to 3.14 is needed, and $(PYTHON) is $(ASKED_FOR); name another: make setup PYTHON=python3.12"; exit 2;; esac
	@if [ -e $(VENV) ] && [ ! -e $(STAMP) ]; then \
		echo "$(VENV) is not whole, an earlier set-up was cut off: it is made anew"; rm -rf $(VENV); \
	elif [ "$(origin PYTHON)" != file ] && [ -n "$(MADE_WITH)" ] && [ "$(MADE_WITH)" != "$(ASKED_FOR)" ]; then \
		echo "$(VENV) is of Python $(MADE_WITH), and $(ASKED_FOR) is asked for: it is made anew"; rm -rf $(VENV); \
	fi
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ "$$(uname -s)" = Linux ] && ! nvidia-smi -L >/dev/null 2>&1 && ! $(BIN)/python -c 'import torch' 2>/dev/null; then \
		echo "no NVIDIA GPU found: installing the CPU build of $(TORCH)"; \
		$(BIN)/pip install --quiet --no-deps --retries 0 --timeout 20 --index-url $(CPU_TORCH_INDEX) "$(TORCH)" 2>/dev/null \
			|| echo "the CPU build could not be had; taking the registry's"; \
	fi
	$(PIP) --editable '.[$(EXTRAS)]'
	@if ! command -v c++ >/dev/null && ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null && [ -z "$$CXX" ]; then \
		echo "no C++ compiler found: installing the one of the package ziglang, for our own emulator"; \
		$(PIP) --editable '.[$(EXTRAS),compiler]' || echo "it could not be had: ale-py plays instead"; \
	fi
	@$(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' > $(STAMP)

train: setup
	$(BIN)/rl-speed train $(ARGS)

bench: setup
	$(BIN)/rl-speed bench $(ARGS)

# The other people's programs that `bench --peers` measures.
peers: setup
	$(PIP) --editable '.[dev,bench]'

# All that needs a CUDA device, in under ten minutes: the GPU tests, speeds and times of the kernels, and the comparison
# of 4,096 consoles with the CPU, every frame. GPU_PYTHON=python3 takes an environment that is there already.
ifndef GPU_PYTHON
GPU_PYTHON := $(BIN)/python
gpu-check: gpu-setup
endif
GPU_RESULT ?= bench_results/gpu_check.json

gpu-setup: setup
	$(PIP) --editable '.[dev,cuda]'

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

# The fast tests on the lowest versions that pyproject.toml allows, in an environment of their own.
test-lowest:
	$(MAKE) setup VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -q $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-lowest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
