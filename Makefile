# Two commands for a newcomer: `make run` (the cockpit with the demo on real models) and `make test`.
# Every target is idempotent; a second run starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(PYTHON) tools/setup.py

# These start whole engines with real models: no more than two at a time, each file's tests one after another.
BY_THEMSELVES := tests/chaos tests/end_to_end

.PHONY: run test check engines screenshots cast coverage figures clean

run:
	@$(SETUP) run
	@$(BIN)/arbiter demo

test:
	@$(SETUP) test
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(BY_THEMSELVES)
	@$(BIN)/python -m pytest -n 3 $(BY_THEMSELVES:%=--ignore=%)

check:
	@$(SETUP) dev
	@$(BIN)/python tools/check.py

engines:
	@$(SETUP) engines

screenshots:
	@$(SETUP) test
	@$(BIN)/python screenshots/make.py

# A real run of the demo in a pseudo-terminal, as an asciinema recording (about two minutes).
cast:
	@$(SETUP) run
	@$(BIN)/python screenshots/cast.py

coverage:
	@$(SETUP) test
	@$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered tests/core tests/engine

# Runs every benchmark of README's table, one after another (about half an hour), and writes the table.
figures:
	@$(SETUP) test
	@$(BIN)/python benchmarks/report.py run; code=$$?; $(BIN)/python benchmarks/report.py readme; exit $$code

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
