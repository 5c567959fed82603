"""`check`: proves a method's contract by running it on small real digits, in every setting that it can do.

Each claim is a function of a `Trial` that returns where it holds, raises Broken with what is wrong, or NotApplicable.
What a method learned is compared bit for bit between runs that differ in one thing only: the test data, the tasks to
come, the state of the global random generators, a stop in the middle. If nothing it learned changes, none of it
reached the method, by whatever way.
"""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cell.fit import Trainer
from benchmarks.cell.run import inference_flops
from benchmarks.cell.state import decode, encode, modules_of
from benchmarks.contract.kept import TrainingImages
from benchmarks.contract.load import load_methods
from benchmarks.contract.trial import (
    BUFFER,
    RECIPE,
    OffLimits,
    Run,
    complete,
    global_generators,
    make,
    same_state,
    small_scenario,
    start,
    with_other_tests,
)
from benchmarks.request.errors import describe
from methods import Method
from metrics.flops import FlopMeter
from scenarios import SETTINGS, Normalise, Scenario

NEW_CLASSES = (0, 1, 2, 3, 8, 9)
"""The classes of the small scenario with another last task."""


class Broken(Exception):
    """A claim does not hold; the message says how."""


class NotApplicable(Exception):
    """A claim means nothing for this method; the message says why."""


@dataclass
class Trial:
    """A method in one setting."""

    cls: type[Method]
    setting: str

    @cached_property
    def scenario(self) -> Scenario:
        return small_scenario(self.setting)

    @cached_property
    def base(self) -> Run:
        """The undisturbed run that others are compared with."""
        with global_generators(1):
            return complete(start(self.cls, self.scenario))


def runs_through(trial: Trial) -> None:
    """three tasks, each evaluated wherever the setting has an answer, all weights finite"""
    run, layout = trial.base, trial.scenario.layout
    for i, row in enumerate(run.rows):
        for j, cell in enumerate(row):
            exists = layout.can_evaluate(j, i) and (j < i or run.method.answers_unseen(layout))
            if (cell is not None) != exists:
                raise Broken(f"no answer for task {j} after {i} tasks")
    infinite = [name for name, value in run.states[-1].items() if not value.isfinite().all()]
    if infinite:
        raise Broken(f"{infinite[0]} is not finite after the last task")
    report = run.method.parameters_report()
    if report.get("total") != report.get("frozen", 0) + report.get("trainable", 0) or report["total"] <= 0:
        raise Broken(f"parameters_report gives {report}: total should be frozen + trainable")


def no_task_id(trial: Trial) -> None:
    """an image gets the same scores alone, in any batch and at any place in it, and when asked again"""
    run, setting = trial.base, trial.scenario.layout.setting
    images = [task.test.kept.images[:4] for task in trial.scenario.tasks]
    told = [(k,) if setting.task_id_at_test else () for k in range(len(images))]
    run.method.network.eval()
    try:
        with torch.no_grad():
            for k, (own, task) in enumerate(zip(images, told, strict=True)):
                # where the setting tells the task, a batch is of one task by right
                others = own if task else torch.cat([x for other, x in enumerate(images) if other != k])
                _each_image_by_itself(run.method, trial.scenario.normalise, own, others, task)
    finally:
        run.method.network.train()


def _each_image_by_itself(
    method: Method, normalise: Normalise, images: Tensor, others: Tensor, told: tuple[int, ...]
) -> None:
    """Scores of `images` beside each other, as the last of a batch of `others`, turned round, and beside copies of one.

    A vote of the batch, its statistics and what is passed on by places all show in one of these.
    """
    n = len(images)
    first = method.predict(normalise(images), *told)
    if not torch.equal(first, method.predict(normalise(images), *told)):
        raise Broken("predict gives other scores when asked again: it learns or draws at test time")
    copies = others[:1].expand(3 * n, *others.shape[1:])
    batches = {
        "from those that it gets alone": torch.cat(
            [method.predict(normalise(image), *told) for image in images.split(1)]
        ),
        "after other images in a batch": method.predict(normalise(torch.cat([others, images])), *told)[-n:],
        "in another order": method.predict(normalise(images.flip(0)), *told).flip(0),
        "beside copies of one image": method.predict(normalise(torch.cat([images, copies])), *told)[:n],
    }
    for where, scores in batches.items():
        if not torch.allclose(first, scores, rtol=1e-3, atol=1e-4):
            raise Broken(
                f"scores of an image depend on the other images of its batch, which tell the task: they differ {where}"
            )


def no_test_data(trial: Trial) -> None:
    """it reads none where it is built, and with other test images and labels learns the same, bit for bit"""
    _untouched(trial, "test")
    _same_learning(trial, with_other_tests(trial.scenario), len(trial.scenario.tasks), "other test data changes")


def no_future(trial: Trial) -> None:
    """it reads none where it is built, and with another task to come learns the same before, bit for bit"""
    _untouched(trial, "train")
    last = len(trial.scenario.tasks) - 1
    _same_learning(trial, small_scenario(trial.setting, NEW_CLASSES), last, "what a later task holds changes")


def _untouched(trial: Trial, part: str) -> None:
    reached = [name for name in trial.base.touched if f".{part}." in name]
    if reached:
        raise Broken(f"reads {', '.join(dict.fromkeys(reached))} in build, and hides the error")


def _same_learning(trial: Trial, other: Scenario, tasks: int, change: str) -> None:
    with global_generators(1):
        run = start(trial.cls, other)
        run.evaluate()
        for task in other.tasks[:tasks]:
            run.train(task)
            run.evaluate()
    for k in range(tasks):
        part = same_state(trial.base.states[k], run.states[k])
        if part is not None:
            raise Broken(f"{change} what it learns in task {k} ({part})")


def past_data(trial: Trial) -> None:
    """of earlier tasks it keeps no training image outside a buffer of `buffer_size`"""
    if trial.cls.sees_past_data:
        raise NotApplicable("it declares sees_past_data and is given all of it")
    size = BUFFER if "buffer_size" in trial.cls._hyperparameter_names() else 0
    method, last = trial.base.method, len(trial.scenario.tasks) - 1
    kept = TrainingImages(trial.scenario).kept(method)
    earlier = {image: path for image, path in kept.items() if image[0] < last}
    # a method may still hold the last batch, but no more of the current task than that
    if len(earlier) > size or (size and len(kept) > size + RECIPE.batch_size):
        count, where = (len(earlier), "earlier tasks") if len(earlier) > size else (len(kept), "all tasks")
        paths = ", ".join(sorted(set((earlier or kept).values()))[:3])
        allowed = f"buffer_size is {size}" if size else "it has no buffer_size"
        raise Broken(f"keeps {count} training images of {where} in {paths}; {allowed}")


def budget(trial: Trial) -> None:
    """footprint stays within `buffer_size` examples"""
    wrong = [f for f in trial.base.footprints if not all(isinstance(v, int) and v >= 0 for v in f.values())]
    if wrong:
        raise Broken(f"footprint gives {wrong[0]}: bytes by part, as whole numbers, are wanted")
    if "buffer_size" not in trial.cls._hyperparameter_names():
        if any("buffer" in f for f in trial.base.footprints):
            raise Broken("footprint reports a buffer, but there is no hyperparameter buffer_size to bound it")
        raise NotApplicable("it has no buffer_size")
    examples = trial.scenario.tasks[0].train.examples()
    allowed = BUFFER * (examples.nbytes // len(examples))
    for k, footprint in enumerate(trial.base.footprints):
        if "buffer" not in footprint:
            raise Broken(f"has a buffer_size, but footprint has no part 'buffer' after task {k}: {footprint}")
        if footprint["buffer"] > allowed:
            raise Broken(
                f"buffer of {footprint['buffer']} bytes after task {k}; buffer_size {BUFFER} allows {allowed} "
                f"({allowed // BUFFER} an example)"
            )


def deterministic(trial: Trial) -> None:
    """the same seed gives the same network and counts, bit for bit, and global generators are left alone"""
    with global_generators(2):
        before = random.getstate(), np.random.get_state()  # noqa: NPY002
        again = complete(start(trial.cls, trial.scenario))
        after = random.getstate(), np.random.get_state()  # noqa: NPY002
    for k, (one, other) in enumerate(zip(trial.base.states, again.states, strict=True)):
        part = same_state(one, other)
        if part is not None:
            raise Broken(f"a second run differs after task {k} ({part}): draw from self.generator(...)")
    if trial.base.rows != again.rows:
        raise Broken("a second run has the same network but other counts: predict draws at random")
    if trial.base.trainer.meter.parts != again.trainer.meter.parts:
        raise Broken("a second run takes other FLOPs")
    if before[0] != after[0]:
        raise Broken("it uses Python's global random: draw from self.generator(...)")
    if any(np.any(a != b) for a, b in zip(before[1], after[1])):
        raise Broken("it uses numpy's global generator: draw from self.generator(...)")


def small_tasks(trial: Trial) -> None:
    """tasks of one class, seven images in batches of three: the last has one"""
    recipe = RECIPE.model_copy(update={"batch_size": 3})
    run = complete(start(trial.cls, small_scenario(trial.setting, (0, 1, 2), images=7), recipe))
    infinite = [name for name, value in run.states[-1].items() if not value.isfinite().all()]
    if infinite:
        raise Broken(f"{infinite[0]} is not finite")


def checkpoint(trial: Trial) -> None:
    """saved and loaded between two tasks it ends as if it had not been, bit for bit"""
    with global_generators(1):
        run = start(trial.cls, trial.scenario)
        run.evaluate()
        run.train(trial.scenario.tasks[0])
        run.evaluate()
        file, modules = io.BytesIO(), modules_of(trial.cls)
        try:
            torch.save(encode(run.method, modules), file)
            file.seek(0)
            run.method = decode(torch.load(file, weights_only=True), modules)
        except Exception as error:
            raise Broken(f"cannot be saved and loaded: {describe(error)}") from error
        for task in trial.scenario.tasks[1:]:
            run.train(task)
            run.evaluate()
    for k, (one, other) in enumerate(zip(trial.base.states, run.states, strict=True)):
        part = same_state(one, other)
        if part is not None:
            raise Broken(f"goes on otherwise after a checkpoint: differs after task {k} ({part})")
    if trial.base.rows != run.rows:
        raise Broken("answers otherwise after a checkpoint")


class _EveryCall(FlopMeter):
    """Counts every call anew instead of remembering the first of its kind."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = itertools.count()

    def measure(self, key: Hashable, fn: Callable[[], Any], part: str = "training") -> Any:
        return super().measure((key, next(self._calls)), fn, part)


def flops(trial: Trial) -> None:
    """FLOPs of training and of a prediction can be counted, and `step_shape` holds all that those of a step depend on"""
    counted = trial.base.trainer.meter.parts
    if counted.get("train", 0) <= 0 and trial.base.trainer.meter.total <= 0:
        raise Broken("training takes no FLOPs that can be counted")
    if inference_flops(trial.base.method, trial.scenario, trial.scenario.tasks[-1]).total <= 0:
        raise Broken("a prediction takes no FLOPs that can be counted")
    with global_generators(1):
        every = complete(start(trial.cls, trial.scenario, trainer=Trainer(meter=_EveryCall())))
    for part, exact in every.trainer.meter.parts.items():
        if counted.get(part) != exact:
            raise Broken(
                f"{part}: {exact} FLOPs counted at every step, {counted.get(part)} by step_shape: steps that cost "
                "differently need different step_shapes"
            )


def described(trial: Trial) -> None:
    """one line about the method, and about each hyperparameter; all have defaults"""
    about = getattr(trial.cls, "about", "")
    if not isinstance(about, str) or not about.strip() or "\n" in about:
        raise Broken("`about` should be one line that says what the method does")
    for f in fields(trial.cls):  # type: ignore[arg-type]
        if not f.metadata.get("about"):
            raise Broken(f"hyperparameter {f.name} has no description: {f.name}: <type> = hyper(default, 'what it is')")
    method = trial.cls()
    if trial.cls.from_settings(method.hyperparameters()).hyperparameters() != method.hyperparameters():
        raise Broken("its hyperparameters do not survive from_settings")


CLAIMS: dict[str, Callable[[Trial], None]] = {
    "hyperparameters described": described,
    "runs through": runs_through,
    "no task id where withheld": no_task_id,
    "no test data": no_test_data,
    "no future labels or images": no_future,
    "past data only as declared": past_data,
    "budget kept": budget,
    "deterministic": deterministic,
    "one class, batch of one": small_tasks,
    "checkpoint round trip": checkpoint,
    "FLOPs countable": flops,
}
ONCE = ("hyperparameters described",)
"""Claims that have nothing to do with a setting."""


@dataclass(frozen=True)
class Proof:
    """One line of the report. settings: those it speaks of; detail: what was shown, or what is wrong."""

    status: str
    claim: str
    settings: tuple[str, ...]
    detail: str

    def __str__(self) -> str:
        where = f" ({', '.join(self.settings)})" if self.settings else ""
        return f"{self.status:<5} {self.claim}{where}: {self.detail}"


def check_method(
    cls: type[Method], path: Path | None = None, settings: tuple[str, ...] = tuple(SETTINGS), claims=CLAIMS
) -> list[Proof]:
    """What holds of `cls`, claim by claim; `path` is its file, for the place of an error."""
    results: dict[str, list[tuple[str, str, str]]] = {claim: [] for claim in claims}
    trials, out = [], []
    for setting in settings:
        reason = cls.incompatibility(small_scenario(setting).layout)
        if reason:
            out.append(Proof("n/a", "runs through", (setting,), reason))
        else:
            trials.append(Trial(cls, setting))
    for claim, prove in claims.items():
        for trial in trials[:1] if claim in ONCE else trials:
            if claim not in ONCE and any(
                t == trial.setting and s == "FAIL" for s, t, _ in results.get("runs through", [])
            ):
                continue  # nothing more can be said of what does not run
            status, detail = _prove(prove, trial, path)
            results[claim].append((status, trial.setting, detail))
    for claim, found in results.items():
        for status, detail in dict.fromkeys((status, detail) for status, _, detail in found):
            where = () if claim in ONCE else tuple(s for st, s, d in found if (st, d) == (status, detail))
            out.append(Proof(status, claim, where, detail))
    return out


def _prove(prove: Callable[[Trial], None], trial: Trial, path: Path | None) -> tuple[str, str]:
    try:
        prove(trial)
    except NotApplicable as reason:
        return "n/a", str(reason)
    except (Broken, OffLimits) as reason:
        return "FAIL", str(reason)
    except Exception as error:
        return "FAIL", describe(error, path)
    return "ok", (prove.__doc__ or "").strip()


def check_files(paths: list[Path]) -> tuple[str, bool]:
    """The report on every method in these files, and whether all claims hold. Raises SettingsError (see load_methods)."""
    lines: list[str] = []
    good = True
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # bit for bit holds for one number of threads
    try:
        for path, cls in [(file, method) for file in paths for method in load_methods(file)]:
            proofs = check_method(cls, path)
            failed = sum(proof.status == "FAIL" for proof in proofs)
            good = good and not failed
            verdict = f"{failed} of {len(proofs)} FAIL" if failed else "keeps the contract"
            lines += [f"{cls.__name__} ({path})", *(f"  {proof}" for proof in proofs), f"{cls.__name__}: {verdict}", ""]
    finally:
        torch.set_num_threads(threads)
    return "\n".join(lines).rstrip(), good


__all__ = ["CLAIMS", "Proof", "Trial", "check_files", "check_method", "make"]
