"""Heads on frozen features, against what the releases' own code computed from the same numbers (golden/*.json)."""

from __future__ import annotations

import json

import pytest
import torch

from methods import METHODS
from methods.fecam import covariance
from methods.ranpac import RIDGES, RidgeHead
from tests.parity.cases import GOLDEN, assert_close

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
FLOAT32 = {"rtol": 2e-4, "atol": 2e-5}
"""Inverses are kept in single precision."""


def golden(name: str):
    document = json.loads((GOLDEN / f"{name}.json").read_text())
    return document["inputs"], document["outputs"]


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def head_of(name: str, features: int, classes: int, **settings):
    return METHODS[name](**settings)._head(features, classes)


def two_tasks(head, inputs, key: str = "features"):
    """`head` after task 1, then after task 2: its columns grow with the tasks."""
    for task in (1, 2):
        labels = torch.tensor(inputs[f"labels_task{task}"])
        head.grow(max(head.n_outputs, int(labels.max()) + 1))
        head.add(tensor(inputs[f"{key}_task{task}"]), labels)
        head.settle()
        yield task


@pytest.mark.parametrize(
    ("settings", "prefix", "means", "scores", "sign"),
    [
        ({"similarity": "cosine"}, "simplecil", "prototypes", "logits", 1),
        ({"unit_length": True}, "ncm_normalised", "class_means", "distances", -1),
    ],
)
def test_nearest_means(settings, prefix, means, scores, sign):
    inputs, outputs = golden("ncm_simplecil")
    head = head_of("ncm", 5, 0, **settings)
    for task in two_tasks(head, inputs):
        expected = outputs[f"{prefix}_task{task}"]
        found = head(tensor(inputs["queries"]))
        assert_close(head.means, expected[means], **CLOSE)
        assert_close(sign * found, expected[scores], **CLOSE)
        assert found.argmax(1).tolist() == expected["predictions"]


def test_distances_to_raw_means_as_avalanche():
    inputs, outputs = golden("ncm_simplecil")
    head = head_of("ncm", 5, 0)
    list(two_tasks(head, inputs))
    expected, given = outputs["avalanche_normalize_false"], inputs["avalanche"]["classes_given"]
    assert_close(head.means[given], tensor(expected["class_means"])[given].tolist(), **CLOSE)
    # a class without a mean has that of zeros there, and competes
    assert_close(head(tensor(inputs["queries"]))[:, given], tensor(expected["logits"])[:, given].tolist(), **CLOSE)


@pytest.mark.parametrize(
    "case", ["stream_after_1", "stream_after_2", "stream_after_5", "stream_after_12", "stream_after_20"]
)
@pytest.mark.parametrize("at_once", [1, 3, 20])
def test_streaming_discriminant_analysis(case, at_once):
    inputs, outputs = golden("slda")
    n, expected = int(case.rpartition("_")[2]), outputs[case]
    head = head_of("slda", 4, inputs["classes"], shrinkage=inputs["shrinkage"])
    x, y = tensor(inputs["samples"])[:n], torch.tensor(inputs["labels"])[:n]
    for rows in torch.arange(n).split(at_once):
        head.add(x[rows], y[rows])
    head.settle()
    assert_close(head.means, expected["means"], **CLOSE)
    assert head.counts.tolist() == expected["counts"]
    assert_close(head.covariance, expected["covariance"], **CLOSE)
    if "scores" in expected:
        # unseen classes have score 0 there, and compete
        seen = head.counts > 0
        scores = head(tensor(inputs["queries"]))
        assert_close(scores[:, seen], tensor(expected["scores"])[:, seen].tolist(), **CLOSE)


def test_discriminant_analysis_at_the_published_shrinkage():
    inputs, outputs = golden("slda")
    head = head_of("slda", 4, inputs["classes"])
    head.add(tensor(inputs["samples"]), torch.tensor(inputs["labels"]))
    head.settle()
    expected, scores = outputs["stream_after_20_shrinkage_1e-4"], head(tensor(inputs["queries"]))
    assert_close(scores, expected["scores"], rtol=1e-8, atol=1e-8)
    assert scores.argmax(1).tolist() == expected["predictions"]


FECAM = {
    "full_task2": {},
    "no_tukey_task2": {"tukey": 1.0},
    "no_normalisation_task2": {"correlations": False},
    "no_shrinkage_no_normalisation_task2": {"times": 0, "correlations": False},
    "common_covariance_task2": {"covariance": "common"},
    "diagonal_task2": {"covariance": "diagonal"},
}


@pytest.mark.parametrize("case", FECAM)
def test_mahalanobis_distances(case):
    inputs, outputs = golden("fecam")
    head, expected = head_of("fecam", 4, 0, **FECAM[case]), outputs[case]
    list(two_tasks(head, inputs))
    found = head(tensor(inputs["queries"]))
    assert_close(-found, expected["distances"], **FLOAT32)
    assert found.argmax(1).tolist() == expected["predictions"]
    if "common_cov" in expected:
        assert_close(head.common, expected["common_cov"], **CLOSE)


def test_covariances_of_classes_are_shrunk_twice_and_made_correlations():
    inputs, outputs = golden("fecam")
    head, expected = head_of("fecam", 4, 5), outputs["full_task2"]
    x = torch.cat([tensor(inputs[f"features_task{t}"]) for t in (1, 2)])
    y = torch.tensor(inputs["labels_task1"] + inputs["labels_task2"])
    for label in range(5):
        own = covariance(x[y == label].sqrt())
        assert_close(head._shrunk(own), expected["cov_shrunk_once"][label], **CLOSE)
        assert_close(head._shrunk(head._shrunk(own)), expected["cov_shrunk_twice"][label], **CLOSE)
        assert_close(head.of_class(own), expected["cov_normalised"][label], **CLOSE)


@pytest.mark.parametrize("projected", [True, False])
def test_ridge_regression_on_random_projections(projected):
    inputs, outputs = golden("ranpac")
    projection = tensor(inputs["projection"]) if projected else None
    head, prefix = RidgeHead(6, 0, projection, None), "projection" if projected else "no_projection"
    assert inputs["lambdas"] == pytest.approx(RIDGES)
    for task in (1, 2):
        expected = outputs[f"{prefix}_task{task}"]
        x, y = tensor(inputs[f"features_task{task}"]), torch.tensor(inputs[f"labels_task{task}"])
        head.grow(int(y.max()) + 1)
        head.add(x, y)
        # of the release's columns, those of classes to come are right: both are 0
        errors = head.errors(x, y) * head.n_outputs / inputs["classes_total"]
        assert_close(errors[4:], expected["validation_mse"][4:], rtol=1e-7, atol=1e-9)
        assert_close(errors[:4], expected["validation_mse"][:4], rtol=1e-5, atol=1e-5)
        head.choose(x, y)
        assert head.ridge == pytest.approx(expected["chosen_lambda"])
        head.settle()
        scores = head(tensor(inputs["queries"]))
        if projected:
            assert_close(head.gram.diagonal(), expected["G_diagonal"], **CLOSE)
            assert_close(head.products[:, 0], expected["Q_row0"][: head.n_outputs], **CLOSE)
        assert_close(head.weight, expected["weight"], rtol=1e-7, atol=1e-9)
        assert_close(scores, expected["logits"], rtol=1e-7, atol=1e-9)
        assert scores.argmax(1).tolist() == expected["predictions"]
