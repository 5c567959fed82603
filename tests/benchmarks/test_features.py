"""Features of a frozen backbone: computed once, kept, checked, shared, and counted."""

from __future__ import annotations

import multiprocessing
import warnings

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cell import features
from benchmarks.cell.features import Features, extract, prepared
from benchmarks.cell.run import run_cell, train_task
from benchmarks.cli.app import app
from benchmarks.cost.count import cost_of
from benchmarks.gate.comparable import settings_differences
from methods import METHODS, Recipe
from scenarios import DataNotFound, Normalise
from tests.coloured_digits import add_coloured_digits, cell_of, frozen_model, weights_file

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_store(monkeypatch, tmp_path):
    add_coloured_digits(monkeypatch)
    monkeypatch.setenv("RETAIN_FEATURES", str(tmp_path / "features"))
    monkeypatch.setattr(features, "PART", 500)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def weights(tmp_path):
    return weights_file(tmp_path)


@pytest.fixture
def calls(monkeypatch):
    """How many images were looked at, a call an entry."""
    made = []

    def counted(backbone, images, *rest):
        made.append(len(images))
        return extract(backbone, images, *rest)

    monkeypatch.setattr(features, "extract", counted)
    return made


def on_features(cell, empty: bool = False):
    scenario = cell.scenario.build(cell.seed, None)
    return prepared(cell, scenario, METHODS[cell.method.name](**cell.method.settings), CPU, empty)


def test_all_cells_share_what_is_computed_once(weights, calls):
    records = [
        run_cell(cell_of(m, frozen_model(weights), seed)) for m in ("ncm", "er", "linear-probe") for seed in (0, 1)
    ]
    assert [r.status for r in records] == ["done"] * 6, records[0].error
    assert sum(calls) == 1797  # every digit once, in 500s
    assert run_cell(cell_of("ncm", frozen_model(weights))).comparable() == records[0].comparable()
    assert sum(calls) == 1797


def test_they_are_what_the_backbone_gives(weights):
    cell = cell_of("ncm", frozen_model(weights))
    scenario, model, _ = on_features(cell)
    plain = cell.scenario.build(0, None)
    backbone = cell.model.build(plain.image_shape)
    mean, std = (torch.tensor(getattr(cell.model.found(), n)).view(1, 3, 1, 1) for n in ("mean", "std"))
    for task, own in zip(plain.tasks, scenario.tasks, strict=True):
        for part in ("train", "test"):
            images, found = getattr(task, part).examples().images, getattr(own, part).examples().images
            expected = backbone((images / 16 - mean) / std)
            torch.testing.assert_close(found.flatten(1), expected, rtol=1e-4, atol=1e-5)
    assert model.backbone == "identity"


def test_a_cell_says_the_backbone_s_parameters_and_flops(weights):
    record = run_cell(cell_of("linear-probe", frozen_model(weights)))
    _, _, extractor = on_features(cell_of("linear-probe", frozen_model(weights)))
    assert extractor.parameters > 10_000
    assert extractor.flops.total > 1e6
    for report, classes in zip(record.parameters, (2, 4, 6, 8, 10), strict=True):
        assert report["frozen"] == extractor.parameters
        assert report["trainable"] == (extractor.width + 1) * classes
    assert record.flops.parts["features"] == 5 * 40 * extractor.flops.total
    head = 2 * extractor.width * 10
    assert record.flops.inference[-1] == extractor.flops.total + head
    assert record.seconds["features"] > 0


@pytest.mark.parametrize("method", ["ncm", "slda", "fecam", "knn", "er", "icarl", "linear-probe"])
def test_costs_are_those_of_the_run(weights, method):
    cell = cell_of(method, frozen_model(weights), **({"tukey": 1.0} if method == "fecam" else {}))  # some are negative
    cost, record = cost_of(cell), run_cell(cell)
    assert cost.error is None
    assert record.error is None
    assert [t.parameters for t in cost.tasks] == record.parameters
    assert [t.inference.total for t in cost.tasks] == record.flops.inference
    assert sum(t.phases[0].flops for t in cost.tasks) == record.flops.parts["features"]


def test_images_that_are_changed_are_no_features(weights, calls):
    augmented = Recipe(epochs=1, batch_size=20, augmentation=({"op": "flip"},))
    cases = [
        cell_of("finetune", frozen_model(weights), training=augmented),
        cell_of("finetune", frozen_model(weights, frozen=False)),
        cell_of("icarl", frozen_model(weights), buffer_size=20, flip_means=True),
    ]
    for cell in cases:
        scenario, model, extractor = on_features(cell)
        assert extractor is None
        assert model == cell.model
        assert scenario.image_shape == (3, 8, 8)
        assert scenario.normalise.mean == cell.model.found().mean
    record = run_cell(cases[0])
    assert record.status == "done", record.error
    assert not calls


def test_a_frozen_backbone_is_bit_identical_after_training_on_images(weights):
    augmented = Recipe(epochs=1, batch_size=20, augmentation=({"op": "flip"},))
    cell = cell_of("finetune", frozen_model(weights), training=augmented)
    scenario, model, _ = on_features(cell)
    method = METHODS["finetune"]().start(scenario, model, cell.training)
    before = {n: t.clone() for n, t in method.network.backbone.state_dict().items()}
    train_task(method, scenario, scenario.tasks[0])
    assert all(torch.equal(t, before[n]) for n, t in method.network.backbone.state_dict().items())
    report = method.parameters_report()
    assert report["frozen"] == sum(p.numel() for p in method.network.backbone.parameters())


def test_a_damaged_part_is_computed_again(weights, tmp_path, calls):
    cell = cell_of("ncm", frozen_model(weights))
    before = on_features(cell)[0].tasks[0].train.examples().images
    parts = sorted((tmp_path / "features").rglob("*.safetensors"))
    assert [p.name for p in parts][:2] == ["test-0000000.safetensors", "train-0000000.safetensors"]
    damaged = bytearray(parts[1].read_bytes())
    damaged[-10] ^= 1
    parts[1].write_bytes(damaged)
    calls.clear()
    with pytest.warns(UserWarning, match="damaged"):
        after = on_features(cell)[0].tasks[0].train.examples().images
    assert torch.equal(before, after)
    assert calls == [500]
    parts[1].write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"):
        on_features(cell)


def test_nothing_is_shared_between_other_weights_sizes_or_formats(weights, tmp_path):
    other = weights_file(tmp_path, 1)
    cells = [
        cell_of("ncm", frozen_model(weights)),
        cell_of("ncm", frozen_model(other)),
        cell_of("ncm", frozen_model(weights, image_size=40)),
    ]
    for cell in cells:
        on_features(cell)
    assert len({cell.identity for cell in cells}) == 3
    assert len(list((tmp_path / "features").iterdir())) == 3


def test_weights_count_by_their_checksum_and_not_by_their_place(weights, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "other-name.safetensors"
    moved.write_bytes(weights.read_bytes())
    one, same = cell_of("ncm", frozen_model(weights)), cell_of("ncm", frozen_model(moved))
    assert one.identity == same.identity
    assert one.identity != cell_of("ncm", frozen_model(weights_file(tmp_path, 1))).identity


def test_the_gate_does_not_compare_across_weights(weights, tmp_path):
    records = [run_cell(cell_of("ncm", frozen_model(w))) for w in (weights, weights_file(tmp_path, 1))]
    assert any("model.checksum" in line for line in settings_differences("model", *records))


def test_weights_that_went_stop_the_run_with_a_word(weights):
    cell = cell_of("ncm", frozen_model(weights))
    weights.unlink()
    with pytest.raises((DataNotFound, ValueError), match="weights"):
        run_cell(cell)


def _compute(model, images, root, results):
    found = Features(root, {"of": "a test", "precision": "fp32"})
    made = []

    def counted(backbone, batch, *rest):
        made.append(len(batch))
        return extract(backbone, batch, *rest)

    features.extract, features.PART = counted, 20
    total = found.of("train", images, model, Normalise(16.0, (0.5,) * 3, (0.5,) * 3), CPU)
    results.put((sum(made), float(total.sum())))


def test_processes_that_start_together_do_each_part_once(weights, tmp_path):
    context = multiprocessing.get_context("spawn")
    results, model = context.Queue(), frozen_model(weights)
    images = torch.randint(0, 17, (200, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    workers = [context.Process(target=_compute, args=(model, images, tmp_path / "shared", results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(n for n, _ in found) == 200
    assert found[0][1] == found[1][1]


def test_without_content_nothing_is_computed_or_kept(weights, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scenario, model, extractor = on_features(cell_of("er", frozen_model(weights)), empty=True)
    assert not (tmp_path / "features").exists()
    assert scenario.image_shape == (extractor.width, 1, 1)
    assert model.backbone == "identity"


def test_features_lie_with_the_results_unless_a_place_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RETAIN_FEATURES", "")
    assert CliRunner().invoke(app, ["status", "digits", "--results-dir", str(tmp_path / "mine")]).exit_code == 0
    assert features.features_root() == tmp_path / "mine/features"
    assert CliRunner().invoke(app, ["status", "digits", "--results-dir", str(tmp_path / "other")]).exit_code == 0
    assert features.features_root() == tmp_path / "mine/features"
