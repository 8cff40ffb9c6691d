PYTHON ?= python3
BIN := .venv/bin
# What the tests of a file share, whole runs and compiled steps, is made once: they stay in one process.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --durations=15

# What an engine has a part in, once more on JAX.
ON_JAX := tests/engines tests/models/test_whole_model.py tests/checkpoints/test_preprocessor.py tests/library/test_runs.py \
	tests/test_targets.py tests/pretraining/test_run.py tests/finetuning/test_step.py

# What tells in the least time whether a version will do; each engine once.
ON_OLDEST := tests/engines/test_updates.py tests/engines/test_step.py tests/checkpoints/test_run_state.py tests/data/test_clips.py \
	tests/data/test_pipeline.py tests/models/test_layers.py tests/models/test_tokens.py tests/models/test_positions.py tests/models/test_pretrainer.py \
	tests/test_patches.py tests/test_masking.py
ON_OLDEST_JAX := tests/engines/test_updates.py

# Runs of several processes, and runs that are killed or interrupted, which are made on both engines.
PROCESSES_ON_JAX := tests/engines/test_processes.py tests/training/test_faults.py

# What makes whole runs, in processes of its own: what TensorFlow has traced stays in memory until a process ends.
RUNS := tests/engines tests/finetuning tests/pretraining tests/training

.PHONY: demo notebooks test test-processes test-commands test-files test-plain-kernels test-oldest lint types docs clean

demo: .venv/installed
	$(BIN)/python pretrain.py

# Takes minutes; the outputs are committed.
notebooks: .venv/installed-test
	$(BIN)/python notebooks/execute.py

test: .venv/installed-test
	$(PYTEST) $(RUNS)
	$(PYTEST) $(addprefix --ignore=,$(RUNS))
	KERAS_BACKEND=jax $(PYTEST) $(ON_JAX)

test-processes: .venv/installed-test
	$(PYTEST) -m processes
	KERAS_BACKEND=jax $(PYTEST) -m processes $(PROCESSES_ON_JAX)

# Every command and program that documents or runs print, as it is typed, every notebook, and what a wheel installs.
test-commands: .venv/installed-test
	$(PYTEST) -m "commands and not slow and not peer"
	KERAS_BACKEND=jax $(BIN)/python -m pytest -m commands tests/library/test_runs.py

# Videos of 130 kinds, and checkpoints damaged at random.
test-files: .venv/installed-test
	$(PYTEST) -m "files and not slow"

# Models with the kernels TensorFlow has for processors without instructions for half precision, in another process.
test-plain-kernels: .venv/installed-test
	TF_ENABLE_ONEDNN_OPTS=0 $(PYTEST) tests/models/lean tests/models/test_pretrainer.py tests/golden/test_transformers.py

# With the oldest versions that pyproject.toml allows; those of all other tests are the newest.
test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest $(ON_OLDEST)
	KERAS_BACKEND=jax .venv-oldest/bin/python -m pytest $(ON_OLDEST_JAX)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-test
	$(BIN)/mypy

# The site, in build/site. Sources are read and not imported, so this needs none of what the project needs.
docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[tensorflow]'
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

.venv-oldest/installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install -q -c constraints-oldest.txt -e '.[tensorflow,jax,tensorboard,report,arrays,sets]' pytest
	touch $@

DOCS_EXTRA := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])

.venv-docs/installed: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -q $$(.venv-docs/bin/python -c '$(DOCS_EXTRA)')
	touch $@

clean:
	rm -rf .venv .venv-docs .venv-oldest build/site
