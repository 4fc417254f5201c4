# visavis: `make run` serves on http://127.0.0.1:8080, `make test` runs every test. Only Python is needed.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8080
TORCH ?= torch==2.13.0
DATA ?= ../shared/data
OUT ?= build/weights
BENCH_OUT ?= build/bench
MINUTES ?= 8.5

VENV := .venv
BIN := $(VENV)/bin
# The name holds the requirement, so that another TORCH installs another torch and the same one costs nothing.
TORCH_STAMP := $(VENV)/.torch-$(shell printf '%s' '$(TORCH)' | cksum | cut -d ' ' -f 1)
RUN_STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
CHROMIUM_STAMP := $(VENV)/.chromium

.PHONY: run test check check-page train bench bench-gpu constraints clean

run: $(RUN_STAMP)
	$(BIN)/visavis serve --host $(HOST) --port $(PORT)

test: $(TEST_STAMP) $(CHROMIUM_STAMP)
	$(BIN)/pytest

check: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The committed page must be what its source builds to. Node is for working on the page; running it needs none.
check-page:
	cd web_client && npm ci && npm run check && npm run build
	@git diff --exit-code --stat web_client/dist && test -z "$$(git status --porcelain web_client/dist)" \
		|| { echo 'web_client/dist is not what its source builds: run `npm run build` in web_client and commit dist' >&2; exit 1; }

train: $(TEST_STAMP)
	$(BIN)/visavis train --data $(DATA) --out $(OUT)

bench: $(TEST_STAMP) $(CHROMIUM_STAMP)
	$(BIN)/visavis bench

# On a GPU machine as it is: PYTHON has torch, triton, numpy and safetensors; nothing is installed.
bench-gpu:
	$(PYTHON) -m benchmarks --minutes $(MINUTES) --out $(BENCH_OUT)/gpu.json --out $(BENCH_OUT)/gpu.html

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'no virtual environment could be made: install python3-venv, or set PYTHON to Python 3.11 or newer' >&2; exit 1; }

$(TORCH_STAMP): | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(TORCH) -c constraints.txt
	rm -f $(VENV)/.torch-*
	touch $@

$(RUN_STAMP): pyproject.toml constraints.txt $(TORCH_STAMP)
	$(BIN)/python -m pip install --quiet --editable . -c constraints.txt
	touch $@

$(TEST_STAMP): $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[test,train]' -c constraints.txt
	touch $@

# Debian's Chromium where there is one or one may be installed, else Playwright's own.
$(CHROMIUM_STAMP): $(TEST_STAMP)
	command -v chromium >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
			&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
		|| $(BIN)/playwright install chromium
	touch $@

# Pins everything but torch (TORCH above) and the CUDA packages that only torch chooses.
constraints: $(TEST_STAMP)
	$(BIN)/python -m pip install --quiet uv
	cp constraints.txt $(VENV)/constraints.txt
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra test --extra train --python-version 3.11 \
		--no-header --no-annotate --output-file $(VENV)/constraints.txt
	awk '!/^(torch|triton|cuda-[a-z-]+|nvidia-[a-z0-9-]+)==/ || /^nvidia-ml-py==/' $(VENV)/constraints.txt >constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info .ruff_cache .pytest_cache .hypothesis web_client/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
