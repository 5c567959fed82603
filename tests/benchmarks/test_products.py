"""float32 products: the faster library, and float32 all the same."""

import pytest
import torch
from torch import nn

from benchmarks.cell import matmul_backend as products
from benchmarks.cell.matmul_backend import fast_products, onednn_is_exact
from benchmarks.cell.run import run_cell
from tests.benchmarks.helpers import cells


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(10, 784, 256), (128, 64, 10), (256, 784, 400), (512, 400, 784)]
)
def test_a_layer_and_its_gradients_are_float32_whatever_multiplies(rows, inputs, outputs):
    torch.manual_seed(0)
    layer, x = nn.Linear(inputs, outputs), torch.randn(rows, inputs, requires_grad=True)
    exact, exact_x = nn.Linear(inputs, outputs).double(), x.detach().double().requires_grad_()
    exact.load_state_dict({name: p.double() for name, p in layer.state_dict().items()})
    with fast_products("cpu"):
        scores = layer(x)
        scores.square().sum().backward()
    exact_scores = exact(exact_x)
    exact_scores.square().sum().backward()
    pairs = [(scores, exact_scores), (x.grad, exact_x.grad)]
    pairs += [(ours.grad, theirs.grad) for ours, theirs in zip(layer.parameters(), exact.parameters(), strict=True)]
    for ours, theirs in pairs:
        # bfloat16 would err by some 4e-3
        assert (ours.double() - theirs).abs().max() < 1e-5 * theirs.abs().max()


def test_torch_is_left_as_it_was():
    before = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(RuntimeError, match="stop"), fast_products("cpu"):
        raise RuntimeError("stop")
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_where_products_would_be_rounded_nothing_changes(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    onednn_is_exact.cache_clear()
    try:
        before = torch.backends.mkldnn.matmul.fp32_precision
        with fast_products("cpu") as library:
            assert (library, torch.backends.mkldnn.matmul.fp32_precision) == ("BLAS", before)
    finally:
        onednn_is_exact.cache_clear()


def test_a_product_that_proves_inexact_rules_it_out(monkeypatch):
    monkeypatch.setattr(products, "EXACT", 0.0)
    onednn_is_exact.cache_clear()
    try:
        with fast_products("cpu") as library:
            assert library == "BLAS"
    finally:
        onednn_is_exact.cache_clear()


def test_an_accelerator_keeps_its_own():
    with fast_products("cuda:0") as library:
        assert library == "BLAS"


def test_the_record_says_which():
    expected = "oneDNN" if onednn_is_exact() else "BLAS"
    assert run_cell(cells("finetune")[0]).environment["products"] == expected
