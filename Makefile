# Two commands do all of their own set-up: make demo, make test.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PHOTOS ?=

.PHONY: demo test test-all check bench lock clean

demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py $(if $(PHOTOS),"$(PHOTOS)")

test: check
	$(BIN)/python -m pytest -m "not long"

test-all: check
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The figures in benchmarks/results; PHOTOS names a folder of class folders.
bench: $(VENV)/.dev
	@test -d "$(PHOTOS)" || { echo "name a folder of class folders: make bench PHOTOS=DIR" >&2; exit 2; }
	$(BIN)/python benchmarks/precision.py "$(PHOTOS)"
	$(BIN)/python benchmarks/raster.py "$(PHOTOS)"
	$(BIN)/python benchmarks/speed.py "$(PHOTOS)"

$(VENV)/bin/python:
	sh tools/make_venv.sh $(PYTHON) $(VENV)

# Exact versions with hashes, then the package itself in place.
$(VENV)/.demo: requirements/demo.txt pyproject.toml hatch_build.py src/lookalike/kernels/kernels.c | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/demo.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml hatch_build.py src/lookalike/kernels/kernels.c | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

# Newer versions: make lock, then make test. Needs uv on the PATH.
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-header --annotation-style line
lock:
	cd requirements && $(LOCK) dev.in -o dev.txt
	cd requirements && $(LOCK) demo.in -c dev.txt -o demo.txt
	cd requirements && $(LOCK) runtime.in -c dev.txt -o runtime.txt

clean:
	rm -rf $(VENV) .demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
