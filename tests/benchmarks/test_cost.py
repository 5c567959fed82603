"""What a cell costs, told without training, is what a run then records."""

from __future__ import annotations

import csv
import io
import multiprocessing
import multiprocessing.connection
import os
import time
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from benchmarks.cell.run import run_cell
from benchmarks.cell.timing import own_time
from benchmarks.cli.app import app
from benchmarks.cost import many
from benchmarks.cost.count import CellCost, cost_of, growth_of
from benchmarks.cost.herding import herding_at_once
from benchmarks.cost.many import costs_of
from benchmarks.cost.price import check_affordable, too_long
from benchmarks.cost.seconds import StepTimer
from benchmarks.cost.sizes import size_of_stream
from benchmarks.cost.trend import Trends
from benchmarks.cost.valueless import valueless
from benchmarks.request import notes
from benchmarks.request.catalogue import suite_names
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from methods import Method
from methods.core.batching import IMAGES_AT_ONCE
from methods.parts.exemplars import ExemplarMemory
from metrics.flops import count_flops
from scenarios import Examples
from tests.benchmarks.helpers import cells, suite_file

cli = CliRunner()

GIGA, MILLION = 1e9, 1e6

CIFAR = """
title: one task of CIFAR-100
seeds: 1
scenarios:
  steps: {{stream: split, data: cifar100, setting: class, tasks: {tasks}, first_task_classes: {first}}}
methods: {{{method}}}
model: {{backbone: {backbone}}}
training: {{epochs: 1, batch_size: 128}}
"""


# method, backbone, tasks, classes in the first: FLOPs for an image (G; total and modules only) and parameters (M) at the
# end. ResNets: counted by hand and by thop, 1.12 G in Table 1 of Hu et al. 2023 (DNE).
ENDS = [
    pytest.param("finetune", "resnet18", 1, "null", 1.111, 1.111, 11.22, id="ResNet-18"),
    pytest.param("finetune", "resnet32", 1, "null", 0.138, 0.138, 0.47, id="ResNet-32"),
]


@pytest.mark.parametrize(("method", "backbone", "tasks", "first", "total", "modules", "parameters"), ENDS)
def test_flops_and_parameters_are_those_of_the_literature(
    method, backbone, tasks, first, total, modules, parameters, tmp_path, monkeypatch
):
    monkeypatch.delenv("DATA_ROOT", raising=False)
    path = tmp_path / "one.yaml"
    path.write_text(CIFAR.format(method=method, backbone=backbone, tasks=tasks, first=first))
    done = cli.invoke(app, ["cost", str(path), "--format", "csv", "--steps", "1", "--data-root", str(tmp_path)])
    assert done.exit_code == 0, done.output
    end = list(csv.DictReader(io.StringIO(done.output)))[-1]
    assert end["task"] == "all"
    assert int(end["inference_flops"]) / GIGA == pytest.approx(total, abs=0.0006)
    assert int(end["inference_flops_modules"]) / GIGA == pytest.approx(modules, abs=0.0006)
    assert int(end["parameters"]) / MILLION == pytest.approx(parameters, abs=0.006)
    assert float(end["hours"]) > 0


GROWING = """
title: CIFAR-100 in {tasks} tasks, few images of each class
seeds: 1
scenarios:
  steps: {{stream: split, data: cifar100, setting: class, tasks: {tasks}, first_task_classes: {first}, samples_per_task: 400}}
methods: {{it: {method}}}
model: {{backbone: resnet18}}
training: {{epochs: 1, batch_size: 128}}
"""
# As above. DER: 6 ResNets, Yan et al. 2021, whose last layer is all that differs. Transformers: Table 1 of Hu et al. 2023
# prints 1.38 G for DyTox and, for DNE with 1, 2, 4 heads, 2.68, 3.10, 4.02 G and 15.69, 16.85, 19.91 M (modules only).
# As above, without the walk through steps. DER: 6 ResNets, Yan et al. 2021. Transformers: Table 1 of Hu et al. 2023 prints
# 1.38 G for DyTox and, for DNE with 1, 2, 4 heads, 2.68, 3.10, 4.02 G (modules only, a decoder pass a task) and 15.69,
# 16.85, 19.91 M (a single pass).
GROWN = [
    pytest.param("{method: der_expand}", 6, 50, "total", 6.666, 67.32, id="DER"),
    pytest.param(
        "{method: dytox, model: {backbone: task-transformer, fused: false}}",
        6,
        50,
        "modules",
        1.384,
        10.73,
        id="DyTox, 6 tasks",
    ),
    pytest.param(
        "{method: dytox, model: {backbone: task-transformer, fused: false}}",
        10,
        "null",
        "total",
        1.582,
        10.73,
        id="DyTox, 10 tasks",
    ),
    *(
        pytest.param(
            f"{{method: dne, model: {{backbone: expert-transformer, new_heads: {k}, passes: {p}}}}}",
            6,
            50,
            kind,
            flops,
            millions,
            id=f"DNE-{k}, {p}",
        )
        for k, p, kind, flops, millions in [
            (1, "single", "total", 2.542, 15.69),
            (2, "single", "total", 2.925, 16.85),
            (4, "single", "total", 3.794, 19.91),
            (1, "per-task", "modules", 2.716, None),
            (2, "per-task", "modules", 3.088, None),
            (4, "per-task", "modules", 3.960, None),
        ]
    ),
]


@pytest.mark.parametrize(("method", "tasks", "first", "kind", "flops", "parameters"), GROWN)
def test_what_grows_ends_as_the_literature_says(method, tasks, first, kind, flops, parameters, tmp_path):
    path = tmp_path / "grown.yaml"
    path.write_text(GROWING.format(method=method, tasks=tasks, first=first))
    (cell,) = make_grid(load_suite(str(path))).cells
    end = growth_of(cell, str(tmp_path))[-1]
    assert getattr(end.inference, kind) / GIGA == pytest.approx(flops, abs=0.0006)
    assert parameters is None or round(end.parameters["total"] / MILLION, 2) == parameters


@pytest.mark.parametrize(
    "settings",
    [
        "finetune: {}",
        "dne: {model: {backbone: expert-transformer, dim: 24, heads: 3, depth: 1}}",
        "foster: {}",
        "pnn: {}",
    ],
)
def test_a_network_grows_alike_with_and_without_its_steps(settings, tmp_path):
    setting = "task" if "pnn" in settings else "class"
    stream = f"split: {{stream: split, data: digits, setting: {setting}, tasks: 5, samples_per_task: 30}}"
    (cell,) = make_grid(load_suite(str(suite_file(tmp_path, f"{{{settings}}}", stream)))).cells
    walked = cost_of(cell)
    assert walked.error is None
    assert [(s.parameters, s.inference) for s in growth_of(cell)] == [(t.parameters, t.inference) for t in walked.tasks]


@pytest.mark.parametrize("method", ["finetune", "joint", "ewc", "er", "a-gem", "icarl"])
def test_what_it_tells_is_what_a_run_records(method):
    (cell,) = cells(method, changes=("training.epochs=3", "training.batch_size=16"))
    told, record = cost_of(cell), run_cell(cell)
    assert told.error is None
    assert told.steps == record.steps
    assert [t.parameters for t in told.tasks] == record.parameters
    assert [t.stored for t in told.tasks] == record.memory.stored_bytes
    assert [t.inference.total for t in told.tasks] == record.flops.inference
    assert [t.inference.modules for t in told.tasks] == record.flops.inference_modules
    assert told.training == pytest.approx(record.flops.training, rel=0.01)


def test_a_short_batch_at_the_end_of_an_epoch_is_no_whole_one(tmp_path):
    stream = "split: {stream: split, data: digits, setting: class, tasks: 2, samples_per_task: 30}"
    path = suite_file(tmp_path, "{finetune: {}}", stream)
    (cell,) = make_grid(load_suite(str(path), changes=["training.epochs=3", "training.batch_size=20"])).cells
    assert cost_of(cell).steps == 2 * 3 * 2
    assert cost_of(cell).training == run_cell(cell).flops.training


def test_a_network_with_new_parts_is_moved_whole():
    old, new = nn.Linear(2, 3, device="meta"), nn.BatchNorm1d(3)
    kept, network = list(old.parameters()), nn.Sequential(old, nn.Sequential(new))
    with valueless():
        assert network.to(torch.device("meta")) is network
    assert all(tensor.is_meta for tensor in (*network.parameters(), new.running_mean, new.running_var))
    assert all(a is b for a, b in zip(old.parameters(), kept, strict=True))
    assert all(isinstance(parameter, nn.Parameter) for parameter in new.parameters())
    with valueless():
        assert next(network.to("cpu").parameters()).device.type == "cpu"


def test_herding_without_its_loops_costs_as_much():
    weight = torch.ones(8, 12)
    images = torch.zeros(1400, 1, 3, 4, dtype=torch.uint8)
    examples = Examples(images, torch.arange(1400) % 2, 0)

    def chosen(device: str) -> ExemplarMemory:
        def features(examples: Examples) -> Tensor:
            batches = examples.images.split(IMAGES_AT_ONCE)
            return torch.cat([batch.flatten(1).float() @ weight.to(device).t() for batch in batches])

        memory = ExemplarMemory(30, "total", "herding", torch.Generator())
        memory.update(Examples(examples.images.to(device), examples.labels, 0), features)
        return memory

    with valueless() as counted, herding_at_once(counted, Trends(telling=True)):
        told = counted.of(lambda: chosen("meta"))
        assert len(chosen("meta")) == 30
    assert told == count_flops(lambda: chosen("cpu")).total > 0


def test_what_was_counted_is_read_off_a_note(monkeypatch, tmp_path):
    monkeypatch.setattr(notes, "_keeping", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    notes._folder.cache_clear()
    try:
        own = cells("finetune", "er")
        first = costs_of(own, None, lambda cell: None)
        monkeypatch.setattr(many, "cost_of", lambda *_: pytest.fail("counted again"))
        assert costs_of(own, None, lambda cell: None) == first
        assert first == [cost_of(cell) for cell in own]
    finally:
        notes._folder.cache_clear()


def assert_end(processes):
    for process in processes:  # not by `join`: the pool's own thread may have asked for its exit code first
        assert multiprocessing.connection.wait([process.sentinel], 60)


def test_cells_are_counted_in_other_processes_alike(monkeypatch, tmp_path):
    monkeypatch.setattr(notes, "_keeping", True)
    monkeypatch.setattr(notes, "write_note", lambda *_: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(many, "ALONE_SECONDS", 0.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    own = cells("finetune", "er")
    before = multiprocessing.active_children()
    assert costs_of(own, None, lambda cell: None) == [cost_of(cell) for cell in own]
    assert_end(process for process in multiprocessing.active_children() if process not in before)


def test_a_count_that_is_stopped_leaves_no_process(monkeypatch):
    monkeypatch.setattr(notes, "_keeping", True)
    monkeypatch.setattr(many, "ALONE_SECONDS", 0.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    before = multiprocessing.active_children()
    counted = many._counted(cells("finetune", "er", "ewc"), None)
    next(counted)
    started = [process for process in multiprocessing.active_children() if process not in before]
    assert started
    counted.close()
    assert_end(started)


def test_a_step_on_a_processor_takes_its_own_time_alone():
    start, clock = own_time("cpu"), time.perf_counter()
    time.sleep(0.2)  # as when another program has the processor
    assert own_time("cpu") - start < 0.1 < time.perf_counter() - clock


def test_a_method_without_steps_is_not_timed(tmp_path, monkeypatch):
    """Its tasks may take minutes to end, and there is no step to measure."""
    monkeypatch.setattr(StepTimer, "_measure", lambda *_, **__: pytest.fail("timed"))
    (cell,) = make_grid(load_suite(str(suite_file(tmp_path, "{ncm: {}}")))).cells
    cost = cost_of(cell)
    assert (cost.error, cost.steps) == (None, 0)
    assert StepTimer().seconds(cost) == 0.0


def test_timing_ends_with_the_last_task_that_has_steps(monkeypatch):
    (cell,) = cells("finetune")
    ended, end = [], Method.end_task
    monkeypatch.setattr(Method, "end_task", lambda self, task: ended.append(task.id) or end(self, task))
    cost = cost_of(cell)
    alone = CellCost(cell, [replace(task, phases=[] if task.task else task.phases) for task in cost.tasks])
    ended.clear()
    assert StepTimer(steps=1).seconds(alone) > 0.0
    assert ended == []


def test_the_table_has_a_row_a_pair_of_those_asked_for(tmp_path):
    path = suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}}")
    done = cli.invoke(app, ["cost", str(path), "--steps", "1", "--methods", "er"])
    assert done.exit_code == 0, done.output
    assert "| split" in done.output
    assert "finetune" not in done.output


def test_dry_run_says_how_long(tmp_path):
    path = suite_file(tmp_path, "{finetune: {}}")
    done = cli.invoke(app, ["run", str(path), "--results-dir", str(tmp_path / "results"), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "with 1 worker on CPU" in done.output or "workers on CPU" in done.output


def test_days_of_cpu_want_a_yes(monkeypatch):
    from benchmarks.cost import price as pricing
    from benchmarks.request.grid import make_grid

    long = make_grid(load_suite("cifar100-b50", ["finetune"], ["cifar100-b50-inc25/class"])).cells
    monkeypatch.setattr(pricing, "price", lambda *_: [pricing.Priced(None, 100 * 3600.0, 1)])
    with pytest.raises(SettingsError, match=r"about 150 hours on CPU.*--yes"):
        check_affordable(long, ["cpu", "cpu"], None, lambda _: None)
    check_affordable(long, ["cuda:0"], None, lambda _: None)
    check_affordable(cells("finetune"), ["cpu"], None, lambda _: None)  # minutes: not even looked at
    check_affordable([], ["cpu"], None, lambda _: None)  # a rank that looked after another run had done the last cell
    assert "can name" in too_long(20, 3, 2, gpus=1)
    assert "none on this machine" in too_long(20, 3, 2, gpus=0)
    assert too_long(20, 3, 2, gpus=0, reduced="cifar100-lite").endswith(
        "Suite cifar100-lite is made for processors: `cost cifar100-lite` tells what it takes"
    )


@pytest.mark.parametrize(
    ("suite", "problem"), [("cifar100-lite", "CIFAR100 not found"), ("cifar100-b50", "hours on CPU")]
)
def test_a_run_says_first_what_is_found_soonest(suite, problem, tmp_path, monkeypatch):
    """That data are absent, before the methods of hours are counted; but days of work, before data are asked for."""
    from benchmarks.cost import price as pricing

    few = pytest.fail if suite == "cifar100-lite" else lambda *_: [pricing.Priced(None, 100 * 3600.0, 1)]
    monkeypatch.setattr(pricing, "price", few)
    where = ["--data-root", str(tmp_path / "nowhere"), "--results-dir", str(tmp_path / "results")]
    done = cli.invoke(app, ["run", suite, *where])
    assert problem in str(done.exception)


@pytest.mark.parametrize("name", suite_names())
def test_the_sizes_of_a_suite_are_known_without_its_data(name, tmp_path, monkeypatch):
    monkeypatch.delenv("DATA_ROOT", raising=False)
    for cell in {cell.scenario_name: cell for cell in make_grid(load_suite(name)).cells}.values():
        facts = size_of_stream(cell.scenario, str(tmp_path))
        assert min(facts.train) > 0


def test_a_reduced_suite_is_one_that_there_is():
    reduced = {name: load_suite(name).reduced for name in suite_names()}
    assert reduced["cifar100-b0"] == "cifar100-lite"
    assert {other for other in reduced.values() if other} <= set(reduced)
