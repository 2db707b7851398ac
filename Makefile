# One-line wrappers over the verbs of `assay`; `make install` comes first wherever it is needed.
#
#   make demo                                          the embedded sample, from raw files to a training run
#   make tokenize CORPUS=filings                       the embedded sample, where data/raw/filings holds nothing
#   make tokenize CORPUS=filings RAW='edgar/*.txt.gz'  your own raw files
#   make test                                          everything that is tested

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
export PYTHONSAFEPATH := 1

LAKE_OPTION = $(if $(LAKE),--lake '$(LAKE)')
RAW_OPTION = $(if $(RAW),--raw '$(RAW)') $(if $(FORMAT),--format '$(FORMAT)')
SUPPLY_OPTION = $(if $(SUPPLY),--supply '$(SUPPLY)')
TOKENIZER_OPTION = $(if $(TOKENIZER),--tokenizer '$(TOKENIZER)')

.PHONY: help install demo ingest deduplicate tokenize status reconcile gc compact sql mix plan launch test lint bench clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7

install: $(VENV)/installed

demo: $(VENV)/launch
	@rm -rf plans/demo
	$(BIN)/assay tokenize --all --sample
	$(BIN)/assay mix bloomberggpt --lake lake-sample
	$(BIN)/assay plan --mix bloomberggpt --gpu a100-40gb --gpu-hours 1 --sequence 256 --lake lake-sample --name demo
	$(BIN)/assay launch plans/demo/plan.json
	plans/demo/launch/torchrun.sh --stop-after 40
	@echo "The report: $(CURDIR)/plans/demo/report.html"

ingest: install
	@$(BIN)/assay ingest $(CORPUS) $(RAW_OPTION) $(LAKE_OPTION) $(ARGS)

deduplicate: install
	@$(BIN)/assay deduplicate $(LAKE_OPTION) $(ARGS)

tokenize: install
	@$(BIN)/assay tokenize $(or $(CORPUS),--all) $(RAW_OPTION) $(TOKENIZER_OPTION) $(LAKE_OPTION) $(ARGS)

status reconcile gc: install
	@$(BIN)/assay $@ $(LAKE_OPTION) $(ARGS)

compact: install
	@$(BIN)/assay compact $(CORPUS) $(LAKE_OPTION) $(ARGS)

sql: install
	@$(BIN)/assay sql $(if $(QUERY),"$(QUERY)") $(LAKE_OPTION) $(ARGS)

mix: install
	@$(BIN)/assay mix $(or $(MIX),bloomberggpt) $(SUPPLY_OPTION) $(LAKE_OPTION) $(ARGS)

plan: install
	@$(BIN)/assay plan $(if $(MIX),--mix '$(MIX)') $(SUPPLY_OPTION) $(LAKE_OPTION) $(ARGS)

launch: $(VENV)/launch
	@$(BIN)/assay launch '$(PLAN)' $(ARGS)

test: lint $(VENV)/older-duckdb
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

lint: $(VENV)/dev
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .

bench: $(VENV)/dev
	@$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) lake-sample data/sample plans/demo bench/out

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "assay needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	@echo "Setting up $(VENV) (once; about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/launch: $(VENV)/installed
	@echo "Installing torch for the trainer (once) ..."
	@$(PIP) -c constraints.txt -e '.[launch]'
	@touch $@

$(VENV)/dev: $(VENV)/installed
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

# An older DuckDB, in a folder of its own: what a released shell of two years ago sees of catalog.duckdb.
$(VENV)/older-duckdb: $(VENV)/installed
	@rm -rf $@ && $(PIP) --no-deps --target $@ duckdb==1.1.3
	@touch $@
