# Two commands do all of their own set-up: make demo, make test.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PHOTOS ?=

.PHONY: demo test test-all check bench lock clean

demo: $(VENV)/.demo
	@$(BIN)/python examples/demo.py $(if $(PHOTOS),"$(PHOTOS)")

test: check $(VENV)/.reference
	$(BIN)/python -m pytest -m "not long" -n auto

test-all: check $(VENV)/.reference $(VENV)/.scale
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Every benchmark in its short form: do they run? With PHOTOS, a folder of class folders, the figures
# of benchmarks/results that need no more than that; docs/performance.md has the commands of the rest.
BENCHMARKS := precision categories parts raster speed indexing jpeg encoders full generate vectors meaning colour batch command growth graph duplicates choosing why maps clusters map_exports viewer side_tables join servers downloads exchange scale_out peers
bench: $(VENV)/.dev
ifeq ($(PHOTOS),)
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py --short; done
else
	$(BIN)/python benchmarks/precision.py "$(PHOTOS)"
	$(BIN)/python benchmarks/categories.py "$(PHOTOS)"
	$(BIN)/python benchmarks/raster.py "$(PHOTOS)"
	$(BIN)/python benchmarks/speed.py "$(PHOTOS)"
	$(BIN)/python benchmarks/jpeg.py "$(PHOTOS)"
	$(BIN)/python benchmarks/indexing.py "$(PHOTOS)"
endif

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
	@touch $(VENV)/.demo $@

# What encoders are compared with. Their tests say so and are skipped where it cannot be had.
$(VENV)/.reference: requirements/reference.txt requirements/torch.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/reference.txt \
		-r requirements/torch.txt || echo "PyTorch for the processor is not at hand: its tests are skipped"
	@touch $@

# A cluster on this machine. Its tests say so and are skipped where it cannot be had.
$(VENV)/.scale: requirements/scale.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/scale.txt \
		|| echo "Ray is not at hand: its tests are skipped"
	@touch $@

# Newer versions: make lock, then make test. Needs uv on the PATH.
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-header --annotation-style line
lock:
	cd requirements && $(LOCK) dev.in -o dev.txt
	cd requirements && $(LOCK) reference.in -c dev.txt --override no-cuda.txt --no-emit-package torch -o reference.txt
	cd requirements && $(LOCK) scale.in -c dev.txt -o scale.txt
	cd requirements && $(LOCK) demo.in -c dev.txt -o demo.txt
	cd requirements && $(LOCK) runtime.in -c dev.txt -o runtime.txt

clean:
	rm -rf $(VENV) .demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
