"""What was run, read from the resolved settings and environments in the records, never from a suite's prose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.records.circumstances import circumstances
from benchmarks.records.networks import model_text, network_of, said
from benchmarks.records.record import RunRecord
from benchmarks.records.results import Runs, Settings
from benchmarks.request import declarations
from benchmarks.request.validation import has_validation
from benchmarks.wording import grouped, ranges, spread
from scenarios.class_orders import averaged_orders

Protocol = dict[str, str]


def protocol(runs: Runs) -> Protocol:
    """Subject -> text, for one scenario. Where methods differ, the text says which does what."""
    records = [record for by_seed in runs.records.values() for record in by_seed.values()]
    settings = runs.settings
    streams = [s["scenario"] for s in (*settings.values(), *(record.settings for record in records))]
    if not streams:
        return {"runs": "no method of this suite can run here"}
    stream = streams[0]
    text = {
        "data": _data(stream, records),
        "tasks": _tasks(stream, records),
        "setting": _setting(stream, settings),
        "class order": _class_order(stream),
    }
    if settings:
        text |= _trained(stream, settings, runs.chosen)
    text["seeds"] = ranges(runs.seeds)
    trained = [record for record in records if not record.scored]
    if trained or not records:
        text |= circumstances(trained)
    return {subject: line for subject, line in text.items() if line}


def _trained(stream: Settings, settings: Mapping[str, Settings], chosen: Mapping[str, str]) -> Protocol:
    """How the methods that ran here were trained."""
    return {
        "pixels": grouped({m: _pixels(stream, s["model"]) for m, s in settings.items()}),
        "training": grouped({m: _training(s["training"]) for m, s in settings.items()}),
        "optimizer": grouped({m: _optimizer(s["training"]) for m, s in settings.items()}),
        "network": grouped({m: _network(s) for m, s in settings.items()}),
        "buffers": _buffers(settings),
        "choice of hyperparameters": grouped(chosen),
    }


def shared_part(protocols: Iterable[Protocol]) -> Protocol:
    """The subjects on which all `protocols` say the same."""
    first, *others = protocols
    return {subject: text for subject, text in first.items() if all(p.get(subject) == text for p in others)}


def hyperparameters(all_runs: Iterable[Runs]) -> dict[str, str]:
    """Method -> its hyperparameters as resolved, in all scenarios or, where they differ, in each."""
    texts: dict[str, dict[str, str]] = {}
    for runs in all_runs:
        for method, settings in runs.settings.items():
            values = [_assignment(key, value) for key, value in sorted(settings["method"]["settings"].items())]
            texts.setdefault(method, {})[runs.scenario] = ", ".join(values) or "none"
    return {method: grouped(by_scenario) for method, by_scenario in texts.items()}


def _data(stream: Settings, records: list[RunRecord]) -> str:
    manifests = [r.scenario_manifest for r in records if r.scenario_manifest]
    checksums = sorted({str(m["data_checksum"]) for m in manifests if "data_checksum" in m})
    text = str(stream["data"])
    if checksums:
        text += f" (checksum {', '.join(checksums)})"
    if len(checksums) > 1:
        text += "; WARNING: the runs did not all see the same data"
    return text


# What the lines below say in words of their own; anything else in a stream's settings is listed by name.
_SAID = {"data", "setting", "stream", "tasks", "normalisation", "class_order", "active_outputs", "version", "padding"}


def _tasks(stream: Settings, records: list[RunRecord]) -> str:
    text = f"{stream['tasks']}, {stream['stream']}"
    manifests = [r.scenario_manifest for r in records if "classes" in r.scenario_manifest]
    if manifests:
        text += f", {spread(len(c) for m in manifests for c in m['classes'])} classes each"
    sized = [m for m in manifests if "train_sizes" in m and "test_sizes" in m]
    if sized:
        train, test = (spread(n for m in sized for n in m[key]) for key in ("train_sizes", "test_sizes"))
        kind = "validation" if has_validation(stream) else "test"
        text += f", {train} training and {test} {kind} images each"
    others = {k: v for k, v in stream.items() if k not in _SAID and v is not None and v is not False}
    return text + "".join(f", {_assignment(k, v)}" for k, v in sorted(others.items()))


def _setting(stream: Settings, settings: Mapping[str, Settings]) -> str:
    """What the setting means here. "Task-incremental" has two meanings in the literature; the head tells which."""
    setting = declarations.settings()[stream["setting"]]
    text = f"{stream['setting']}-incremental: {setting.about}"
    named = {method: s["model"].get("head", "auto") for method, s in settings.items()}
    heads = {m: _head(setting.heads[0] if head == "auto" else head) for m, head in named.items()}
    if not setting.shared_labels and not setting.task_id_at_test:
        active = {
            "seen": "those seen so far",
            "all": "all from the start",
            "task": "only those of the image's own task",
        }
        text += f"; in training, the active classes are {active[stream.get('active_outputs', 'seen')]}"
        if stream.get("active_outputs") == "all":
            heads = dict.fromkeys(heads, "one layer with the columns of all tasks from the start")
        if own := [m for m, s in settings.items() if s["method"]["settings"].get("compete") == "new"]:
            text += f" ({', '.join(own)}: those of the new task alone, compete = new)"
    return f"{text}. Output layer: {grouped(heads)}" if heads else text


def _head(head: str) -> str:
    trained = {"multi": "trained multi-head", "masked": "one head, masked"}.get(head, head)
    return f"{trained} ({declarations.heads()[head]})"


def _class_order(stream: Settings) -> str:
    order = stream.get("class_order")
    if order is None:
        return ""
    words = {"natural": "natural, the same for every seed", "per_seed": "drawn anew for every seed"}
    if isinstance(order, str):
        several = averaged_orders().get(order)
        return words.get(order, f"{', '.join(several)}: one a seed" if several else f"{order}, the same for every seed")
    return f"{', '.join(map(str, order))} for every seed"


def _pixels(stream: Settings, model: Settings) -> str:
    choice = stream.get("normalisation")
    words = {"dataset": "normalised by the data set's mean and standard deviation", "unit": "scaled to [0, 1]"}
    if model.get("weights", "none") != "none":
        text = "normalised as the weights were trained, whatever the data set"
    elif isinstance(choice, Mapping):
        text = f"normalised by mean {choice['mean']} and standard deviation {choice['std']}"
    else:
        text = words.get(str(choice), str(choice))
    return text + (f", {stream['padding']} zero pixels added on every side" if stream.get("padding") else "")


def _training(recipe: Settings) -> str:
    length = f"{recipe['epochs']} epochs a task" if recipe.get("steps") is None else f"{recipe['steps']} steps a task"
    last = ", a smaller last batch left out" if recipe.get("drop_last") else ""
    known = {"epochs", "steps", "batch_size", "drop_last", "optimizer", "optimizer_state", "schedule"}
    others = "".join(
        f", {_assignment(k, v)}"
        for k, v in sorted(recipe.items())
        if k not in known and said(declarations.recipe(), k, v)
    )
    return f"{length}, batches of {recipe['batch_size']}{last}{others}"


def _optimizer(recipe: Settings) -> str:
    settings = dict(recipe["optimizer"])
    name = settings.pop("name")
    values = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in sorted(settings.items()) if value)
    states = {"fresh": "its state fresh for every task", "kept": "its state kept from task to task"}
    return f"{name}, {values}, {recipe.get('schedule')} learning rate, {states[recipe['optimizer_state']]}"


def _network(settings: Settings) -> str:
    """The network; what a method makes of the backbone's layers is said by its hyperparameters and its name."""
    used = network_of(settings)
    return model_text(settings["model"]) if used.backbone else used.text


def _buffers(settings: Mapping[str, Settings]) -> str:
    """Stored examples of each method that has a buffer, alike ones together."""
    sizes: dict[int, list[str]] = {}
    for method, resolved in settings.items():
        size = resolved["method"]["settings"].get("buffer_size")
        if size is not None:
            sizes.setdefault(size, []).append(method)
    return "; ".join(f"{size:,} examples in all ({', '.join(methods)})" for size, methods in sorted(sizes.items()))


def _assignment(key: str, value: Any) -> str:
    if isinstance(value, (list, tuple)):
        parts = any(isinstance(v, Mapping) for v in value)
        value = " + ".join(map(_words, value)) if parts else "-".join(map(str, value))
    return f"{key} = {_words(value)}"


def _words(value: Any) -> str:
    """A setting with parts, e.g. an augmentation, without its braces."""
    if not isinstance(value, Mapping):
        return str(value)
    parts = sorted(value.items(), key=lambda item: (item[0] != "op", item[0]))
    return " ".join(_words(v) if k == "op" else f"{k} {_words(v)}" for k, v in parts if v is not None)
