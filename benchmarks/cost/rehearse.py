"""A run before the run: what cannot work is said before anything is trained."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from benchmarks.cell.features import prepared
from benchmarks.cost.batches import batch_problem
from benchmarks.cost.empty import empty_scenario
from benchmarks.cost.valueless import META, valueless
from benchmarks.request.errors import SettingsError
from benchmarks.request.plugins import error_text
from benchmarks.request.suite import CellSettings
from methods import METHODS
from models import TimmSettings
from scenarios import DataNotFound, Scenario
from scenarios.own_names import with_hint

CPU = torch.device("cpu")


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
                    else empty_scenario(cell.scenario, cell.seed, data_root, META)
                )
            except DataNotFound as error:
                problems.append(with_hint(error, cell.scenario.data, data_root))
                scenarios[cell.scenario_name] = None
                absent.add(cell.scenario.data)
            except Exception as error:
                problems.append(f"scenario {cell.scenario_name}: {_said(error)}")
                scenarios[cell.scenario_name] = None
        scenario = scenarios[cell.scenario_name]
        pair = (cell.scenario_name, cell.method_name)
        if scenario is None or pair in tried:
            continue
        tried.add(pair)
        try:
            _check_weights(cell, scenario, with_weights)
            method = METHODS[cell.method.name].from_settings(cell.method.settings)
            device = CPU if with_data else META  # without values, which take longer to draw than all else here
            with nullcontext() if with_data else valueless():
                own, model, _ = prepared(cell, scenario, method, device, empty=True)
                method.start(own, model, cell.training, cell.seed, device)
            problem = batch_problem(cell, scenario, data_root)
        except DataNotFound:
            raise
        except Exception as error:
            problem = _said(error)
        if problem:
            problems.append(f"{cell.scenario_name} {cell.method_name}: {problem}")
    if absent:
        raise DataNotFound("\n".join(problems))
    if problems:
        raise SettingsError(problems)


def _said(error: Exception) -> str:
    """A ValueError says what to do; any other is a fault, of a plug-in more often than of ours, and has its place."""
    return (str(error) if isinstance(error, ValueError) else "") or error_text(error)


def _check_weights(cell: CellSettings, scenario: Scenario, at_hand: bool) -> None:
    """Raises ValueError where the weights of the cell's network want images of other channels than the scenario's,
    WeightsNotFound where they have to be `at_hand` and are not."""
    weights = cell.model.found() if isinstance(cell.model, TimmSettings) else None
    if weights is None:
        return
    channels, wanted = scenario.image_shape[0], len(weights.mean)
    if channels != wanted:
        raise ValueError(
            f"the weights of {cell.model.backbone} want images of {wanted} channels, and those of {cell.scenario.data} "
            f"have {channels}; take other data, or weights: none"
        )
    if at_hand:
        weights.at_hand(cell.model.backbone)
