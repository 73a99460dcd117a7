# make demo   train and evaluate PFENet beside its baselines, print the table
# make test   everything that is tested: style, pytest, a browser, every lesson
# make browser  the lessons as a user sees them, in JupyterLab and Voilà in Chromium
# make check  style and the tests that need neither a run, nor a lesson, nor a browser
# make lab    the lessons in JupyterLab
# make stubs  write the stubs of exercises into the lessons, from their solutions
# make playground   the playground in the browser, as a page without code (Voilà)
# make book   all lessons with their outputs, claims, results and the API, as a website in build/book/html
#
# Each sets itself up. An active virtualenv or conda environment that holds fsslib from this folder
# is used as it is; otherwise .venv is made here, once.

export OMP_NUM_THREADS ?= 1

VENV := .venv
READY := $(VENV)/.ready
ACTIVE := $(or $(VIRTUAL_ENV),$(CONDA_PREFIX))

# What must be importable, and fsslib from here: -P keeps the working directory out of it.
NEEDED := import fsslib, torch, torchvision, papermill, nbconvert, ipywidgets, jupyterlab, \
	anywidget, voila, playwright, myst_nb, pytest, xdist, nbval, ruff, beartype, hypothesis, distributed, dask_jobqueue, rich
HERE := import pathlib, sys; sys.exit(pathlib.Path(fsslib.__file__).parents[1] != pathlib.Path.cwd())

# Looked at when first needed, then remembered: the active environment if it is suitable.
SUITABLE = $(eval SUITABLE := $(shell \
	[ -n "$(ACTIVE)" ] && [ ! "$(ACTIVE)" -ef $(VENV) ] && \
	"$(ACTIVE)/bin/python" -P -c '$(NEEDED); $(HERE)' 2>/dev/null && echo yes))$(SUITABLE)
PYTHON = $(if $(SUITABLE),"$(ACTIVE)/bin/python",$(VENV)/bin/python)

# The longest first, so that no process ends up alone with one of them; of the tests see tests/conftest.py.
LONG = $(wildcard $(foreach n,34 43 03 70 72 41,notebooks/$(n)_*.ipynb notebooks/solutions/$(n)_*.ipynb))
LESSONS = $(LONG) $(filter-out $(LONG),$(wildcard notebooks/*.ipynb notebooks/solutions/*.ipynb))

.PHONY: help demo test browser check lab stubs playground book environment
.DELETE_ON_ERROR:

help:
	@echo "make demo   train and evaluate PFENet on Scenes-10i, beside its baselines"
	@echo "make test   check the style, run all tests, drive a browser, run every lesson"
	@echo "make browser  drive JupyterLab and Voilà in Chromium, as a user would"
	@echo "make check  the style, and the tests that need neither a run, a lesson nor a browser"
	@echo "make lab    open the lessons in JupyterLab"
	@echo "make stubs  write the exercises' stubs into the lessons, from the solutions"
	@echo "make playground  paint a mask, compare methods, on a page of its own"
	@echo "make book   lessons, claims, results and API as a website that needs no server"
	@echo "Each makes what it needs in $(VENV) the first time."

demo: environment
	@$(PYTHON) -m fsslib.runs demo

# Three processes on two cores: many tests wait, for other processes and for kernels to start.
test: environment
	@echo "== 1 of 4: style of modules and notebooks (ruff)"
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@echo "== 2 of 4: tests, a small run of every run template among them (pytest)"
	@$(PYTHON) -m pytest -n 3 --dist worksteal --ignore tests/browser tests
	@echo "== 3 of 4: JupyterLab and Voilà, driven in a browser (pytest, Playwright)"
	@$(PYTHON) -m pytest tests/browser
	@echo "== 4 of 4: every lesson and its solutions, top to bottom (nbval)"
	@$(PYTHON) -m pytest -o addopts= -p no:cacheprovider -n 3 --dist loadscope --no-loadscope-reorder \
		--nbval-lax --nbval-current-env $(LESSONS)

# One process: its tests share a browser and a JupyterLab.
browser: environment
	@$(PYTHON) -m pytest tests/browser

# What is left out runs templates on papermill, whole networks or whole lists of episodes.
check: environment
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m pytest -q -n 2 --dist worksteal --ignore tests/runs --ignore tests/benchmarks \
		--ignore tests/browser -m "not slow"

lab: environment
	@echo "Opening JupyterLab with notebooks/00_start_here.ipynb; Ctrl-C here stops it."
	@$(PYTHON) -m jupyterlab $(LAB_FLAGS) notebooks/00_start_here.ipynb

stubs: environment
	@$(PYTHON) -m fsslib.viz.stubs

# Voilà takes the next free port from 8866 on; PLAYGROUND_FLAGS="--no-browser" where there is none.
playground: environment
	@echo "Opening the playground; cases are saved in notebooks/cases. Ctrl-C here stops it."
	@$(PYTHON) -m voila $(PLAYGROUND_FLAGS) --theme=light notebooks/90_playground.ipynb

book: environment
	@$(PYTHON) notebooks/book/build.py

# The stamp holds the folder's path: a moved folder's .venv points to where it was.
environment:
	@if [ -n "$(SUITABLE)" ]; then \
		echo "Using the active environment $(ACTIVE)."; \
	else \
		if [ -n "$(ACTIVE)" ] && [ ! "$(ACTIVE)" -ef $(VENV) ]; then \
			echo "The active environment $(ACTIVE) does not hold fsslib from this folder with"; \
			echo "its extras for notebooks, tests and clusters; using $(VENV) instead."; \
		fi; \
		[ "$$(cat $(READY) 2>/dev/null)" = "$(CURDIR)" ] || rm -f $(READY); \
		$(MAKE) -s --no-print-directory $(READY) && echo "Using $(VENV)."; \
	fi

$(READY): pyproject.toml constraints.txt
	@rm -f $@
	@found=; for python in $(VENV)/bin/python python3 python3.13 python3.12 python3.11 python; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			found=$$python; break; \
		fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No Python 3.11 or newer found; install one (python.org, conda, your system's" >&2; \
		echo "packages) so that python3 or python3.11 starts it, then run this again." >&2; \
		exit 1; \
	fi; \
	if [ "$$found" != $(VENV)/bin/python ] || ! $$found -m pip --version >/dev/null 2>&1; then \
		echo "Making a virtual environment in $(VENV) with $$($$found --version)."; \
		$$found -m venv --clear $(VENV) || { \
			echo "That failed; on Debian and Ubuntu the package python3-venv is needed." >&2; \
			exit 1; \
		}; \
	fi
	@echo "Installing fsslib and its dependencies in $(VENV): about 6 GB with CUDA wheels and"
	@echo "4 minutes the first time. Nothing outside this folder is changed."
	@quiet=-q; [ ! -t 1 ] || quiet=; $(VENV)/bin/python -m pip install $$quiet \
		--disable-pip-version-check -c constraints.txt -e '.[notebooks,test,cluster,book]' || { \
		echo "The installation did not finish; what is above says why. Run this again to go on." >&2; \
		exit 1; \
	}
	@echo "$(CURDIR)" > $@
