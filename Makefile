PYTHON ?= python3
BIN := .venv/bin

# What an engine has a part in, once more on JAX.
ON_JAX := tests/engines tests/models/test_whole_model.py tests/test_targets.py tests/pretraining/test_run.py \
	tests/finetuning/test_step.py tests/training/test_faults.py::test_terminated_and_killed_is_uninterrupted_bit_for_bit

# What makes whole runs, in processes of its own: what TensorFlow has traced stays in memory until a process ends.
RUNS := tests/engines tests/finetuning tests/pretraining tests/training

.PHONY: demo test test-plain-kernels lint types clean

demo: .venv/installed
	$(BIN)/python pretrain.py

test: .venv/installed-test
	$(BIN)/python -m pytest -n 2 $(RUNS)
	$(BIN)/python -m pytest -n 2 $(addprefix --ignore=,$(RUNS))
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 $(ON_JAX)

# Models with the kernels TensorFlow has for processors without instructions for half precision, in another process.
test-plain-kernels: .venv/installed-test
	TF_ENABLE_ONEDNN_OPTS=0 $(BIN)/python -m pytest -n 2 tests/models/lean tests/models/test_pretrainer.py tests/golden/test_transformers.py

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-test
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[tensorflow]'
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv
