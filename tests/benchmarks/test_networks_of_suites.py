"""Networks as suites say them: one for all, one for a method, and what a change of backbone leaves behind."""

import json
from pathlib import Path

import pytest

from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.identity import identity_of, relevant
from benchmarks.request.load import load_suite
from benchmarks.request.suite import CellSettings
from benchmarks.request.suite_yaml import merge_model
from models import EXTRACTORS, MLPSettings, ResNetSettings, TaskTransformerSettings, settings_class

PUBLISHED = Path("results/published")
SUITE = """
title: a grid that mixes kinds of networks
seeds: 1
scenarios: {split/class: {stream: split, data: digits, setting: class, tasks: 5}}
methods:
  er: {buffer_size: 20}
  narrow: {method: er, model: {width: 0.25}}
  dytox: {buffer_size: 20, model: &tokens {backbone: task-transformer, dim: 24, heads: 3}}
  joint: {model: *tokens}
model: {backbone: resnet32, width: 0.5, head_init: unit}
training: {epochs: 1}
"""


@pytest.fixture
def mixed(tmp_path):
    path = tmp_path / "mixed.yaml"
    path.write_text(SUITE)
    return path


def cells(path, *changes: str, **narrowed) -> dict[str, CellSettings]:
    return {
        cell.method_name: cell for cell in make_grid(load_suite(str(path), changes=list(changes), **narrowed)).cells
    }


@pytest.mark.parametrize("suite", ["digits", "mnist"])
def test_published_records_are_of_the_cells_that_the_suite_has_now(suite):
    """Identities say `hidden` and no setting of other backbones, as when all networks had the same settings."""
    records = [json.loads(line) for line in (PUBLISHED / suite / "records.jsonl").read_text().splitlines()]
    assert all(identity_of(record["settings"]) == record["identity"] for record in records)
    cells = {cell.identity for cell in make_grid(load_suite(suite)).cells}
    assert len(cells & {record["identity"] for record in records}) > 100


@pytest.mark.parametrize(
    ("model", "identity"),
    [
        ({"backbone": "mlp"}, {"hidden": [256, 256]}),
        ({"backbone": "resnet32", "width": 0.5}, {"hidden": [256, 256], "width": 0.5}),
        ({"backbone": "timm:test_vit", "head_init": "unit"}, {"hidden": [256, 256], "head_init": "unit"}),
    ],
)
def test_what_identities_hold_of_a_network(model, identity):
    settings = settings_class(model["backbone"])(**model).model_dump(mode="json")
    expected = {"backbone": model["backbone"], "head": "auto", "init": "torch"} | identity
    assert relevant({"model": settings}) == {"model": expected}
    older = {"width": 1.0, "pretrained": False, "zero_init_last_bn": False, "last_relu": True, "hidden": [256, 256]}
    assert relevant({"model": older | settings}) == {"model": expected}


def test_a_method_may_have_a_network_of_its_own(mixed):
    found = {name: cell.model for name, cell in cells(mixed).items()}
    assert found["er"] == ResNetSettings(backbone="resnet32", width=0.5, head_init="unit")
    assert found["narrow"] == ResNetSettings(backbone="resnet32", width=0.25, head_init="unit")
    assert found["dytox"] == found["joint"] == TaskTransformerSettings(dim=24, heads=3)
    assert "model" not in cells(mixed)["dytox"].method.settings


def test_a_change_reaches_the_networks_that_it_names(mixed):
    one = cells(mixed, "methods.dytox.model.depth=2", "model.width=0.75")
    assert one["dytox"].model == TaskTransformerSettings(dim=24, heads=3, depth=2)
    assert one["joint"].model == TaskTransformerSettings(dim=24, heads=3)
    assert one["er"].model == ResNetSettings(backbone="resnet32", width=0.75, head_init="unit")
    other = cells(mixed, "model.backbone=mlp", "model.hidden=[8]", methods=["er", "dytox"])
    assert other["er"].model == MLPSettings(hidden=(8,), head_init="unit")
    assert other["dytox"].model == TaskTransformerSettings(dim=24, heads=3)


def test_an_override_may_change_or_replace_a_network(mixed):
    text = (
        SUITE + "overrides: [{methods: [dytox, joint], model: {depth: 2}}, {methods: [er], model: {backbone: mlp}}]\n"
    )
    mixed.write_text(text)
    found = cells(mixed)
    assert found["joint"].model == TaskTransformerSettings(dim=24, heads=3, depth=2)
    assert found["er"].model == MLPSettings(head_init="unit")
    assert cells(mixed, "methods.joint.model.depth=1")["joint"].model.depth == 1
    mixed.write_text(SUITE + "overrides: [{methods: [er], model: {backbone: resnet18, width: 0.25}}]\n")
    changed = cells(mixed, "model.backbone=mlp", "model.hidden=[8]", methods=["er"])
    assert changed["er"].model == MLPSettings(hidden=(8,), head_init="unit")


def test_another_backbone_keeps_what_it_has_a_setting_for():
    base = {"backbone": "resnet18", "width": 0.5, "head_init": "unit"}
    assert merge_model(base, {"backbone": "resnet32"}) == base | {"backbone": "resnet32"}
    assert merge_model(base, {"backbone": "task-transformer", "dim": 12}) == {"backbone": "task-transformer", "dim": 12}
    assert merge_model({"hidden": [8], "head": "masked"}, base) == base | {"head": "masked"}
    assert merge_model(base, {"width": 0.25}) == base | {"width": 0.25}


def test_a_suite_like_another_may_have_another_backbone(mixed, tmp_path):
    path = tmp_path / "like.yaml"
    path.write_text(f"like: {mixed}\nmodel: {{backbone: mlp, hidden: [8]}}\nmethods: [finetune]\n")
    assert cells(path)["finetune"].model == MLPSettings(hidden=(8,), head_init="unit")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["methods.dytox.model.backbone=resnet32"], "DyTox trains task-transformer, not resnet32"),
        (["model.backbone=expert-transformer"], f"er: ER trains {', '.join(EXTRACTORS)}, not expert-transformer"),
        (["methods.dytox.model.width=0.5"], "width belongs to resnet18, resnet32, imagenet_resnet18, not to task-t"),
        (["methods.dytox.model.dimm=12"], "model.dimm: no such setting; did you mean 'model.dim'"),
        (["methods.dytox.model=7"], "dytox: model: 7 should be a mapping"),
        (["model.backbone=resnet33"], "unknown backbone 'resnet33'; did you mean 'resnet32'"),
    ],
)
def test_what_does_not_fit_is_said(mixed, changes, said):
    with pytest.raises(SettingsError) as error:
        load_suite(str(mixed), changes=changes)
    assert said in str(error.value)


def test_a_method_that_a_request_adds_brings_a_network_that_it_can_train():
    (cell,) = make_grid(load_suite("digits", methods=["dne"], scenarios=["split-digits/class"], seeds=[0])).cells
    assert cell.model.backbone == "expert-transformer"
    (cell,) = make_grid(load_suite("digits", methods=["bic"], scenarios=["split-digits/class"], seeds=[0])).cells
    assert cell.model == MLPSettings(hidden=(128, 128))
