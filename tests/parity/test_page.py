"""results/published/parity.md is what the golden cases give now."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

import pytest

from methods import METHODS
from methods.core.releases import HELD_AGAINST
from tests.parity import cases
from tests.parity.comparisons import APART, AS_RELEASED, COMPARISONS
from tests.parity.page import MAGNITUDES, PAGE, calls, magnitude, page, source_of

FIGURE = re.compile(r"(?<=\| )(?:≤ (1e-\d+)|equal)(?= \|)")
OF_OURS = {"test_the_unit_draw_of_output_rows_is_pycil_s", "test_herding_prefers_no_row_twice"}
"""Tests of tests/parity that hold ours against no golden case."""


def test_the_committed_page_is_what_the_cases_give():
    """But for rounding: on another processor a difference may pass into the next magnitude."""
    now, committed = page(), PAGE.read_text(encoding="utf-8")
    assert FIGURE.sub("", now) == FIGURE.sub("", committed), "write it anew: python -m tests.parity"
    places = ["", *(magnitude(m).removeprefix("≤ ") for m in MAGNITUDES)]
    for one, other in zip(FIGURE.findall(now), FIGURE.findall(committed), strict=True):
        assert (one == "") == (other == "")
        assert abs(places.index(one) - places.index(other)) <= 1


def test_each_golden_file_is_of_the_release_that_the_methods_name():
    compared = {c.golden for c in COMPARISONS}
    assert compared == {path.stem for path in cases.GOLDEN.glob("*.json")}
    for comparison in COMPARISONS:
        source = source_of(comparison)
        assert comparison.release == (source["repository"], source["commit"])


def test_every_parity_test_is_on_the_page_and_every_method_is_one_of_ours():
    tests = {
        f"{module}::{name}"
        for module in (
            *("test_adaptation", "test_convolutional", "test_online", "test_pretrained", "test_prompts"),
            "test_transformers",
        )
        for name, value in vars(import_module(f"tests.parity.{module}")).items()
        if name.startswith("test_") and inspect.isfunction(value) and name not in OF_OURS
    }
    assert {c.test.partition("[")[0] for c in COMPARISONS} == tests
    assert {c.method for c in COMPARISONS} == set(HELD_AGAINST) <= set(METHODS)
    assert set(APART) <= set(HELD_AGAINST)
    for name, settings in AS_RELEASED.items():
        assert settings.keys() <= METHODS[name]().hyperparameters().keys()


def test_a_comparison_of_nothing_and_a_difference_that_is_not_rounding_are_refused():
    with pytest.raises(LookupError, match="names no case"):
        list(calls("test_online::test_replay_of_a_step[nothing"))
    with pytest.raises(ValueError, match="more than rounding"):
        magnitude(1e-3)
