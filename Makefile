# make quickstart   environment, then train, evaluate, export and use a model on data that needs no download
# make test         environment, then the tests (about 20 minutes); real Omniglot is tested where TFDS_DATA_DIR holds it
# make test-all     the slow tests too
# make bench        training steps beside PyTorch and JAX, in an environment of their own; ROWS=maml_5_steps,... for some,
#                   KEEP=FILE.json to keep rows that were measured before on this machine

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN := runs/quickstart
EXPORT := $(RUN)/export

PEERS := .venv-peers
ROWS ?=

.PHONY: quickstart test test-all bench lint lock clean

quickstart: $(READY)
	$(BIN)/python -m trainers.train --config=configs/prototypical_network_glyphs.py --workdir=$(RUN)
	$(BIN)/python -m trainers.evaluate --workdir=$(RUN) --protocols=5way_1shot
	rm -rf $(EXPORT)
	$(BIN)/python -m export.export_model --workdir=$(RUN) --output_dir=$(EXPORT) --way=5
	$(BIN)/python -m export.try_export --saved_model=$(EXPORT)/1 --picture=$(RUN)/letters.png
	@echo
	@echo "Done. A model learned to tell letters apart and was tested on scripts it never saw:"
	@echo "  $(RUN)/card.md             its results, with their protocol"
	@echo "  $(RUN)/learning_curve.png  how it learned"
	@echo "  $(RUN)/episode.png         one test episode"
	@echo "  $(RUN)/letters.png         five new letters, learned by the exported model from one drawing each"
	@echo "  $(EXPORT)/1           the SavedModel that adapts inside the request"
	@echo "Next: other letters   $(BIN)/python -m export.try_export --saved_model=$(EXPORT)/1 --seed=7 --picture=letters.png"
	@echo "      your own config $(BIN)/python -m trainers.train --config=configs/prototypical_network_glyphs.py \\"
	@echo "                        --workdir=runs/mine --config.train.way=20"
	@echo "      in Python       import zoo; model = zoo.from_preset('$(RUN)')"

test: $(READY)
	$(BIN)/python -m pytest -q -m "not slow" -n 2

test-all: $(READY)
	$(BIN)/python -m pytest -q -n 2

bench: $(READY) $(PEERS)/.ready
	$(BIN)/python -m benchmarks.compare --peers=$(PEERS)/bin/python --document=docs/performance.md $(if $(ROWS),--rows=$(ROWS)) $(if $(KEEP),--measurements=$(KEEP))

$(PEERS)/.ready: benchmarks/contenders/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

$(READY): requirements.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 13) else "Python 3.10 to 3.13 is needed. Received: %d.%d; name another with PYTHON=..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.txt
	touch $(READY)

# ---- for maintainers

TOOLS := $(VENV)/tools

$(TOOLS)/bin/ruff: $(READY)
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv ruff
	touch $@

lint: $(TOOLS)/bin/ruff
	$(TOOLS)/bin/ruff check .
	$(TOOLS)/bin/ruff format --check .

lock: $(TOOLS)/bin/ruff
	{ echo "# The pinned lock, for Python 3.10 to 3.13. Written by 'make lock' from the ranges in pyproject.toml."; \
	  $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.10 --extra test --no-header pyproject.toml; } > requirements.new
	mv requirements.new requirements.txt

clean:
	rm -rf $(VENV) $(PEERS) runs
