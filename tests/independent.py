"""`python -m tests.independent SUITE`: heads on frozen features against scikit-learn, on every test image of CIFAR-100.

Trains ncm, slda and ridge regression on the suite's first scenario and seed, fits scikit-learn's estimators on the same
features of all training images at once, and prints on how many test images the two name the same class. Features that are
not stored yet are computed first (benchmarks/cell/features.py).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestCentroid

from benchmarks.cell.features import prepared
from benchmarks.cell.run import train_task
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from methods import METHODS

SHRINKAGE = 1e-4
METHOD_SETTINGS = {
    "ncm": {},
    "slda": {"covariance": "pooled", "shrinkage": SHRINKAGE},
    "ranpac": {"random_features": 0},
}
CPU = torch.device("cpu")


class Shrunk(EmpiricalCovariance):
    """(1 - s) S + s I, as slda shrinks."""

    def fit(self, X, y=None):
        super().fit(X)
        self.covariance_ = (1 - SHRINKAGE) * self.covariance_ + SHRINKAGE * np.eye(X.shape[1])
        return self


def equal_shares(suite: str, data_root: Path | None) -> dict[str, float]:
    """Method -> share of the test images that ours, after all tasks, and scikit-learn's give the same class."""
    cell = make_grid(load_suite(suite)).cells[0]
    images = cell.scenario.build(cell.seed, data_root)
    shares = {}
    for name, settings in METHOD_SETTINGS.items():
        method = METHODS[name](**settings)
        scenario, model, extractor = prepared(cell, images, method, CPU)
        assert extractor is not None, f"{suite} does not learn on features"
        method.start(scenario, model)
        for task in scenario.tasks:
            train_task(method, scenario, task)
        train, test = (stacked(method, scenario, part) for part in ("train", "test"))
        method.network.eval()
        with torch.no_grad():
            ours = torch.cat(
                [method.predict(x[:, :, None, None]).argmax(1) for x in torch.from_numpy(test[0]).float().split(1000)]
            )
        shares[name] = float((ours.numpy() == theirs(name, method, *train, test[0])).mean())
    return shares


def stacked(method, scenario, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Features float64 [N, d] and labels [N] of all tasks."""
    examples = [getattr(task, part) for task in scenario.tasks]
    x = torch.cat([batch.x for e in examples for batch in method.batches(e.examples())]).flatten(1)
    return x.double().numpy(), torch.cat([e.labels for e in examples]).numpy()


def theirs(name: str, method, x: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Classes [N] that scikit-learn's estimator of all training features gives."""
    if name == "ncm":
        return NearestCentroid().fit(x, y).predict(test)
    if name == "ranpac":
        ridge = Ridge(alpha=method.network.head.ridge, fit_intercept=False, solver="cholesky")
        return ridge.fit(x, np.eye(y.max() + 1)[y]).predict(test).argmax(1)
    lda = LinearDiscriminantAnalysis("lsqr", covariance_estimator=Shrunk()).fit(x, y)
    return lda.predict(test)


if __name__ == "__main__":
    root = os.environ.get("DATA_ROOT")
    for name, share in equal_shares(sys.argv[1], Path(root) if root else None).items():
        print(f"{name}: {share:.4%}")
