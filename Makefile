# Two commands are all that a newcomer needs: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PHOTOGRAPHS = $$($(BIN)/python -c 'from lifeiqa_export.photographs import photographs as p; print(*p())')

.PHONY: demo test lint card clean

demo: $(INSTALLED)
	$(BIN)/lifeiqa-export lite0-biq2021 --precision fp16 -o exported
	$(BIN)/lifeiqa inspect exported/lite0-biq2021.fp16.onnx
	$(BIN)/lifeiqa score $(PHOTOGRAPHS)

test: lint
	$(BIN)/pytest

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Made again when the dependencies change; an editable install follows the sources by itself.
$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# Measures the bundled model on the human scores and photographs in DATA, and states it in its card.
card: $(INSTALLED)
	$(BIN)/python -m lifeiqa_benchmarks.card $(DATA)

clean:
	rm -rf $(VENV) exported
