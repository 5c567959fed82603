"""Split with a sample of the test images."""

import pytest
import torch

from scenarios import Split
from scenarios.split_sample import SplitSample


def test_tests_are_even_over_classes_and_training_is_as_without():
    whole = Split(data="digits", setting="class", tasks=5, samples_per_task=40).build(1)
    fewer = SplitSample(data="digits", setting="class", tasks=5, samples_per_task=40, test_samples_per_task=11).build(1)
    for a, b in zip(whole.tasks, fewer.tasks, strict=True):
        assert torch.equal(a.train.rows, b.train.rows)
        assert len(b.test) == 11
        assert set(b.test.rows.tolist()) < set(a.test.rows.tolist())
        assert sorted(torch.bincount(b.test.labels)[b.test.labels.unique()].tolist()) == [5, 6]
        assert torch.equal(b.test.labels, a.test.labels[torch.isin(a.test.rows, b.test.rows)])
    assert fewer.manifest["test_sizes"] == [11] * 5
    again = SplitSample(data="digits", setting="class", tasks=5, test_samples_per_task=11).build(2)
    assert torch.equal(again.tasks[0].test.rows, fewer.tasks[0].test.rows)  # the same for all seeds


def test_more_than_there_are_is_all_and_fewer_than_classes_is_refused():
    whole = SplitSample(data="digits", setting="class", tasks=5, test_samples_per_task=10_000).build(0)
    assert [len(t.test) for t in whole.tasks] == [
        len(t.test) for t in Split(data="digits", setting="class", tasks=5).build(0).tasks
    ]
    with pytest.raises(ValueError, match="task 1, which has 2, without a test image"):
        SplitSample(data="digits", setting="class", tasks=5, test_samples_per_task=1).build(0)
