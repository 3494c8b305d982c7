# Needs python3.11 (or PYTHON=...) and nothing else; every target makes the environment that it runs in.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
MODEL := digits_mobilenet
# Tests run in several processes, at most four for the sake of memory. All of them must list the tests in one order, so hashes are fixed.
PARALLEL := -n auto --maxprocesses 4
export PYTHONHASHSEED := 0

.PHONY: axe demo test test-train test-lowest docs site bench bench-calibration clean
.DELETE_ON_ERROR:

# The three commands on a sample model, from its samples; everything they write is in build/.
demo: .venv/installed
	mkdir -p build
	cp sample_models/$(MODEL).onnx build/$(MODEL).onnx
	.venv/bin/qconv calibrate build/$(MODEL).onnx --data sample_models/digits_calib.npz
	.venv/bin/qconv quantize build/$(MODEL).onnx --bits 8
	.venv/bin/qconv verify build/$(MODEL).onnx --data sample_models/digits_test.npz --html build/report.html

test: .venv-dev/installed
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	.venv-dev/bin/python -m pytest -q $(PARALLEL)

# axe-core, with which the tests look at the pages where chromium is installed.
axe: build/axe/node_modules/axe-core/axe.min.js

build/axe/node_modules/axe-core/axe.min.js:
	mkdir -p build/axe
	npm install --silent --no-audit --no-fund --prefix build/axe axe-core@4

# The same for qconv.train, in an environment with torch for the CPU.
test-train: .venv-train/installed
	.venv-train/bin/python -m pytest -q tests/train

# Writes docs/commands.md and docs/ops.md anew; a test fails where they are out of date.
docs: .venv-dev/installed
	.venv-dev/bin/python docs/generate.py

# The documentation as a site with a search, in build/site; any warning, and so any dead link between pages, is an error.
site: .venv-docs/installed
	.venv-docs/bin/sphinx-build -q -W --keep-going -b html docs build/site

# The tests with the oldest releases that pyproject.toml admits.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest -q $(PARALLEL)

bench: .venv-dev/installed
	.venv-dev/bin/python -m benchmarks.bench

# Takes half an hour, 8 GB of memory, and a machine that does nothing else.
bench-calibration: .venv-dev/installed
	.venv-dev/bin/python -m benchmarks.calibration --markdown benchmarks/calibration.md

clean:
	rm -rf .venv .venv-dev .venv-train .venv-docs .venv-lowest build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/installed: WANTED := .
.venv-dev/installed: WANTED := .[dev]
.venv-train/installed: WANTED := .[train,test]
# One release, because an open range of torch brings gigabytes for graphics cards.
.venv-train/installed: FIRST := torch==2.13.0
.venv-docs/installed: WANTED := .[docs]
.venv-lowest/installed: WANTED := .[test]
.venv-lowest/installed: FIRST = $(shell $(PYTHON) docs/lowest.py)

# Installed again when the dependencies change; the code itself is used in place.
.venv/installed .venv-dev/installed .venv-train/installed .venv-docs/installed .venv-lowest/installed: pyproject.toml
	@echo "making $(@D), which takes a minute or two; pip tells what it installs"
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(if $(FIRST),$(@D)/bin/python -m pip install --disable-pip-version-check --progress-bar off $(FIRST))
	$(@D)/bin/python -m pip install --disable-pip-version-check --progress-bar off --editable '$(WANTED)'
	touch $@
