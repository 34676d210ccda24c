# `make demo` and `make test`, and `make quick` for most of the tests in less than a minute. Each makes its own
# virtual environment.
# `make test-postgres` tests the plugin for PostgreSQL, which is a distribution of its own.
PYTHON ?= python3
VENV ?= .venv
PACKAGE ?= -e .
POSTGRES ?= -e plugins/openholder_postgres

# On a terminal the demo stays until Ctrl-C; elsewhere it is rehearsed with all attacks, and ends.
demo: $(VENV)/installed
	@if [ -t 1 ]; then $(VENV)/bin/openholder demo; else $(VENV)/bin/openholder demo --check; fi

# The compiled tests are kept also where Python is told to write no bytecode: compiling them takes ten seconds.
test quick: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/installed-for-tests
	$(VENV)/bin/python -m pytest -n auto --dist worksteal

# What takes seconds or starts processes is left out: for the loop of changing and trying.
quick: $(VENV)/installed-for-tests
	$(VENV)/bin/python -m pytest -n auto --dist worksteal -m "not slow and not subprocess"

test-postgres: $(VENV)/postgres/installed
	cd plugins/openholder_postgres && $(abspath $(VENV))/postgres/bin/python -m pytest

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(PACKAGE)
	touch $@

$(VENV)/installed-for-tests: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet $(PACKAGE)[test]
	touch $@

# An environment of its own: the tests above say which kinds are installed.
$(VENV)/postgres/installed: setup.cfg plugins/openholder_postgres/setup.cfg
	$(PYTHON) -m venv $(VENV)/postgres
	$(VENV)/postgres/bin/python -m pip install --quiet $(PACKAGE) $(POSTGRES)[test]
	touch $@

.PHONY: demo test quick test-postgres
