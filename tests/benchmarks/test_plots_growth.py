"""The growth plot: FLOPs and accuracy after each task, for methods whose network grows.

Where it is meant to change, draw it anew and look at it (PNG) before it is committed:

    python -m tests.benchmarks.test_plots_growth /tmp/growth.png
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.records.record import Flops
from benchmarks.report.plots import growth, write_plots
from benchmarks.report.plots.canvas import Canvas, plot_settings
from benchmarks.report.plots.curves import Curve
from benchmarks.report.plots.growth import draw_growth, grows
from benchmarks.report.plots.scene import Named, make_scenes
from benchmarks.report.plots.styles import DASHES, HUES, LOWER, SOLID, UPPER, Style
from metrics import score
from tests.benchmarks.test_plots import words
from tests.benchmarks.test_plots_golden import LOCKED, PLOTS
from tests.benchmarks.test_report_fixtures import planted, recorded, shifted

CLASS = "split-digits/class"
GOLDEN = PLOTS / "growth.svg"
STYLES = [Style(hue, marker, dash) for hue, marker, dash in zip(HUES, "os^D", (*DASHES, DASHES[0]), strict=False)]


def example() -> Canvas:
    """26 tasks, with the slopes of Figure 6 (e): networks that are added up, one that is compressed, one between."""
    tasks = np.arange(26)
    none = np.full(26, np.nan)

    methods = {
        "joint": (Style(UPPER, "h", SOLID), np.full(26, 1.1e9), 76),
        "finetune": (Style(LOWER, "d", SOLID), np.full(26, 1.1e9), 4),
        "foster": (STYLES[0], np.full(26, 1.11e9), 48),
        "der_expand": (STYLES[1], 1.1e9 * (tasks + 1), 55),
        "dne": (STYLES[2], 1.2e9 + 4e8 * tasks, 60),
    }
    flops, accuracy = [], []
    for name, (style, cost, end) in methods.items():
        flops.append(Curve((Named(name, name, style),), cost, none))
        accuracy.append(Curve((Named(name, name, style),), 80 - (80 - end) * tasks / 25, none))
    return draw_growth("cifar100-b50-inc2 (class-incremental): growth", flops, accuracy, ["One seed."])


@pytest.fixture(autouse=True)
def settings():
    with plot_settings():
        yield


def growing(method: str, seed: int, by: int, inference: list[int], scenario: str = CLASS, **changes):
    flops = Flops(inference=inference, inference_modules=inference, training=9, parts={})
    return planted(method, seed, shifted(by + seed), scenario, flops=flops, **changes)


def records(scenario: str = CLASS, largest: int = 3000):
    one, flat = [1000, 2000, largest], [1000, 1000, 1010]
    return [growing(m, s, b, f, scenario) for m, b, f in (("er", 3, one), ("ewc", 0, flat)) for s in (0, 1)]


def scene_of(records, scenario: str = CLASS):
    return make_scenes(*recorded(records, methods=["er", "ewc"], scenarios=[scenario], seeds=[0, 1]))[0]


def panels(canvas: Canvas):
    return canvas.figure.axes


def test_a_panel_of_flops_and_one_of_accuracy_with_a_line_for_each_method():
    flops, accuracy = panels(growth.draw(scene_of(records())))
    lines = [line.get_ydata() for line in flops.lines]
    assert any(np.array_equal(y, [1000, 2000, 3000]) for y in lines)
    assert any(np.array_equal(y, [1000, 1000, 1010]) for y in lines)
    assert flops.get_ylim()[0] == 0  # twice the height is twice the cost
    ends = sorted(line.get_ydata()[-1] for line in accuracy.lines)
    la = [np.mean([100 * score("la", r.matrix.matrix()) for r in records() if r.method == m]) for m in ("ewc", "er")]
    assert ends == pytest.approx(la)


def test_accuracy_is_that_on_all_classes_so_far_not_the_mean_over_tasks_of_unequal_size():
    record = growing("er", 0, 0, [1000, 2000, 3000])
    small = record.matrix.model_copy(
        update={
            "total": [[100, 10, 10]] * 4,
            "correct": [[0, 0, 0], [90, 0, 0], [80, 5, 0], [70, 4, 9]],
        }
    )
    record = record.model_copy(update={"matrix": small})
    _, accuracy = panels(growth.draw(scene_of([record])))
    (line,) = accuracy.lines
    assert line.get_ydata() == pytest.approx([90, 100 * 85 / 110, 100 * 83 / 120])


@pytest.mark.parametrize(
    ("scenario", "largest"),
    [(CLASS, 1020), ("split-digits/domain", 3000)],
    ids=["only the output layer grows", "tasks bring no classes"],
)
def test_nothing_is_drawn_where_there_is_no_growth_to_see(scenario, largest):
    flat = [r.model_copy(update={"flops": planted("er", 0).flops}) for r in records(scenario)]
    drawn = flat if scenario == CLASS else records(scenario, largest)
    assert growth.draw(scene_of(drawn, scenario)) is None


def test_a_wider_output_layer_is_no_growth_another_network_is():
    assert not grows(np.array([1000.0, 1020.0]))
    assert grows(np.array([1000.0, 2000.0]))
    assert not grows(np.array([np.nan, np.nan]))


def test_flops_need_no_training():
    er = Curve((Named("er", "er", STYLES[0]),), np.array([1.0, 2.0, 3.0]), np.full(3, np.nan))
    (flops,) = panels(draw_growth("before any run", [er], []))
    assert np.array_equal(flops.lines[0].get_ydata(), [1, 2, 3])
    assert flops.get_xlabel() == "tasks learned"


def test_what_has_not_run_is_counted_where_that_is_asked_for():
    lost = {"status": "failed", "error": "out of memory"}
    held = [r if r.method == "ewc" else r.model_copy(update=lost) for r in records()]
    grid, scan = recorded(held, methods=["er", "ewc"], scenarios=[CLASS], seeds=[0, 1])
    (scene,) = make_scenes(grid, scan, {(CLASS, "er"): np.array([1000.0, 2000.0, 3000.0])})
    canvas = growth.draw(scene)
    flops, accuracy = panels(canvas)
    assert any(np.array_equal(line.get_ydata(), [1000, 2000, 3000]) for line in flops.lines)
    assert len(accuracy.lines) == 1  # ewc's: nothing is made up for er
    text = words(canvas.svg().decode())
    assert "Not trained, FLOPs counted from the network: er." in text
    assert "Not drawn" not in text
    # a method that has run is drawn from its records
    (ran,) = make_scenes(grid, scan, {(CLASS, "ewc"): np.array([1.0, 1.0, 1.0])})
    assert not ran.counted


def test_report_counts_what_has_not_run(tmp_path):
    """Before any run, `report --count-flops` draws the growth of the networks."""
    path = tmp_path / "grown.yaml"
    path.write_text(
        """
title: two that grow
seeds: 1
scenarios:
  c/class: {stream: split, data: digits, setting: class, tasks: 5}
  c/domain: {stream: split, data: digits, setting: domain, tasks: 5}
methods:
  finetune:
  dne: {model: {backbone: expert-transformer, dim: 24, heads: 3, depth: 1}}
"""
    )
    done = CliRunner().invoke(app, ["report", str(path), "--count-flops", "--results-dir", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    drawn = [p.name for p in (tmp_path / "results/leaderboards/grown.plots").iterdir()]
    assert sorted(drawn) == ["c.class.growth.svg"]


def test_every_method_is_named_in_both_panels():
    text = words(example().svg().decode())
    for name in ("der_expand", "dne", "foster"):
        assert text.count(name) == 2


def test_the_page_shows_it_and_a_suite_without_growth_has_none(tmp_path):
    grid, scan = recorded(records(), methods=["er", "ewc"], scenarios=[CLASS], seeds=[0, 1])
    write_plots(grid, scan, tmp_path)
    assert "### Growth" in (tmp_path / "planted.plots.md").read_text()
    assert (tmp_path / "planted.plots" / "split-digits.class.growth.svg").exists()
    flat = [r.model_copy(update={"flops": planted("er", 0).flops}) for r in records()]
    write_plots(*recorded(flat, methods=["er", "ewc"], scenarios=[CLASS], seeds=[0, 1]), tmp_path)
    assert "### Growth" not in (tmp_path / "planted.plots.md").read_text()
    assert not (tmp_path / "planted.plots" / "split-digits.class.growth.svg").exists()


@pytest.mark.skipif(
    LOCKED is None or version("matplotlib") != LOCKED[1], reason="every release of matplotlib draws differently"
)
def test_the_example_is_drawn_to_the_byte():
    assert example().svg() == GOLDEN.read_bytes(), "see this file's docstring"


if __name__ == "__main__":
    with plot_settings():
        GOLDEN.write_bytes(example().svg())
        Path(sys.argv[1]).write_bytes(example().png())
