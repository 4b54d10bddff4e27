# Two commands work on a fresh machine with Python and make: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := -e plugins/image -e "./plugins/text[lora]" -e plugins/audio -e examples/genkit-points
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := pyproject.toml $(wildcard plugins/*/pyproject.toml examples/*/pyproject.toml)

.PHONY: help setup run test bench lint format docs clean
help:
	@echo "make run     set up and train the handwriting GAN on the embedded digits (5 minutes)"
	@echo "make test    set up and run all tests"
	@echo "make lint    ruff, mypy, import contracts, generated documentation"
	@echo "make bench   the benchmarks behind docs/benchmarks.md (long)"
	@echo "make docs    write the generated pages of docs/ anew and build the site into site/"

setup: .venv/ready
.venv/ready: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e . $(PACKAGES)
	touch $@

.venv/ready-dev: .venv/ready
	$(PIP) -e ".[dev]"
	$(PIP) --no-deps --target .venv/wrapped torchgan vocos torch-fidelity  # what examples/ wraps and tests compare with
	touch $@

run: .venv/ready
	$(BIN)/genkit run image.handwriting

test: .venv/ready-dev
	OMP_NUM_THREADS=1 PYTHONPATH=.venv/wrapped $(BIN)/python -m pytest -n 2

bench: .venv/ready-dev
	$(BIN)/python tests/benchmarks/dcgan_step.py --json
	$(BIN)/python tests/benchmarks/points.py --json
	$(BIN)/python tests/benchmarks/digits.py --minutes 5 --json
	$(BIN)/python tests/benchmarks/mixtures.py --json
	$(BIN)/python tests/benchmarks/stacked_mnist.py --json
	$(BIN)/python tests/benchmarks/fashion_mnist.py --minutes 8 --json
	$(BIN)/python tests/benchmarks/reconstruct.py --minutes 10 --json
	$(BIN)/python tests/benchmarks/little_data.py --json
	$(BIN)/python tests/benchmarks/text_sampling.py --json
	$(BIN)/python tests/benchmarks/synthesis_speed.py --json
	$(BIN)/python tests/benchmarks/text_oracle.py --vocabulary 50 --json
	$(BIN)/python tests/benchmarks/text_oracle.py --vocabulary 5000 --seeds 0 --json
	$(BIN)/python tests/benchmarks/text_real.py --minutes 15 --json
	$(BIN)/python tests/benchmarks/text_reply.py --minutes 20 --json
	$(BIN)/python tests/benchmarks/drums.py --minutes 30 --json
	$(BIN)/python tests/benchmarks/vocoder_step.py --json
	$(BIN)/python tests/benchmarks/vocoder.py --minutes 40 --json

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

format: .venv/ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready-dev
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf .venv build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
