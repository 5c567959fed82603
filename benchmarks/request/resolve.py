"""All settings of the cells of a suite, and all that is wrong with these said at once."""

from __future__ import annotations

import copy
import json
from typing import Any

from pydantic import ValidationError

from benchmarks.request.errors import SettingsError
from benchmarks.request.keys import dotted_fields
from benchmarks.request.plugins import error_text
from benchmarks.request.suite import MethodSettings, Resolved, Suite
from benchmarks.request.suite_yaml import merge, merge_model
from methods import METHODS, Recipe, method_class
from methods.core.hyperparameters import explain
from models import BACKBONES, kind_of, model_settings
from scenarios import DATASETS, SCENARIOS, DataNotFound, Stream, layout_for, resolve_head
from scenarios.datasets import in_files, near_data
from scenarios.nearest import nearest
from scenarios.own_names import FORMS, is_own, offer, with_checksum
from scenarios.validation import with_validation

MOST_TASKS = 10_000
Pair = tuple[str, str]
"""A scenario and a method, by the names that a suite gives them."""


def resolve(suite: Suite) -> tuple[dict[Pair, Resolved], dict[Pair, str]]:
    """The settings of each scenario and method of `suite` that can run, and why the others cannot. Raises SettingsError."""
    problems: list[str] = []
    streams: dict[str, Stream | None] = {}
    wrong: dict[str, list[str]] = {}
    for name, settings in suite.scenarios.items():
        lines: list[str] = []
        streams[name] = None
        try:
            checked = streams[name] = _stream(settings, lines)
            if checked is not None:
                lines += _refused_seeds(checked, suite.seeds_of(name))
        except Exception as error:  # of a plug-in, as below
            lines.append(error_text(error))
        for line in dict.fromkeys(lines):
            wrong.setdefault(line, []).append(name)
    problems += [f"scenario {', '.join(names)}: {line}" for line, names in wrong.items()]
    alone: list[str] = []
    _resolve_parts(suite.model, suite.training, alone)
    if not (suite.scenarios and suite.methods):
        problems += alone
    resolved: dict[tuple[str, str], dict[str, Any]] = {}
    overridden: dict[str, list[str]] = {}
    for scenario in suite.scenarios:
        for method in suite.methods:
            lines = []
            pair = resolved[scenario, method] = _resolve_pair(suite, scenario, method, problems, lines)
            for line in lines:
                if line in alone:
                    problems.append(line)
                else:
                    overridden.setdefault(line, []).append(f"{scenario} {method}")
            stream = streams[scenario]
            try:
                if (
                    stream
                    and "method" in pair
                    and "model" in pair
                    and not misfit(suite, scenario, method, stream, pair)
                ):
                    resolve_head(_layout(stream), pair["model"].head)
            except ValueError as error:
                problems.append(f"{scenario}: {error}")
            except Exception as error:
                problems.append(f"{scenario} {method}: {error_text(error)}")
    for line, pairs in overridden.items():
        more = f" and {len(pairs) - 1} more" if len(pairs) > 1 else ""
        problems.append(f"{line} (with `overrides`, of {pairs[0]}{more})")
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    found: dict[Pair, Resolved] = {}
    impossible: dict[Pair, str] = {}
    for (scenario, method), pair in resolved.items():
        stream = streams[scenario]
        assert stream is not None, "said above"
        if reason := misfit(suite, scenario, method, stream, pair):
            impossible[scenario, method] = reason
        else:
            found[scenario, method] = Resolved.of(stream, **pair)
    return found, impossible


def streams_of(suite: Suite) -> dict[str, Stream]:
    """The streams of a suite that was resolved, by scenario."""
    found = {name: _stream(settings, []) for name, settings in suite.scenarios.items()}
    return {name: stream for name, stream in found.items() if stream is not None}


def recipe_of(suite: Suite) -> dict[str, Any]:
    """Network and training of a suite that was resolved, as they are where no override changes them."""
    parts = _resolve_parts(copy.deepcopy(suite.model), copy.deepcopy(suite.training), [])
    return {name: part.model_dump(mode="json") for name, part in parts.items()}


def _refused_seeds(stream: Stream, seeds: list[int]) -> list[str]:
    problems = []
    for seed in seeds:
        try:
            stream.check_seed(seed)
        except ValueError as error:
            problems.append(str(error))
    return problems


def misfit(suite: Suite, scenario: str, method: str, stream: Stream, pair: dict[str, Any]) -> str | None:
    """Why this pair has no cell, whose method is `pair["method"]`; None or empty where it has."""
    return METHODS[pair["method"].name].incompatibility(_layout(stream)) or suite.left_out(scenario, method)


def _layout(stream: Stream):
    # only the setting matters here, so two tasks of one class stand for the real ones
    return layout_for(stream.setting, [1, 1], stream.active_outputs)


def _resolve_pair(suite: Suite, scenario: str, method: str, problems: list[str], of_parts: list[str]) -> dict[str, Any]:
    """The method, model and training of a cell, as far as they are right.

    What is wrong is added to `problems`, of model and training to `of_parts`.
    """
    settings = copy.deepcopy(suite.methods[method])
    model, training = copy.deepcopy(suite.model), copy.deepcopy(suite.training)
    base, own_model = settings.pop("method", method), settings.pop("model", {})
    if isinstance(own_model, dict):
        model = merge_model(model, own_model)
    else:
        problems.append(f"method {method}: model: {own_model!r} should be a mapping, e.g. {{backbone: resnet18}}")
    for override in suite.overrides:
        if override.matches(scenario, method):
            settings = merge(settings, override.method)
            model = merge_model(model, override.model)
            training = merge(training, override.training)
    result = _resolve_parts(model, training, of_parts)
    if not isinstance(base, str):
        problems.append(f"method {method}: method: {base!r} should be the name of a method")
        return result
    try:
        cls = method_class(base)
        if "model" in result:
            cls.check_backbone(result["model"])
        made = cls.from_settings(settings)
        result["method"] = MethodSettings(name=base, version=cls.version, settings=made.hyperparameters())
        if "training" in result and result["training"].mixup and (problem := made.mixup_problem()):
            problems.append(f"method {method}: {problem}")
    except ValueError as error:
        problems.extend(f"method {method}: {line}" for line in str(error).splitlines())
    except Exception as error:
        problems.append(f"method {method}: {error_text(error)}")
    return result


def _resolve_parts(model: dict[str, Any], training: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    try:
        result["model"] = model_settings(model)
    except ValidationError as error:
        problems.extend(explain(error, dotted_fields(BACKBONES[kind_of(model.get("backbone", "mlp"))]), within="model"))
    except ValueError as error:
        problems.append(f"model: {error}")
    except Exception as error:
        problems.append(f"model: {error_text(error)}")
    try:
        result["training"] = Recipe.model_validate_json(json.dumps(training))
    except ValidationError as error:
        problems.extend(explain(error, dotted_fields(Recipe), within="training"))
    return result


def _stream(settings: dict[str, Any], problems: list[str]) -> Stream | None:
    kind = settings.get("stream")
    if not isinstance(kind, str) or kind not in SCENARIOS:
        said = "stream: missing" if kind is None else f"unknown stream {kind!r}"
        problems.append(f"{said}{nearest(str(kind), SCENARIOS)}")
        return None
    data = settings.get("data")
    if isinstance(data, str) and is_own(data):
        try:
            settings = settings | {"data": with_checksum(data)}
        except DataNotFound as error:
            problems.append(f"data: {error}")
        offer(settings["data"])
    settings = {
        key: value for key, value in settings.items() if value is not None or key not in ("validation", "of_tasks")
    }
    cls = with_validation(SCENARIOS[kind]) if {"validation", "of_tasks"} & settings.keys() else SCENARIOS[kind]
    try:
        stream = cls.model_validate_json(json.dumps(settings))
    except ValidationError as error:
        problems.extend(explain(error, dotted_fields(with_validation(SCENARIOS[kind]))))
        return None
    if stream.data not in DATASETS and not in_files(stream.data):
        problems.append(f"data: unknown data set {stream.data!r}{near_data(stream.data)}; {FORMS}")
    if stream.tasks > MOST_TASKS:
        problems.append(f"tasks: {stream.tasks} is more than the {MOST_TASKS:,} that a matrix can be kept of")
    return stream
