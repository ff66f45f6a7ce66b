# Every target sets up what it needs: a virtual environment with the versions in constraints.txt.
#
#   make demo                 a real model, an encrypted prediction, compared with the clear one
#   make test                 all tests, with concrete-python (Python 3.11 or later)
#   make test-concrete-numpy  the tests that encrypt, with concrete-numpy (Python 3.10)
#   make test-numpy-2         operators and quantization with NumPy 2, which no compiler takes
#   make test-lowest          the fast tests, with the lowest versions that pyproject.toml allows
#   make lint                 formatter, linter, types, architecture
#   make docs, make bench     documentation, in docs/_build/html; benchmarks
#   make docs-generate        the pages about operators, commands and estimators, written anew
#   make docs-check           every page of the documentation in a browser, at two widths
#   make bench-fhe            cml beside Concrete-ML (Python 3.10 for the latter)
#   make bench-trees          the same on tree ensembles
#   make bench-float          float models beside onnxruntime and onnx.reference

PYTHON ?= python3
# With pyenv, the variable picks a 3.10; elsewhere python3.10 is found as it is.
PYTHON310 ?= PYENV_VERSION=3.10.13 python3.10
VENV := .venv
VENV310 := .venv310
VENVLOWEST := .venv-lowest
VENVNUMPY2 := .venv-numpy2
VENVCONCRETEML := .venv-concrete-ml
# What `make bench-fhe` passes on: --full, --fresh, --models ...
BENCH_FHE ?=
# What `make bench-trees` passes on: --encrypt, --resume, --data ...
BENCH_TREES ?=
# What `make bench-float` passes on: --only, --seconds
BENCH_FLOAT ?=
RUN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check -c constraints.txt
CML := -e '.[fhe,dev]'
DIGITS := docs/examples/digits
# Concrete brings hundreds of megabytes: a download that breaks off is taken up, then tried anew.
export PIP_RESUME_RETRIES := 20
retry = $(1) || { sleep 30; $(1); } || { sleep 120; $(1); }
PYTEST := pytest -n 2 --dist loadfile

.PHONY: demo test test-fast test-concrete-numpy test-numpy-2 test-lowest lint format docs docs-check docs-generate bench bench-fhe bench-trees bench-float clean

demo: $(VENV)/.ready
	$(RUN)/cml ops list
	$(RUN)/cml check $(DIGITS)/digits.onnx
	$(RUN)/python $(DIGITS)/demo.py

test: $(VENV)/.ready
	$(RUN)/$(PYTEST)

test-fast: $(VENV)/.ready
	$(RUN)/$(PYTEST) -m "not fhe and not package"

# In a folder of its own: what concrete-numpy's optimizer leaves in the temporary folder,
# concrete-python's would read.
test-concrete-numpy: $(VENV310)/.ready
	mkdir -p $(VENV310)/tmp
	TMPDIR=$(CURDIR)/$(VENV310)/tmp $(VENV310)/bin/$(PYTEST) -m fhe

# Without front ends and compiler; what needs one is skipped.
test-lowest: $(VENVLOWEST)/.ready
	$(VENVLOWEST)/bin/$(PYTEST) -m "not fhe and not package"

test-numpy-2: $(VENVNUMPY2)/.ready
	$(VENVNUMPY2)/bin/$(PYTEST) -m "not fhe" tests/ops tests/quantization tests/program \
		tests/graph tests/test_numpy_module.py tests/test_calibration.py tests/test_feeds.py

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
	$(RUN)/python docs/generate_operators.py --check
	$(RUN)/python docs/generate_reference.py --check
	$(RUN)/sphinx-build -W -n --keep-going -E -q -j auto -b html docs docs/_build/html

# Looks at every page in a browser: a Chromium on PATH, or the one that CHROMIUM names.
docs-check: docs
	$(RUN)/python $(PIP) -e '.[docs-check]'
	$(RUN)/python docs/check_site.py $(if $(CHROMIUM),--chromium $(CHROMIUM)) $(DOCS_CHECK)

# Writes the pages that are made from operators, commands and estimators.
docs-generate: $(VENV)/.ready
	$(RUN)/python docs/generate_operators.py
	$(RUN)/python docs/generate_reference.py

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

bench-float: $(VENV)/.ready
	$(RUN)/python $(PIP) -e '.[bench]'
	$(RUN)/python benchmarks/float/run.py $(BENCH_FLOAT)

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python $(PIP) --upgrade pip 'setuptools<81' wheel
	$(call retry,$(RUN)/python $(PIP) $(CML))
	touch $@

$(VENV310)/.ready: pyproject.toml constraints.txt
	$(PYTHON310) -m venv $(VENV310)
	$(VENV310)/bin/python $(PIP) --upgrade pip 'setuptools<81' wheel
	$(call retry,$(VENV310)/bin/python $(PIP) $(CML))
	touch $@

$(VENVLOWEST)/.ready: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(VENVLOWEST)
	$(VENVLOWEST)/bin/python -m pip install --quiet --upgrade pip 'setuptools<81' wheel
	$(VENVLOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt -e '.[images,new]' \
		hypothesis pytest pytest-xdist ruff sybil
	touch $@

$(VENVNUMPY2)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENVNUMPY2)
	grep -v '^numpy==' constraints.txt > $(VENVNUMPY2)/constraints.txt
	$(VENVNUMPY2)/bin/python -m pip install --quiet --disable-pip-version-check \
		-c $(VENVNUMPY2)/constraints.txt -e '.[images]' 'numpy>=2' \
		hypothesis onnxruntime pytest pytest-cov pytest-xdist
	touch $@

$(VENVCONCRETEML)/.ready: benchmarks/fhe/constraints-concrete-ml.txt
	$(PYTHON310) -m venv $(VENVCONCRETEML)
	$(VENVCONCRETEML)/bin/python -m pip install --quiet --upgrade pip 'setuptools<81' wheel
	$(VENVCONCRETEML)/bin/python -m pip install --quiet -c $< concrete-ml==1.9.0
	touch $@

clean:
	rm -rf $(VENV) $(VENV310) $(VENVNUMPY2) $(VENVLOWEST) $(VENVCONCRETEML) build dist *.egg-info docs/_build .pytest_cache .mypy_cache .ruff_cache
