"""What workers have imported before they start: they are forks of one process that imports this (multiprocessing's
fork server). Imports only: nothing that starts threads or a GPU, neither of which a fork can use."""

import torchvision.transforms.v2.functional  # noqa: F401

import benchmarks.cell.run
import benchmarks.executors.worker
import benchmarks.watch.watch  # noqa: F401
import metrics.flops  # noqa: F401
from methods import METHODS
from scenarios import SCENARIOS

for registry in (METHODS, SCENARIOS):
    for name in registry:
        registry[name]  # each imports its file
