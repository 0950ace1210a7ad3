# Two commands for a fresh machine with Python 3.11+: `make demo` and `make test`. Both install what they need, once.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint types unit generate clean

demo: $(STAMP)
	$(BIN)/python scripts/demo.py

test: lint types unit

lint: $(DEV_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV_STAMP)
	$(BIN)/mypy

# Files of tests are shared out to two processes: most of their time they wait for servers to start.
unit: $(DEV_STAMP)
	$(BIN)/pytest -n 2 --dist loadfile

generate: $(DEV_STAMP)
	$(BIN)/python scripts/generate_proto.py
	$(BIN)/python scripts/generate_api_docs.py

clean:
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamp is written last, so that an interrupted installation is repeated.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[cpu]'
	@touch $@

$(DEV_STAMP): $(STAMP)
	$(INSTALL) -e '.[cpu,dev]'
	@touch $@
