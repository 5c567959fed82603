"""How the hyperparameters of a suite were chosen: what a suite says of it, and what that comes to for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.request.identity import identity_of
from benchmarks.request.keys import leaves

if TYPE_CHECKING:
    from benchmarks.request.suite import Suite

STRICT = ConfigDict(extra="forbid", frozen=True)
Rule = Literal["first-tasks", "other-data", "end-of-stream"]
TRAINING = "training."
"""What a key of tuned settings begins with that is no hyperparameter of the method but of its training."""


class FromPaper(BaseModel):
    """`chosen: {er: {paper: "Chaudhry et al. 2019, table 5"}}` of a suite: the settings of a method are those of a paper."""

    model_config = STRICT
    paper: str = Field(min_length=1, description="the paper, and where in it")


class Choice(BaseModel):
    """What was chosen for a method in some scenarios.

    value: of the metric, on validation images; trial: the one that was best, from 0; unsuccessful: of the trials, how
    many diverged or raised an error; cells: the beginnings of the identities of those that the trials ran; flops: of all
    their training; row: `row_hash` of the best trial.
    """

    model_config = STRICT
    scenarios: list[str] = Field(min_length=1)
    method: str
    settings: dict[str, Any]
    value: float
    trial: int = Field(ge=0)
    unsuccessful: int = Field(0, ge=0)
    cells: list[Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]] = Field(min_length=1)
    flops: int = Field(ge=0)
    row: str = Field(pattern=r"^[0-9a-f]{12}$")


class Tuned(BaseModel):
    """How `tune` chose: by which rule, and where its trials are."""

    model_config = STRICT
    rule: Rule
    where: int | str | None = Field(None, description="the number of first tasks, or the other data")
    sampler: Literal["random", "tpe"]
    trials: int = Field(ge=1)
    batch: int = Field(ge=1)
    seed: int = Field(ge=0)
    seeds: list[int] = Field(min_length=1)
    validation: float = Field(gt=0, lt=1)
    metric: str
    optuna: str = Field(description="its version")
    records: str = Field(description="the folder of the trials' records")
    choices: list[Choice] = Field(min_length=1)

    def of(self, scenario: str, method: str) -> Choice | None:
        """What was chosen for this pair, if it was tuned."""
        return next((c for c in self.choices if c.method == method and scenario in c.scenarios), None)

    @property
    def text(self) -> str:
        """ "tuned on the first 2 tasks with 12 trials (tpe)"."""
        text = {
            "first-tasks": "on the first task" if self.where == 1 else f"on the first {self.where} tasks",
            "other-data": f"on other data ({self.where})",
            "end-of-stream": "at the end of the stream (an oracle: it has seen all tasks)",
        }[self.rule]
        return f"tuned {text} with {self.trials} trials ({self.sampler})"


def how_chosen(suite: Suite, scenario: str, method: str, settings: Mapping[str, Any]) -> str:
    """How the hyperparameters of a row were chosen: tuned, from paper, default (the suite sets none of the method's, and
    no training of its own for it), or set in the suite.

    settings: of one of its cells, resolved. What is not run with the settings that were chosen is not called tuned.
    """
    if tuned_choice(suite, scenario, method, settings) is not None and suite.tuned is not None:
        return suite.tuned.text
    if method in suite.chosen:
        return f"from paper: {suite.chosen[method].paper}"
    own = suite.methods[method].keys() - {"method", "model"}
    overrides = [o for o in suite.overrides if o.matches(scenario, method)]
    if own or any(o.method or (o.training and o.methods != ["*"]) for o in overrides):
        return "set in the suite"
    return "default"


def tuned_choice(suite: Suite, scenario: str, method: str, settings: Mapping[str, Any]) -> Choice | None:
    """What was chosen for this row, where its cells are run with that, and with all else as the trials were."""
    if suite.tuned is None:
        return None
    choice = suite.tuned.of(scenario, method)
    if choice is None or any(_setting(settings, key) != value for key, value in leaves(choice.settings)):
        return None
    return choice if choice.row == row_hash(settings, suite.tuned.rule) else None


def row_hash(settings: Mapping[str, Any], rule: Rule) -> str:
    """What must be the same of a trial and of the row that it was for: method, network and training; the method alone
    where the trials ran in another scenario, which may have others."""
    parts = ("method",) if rule == "other-data" else ("method", "model", "training")
    return identity_of({part: settings[part] for part in parts})[:12]


def _setting(settings: Mapping[str, Any], key: str) -> Any:
    """A setting of a cell by its key in a space."""
    part: Any = settings["training"] if key.startswith(TRAINING) else settings["method"]["settings"]
    for name in key.removeprefix(TRAINING).split("."):
        part = part.get(name) if isinstance(part, Mapping) else None
    return part
