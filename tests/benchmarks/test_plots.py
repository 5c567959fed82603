"""Plots: what is drawn, from which numbers, and that a reader can tell what is what."""

import re
import subprocess
import sys
from urllib.parse import unquote

import matplotlib
import numpy as np
import pytest
from markdown_it import MarkdownIt
from matplotlib.collections import QuadMesh

from benchmarks.records.record import Flops
from benchmarks.records.units import si
from benchmarks.report.plots import buffer, cost, curves, forgetting, matrices, tasks, write_plots
from benchmarks.report.plots.canvas import plot_settings
from benchmarks.report.plots.labels import spread
from benchmarks.report.plots.scales import log_ticks, percent_limits
from benchmarks.report.plots.scene import make_scenes
from benchmarks.report.plots.styles import HUES, style_of
from methods import METHODS
from metrics import summarise
from tests.benchmarks.test_report_fixtures import SCENARIO, planted, recorded, shifted

SEEDS = (0, 1, 2)
CLASS = "split-digits/class"
KINDS = {"cost": cost, "tasks": tasks, "matrices": matrices, "forgetting": forgetting, "buffer": buffer}


def runs(offsets, seeds=SEEDS, **changes):
    """Records of methods that differ in their last row, {method: by how much}, and a little between seeds."""
    return [planted(m, s, shifted(by + s), **changes) for m, by in offsets.items() for s in seeds]


def spent(inference, training):
    return Flops(inference=[inference] * 3, inference_modules=[inference] * 3, training=training, parts={})


def variant(record, name, buffer_size):
    method = {"name": record.method, "settings": {"buffer_size": buffer_size}, "version": 1}
    settings = record.settings | {"method": method}
    return record.model_copy(update={"method": name, "settings": settings, "identity": f"{name}{record.seed}"})


def scene_of(records, **grid):
    return make_scenes(*recorded(records, **grid))[0]


@pytest.fixture
def settings():
    with plot_settings():
        yield


def svg(kind, scene):
    return KINDS[kind].draw(scene).svg().decode()


def words(image: str) -> str:
    """All text of an SVG: matplotlib writes it as a comment before its outlines. Lines that were broken are joined."""
    return " ".join(re.findall(r"<!-- (.*?) -->", image))


# Styles


def test_every_method_has_a_sign_of_its_own():
    signs = [(s.colour, s.marker) for s in map(style_of, METHODS)]
    assert len(set(signs)) == len(METHODS)
    assert style_of("joint").colour == "#000000"
    assert style_of("finetune").colour not in HUES


def test_a_style_depends_on_the_method_alone():
    first = scene_of(runs({"er": 1, "ewc": 2}), methods=["er", "ewc"])
    second = scene_of(runs({"finetune": 0, "ewc": 1, "lwf": 2, "er": 3}), methods=["finetune", "ewc", "lwf", "er"])
    styles = [{entry.method: entry.style for entry in scene.entries} for scene in (first, second)]
    assert styles[0] == {method: styles[1][method] for method in ("er", "ewc")}
    assert style_of("no such method") == style_of("no such method") != style_of("another one")


def test_an_unknown_method_has_the_same_style_in_every_process():
    assert (style_of("no such method").colour, style_of("no such method").marker) == ("#7D7D00", "*")


def test_a_variant_keeps_colour_and_marker_but_is_hollow():
    er, large = style_of("er"), style_of("er", "er-1000")
    assert (large.colour, large.marker) == (er.colour, er.marker)
    assert er.filled
    assert not large.filled


@pytest.mark.parametrize("colour", HUES)
def test_colours_stand_out_from_white_paper_also_in_grey(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) > 2  # WCAG 2.1's contrast ratio


# Places of names


def test_spread_keeps_the_order_and_moves_only_what_would_overlap():
    places = spread([50, 20, 50, 90], [10, 10, 10, 10], 0, 100)
    assert places == [55, 20, 45, 90]
    assert spread([99, 98], [10, 10], 0, 100) == [95, 85]
    assert spread([1], [10], 0, 100) == [5]


def test_names_that_do_not_fit_begin_at_the_top_and_none_lies_on_another():
    heights = [12, 24, 12, 12]
    places = spread([50, 50, 40, 60], heights, 30, 70)
    assert places == [52, 34, 16, 64]  # 60 points of names in 40: down from 70
    random = np.random.default_rng(0)
    places = spread(random.uniform(0, 300, 25).tolist(), [12] * 25, 0, 300)
    assert np.diff(np.sort(places)).min() >= 12 - 1e-9


# Axes


@pytest.mark.parametrize(("low", "high"), [(1e3, 4e3), (2.1e9, 9e9), (5e4, 6e5), (1.0, 1e12), (45, 195)])
def test_logarithmic_axes_have_some_ticks_but_not_many(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert all(low <= tick <= high for tick in ticks)


def test_costs_are_written_with_the_prefix_of_their_size():
    assert [si(v) for v in (0, 500, 20e3, 1.5e6, 1e9, 2e12)] == ["0", "500", "20 k", "1.5 M", "1 G", "2 T"]


def test_accuracy_axes_hold_the_intervals_and_do_not_blow_up_noise():
    low, high = percent_limits([20.0, 65.0], [1.0, 5.0])
    assert 0 < low < 19
    assert 70 < high < 100
    low, high = percent_limits([50.0, 50.1])
    assert high - low >= 5
    assert percent_limits([5.0, 99.0], [25.0, np.nan]) == (-2.0, 102.0)
    assert percent_limits([99.0, 100.0]) == pytest.approx((95.0, 100.1))


# Accuracy against cost


def spots_of(records, measure="flops.training", **grid):
    return cost.spots(scene_of(records, **grid).entries, measure)


PRICED = {"finetune": (0, 1e9), "ewc": (-3, 2e9), "er": (9, 4e9), "gem": (9, 5e9), "joint": (12, 2e9)}


def priced(methods=PRICED, seeds=SEEDS):
    return [r for m in methods for r in runs({m: PRICED[m][0]}, seeds, flops=spent(2000, int(PRICED[m][1])))]


def test_spots_are_means_with_intervals_on_both_axes():
    records = [planted("er", s, shifted(s), flops=spent(2000, 10**9 * (s + 1))) for s in SEEDS]
    (spot,) = spots_of(records, methods=["er"])
    price = summarise([1e9, 2e9, 3e9])
    assert (spot.cost, spot.cost_half) == pytest.approx((price.mean, price.half_width))
    accuracy = summarise([100 * (70 + 78 + 85 + 3 * s) / 300 for s in SEEDS])
    assert (spot.acc, spot.acc_half) == pytest.approx((accuracy.mean, accuracy.half_width))


def test_the_front_has_what_nothing_cheaper_beats():
    front = cost.front_of(spots_of(priced(), methods=list(PRICED)))
    assert [spot.entry.method for spot in front] == ["finetune", "er"]  # joint sees past data, gem costs more


def test_the_front_leaves_out_methods_with_fewer_seeds_and_keeps_equals():
    records = priced(["finetune", "gem"]) + priced(["er"], seeds=[2])
    front = cost.front_of(spots_of(records, methods=list(PRICED)))
    assert [spot.entry.method for spot in front] == ["finetune", "gem"]
    equal = cost.front_of(spots_of(runs({"er": 1, "gem": 1}), methods=["er", "gem"]))
    assert {spot.entry.method for spot in equal} == {"er", "gem"}
    same_cost = cost.front_of(spots_of(runs({"er": 1, "gem": 0}), methods=["er", "gem"]))
    assert [spot.entry.method for spot in same_cost] == ["er"]


def test_marks_that_would_cover_each_other_lie_one_around_the_other():
    same = [(100.0, 50.0)] * 3
    assert cost.nested(same) == [2, 1, 0]
    assert cost.nested([(100.0, 50.0), (100.0, 60.0), (120.0, 50.0)]) == [0, 0, 0]
    assert cost.nested([*same, (100.0, 60.0)]) == [2, 1, 0, 0]


@pytest.mark.parametrize("offsets", [{"er": 1, "ewc": 1, "lwf": 1}, {"er": 1, "ewc": 2, "lwf": 0}])
def test_every_mark_and_bar_stands_at_its_own_cost_and_accuracy(settings, offsets):
    """Also where methods cost the same: what is drawn beside its cost claims another one."""
    scene = scene_of(runs(offsets, flops=spent(2000, 10**9)), methods=list(offsets))
    for axes, measure in zip(cost.draw(scene).figure.axes, cost.PANELS, strict=True):
        marks = [line for line in axes.lines if line.get_marker() not in ("None", "_", "|")]
        drawn = [
            tuple(axes.transData.inverted().transform(m.get_transform().transform(m.get_xydata())[0])) for m in marks
        ]
        true = [(s.cost, s.acc) for s in cost.spots(scene.entries, measure)]
        assert np.array(drawn) == pytest.approx(np.array(true))
        for bar in (line for line in axes.lines if line.get_marker() == "_"):
            assert bar.get_transform() == axes.transData
            assert set(bar.get_xdata()) == {true[0][0]}
        sizes = {(m.get_markersize(), m.get_zorder()) for m in marks}
        if len(set(offsets.values())) == 1:
            assert len(sizes) == 3, "one around the other"
            assert sorted(sizes) == sorted(sizes, key=lambda own: -own[1]), "the smaller above the larger"


def test_every_method_is_named_once_beside_both_panels_and_those_on_a_front_in_bold(settings):
    canvas = cost.draw(scene_of(priced(), methods=list(PRICED)))
    names = {text.get_text().removeprefix("⚠ "): text for text in canvas.figure.texts}
    found = re.findall(r"(?<![\w-])(?:" + "|".join(PRICED) + r")(?![\w-])", words(canvas.svg().decode()))
    assert sorted(found) == sorted(PRICED)
    bold = {method for method in PRICED if names[method].get_fontweight() == "bold"}
    assert bold == {"finetune", "er", "gem"}  # a prediction of gem costs as much as one of er
    height = {method: names[method].get_position()[1] for method in PRICED}
    assert height["joint"] > height["er"] > height["finetune"] > height["ewc"]


def test_without_flops_the_accuracy_stays_and_the_plot_says_why(settings):
    none = Flops(inference=[], inference_modules=[], training=0, parts={})
    scene = scene_of(runs({"er": 1}, flops=none), methods=["er"])
    assert cost.draw(scene) is None
    assert "not recorded" in words(svg("tasks", scene))
    trained = scene_of(runs({"er": 1}, flops=none.model_copy(update={"training": 10})), methods=["er"])
    assert "no FLOPs recorded" in words(svg("cost", trained))


# After each task


def test_curves_are_means_over_seeds_with_student_intervals():
    scene = scene_of(runs({"er": 0}), methods=["er"])
    mean, half = scene.entries[0].over_seeds("mean", 100)
    last = summarise([(70 + 78 + 85 + 3 * s) / 3 for s in SEEDS])
    assert mean == pytest.approx([97, (80 + 90) / 2, last.mean])
    assert half == pytest.approx([0, 0, last.half_width])


def test_methods_of_the_same_cost_share_a_line_and_others_have_their_own():
    records = runs({"er": 0, "ewc": 1}) + runs({"gem": 2}, flops=spent(3000, 10))
    scene = scene_of(records, methods=["er", "ewc", "gem"])
    lines = curves.same_together(curves.curves_of(scene, "flops.inference"))
    assert [[entry.method for entry in line.entries] for line in lines] == [["er", "ewc"], ["gem"]]
    assert lines[0].style is curves.SHARED
    assert lines[1].style == style_of("gem")


def test_a_cost_that_hardly_changes_is_a_note_and_takes_no_height(settings):
    head, grown = (
        Flops(inference=[3000, 3000 + by, 3000 + 2 * by], inference_modules=[3000] * 3, training=10, parts={})
        for by in (100, 1000)
    )
    records = runs({"er": 0, "ewc": 1}, flops=spent(2000, 10)) + runs({"gem": 2}, flops=spent(3000, 10))
    flat = tasks.draw(scene_of(records, methods=["er", "ewc", "gem"]))
    said = words(flat.svg().decode())
    assert "Inference, FLOPs per image after each task: 2 k (er, ewc), 3 k (gem)." in said
    assert len(flat.figure.axes) == 1
    assert flat.figure.axes[0].get_position().height * flat.height > 0.5 * flat.height
    assert flat.figure.axes[0].get_xlabel() == "tasks learned"
    assert flat.figure.axes[0].xaxis.get_tick_params()["labelbottom"]
    heads = tasks.draw(scene_of(runs({"er": 0, "ewc": 1}, flops=head), methods=["er", "ewc"]))
    assert "Inference, FLOPs per image after each task: 3 k to 3.2 k." in words(heads.svg().decode())
    assert len(heads.figure.axes) == 1
    grows = tasks.draw(scene_of(runs({"er": 0}) + runs({"gem": 2}, flops=grown), methods=["er", "gem"]))
    assert [axes.get_ylabel() for axes in grows.figure.axes][1:] == ["inference,\nFLOPs per image"]
    assert "Inference, FLOPs per image" not in words(grows.svg().decode())


def test_lines_that_coincide_are_found():
    scene = scene_of(runs({"er": 0, "ewc": 0, "gem": -30}), methods=["er", "ewc", "gem"])
    groups = curves.coinciding(curves.curves_of(scene, "mean", 100), 1.0)
    assert [[c.entries[0].method for c in group] for group in groups] == [["er", "ewc"], ["gem"]]


def test_all_that_coincide_are_drawn_and_named(settings):
    scene = scene_of(runs({"finetune": 0, "ewc": 0, "er": 0}), methods=["finetune", "ewc", "er"])
    image = svg("tasks", scene)
    # stripes that do not cover each other: of one length, begun at different places
    dashed = re.findall(r"stroke-dasharray: ([\d.,]+); stroke-dashoffset: ([\d.]+)", image)
    assert max(len({offset for dash, offset in dashed if dash == pattern}) for pattern, _ in dashed) == 3
    for method in ("finetune", "ewc", "er"):
        # a line and a marker in the axes, line and marker of the label, the leader, the band
        assert image.lower().count(style_of(method).colour.lower()) >= 6
        assert method in words(image)


# Accuracy matrices


def panels(scene):
    return {axes.get_title(loc="left").removeprefix("⚠ "): axes for axes in matrices.draw(scene).figure.axes}


def test_a_cell_not_evaluated_is_hatched_and_a_cell_of_0_is_not(settings):
    half = [[None] * 3, [97, None, None], [0, 90, None], [0, 0, 85]]
    records = [planted("er", s, half, CLASS) for s in SEEDS] + [planted("ewc", s, scenario=CLASS) for s in SEEDS]
    shown = panels(scene_of(records, methods=["er", "ewc"], scenarios=[CLASS]))
    assert shown["er"].patch.get_hatch()  # lies behind the cells
    assert not shown["ewc"].patch.get_hatch()
    (cells,) = (c for c in shown["er"].collections if isinstance(c, QuadMesh))
    assert cells.get_array().mask.sum() == 6
    assert cells.get_array()[2, 0] == 0


def test_matrices_have_one_scale_and_the_untrained_row_apart(settings):
    shown = panels(scene_of(runs({"er": 0, "ewc": 9}), methods=["er", "ewc"]))
    for axes in (shown["er"], shown["ewc"]):
        (cells,) = (c for c in axes.collections if isinstance(c, QuadMesh))
        assert cells.get_clim() == (0, 1)
        (gap,) = (line for line in axes.lines if line.get_color() == "white" and list(line.get_ydata()) == [1, 1])
        assert gap.get_linewidth() > 2
        assert [t.get_text() for t in axes.texts[:3]] == ["50", "40", "60"]
    assert [label.get_text() for label in shown["er"].get_yticklabels()] == ["untrained", "1", "2", "3"]


def test_only_exactly_0_and_100_are_written_so():
    values = (0, 0.001, 0.42, 0.994, 0.9951, 1)
    assert [matrices.in_short(v) for v in values] == ["0", "<1", "42", "99", ">99", "100"]


# Forgetting


def test_bars_are_the_forgetting_of_each_task(settings):
    scene = scene_of(runs({"er": 0}), methods=["er"])
    (axes,) = forgetting.draw(scene).figure.axes
    # best of rows 1-2 minus the last row, whose seeds have 0, 1 and 2 more: 97 - 71 and 90 - 79
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([26, 11])
    assert axes.get_ylim()[0] <= 0


def test_an_empty_panel_does_not_say_that_nothing_is_forgotten(settings):
    only_last = [*[[None] * 3] * 3, [70, 71, 72]]
    scene = scene_of([planted("joint", s, only_last) for s in SEEDS], methods=["joint"])
    (axes,) = forgetting.draw(scene).figure.axes
    assert axes.get_title(loc="right") == "FM n/a"


def test_of_a_single_task_there_is_no_forgetting(settings):
    scene = scene_of([planted("er", s, [[50], [90 + s]]) for s in SEEDS], methods=["er"])
    assert forgetting.draw(scene) is None
    assert matrices.draw(scene) is not None
    assert "er" in words(svg("tasks", scene))


# Buffer size


def test_a_method_with_several_buffer_sizes_is_one_line(settings):
    names = {"er-200": {"method": "er"}, "er-50": {"method": "er"}, "gem": {}, "finetune": {}}
    records = [variant(r, "er-200", 200) for r in runs({"er": 9})] + [variant(r, "er-50", 50) for r in runs({"er": 4})]
    scene = scene_of([*records, *runs({"gem": 1, "finetune": 0})], methods=names)
    ((base, name, sizes),) = buffer.families(scene)
    assert (base, name) == ("er", "er")
    assert [(size, entry.method) for size, entry in sizes.items()] == [(50, "er-50"), (200, "er-200")]
    text = words(svg("buffer", scene))
    assert "finetune" in text
    assert "gem" not in text


def test_without_several_sizes_there_is_no_buffer_plot():
    assert buffer.draw(scene_of(runs({"er": 1, "gem": 2}), methods=["er", "gem"])) is None
    # another hyperparameter differs too, so the size alone does not explain the difference
    large = [variant(r, "er-200", 200) for r in runs({"er": 9})]
    large = [
        r.model_copy(update={"settings": r.settings | {"training": r.settings["training"] | {"epochs": 9}}})
        for r in large
    ]
    assert buffer.draw(scene_of([*runs({"er": 1}), *large], methods={"er": {}, "er-200": {"method": "er"}})) is None


# What is missing or warned of


@pytest.mark.parametrize("kind", ["cost", "tasks", "forgetting"])
def test_a_single_seed_has_no_interval_and_says_so(kind, settings):
    text = words(svg(kind, scene_of(runs({"er": 0, "ewc": 1}, seeds=[0]), methods=["er", "ewc"], seeds=[0])))
    assert "One seed: no ba" in text
    assert "95%" not in text
    assert "Mean over 3 seeds" in words(svg(kind, scene_of(runs({"er": 0}), methods=["er"])))


def test_a_method_with_fewer_seeds_says_so_behind_its_name(settings):
    scene = scene_of(runs({"er": 0}) + runs({"ewc": 1}, seeds=[0]), methods=["er", "ewc"])
    assert "ewc (1 of 3 seeds)" in words(svg("tasks", scene))
    assert "up to 3 seeds" in words(svg("tasks", scene))
    assert "among methods with all seeds" in words(svg("cost", scene))
    rest = scene_of(runs({"er": 0, "ewc": 1}, seeds=[0]), methods=["er", "ewc"])  # of the three asked for
    assert "among methods with as many seeds as any" in words(svg("cost", rest))


def test_what_is_not_drawn_is_named_with_its_reason(settings):
    failed = planted("ewc", 0, [[None] * 3] * 4, status="failed", error="ValueError: broke")
    missing = {(SCENARIO, "pnn"): "PNN needs the task id"}
    scene = scene_of([failed, *runs({"er": 0})], methods=["er", "ewc", "pnn", "lwf"], impossible=missing)
    assert [entry.method for entry in scene.entries] == ["er"]
    assert "Not drawn: ewc (failed), pnn (n/a), lwf (not run)." in words(svg("cost", scene))
    assert {"pnn: n/a: PNN needs the task id", "not run: lwf"} <= set(scene.notes)
    assert any("ValueError: broke" in note for note in scene.notes)


def test_what_the_table_warns_of_bears_its_sign_here_too(settings):
    guessing = [planted("er", s, [[50, 40, 60], [51 + s, 45, 62], [52, 60, 66], [51, 58, 65]]) for s in SEEDS]
    scene = scene_of([*guessing, *runs({"ewc": 0})], methods=["er", "ewc"])
    assert [entry.label for entry in scene.entries] == ["⚠ er", "ewc"]
    assert "⚠ er" in words(svg("cost", scene))


def test_names_are_drawn_as_they_are(settings):
    odd = "x$^2_1$ <&b>"
    scene = scene_of([variant(r, odd, 9) for r in runs({"er": 0})], methods={odd: {"method": "er"}})
    for kind in ("cost", "tasks", "matrices", "forgetting"):
        assert "x$^2_1$" in words(svg(kind, scene))


# Files


def test_the_page_shows_what_was_written_and_nothing_else(tmp_path):
    grid, scan = recorded(runs({"er": 0, "ewc": 4}), scenarios=[SCENARIO, "none yet/class"], methods=["er", "ewc"])
    old = tmp_path / "planted.plots" / "gone.cost.svg"
    old.parent.mkdir()
    old.write_text("of a scenario that the suite no longer has")
    written = write_plots(grid, scan, tmp_path)
    assert set(written) == {path for path in tmp_path.rglob("*") if path.is_file()}
    page = written[-1]
    assert page.name == "planted.plots.md"
    tokens = [t for token in MarkdownIt("commonmark").parse(page.read_text()) for t in token.children or []]
    images = [tmp_path / unquote(str(t.attrs["src"])) for t in tokens if t.type == "image"]
    links = [unquote(str(t.attrs["href"])) for t in tokens if t.type == "link_open"]
    assert {path for path in written if path.suffix == ".svg"} == set(images)
    assert {tmp_path / "planted.md"} == {tmp_path / link for link in links}
    assert "No run has succeeded yet (3 seeds asked for)." in page.read_text()
    for image in images:
        text = image.read_text()
        assert "<image" not in text  # no pixels: they would differ between machines
        assert "dc:date" not in text


def test_the_same_records_give_the_same_bytes_whatever_the_reader_set_up(tmp_path):
    records = runs({"er": 0, "ewc": 4})
    drawn = []
    before = dict(matplotlib.rcParams)
    mine = {"font.size": 30.0, "svg.hashsalt": None, "axes.facecolor": "red", "lines.linewidth": 9.0}
    try:
        for name, order, own in (("a", records, {}), ("b", records[::-1], mine)):
            matplotlib.rcParams.update(own)
            set_up = dict(matplotlib.rcParams)
            written = write_plots(*recorded(order, methods=["er", "ewc"]), tmp_path / name)
            assert dict(matplotlib.rcParams) == set_up
            drawn.append([path.read_bytes() for path in written])
    finally:
        matplotlib.rcParams.update(before)
    assert drawn[0] == drawn[1]


def test_matplotlib_is_imported_only_to_draw_and_pyplot_never(tmp_path):
    code = f"""
import sys
from pathlib import Path
from benchmarks.report.plots import write_plots
assert "matplotlib" not in sys.modules, "imported before anything is drawn"
from tests.benchmarks.test_report_fixtures import planted, recorded
write_plots(*recorded([planted("er", 0)], methods=["er"]), Path({str(tmp_path)!r}))
assert "matplotlib.figure" in sys.modules
assert "matplotlib.pyplot" not in sys.modules, "its figures and backend are the user's"
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


# Many tasks


def many_tasks(n: int, blind: bool):
    rows = [[None if blind and j >= i else (7 * i + 3 * j) % 101 for j in range(n)] for i in range(n + 1)]
    return scene_of([planted("er", 0, rows, scenario=CLASS)], methods=["er"], scenarios=[CLASS], seeds=[0])


@pytest.mark.parametrize("blind", [False, True])
def test_a_matrix_of_300_tasks_is_an_image_and_not_an_element_a_cell(settings, blind):
    scene = many_tasks(300, blind)
    image = svg("matrices", scene)
    assert len(image) < 1_000_000
    assert image.count("<image") == 1
    assert image.count("image-rendering") >= 1, "a viewer must not blur cells into each other"


def test_an_image_shows_the_cells_that_the_drawn_ones_show(settings):
    scene = many_tasks(matrices.AS_IMAGE, blind=False)
    (axes, *_) = matrices.draw(scene).figure.axes
    (image,) = axes.images
    accuracy = scene.entries[0].records[0].matrix.matrix().accuracy
    assert np.array_equal(np.asarray(image.get_array()), accuracy)
    assert image.get_extent() == [0, 20, 21, 0]
    assert not axes.collections


def test_numbers_in_cells_stand_out_from_every_colour():
    for value in np.linspace(0, 1, 256):
        colour = matrices.COLOURS["cmap"](value)
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        ink = {"white": 1.0, "black": 0.0}[matrices.ink_on(value)]
        low, high = sorted((luminance, ink))
        assert (high + 0.05) / (low + 0.05) >= 4.5, value
