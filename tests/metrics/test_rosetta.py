"""What other tools print for the matrices in conftest.py, worked by hand from their definitions. Continuum's values
were also obtained by running its release 1.2.7."""

import pytest

from metrics import ROSETTA, SCORES, as_printed_by

FOUR_TASKS = {
    "avalanche": {
        "Top1_Acc_Stream": 124 / 180,
        "Accuracy_On_Trained_Experiences": 124 / 180,
        "StreamForgetting": 0.1,
        "StreamBWT": -0.1,
        "StreamForwardTransfer": 1 / 3,
    },
    "mammoth": {
        "Accuracy": 76.25,
        "backward_transfer": -10,
        "forward_transfer": 100 / 3,
        "forgetting": 20,
    },
    "pycil": {
        "Average Accuracy (CNN)": 100 * (80 / 100 + 125 / 150 + 89 / 170 + 124 / 180) / 4,
        "Forgetting (CNN)": 50 / 3,
    },
    "facil": {"TAg Acc Avg.": 76.25, "TAg Forg Avg.": 40 / 3},
    "continuum": {
        "accuracy": 124 / 180,
        "accuracy_A": 0.74,
        "average_incremental_accuracy": (80 / 100 + 125 / 150 + 89 / 170 + 124 / 180) / 4,
        "backward_transfer": -0.5 / 6,
        "positive_backward_transfer": 0,
        "remembering": 1 - 0.5 / 6,
        "forward_transfer": 0.675,
        "forgetting": 0.2 / 3,
    },
    "gem-repo": {"Final Accuracy": 0.7625, "Backward": -0.075, "Forward": 0.25},
    "renate": {
        "average_accuracy": 0.7625,
        "micro_average_accuracy": 124 / 180,
        "forgetting": 0.65 / 3,
        "backward_transfer": -0.1,
        "forward_transfer": 1 / 3,
    },
    "three-scenarios": {
        "ACC": 0.7625,
        "BWT": -0.1,
        "FM": 0.2,
        "FWT": 1.75 / 3,
        "Intransigence": 0.1,
    },
}


@pytest.mark.parametrize("tool", ROSETTA)
def test_as_printed_by(tool, four_tasks):
    assert as_printed_by(tool, four_tasks) == pytest.approx(FOUR_TASKS[tool], abs=1e-12)


def test_the_same_word_means_different_numbers(four_tasks):
    forgetting = {
        as_printed_by("avalanche", four_tasks)["StreamForgetting"],
        as_printed_by("mammoth", four_tasks)["forgetting"] / 100,
        as_printed_by("pycil", four_tasks)["Forgetting (CNN)"] / 100,
        as_printed_by("facil", four_tasks)["TAg Forg Avg."] / 100,
        as_printed_by("continuum", four_tasks)["forgetting"],
        as_printed_by("renate", four_tasks)["forgetting"],
    }
    assert len({round(value, 9) for value in forgetting}) == 6


def test_every_name_leads_to_a_score():
    for tool, peer in ROSETTA.items():
        for name, id in peer.printed.items():
            assert id in SCORES, f"{tool}: {name} -> {id}"


def test_unknown_tool_names_the_nearest(four_tasks):
    with pytest.raises(ValueError, match="unknown tool 'avalance'; did you mean 'avalanche'"):
        as_printed_by("avalance", four_tasks)
