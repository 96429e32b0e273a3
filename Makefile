# `make help` lists what there is. Needs GNU make 4.3 or newer and Python 3.11 or newer; all else is installed into .venv.
ifeq ($(filter grouped-target,$(.FEATURES)),)
$(error GNU make 4.3 or newer is needed, but this is $(MAKE_VERSION). On macOS: brew install make, then call it as gmake)
endif

PYTHON ?=
VENV ?= .venv
TEST_JOBS ?= auto
ARGS ?=
FULL ?=
MATHJAX ?=

PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
NOTEBOOK_STAMP := $(VENV)/.installed-notebook
LOCK_VENV := build/lock-venv

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv test test-long test-all check lint format derive docs finite-batches figures notebook bench lock clean distclean

help: ## list the targets
	@echo "Usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile
	@echo "Variables: PYTHON=python3.12 (the interpreter for a new environment), VENV=dir (default .venv)"

# ---------------------------------------------------------------------------------------------- environment

venv: $(STAMP) ## make the environment .venv with everything in requirements.lock

$(STAMP): requirements.lock pyproject.toml
	tools/make_venv.sh $(VENV) $(PYTHON)
	$(PY) -m pip install --disable-pip-version-check -r requirements.lock
	$(PY) -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# One version of each package for all Pythons and systems (fork-strategy), so that all see the same numbers.
lock: ## write requirements.lock anew, with the newest versions that pyproject.toml allows
	tools/make_venv.sh $(LOCK_VENV) $(PYTHON)
	$(LOCK_VENV)/bin/python -m pip install --disable-pip-version-check --upgrade uv
	$(LOCK_VENV)/bin/uv pip compile pyproject.toml --extra dev --output-file requirements.lock --upgrade \
		--universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
		--no-config --custom-compile-command "make lock" --quiet

# ------------------------------------------------------------------------------------------------- everyday

test: $(STAMP) ## run the quick tests (ARGS="-k name" passes options on to pytest, TEST_JOBS=n sets the processes)
	$(PY) -m pytest -n $(TEST_JOBS) $(ARGS)

test-long: $(STAMP) ## run the tests that take long, but not those at full size
	$(PY) -m pytest -n $(TEST_JOBS) -m "long and not full and not torch and not notebook" $(ARGS)

test-all: $(STAMP) ## run all tests, those at full size too (over an hour), and report coverage in build/coverage/
	$(PY) -m pytest -n $(TEST_JOBS) -m "not torch and not notebook" --cov --cov-report=term --cov-report=html $(ARGS)

check: lint $(STAMP) ## check format, lint, types, imports, and that what is written from the code is up to date
	$(PY) -m derivations.codegen --check
	$(PY) -m derivations.report --check
	$(PY) tools/architecture.py --check

lint: $(STAMP) ## check format, lint, types and the direction of imports alone
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

format: $(STAMP) ## format the code and mend what the linter can mend
	$(PY) -m ruff format
	$(PY) -m ruff check --fix

derive: $(STAMP) ## write dynamics/generated/ anew from derivations/
	$(PY) -m derivations.codegen

docs: $(STAMP) ## write the pages of docs/ anew that come from the code
	$(PY) tools/combinations.py
	$(PY) -m derivations.report
	$(PY) tools/architecture.py

finite-batches: $(STAMP) ## train networks in all settings of docs/finite_batches_table.md, and write this page (an hour)
	$(PY) tools/finite_batches.py

# ---------------------------------------------------------------------------------------------------- speed

bench: $(BENCH_STAMP) ## measure speed beside other libraries, and write docs/benchmarks.md (half an hour)
	$(PY) -m benchmarks --out docs/benchmarks.md

# Peers at their newest, beside what is pinned; the page names their versions.
$(BENCH_STAMP): $(STAMP)
	$(PY) -m pip install --disable-pip-version-check --no-build-isolation -e '.[bench]'
	@touch $@

# -------------------------------------------------------------------------------------------------- figures

# Every module of figures/ is a figure, but these. For one figure alone: make build/figures/NAME.png
NOT_FIGURES := __init__ __main__ style gallery captions statistics agreement deep_networks panels
FIRST := fig2_eigenvalues  # the picture of the README, drawn before the others
FIGURES := $(filter-out $(NOT_FIGURES),$(sort $(basename $(notdir $(wildcard figures/*.py)))))
FIGURES := $(FIRST) $(filter-out $(FIRST),$(FIGURES))
SHARED_SOURCES := $(wildcard figures/style.py figures/captions.py figures/statistics.py figures/agreement.py \
	figures/deep_networks.py figures/panels.py) \
	$(sort $(shell find dynamics -name '*.py' 2>/dev/null))

# Compiling takes a third of the time of the figures; these options of XLA, which the pinned version knows, halve it.
# Threads of OpenBLAS spin while they wait, which takes longer than the small matrices of the figures.
FIGURE_ENV := XLA_FLAGS="--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=1 $(XLA_FLAGS)" \
	OPENBLAS_NUM_THREADS=1

ifeq ($(filter-out 0 no,$(FULL)),)
FIGURE_DIR := build/figures
FIGURE_FLAGS :=
else
FIGURE_DIR := build/figures-full
FIGURE_FLAGS := --full
endif

figures: $(FIGURE_DIR)/index.html ## draw all figures into build/figures/ (FULL=1: at the paper's full size, into build/figures-full/)

$(FIGURE_DIR)/index.html: $(foreach name,$(FIGURES),$(addprefix $(FIGURE_DIR)/$(name),.png .pdf .md)) \
		$(wildcard figures/gallery.py) | $(STAMP)
	@mkdir -p $(FIGURE_DIR)
	@$(PY) -m figures gallery --out $(FIGURE_DIR)
	@echo "All figures: $@"

# $(call figure_rule,NAME,NUMBER)
define figure_rule
$(FIGURE_DIR)/$(1).png $(FIGURE_DIR)/$(1).pdf $(FIGURE_DIR)/$(1).md &: figures/$(1).py $(SHARED_SOURCES) | $(STAMP)
	@echo "[$(2) of $(words $(FIGURES))] $(1)"
	@mkdir -p $(FIGURE_DIR)
	@$$(FIGURE_ENV) $(PY) -m figures $(1) --out $(FIGURE_DIR) $(FIGURE_FLAGS)
endef
counted :=
$(foreach name,$(FIGURES),$(eval counted += $(name))$(eval $(call figure_rule,$(name),$(words $(counted)))))

# ------------------------------------------------------------------------------------------------ notebooks

notebook: $(NOTEBOOK_STAMP) ## run the tests in a Jupyter kernel, and take pictures of results in build/notebook/ (needs Chromium)
	$(PY) -m pytest -n 0 -m notebook $(ARGS)
	$(PY) tools/notebook_pictures.py $(if $(MATHJAX),--mathjax $(MATHJAX))

$(NOTEBOOK_STAMP): $(STAMP)
	$(PY) -m pip install --disable-pip-version-check --no-build-isolation -e '.[notebook]'
	@touch $@

# ------------------------------------------------------------------------------------------------- clean up

clean: ## remove what was built: figures, packages, caches
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find derivations dynamics figures tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environment too
	rm -rf $(VENV) .venv-ci
