# Two commands are all that a newcomer needs: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
RESULTS := benchmarks/results
# The scores of random weights lie so close that rounding turns their order and moves their range.
UNTRAINED := --tolerance srocc=-1 --tolerance int8=1
PHOTOGRAPHS = $$($(BIN)/python -c 'from lifeiqa_export.photographs import photographs as p; print(*p())')

.PHONY: demo test test-gpu lint card bench clean

demo: $(INSTALLED)
	$(BIN)/lifeiqa-export lite0-biq2021 --precision fp16 -o exported
	$(BIN)/lifeiqa-engine build exported/lite0-biq2021.fp16.onnx --flavour tensorrt-rtx --target sm89 \
		--batch 8 -o exported
	$(BIN)/lifeiqa inspect exported/lite0-biq2021.fp16.tensorrt-rtx.sm89.engine
	$(BIN)/lifeiqa score $(PHOTOGRAPHS)

test: lint
	$(BIN)/pytest

# On a machine with a GPU. An environment of its own, since onnxruntime-gpu takes onnxruntime's place.
# The outcome and what was measured are in gpu-report.json.
test-gpu:
	test -x .venv-gpu/bin/python || $(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/pip install --quiet --editable '.[dev,tensorrt]'
	.venv-gpu/bin/pip uninstall --quiet --yes onnxruntime
	.venv-gpu/bin/pip install --quiet --force-reinstall --no-deps onnxruntime-gpu
	LIFEIQA_GPU_REPORT=gpu-report.json .venv-gpu/bin/pytest tests/gpu

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

# Measures speed on this machine, which should have nothing else to do, and states it in the README.
# CALIBRATION may name a folder of pictures like those to be scored.
CALIBRATION ?= exported/photographs
bench: $(INSTALLED)
	$(BIN)/python -m lifeiqa_benchmarks.distorted exported/photographs
	$(BIN)/lifeiqa-export lite0-biq2021 --precision int8 --calibration $(CALIBRATION) -o exported
	$(BIN)/lifeiqa-bench run lite0-biq2021 --device cpu -o $(RESULTS)/bench_lite0
	$(BIN)/lifeiqa-bench run lite0-biq2021 exported/lite0-biq2021.int8.onnx --device cpu \
		--batch 1,8 --runtime onnxruntime --runtime openvino -o $(RESULTS)/bench_lite0_int8
	$(BIN)/python -m lifeiqa_benchmarks.untrained swin_base exported/swin_base.safetensors
	for precision in fp32 int8; do \
		$(BIN)/lifeiqa-export exported/swin_base.safetensors --precision $$precision -o exported \
			$$(test $$precision = fp32 || echo --calibration $(CALIBRATION)) $(UNTRAINED) || exit; \
	done
	$(BIN)/lifeiqa-bench run exported/swin_base.safetensors exported/swin_base.fp32.onnx \
		exported/swin_base.int8.onnx --device cpu --batch 1,8 --duration 12 \
		--runtime onnxruntime --runtime openvino -o $(RESULTS)/bench_swin_base
	$(BIN)/python -m lifeiqa_benchmarks.readme README.md $(RESULTS)/bench_lite0/report.json \
		$(RESULTS)/bench_lite0_int8/report.json $(RESULTS)/bench_swin_base/report.json

clean:
	rm -rf $(VENV) .venv-gpu exported
