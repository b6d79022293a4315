# All that a newcomer needs: make demo, make test, make test-long, make test-cpp.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
RESULTS := benchmarks/results
# The scores of random weights lie so close that rounding turns their order and moves their range.
UNTRAINED := --tolerance srocc=-1 --tolerance int8=1
# What engines/cpp needs of Debian; installed where it is missing.
CPP_PACKAGES := cmake g++ pkg-config libjpeg-dev libpng-dev libssl-dev nlohmann-json3-dev
BROWSER_PACKAGES := chromium chromium-driver
CPP_SOURCES = $$(find engines/cpp tests/cpp examples -path engines/cpp/build -prune -o -name '*.[ch]pp' -print -o -name '*.h' -print)
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)
PHOTOGRAPHS = $$($(BIN)/python -c 'from lifeiqa_export.photographs import photographs as p; print(*p())')

.PHONY: demo test test-long dist docs reference images browser cpp test-cpp test-gpu bench-gpu gpu-bundle lint bundled card weights bench bench-bulk clean

demo: $(INSTALLED)
	$(BIN)/lifeiqa-export fast --precision fp16 -o exported
	$(BIN)/lifeiqa-engine build exported/fast.fp16.onnx --runtime tensorrt-rtx --target sm89 \
		--batch 8 -o exported
	$(BIN)/lifeiqa inspect exported/fast.fp16.tensorrt-rtx.sm89.engine
	$(BIN)/lifeiqa score $(PHOTOGRAPHS)

# In two processes, by module, since the fixtures of a module are what takes long.
PYTEST = $(BIN)/pytest --numprocesses 2 --dist loadscope
test: lint
	$(PYTEST) -m "not long"

# What takes long by its nature: fuzzing, large networks, many killed runs, an install from the index.
test-long: $(INSTALLED)
	$(PYTEST) -m long

# The sdist, and the wheel out of it, in dist/.
dist: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --no-isolation

# Serves the documentation and builds it again after a change. `make test` builds it with --strict.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# Writes docs/reference/cli.md from the commands.
reference: $(INSTALLED)
	$(BIN)/python tools/cli_reference.py

# Makes the screenshot of the documentation.
images: $(INSTALLED) browser
	$(BIN)/python tools/report_image.py

# What the page of `lifeiqa score --html` is tested in; without it those tests are skipped.
browser:
	dpkg-query --show $(BROWSER_PACKAGES) > /dev/null || \
		{ $(AS_ROOT) apt-get update && \
		$(AS_ROOT) apt-get install --yes --no-install-recommends $(BROWSER_PACKAGES); }

# The C++ library and its example, with the ONNX Runtime of the environment.
cpp: $(INSTALLED)
	dpkg-query --show $(CPP_PACKAGES) > /dev/null || \
		{ $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install --yes $(CPP_PACKAGES); }
	engines/cpp/build.sh $(BIN)/python

# Also under sanitizers, with warnings as errors, and held to Python.
test-cpp: cpp
	engines/cpp/build.sh $(BIN)/python checked
	LIFEIQA_CPP=engines/cpp/build $(BIN)/pytest tests/cpp

# On a machine with a GPU. An environment of its own, since onnxruntime-gpu takes onnxruntime's place.
# Where nothing can be fetched, GPU_PYTHON names a Python that holds PyTorch and the rest, and
# PYTHONPATH what came along as a bundle. The outcome and what was measured are in gpu-report.json.
GPU_PYTHON ?= .venv-gpu/bin/python
GPU_INSTALLED = $(if $(filter .venv-gpu/%,$(GPU_PYTHON)),.venv-gpu/installed)
GPU_TESTS ?= tests/gpu
GPU_RUN = PYTHONPATH="$$PYTHONPATH:$(CURDIR):$(CURDIR)/export:$(CURDIR)/engines:$(CURDIR)/benchmarks" \
	$(GPU_PYTHON)
test-gpu: $(GPU_INSTALLED)
	LIFEIQA_GPU_REPORT=gpu-report.json $(GPU_RUN) -m pytest -W default $(GPU_TESTS)

# Measures what the networks take on the GPU; ends after GPU_MINUTES. See gpu-bench/gpu.json.
GPU_MINUTES ?= 20
GPU_OPTIONS ?=
bench-gpu: $(GPU_INSTALLED)
	$(GPU_RUN) -m lifeiqa_benchmarks.gpu --out gpu-bench --minutes $(GPU_MINUTES) $(GPU_OPTIONS)

.venv-gpu/installed: pyproject.toml
	test -x .venv-gpu/bin/python || $(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/pip install --quiet --editable '.[dev,tensorrt]'
	.venv-gpu/bin/pip uninstall --quiet --yes onnxruntime
	.venv-gpu/bin/pip install --quiet --force-reinstall --no-deps onnxruntime-gpu
	.venv-gpu/bin/pip install --quiet cupy-cuda13x
	touch $@

# What such a machine lacks, in pieces of at most PIECE_MB; CHIP=90 leaves out the code for other
# chips than sm_90. There: gpu-bundle/unpack.sh FOLDER onnxruntime tensorrt-rtx source
PIECE_MB ?= 60
CHIP ?=
gpu-bundle: $(INSTALLED)
	$(BIN)/python -m lifeiqa_benchmarks.gpu.bundle gpu-bundle --piece-mb $(PIECE_MB) \
		$(if $(CHIP),--chip $(CHIP))

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $(CPP_SOURCES)
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff

# Made again when the dependencies change; an editable install follows the sources by itself.
$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# Trains the bundled models on the raw data in DATA; what was killed goes on where it was. JOBS models
# are trained at once, and WORKERS processes cut images. Made for a GPU with 50 GB of free disk.
JOBS ?= 1
WORKERS ?= 4
bundled: $(INSTALLED)
	$(BIN)/python -m lifeiqa_benchmarks.bundled $(DATA) bundled --jobs $(JOBS) --workers $(WORKERS)

# Measures the bundled models on the human scores in DATA, and writes the tables of their cards.
card: $(INSTALLED)
	$(BIN)/python -m lifeiqa_benchmarks.card $(DATA) $(RESULTS)/bundled/measured.json

# Writes the bundled files again as this version writes them: the same weights, the same scores.
weights: $(INSTALLED)
	for name in fast accurate; do \
		$(BIN)/lifeiqa convert lifeiqa/weights/$$name.safetensors -o lifeiqa/weights/$$name.safetensors && \
		$(BIN)/lifeiqa-export lifeiqa/weights/$$name.safetensors --precision fp32 -o lifeiqa/weights || exit; \
	done

# Measures speed on this machine, which should have nothing else to do, and writes docs/performance.md.
# CALIBRATION may name a folder of images like those to be scored.
CALIBRATION ?= exported/photographs
bench: cpp
	$(BIN)/python -m lifeiqa_benchmarks.distorted exported/photographs
	$(BIN)/lifeiqa-export fast --precision int8 --calibration $(CALIBRATION) -o exported
	$(BIN)/lifeiqa-bench run fast --device cpu --batch 1,8,32 \
		--cpp engines/cpp/build/example/lifeiqa-csv -o $(RESULTS)/bench_lite0
	$(BIN)/lifeiqa-bench run fast exported/fast.int8.onnx --device cpu \
		--batch 1,8 --runtime onnxruntime --runtime openvino -o $(RESULTS)/bench_lite0_int8
	$(BIN)/python -m lifeiqa_benchmarks.untrained swin_base exported/swin_base.safetensors
	for precision in fp32 int8; do \
		$(BIN)/lifeiqa-export exported/swin_base.safetensors --precision $$precision -o exported \
			$$(test $$precision = fp32 || echo --calibration $(CALIBRATION)) $(UNTRAINED) || exit; \
	done
	$(BIN)/lifeiqa-bench run exported/swin_base.safetensors exported/swin_base.fp32.onnx \
		exported/swin_base.int8.onnx --device cpu --batch 1,8 --duration 12 \
		--runtime onnxruntime --runtime openvino -o $(RESULTS)/bench_swin_base
	$(BIN)/python -m lifeiqa_benchmarks.performance docs/performance.md $(RESULTS)/bench_lite0/report.json \
		$(RESULTS)/bench_lite0_int8/report.json $(RESULTS)/bench_swin_base/report.json

# Scores the images of FOLDER/images, whole and killed, and states what it took.
bench-bulk: $(INSTALLED)
	$(BIN)/python -m lifeiqa_benchmarks.bulk $(DATA)/images $(RESULTS)/bulk.json

clean:
	rm -rf $(VENV) .venv-gpu gpu-bundle gpu-bench dist exported engines/cpp/build
