"""FLOPs against counts worked out from the shapes: 2 per multiply-add."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from metrics.flops import FlopMeter, Flops, count_flops


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def torch_count(fn):
    with FlopCounterMode(display=False) as counter:
        fn()
    return counter.get_total_flops()


def test_linear():
    # 5 rows of 8 inputs to 4 outputs, with and without bias, on a batch, a sequence and a single vector
    assert count_flops(nn.Linear(8, 4), torch.randn(5, 8)) == Flops(total=2 * 5 * 8 * 4, modules=2 * 5 * 8 * 4)
    assert count_flops(nn.Linear(8, 4, bias=False), torch.randn(5, 3, 8)).total == 2 * 15 * 8 * 4
    assert count_flops(nn.Linear(8, 4, bias=False), torch.randn(8)).total == 2 * 8 * 4


@pytest.mark.parametrize(
    ("options", "outputs", "inputs_per_output"),
    [
        ({}, 6 * 6, 4),
        ({"padding": 1}, 8 * 8, 4),
        ({"stride": 2, "padding": 1}, 4 * 4, 4),
        ({"dilation": 2}, 4 * 4, 4),
        ({"groups": 2}, 6 * 6, 2),
        ({"groups": 4}, 6 * 6, 1),
    ],
)
def test_convolution_forward_and_backward(options, outputs, inputs_per_output):
    # Batch 3, 4 channels of 8 x 8 to 12 channels, kernel 3 x 3.
    convolution = nn.Conv2d(4, 12, 3, **options)
    forward = 2 * 3 * outputs * 12 * inputs_per_output * 9
    images = torch.randn(3, 4, 8, 8)
    assert count_flops(convolution, images) == Flops(forward, forward)
    # The gradient of the weight costs another forward pass, the gradient of the input a third.
    assert count_flops(lambda: convolution(images).sum().backward()).total == 2 * forward
    images.requires_grad_()
    assert count_flops(lambda: convolution(images).sum().backward()).total == 3 * forward


def test_transposed_convolution_backward():
    # Each of 5 x 5 x 4 inputs meets 6 channels of 3 x 3.
    convolution = nn.ConvTranspose2d(4, 6, 3, stride=2)
    images = torch.randn(2, 4, 5, 5, requires_grad=True)
    assert count_flops(lambda: convolution(images).sum().backward()).total == 3 * 2 * (2 * 5 * 5 * 4) * 6 * 9


class Attention(nn.Module):
    """One self-attention layer on (batch, tokens, 12), 3 heads of 4."""

    def __init__(self, fused):
        super().__init__()
        self.qkv, self.out, self.fused = nn.Linear(12, 36), nn.Linear(12, 12), fused
        self.position = nn.Parameter(torch.zeros(3, 5, 5))

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 3, 4).permute(2, 0, 3, 1, 4)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = (q @ k.transpose(-2, -1) + self.position).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(b, n, 12))


LINEAR_PART = 2 * (2 * 5) * 12 * (36 + 12)  # batch 2, 5 tokens
ATTENTION_PART = 2 * 2 * 2 * 3 * 5 * 5 * 4  # two products, batch 2, 3 heads, 5 x 5 token pairs, 4 wide


@pytest.mark.parametrize("fused", [True, False])
def test_attention_products_count_in_total_but_not_in_modules(fused):
    attention = Attention(fused)
    x = torch.randn(2, 5, 12)
    expected = Flops(total=LINEAR_PART + ATTENTION_PART, modules=LINEAR_PART)
    assert count_flops(attention, x) == expected
    with torch.no_grad():
        assert count_flops(attention, x) == expected
    with torch.inference_mode():
        assert count_flops(attention, x) == expected


def test_kernels_fused_for_inference_are_counted():
    # torch's own counter sees nothing of these in eval mode without gradients.
    x = torch.randn(2, 6, 16)
    encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    linear = 2 * 12 * 16 * (48 + 16 + 32 + 32)
    with torch.no_grad():
        assert count_flops(encoder, x) == Flops(total=linear + 2 * 2 * 2 * 4 * 6 * 6 * 4, modules=linear)
    assert torch.backends.mha.get_fastpath_enabled()


def test_operations_that_hide_their_products_are_refused():
    with pytest.raises(NotImplementedError, match="hides products"):
        count_flops(nn.LSTM(8, 8), torch.randn(5, 2, 8))
    assert torch.backends.mha.get_fastpath_enabled()


def test_products_with_a_vector_and_distances_count():
    matrix, vector = torch.randn(7, 5), torch.randn(5)
    assert count_flops(lambda: matrix @ vector).total == 2 * 35
    assert count_flops(lambda: torch.addmv(torch.zeros(7), matrix, vector)).total == 2 * 35
    assert count_flops(lambda: vector @ vector).total == 2 * 5
    # Nearest class mean: 7 features of 5 against 3 means.
    assert count_flops(lambda: torch.cdist(matrix, torch.randn(3, 5))).total == 2 * 7 * 3 * 5


def test_elementwise_operations_cost_nothing():
    layers = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.LayerNorm(48))
    assert count_flops(layers, torch.randn(2, 3, 8, 8)) == Flops(0, 0)


def test_similarity_of_features_is_no_module_product():
    features = nn.Linear(8, 4)
    means = torch.randn(3, 4)
    x = torch.randn(5, 8)
    flops = count_flops(lambda: features(x) @ means.T)
    assert flops == Flops(total=2 * 5 * 8 * 4 + 2 * 5 * 4 * 3, modules=2 * 5 * 8 * 4)


WEIGHT = 2 * 5 * 8 * 4  # 5 rows, a weight of 4 x 8


@pytest.mark.parametrize(
    "use",
    [
        lambda x, w: F.linear(x, w),
        lambda x, w: x @ w.T,
        lambda x, w: F.linear(x.bfloat16(), w.bfloat16()),
        lambda x, w: F.linear(x, F.normalize(w, dim=1)),
        lambda x, w: F.linear(x, w * (w > 0)),
        lambda x, w: F.linear(x, w * torch.tensor(0.5)),
        lambda x, w: F.linear(x, w[torch.tensor([2, 0, 3, 1])]),
        lambda x, w: F.linear(x, w.masked_fill(torch.eye(4, 8).bool(), 0.0)),
        lambda x, w: F.linear(x, torch.cat([w[:2], w[2:]])),
        lambda x, w: torch.einsum("nd,cd->nc", x, w),
        lambda x, w: torch.baddbmm(torch.zeros(1, 5, 4), x[None], w.T[None])[0],
    ],
    ids=[
        "linear",
        "matmul",
        "cast",
        "normalised",
        "gated",
        "scaled",
        "indexed",
        "masked",
        "concatenated",
        "einsum",
        "stacked",
    ],
)
def test_a_weight_is_recognised_however_it_is_used(use):
    weight = nn.Parameter(torch.randn(4, 8))
    x = torch.randn(5, 8)
    assert count_flops(lambda: use(x, weight)) == Flops(WEIGHT, WEIGHT)
    activation = torch.randn(4, 8)
    assert count_flops(lambda: use(x, activation)) == Flops(WEIGHT, 0)


def test_a_bias_does_not_make_a_weight():
    q, k = torch.randn(3, 5, 4), torch.randn(3, 4, 5)
    bias = nn.Parameter(torch.zeros(3, 5, 5))
    assert count_flops(lambda: torch.baddbmm(bias, q, k)) == Flops(total=2 * 3 * 5 * 4 * 5, modules=0)


def test_the_output_of_a_layer_on_a_learned_token_is_an_activation():
    # DyTox's class attention: the query is a projected token, itself a parameter.
    token, query = nn.Parameter(torch.randn(1, 8)), nn.Linear(8, 8)
    keys = torch.randn(5, 8)
    assert count_flops(lambda: query(token) @ keys.T) == Flops(total=2 * 64 + 2 * 8 * 5, modules=2 * 64)


def test_memory_of_a_weight_overwritten_by_an_activation():
    weight, x = nn.Parameter(torch.randn(4, 8)), torch.randn(5, 8)

    def overwrite():
        with torch.no_grad():
            copy = weight.clone()
            copy.copy_(torch.randn(4, 8))
            return x @ copy.T

    assert count_flops(overwrite) == Flops(WEIGHT, 0)


def test_memory_of_a_freed_copy_of_a_weight_reused():
    weight, square = nn.Parameter(torch.randn(8, 8)), torch.randn(8, 8)

    def products():
        y = square
        for _ in range(20):
            weight.clone()
            y = y @ square

    assert count_flops(products).modules == 0


def test_weights_held_as_plain_tensors_are_named():
    layer, x = nn.Linear(8, 4), torch.randn(5, 8)
    plain = {name: weight.detach() for name, weight in layer.named_parameters()}
    assert count_flops(lambda: functional_call(layer, plain, (x,))) == Flops(WEIGHT, 0)
    assert count_flops(lambda: functional_call(layer, plain, (x,)), weights=plain.values()) == Flops(WEIGHT, WEIGHT)


def test_a_masking_buffer_is_part_of_its_module():
    class Masked(nn.Linear):
        def __init__(self):
            super().__init__(8, 4)
            self.register_buffer("mask", torch.ones(4, 8))

        def forward(self, x):
            return F.linear(x, self.weight * self.mask, self.bias)

    assert count_flops(Masked(), torch.randn(5, 8)) == Flops(WEIGHT, WEIGHT)


def test_autocast_weights_cast_before_the_count():
    layer, x = nn.Linear(8, 4), torch.randn(5, 8)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
        assert count_flops(layer, x) == Flops(WEIGHT, WEIGHT)


def test_meta_tensors_are_told_apart():
    with torch.device("meta"):
        attention = Attention(fused=False)
        flops = count_flops(attention, torch.empty(2, 5, 12))
    assert flops == Flops(total=LINEAR_PART + ATTENTION_PART, modules=LINEAR_PART)


@pytest.fixture
def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 36, 5),
    )


IMAGES, LABELS = torch.zeros(4, 3, 6, 6), torch.tensor([0, 1, 2, 3])
# Per image: a 3-to-8 convolution, one of 8 to 8 in 4 groups, a linear layer.
LAYERS = (2 * 36 * 8 * 3 * 9, 2 * 36 * 8 * 2 * 9, 2 * 8 * 36 * 5)
FORWARD = 4 * sum(LAYERS)
# The first layer's input needs no gradient.
STEP = 3 * FORWARD - 4 * LAYERS[0]


def test_backward_is_twice_forward(network):
    loss = nn.CrossEntropyLoss()
    assert count_flops(network, IMAGES) == Flops(FORWARD, FORWARD)
    assert count_flops(lambda: loss(network(IMAGES), LABELS).backward()).total == STEP
    assert count_flops(lambda: torch.autograd.grad(loss(network(IMAGES), LABELS), network.parameters())).total == STEP


def test_per_sample_gradients_cost_what_a_batch_costs(network):
    weights = {name: weight.detach() for name, weight in network.named_parameters()}

    def loss(weights, image, label):
        return F.cross_entropy(functional_call(network, weights, (image[None],)), label[None])

    per_sample = vmap(grad(loss), in_dims=(None, 0, 0))
    assert count_flops(lambda: per_sample(weights, IMAGES, LABELS)).total == STEP


def test_equals_torchs_counter_where_that_is_right():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(2), nn.Linear(49, 12), Attention(True))
    network[4].position = None
    images = torch.randn(2, 3, 16, 16, requires_grad=True)

    def step():
        network(images).square().mean().backward()

    assert count_flops(step).total == torch_count(step) > 0
    assert count_flops(network, images).total == torch_count(lambda: network(images)) > 0


def test_meter_counts_a_key_once_and_multiplies(network):
    def step(images):
        network(images).sum().backward()
        return len(images)

    meter = FlopMeter()
    assert meter.measure((4, 3, 6, 6), lambda: step(IMAGES)) == 4
    assert meter.measure((4, 3, 6, 6), lambda: step(IMAGES)) == 4
    assert meter.measure((2, 3, 6, 6), lambda: step(IMAGES[:2])) == 2
    assert meter.total == STEP + STEP + STEP // 2
    assert meter.parts == {"training": meter.total}
    # A known key is not counted again, whatever runs under it.
    assert meter.measure((4, 3, 6, 6), lambda: step(IMAGES[:1])) == 1
    assert meter.total == 3 * STEP + STEP // 2


def test_meter_keeps_parts_apart(network):
    meter = FlopMeter()
    for _ in range(3):
        meter.measure("batch", lambda: network(IMAGES).sum().backward())
        meter.measure("batch", lambda: network(IMAGES), part="evaluation")
    meter.add("evaluation", 7)
    assert meter.parts == {"training": 3 * STEP, "evaluation": 3 * FORWARD + 7}
    assert meter.total == 3 * STEP + 3 * FORWARD + 7


def test_meter_leaves_gradients_as_they_are(network):
    images = torch.randn(4, 3, 6, 6)

    def gradients():
        return torch.autograd.grad(F.cross_entropy(network(images), LABELS), network.parameters())

    counted = FlopMeter().measure("step", gradients)
    assert all(torch.equal(a, b) for a, b in zip(counted, gradients(), strict=True))


def test_meter_remembers_nothing_of_a_step_that_raised(network):
    meter = FlopMeter()

    def broken():
        network(IMAGES)
        raise FloatingPointError("diverged")

    with pytest.raises(FloatingPointError, match="diverged"):
        meter.measure("step", broken)
    assert meter.parts == {}
    meter.measure("step", lambda: network(IMAGES))
    assert meter.total == FORWARD


def test_meter_refuses_to_count_twice(network):
    meter = FlopMeter()
    with pytest.raises(RuntimeError, match="would count twice"):
        meter.measure("outer", lambda: meter.measure("inner", lambda: network(IMAGES)))
    assert meter.total == 0


@pytest.mark.parametrize(("n", "m"), [(20, 20), (30, 40)])
def test_distances_of_few_rows_and_of_many(n, m):
    """From 26 rows on torch takes another operation."""
    a, b = torch.randn(n, 8), torch.randn(m, 8)
    assert count_flops(lambda: torch.cdist(a, b)).total == 2 * n * m * 8
    a.requires_grad_()
    assert count_flops(lambda: torch.cdist(a, b).sum().backward()).total >= 2 * 2 * n * m * 8
    assert count_flops(lambda: F.pdist(a.detach())).total == 2 * n * (n - 1) // 2 * 8


def test_sum_over_a_batch_of_products():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    assert count_flops(lambda: torch.addbmm(torch.zeros(3, 5), a, b)).total == 2 * 2 * 3 * 4 * 5
    assert count_flops(lambda: torch.zeros(3, 5).addbmm_(a, b)).total == 2 * 2 * 3 * 4 * 5


def test_bilinear_and_its_gradients():
    layer, x, y = nn.Bilinear(3, 4, 5), torch.randn(2, 3), torch.randn(2, 4)
    forward = 2 * 2 * 5 * 3 * 4
    assert count_flops(layer, x, y) == Flops(forward, forward)
    assert count_flops(lambda: layer(x, y).sum().backward()).total == 2 * forward
    x.requires_grad_()
    y.requires_grad_()
    assert count_flops(lambda: layer(x, y).sum().backward()).total == 4 * forward


def test_a_product_without_a_formula_is_named():
    sparse, dense = torch.eye(3).to_sparse(), torch.randn(3, 4)
    with pytest.raises(NotImplementedError, match="sparse"):
        count_flops(lambda: torch.sparse.mm(sparse, dense))
    with pytest.raises(NotImplementedError, match="conv_tbc"):
        count_flops(lambda: torch.conv_tbc(torch.randn(5, 2, 3), torch.randn(2, 3, 4), torch.zeros(4)))
    assert count_flops(lambda: F.interpolate(torch.randn(1, 1, 4, 4), scale_factor=2, mode="bilinear")).total == 0
