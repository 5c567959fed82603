"""A run before the run: what cannot work is said before anything is trained."""

from __future__ import annotations

import torch

from benchmarks.cell.features import prepared
from benchmarks.cost.batches import batch_problem
from benchmarks.cost.empty import empty_scenario
from benchmarks.request.errors import SettingsError
from benchmarks.request.suite import CellSettings
from methods import METHODS
from models import TimmSettings
from scenarios import DataNotFound, Scenario
from scenarios.own_names import with_hint


def rehearse(
    cells: list[CellSettings], data_root: str | None, with_data: bool = True, with_weights: bool = True
) -> None:
    """Finds the data and starts each method once, so that what cannot work is said before anything is trained.

    Without data, images without content stand for it, of data sets whose sizes are known; without weights, published
    ones need not be on this machine. Raises DataNotFound, or SettingsError with every scenario and method that cannot be
    built.
    """
    problems: list[str] = []
    absent: set[str] = set()  # data sets, each looked for and said once
    scenarios: dict[str, Scenario | None] = {}
    tried: set[tuple[str, str]] = set()
    for cell in cells:
        if cell.scenario.data in absent:
            continue
        if cell.scenario_name not in scenarios:
            try:
                scenarios[cell.scenario_name] = (
                    cell.scenario.build(cell.seed, data_root, cell.scenario_name)
                    if with_data
                    else empty_scenario(cell.scenario, cell.seed, data_root, torch.device("cpu"))
                )
            except DataNotFound as error:
                problems.append(with_hint(error, cell.scenario.data, data_root))
                scenarios[cell.scenario_name] = None
                absent.add(cell.scenario.data)
            except ValueError as error:
                problems.append(f"scenario {cell.scenario_name}: {error}")
                scenarios[cell.scenario_name] = None
        if with_weights and isinstance(cell.model, TimmSettings) and (weights := cell.model.found()):
            weights.at_hand(cell.model.backbone)
        scenario = scenarios[cell.scenario_name]
        pair = (cell.scenario_name, cell.method_name)
        if scenario is None or pair in tried:
            continue
        tried.add(pair)
        try:
            method = METHODS[cell.method.name].from_settings(cell.method.settings)
            own, model, _ = prepared(cell, scenario, method, torch.device("cpu"), empty=True)
            method.start(own, model, cell.training, cell.seed)
            problem = batch_problem(cell, scenario, data_root)
        except ValueError as error:
            problem = str(error)
        if problem:
            problems.append(f"{cell.scenario_name} {cell.method_name}: {problem}")
    if absent:
        raise DataNotFound("\n".join(problems))
    if problems:
        raise SettingsError(problems)
