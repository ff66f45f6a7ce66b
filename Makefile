# Every target sets up what it needs: a virtual environment with the versions in constraints.txt.
#
#   make demo                 a real model, an encrypted prediction, compared with the clear one
#   make test                 all tests, with concrete-python (Python 3.11 or later)
#   make test-concrete-numpy  the tests that encrypt, with concrete-numpy (Python 3.10)
#   make lint                 formatter, linter, types, architecture
#   make docs, make bench     documentation; benchmarks
#   make bench-fhe            cml beside Concrete-ML (Python 3.10 for the latter)
#   make bench-trees          the same on tree ensembles

PYTHON ?= python3
# With pyenv, the variable picks a 3.10; elsewhere python3.10 is found as it is.
PYTHON310 ?= PYENV_VERSION=3.10.13 python3.10
VENV := .venv
VENV310 := .venv310
VENVCONCRETEML := .venv-concrete-ml
# What `make bench-fhe` passes on: --full, --fresh, --models ...
BENCH_FHE ?=
# What `make bench-trees` passes on: --encrypt, --resume, --data ...
BENCH_TREES ?=
RUN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check -c constraints.txt
DIGITS := docs/examples/digits
PYTEST := pytest -n 2 --dist loadfile

.PHONY: demo test test-fast test-concrete-numpy lint format docs bench bench-fhe bench-trees clean

demo: $(VENV)/.ready
	$(RUN)/cml ops list
	$(RUN)/cml check $(DIGITS)/digits.onnx
	$(RUN)/python $(DIGITS)/demo.py

test: $(VENV)/.ready
	$(RUN)/$(PYTEST)

test-fast: $(VENV)/.ready
	$(RUN)/$(PYTEST) -m "not fhe and not package"

test-concrete-numpy: $(VENV310)/.ready
	$(VENV310)/bin/$(PYTEST) -m fhe

lint: $(VENV)/.ready
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

format: $(VENV)/.ready
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

docs: $(VENV)/.ready
	$(RUN)/python $(PIP) -e '.[docs]'
	$(RUN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.ready
	$(RUN)/python benchmarks/digits.py --encrypt
	$(RUN)/python benchmarks/clear.py

bench-fhe: $(VENV)/.ready $(VENVCONCRETEML)/.ready
	$(RUN)/python $(PIP) -e '.[bench]'
	$(RUN)/python benchmarks/fhe/run.py --encrypt \
		--concrete-ml $(VENVCONCRETEML)/bin/python $(BENCH_FHE)

bench-trees: $(VENV)/.ready $(VENVCONCRETEML)/.ready
	$(RUN)/python $(PIP) -e '.[bench]'
	$(RUN)/python benchmarks/trees/run.py \
		--concrete-ml $(VENVCONCRETEML)/bin/python $(BENCH_TREES)

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python $(PIP) --upgrade pip 'setuptools<81' wheel
	$(RUN)/python $(PIP) -e '.[fhe,dev]'
	touch $@

$(VENV310)/.ready: pyproject.toml constraints.txt
	$(PYTHON310) -m venv $(VENV310)
	$(VENV310)/bin/python $(PIP) --upgrade pip 'setuptools<81' wheel
	$(VENV310)/bin/python $(PIP) -e '.[fhe,dev]'
	touch $@

$(VENVCONCRETEML)/.ready: benchmarks/fhe/constraints-concrete-ml.txt
	$(PYTHON310) -m venv $(VENVCONCRETEML)
	$(VENVCONCRETEML)/bin/python -m pip install --quiet --upgrade pip 'setuptools<81' wheel
	$(VENVCONCRETEML)/bin/python -m pip install --quiet -c $< concrete-ml==1.9.0
	touch $@

clean:
	rm -rf $(VENV) $(VENV310) $(VENVCONCRETEML) build dist *.egg-info docs/_build .pytest_cache .mypy_cache .ruff_cache
