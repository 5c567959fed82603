"""Heads computed from features: equal to scikit-learn's on all data, whatever the tasks and their order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from benchmarks.cell.run import train_task
from methods import METHODS
from methods.ranpac import RIDGES
from models import IdentitySettings
from scenarios import Split, load_dataset

SHRINKAGE = 1e-2
PIXELS = IdentitySettings(backbone="identity")
ORDERS = [tuple(range(10)), (3, 1, 4, 5, 9, 2, 6, 8, 7, 0)]
HEADS = {
    "ncm": {},
    "slda": {"covariance": "pooled", "shrinkage": SHRINKAGE},
    "ranpac": {"random_features": 300, "ridge": 10.0},
    "fecam": {"tukey": 1.0},
    "knn": {},
}


def trained(name: str, order=ORDERS[0], tasks: int = 5, **settings):
    """The method after all of digits in `tasks` tasks; and its answers, as classes, to the test images."""
    scenario = Split(data="digits", setting="class", tasks=tasks, class_order=order).build(0)
    method = METHODS[name](**settings).start(scenario, PIXELS)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    x = scenario.normalise(load_dataset("digits").test_images)
    method.network.eval()
    return method, torch.tensor(order)[method.predict(x).argmax(1)].numpy()


def pixels():
    """Training pixels, normalised, and labels; test pixels."""
    d = load_dataset("digits")
    normalise = Split(data="digits", setting="class").build(0).normalise
    train, test = (normalise(i).flatten(1).double().numpy() for i in (d.train_images, d.test_images))
    return train, d.train_labels.numpy(), test


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(("order", "tasks"), [(ORDERS[1], 5), (ORDERS[0], 1), (ORDERS[1], 10)])
def test_the_answers_are_those_of_all_data_at_once_in_any_order(name, order, tasks):
    assert np.array_equal(trained(name, **HEADS[name])[1], trained(name, order, tasks, **HEADS[name])[1])


def test_ncm_is_the_nearest_centroid():
    train, labels, test = pixels()
    assert np.array_equal(trained("ncm")[1], NearestCentroid().fit(train, labels).predict(test))


class Shrunk(EmpiricalCovariance):
    def fit(self, X, y=None):
        super().fit(X)
        self.covariance_ = (1 - SHRINKAGE) * self.covariance_ + SHRINKAGE * np.eye(X.shape[1])
        return self


def test_slda_is_linear_discriminant_analysis():
    train, labels, test = pixels()
    share = np.bincount(labels) / len(labels)
    theirs = LinearDiscriminantAnalysis("lsqr", covariance_estimator=Shrunk(), priors=share).fit(train, labels)
    scores = theirs.decision_function(test) - np.log(share)  # ours takes classes as equally likely
    pooled = trained("slda", ORDERS[1], **HEADS["slda"])[1]
    assert np.array_equal(pooled, scores.argmax(1))
    # the release's weights of each image are another estimate of the same covariance
    assert (trained("slda", ORDERS[1], shrinkage=SHRINKAGE)[1] == scores.argmax(1)).mean() > 0.98


@pytest.mark.parametrize("projected", [0, 300])
def test_ranpac_is_ridge_regression(projected):
    train, labels, test = pixels()
    method, answers = trained("ranpac", random_features=projected, ridge=10.0)
    if projected:
        matrix = method.network.head.projection.double().numpy()
        train, test = np.maximum(train @ matrix, 0), np.maximum(test @ matrix, 0)
    theirs = Ridge(alpha=10.0, fit_intercept=False).fit(train, np.eye(10)[labels])
    assert np.array_equal(answers, theirs.predict(test).argmax(1))
    np.testing.assert_allclose(method.network.head.weight.numpy(), theirs.coef_, rtol=1e-4, atol=1e-8)


def test_knn_is_a_vote_of_neighbours():
    train, labels, test = pixels()
    theirs = KNeighborsClassifier(20, weights=lambda d: np.exp(-d / 0.07), metric="cosine", algorithm="brute")
    assert (trained("knn")[1] == theirs.fit(train, labels).predict(test)).mean() >= 0.997


def test_the_backbone_is_never_trained_and_nothing_grows_but_the_head():
    from tests.methods.helpers import TINY_RESNET, snapshot, unchanged

    scenario = Split(data="digits", setting="class", tasks=2, samples_per_task=40).build(0)
    for name in ("ncm", "linear-probe", "slda"):
        method = METHODS[name]().start(scenario, TINY_RESNET)
        before = snapshot(method.network.backbone)
        for task in scenario.tasks:
            train_task(method, scenario, task)
        assert unchanged(method.network.backbone, before), name
        trainable = method.parameters_report()["trainable"]
        assert trainable == (0 if name != "linear-probe" else sum(p.numel() for p in method.network.head.parameters()))


def test_features_that_have_no_power_are_said():
    with pytest.raises(ValueError, match="tukey: 1"):
        trained("fecam")


def test_solvers_are_counted():
    method, _ = trained("slda")
    assert method.extra_flops() == 0  # taken by the runner after each task
    head = method.network.head
    assert head.settle() == 2 * 64**3 // 3 + 2 * 64**2 * 10


def test_lambda_is_chosen_and_said():
    method, _ = trained("ranpac", random_features=100)
    chosen = method.diagnostics()["lambda"]
    assert chosen in RIDGES
    features = torch.randn(100, 64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(100) % 10
    errors = method.network.head.errors(features, labels)  # of noise: the more it is held down, the better
    assert errors.argmin() >= errors.argmax()


@pytest.mark.parametrize("compete", ["setting", "new"])
def test_the_classes_in_a_linear_probe_s_loss(compete):
    scenario = Split(data="digits", setting="class", tasks=2, samples_per_task=40).build(0)
    method = METHODS["linear-probe"](compete=compete).start(scenario, PIXELS)
    train_task(method, scenario, scenario.tasks[0])
    before = method.network.head.linear.weight[:5].detach().clone()
    train_task(method, scenario, scenario.tasks[1])
    assert torch.equal(method.network.head.linear.weight[:5], before) == (compete == "new")
