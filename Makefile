# The two commands of the README are `make demo` and `make test`; CI calls the same ones.
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
LOCKED := azure grpc kubernetes lightgbm mlflow models redis reports sign sql treelite xgboost  # every extra but torch

.PHONY: demo test check lock bench wheel clean

demo: .venv/ready  ## set up, then run the main job on real data
	$(BIN)/python examples/demo.py

test: .venv/ready check  ## set up, then run every test
	$(BIN)/pytest -n 2 --dist loadgroup

check: .venv/ready  ## style, types and the direction of dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready  ## Podium beside its peers; about twenty minutes
	$(BIN)/python -m bench run

wheel: .venv/ready  ## dist/podium-*.whl
	$(BIN)/python -m build --wheel

lock: .venv/ready  ## resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate $(addprefix --extra ,$(LOCKED)) --group dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv dist

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@
