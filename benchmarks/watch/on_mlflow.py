"""MLflow: a file store, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
from typing import Any

from numpy import uint8
from numpy.typing import NDArray

from benchmarks.watch.tracker import Run, Tracker

_LONGEST = 500
"""Characters of a parameter's value that every store takes."""


class MLflow(Tracker):
    """A run for each cell in the experiment that is called after the suite."""

    def __init__(self) -> None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # which newer versions ask for
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        self._param, self._connect = Param, MlflowClient

    def start(self, run: Run) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        self._client: Any = self._connect(os.environ.get("MLFLOW_TRACKING_URI") or run.folder.resolve().as_uri())
        self._id = self._client.create_run(
            self._experiment(run.group), run_name=run.name, tags={"retain.cell": run.id}
        ).info.run_id
        params = [self._param(name, str(value)[:_LONGEST]) for name, value in run.settings.items()]
        for first in range(0, len(params), 100):  # as many as a server takes at a time
            self._client.log_batch(self._id, params=params[first : first + 100])

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name)
            except Exception:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return found.experiment_id  # or made by another worker meanwhile

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._id, name, value, step=step)

    def image(self, name: str, image: NDArray[uint8], step: int) -> None:
        self._client.log_image(self._id, image, artifact_file=f"{name}.png")  # the last one stays

    def end(self, scores: dict[str, float]) -> None:
        for id, value in scores.items():
            self._client.log_metric(self._id, f"score/{id}", value)
        self._client.set_terminated(self._id, status="FINISHED" if scores else "FAILED")
