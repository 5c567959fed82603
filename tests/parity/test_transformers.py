"""Losses, networks, sharpness-aware steps and herding of DyTox and DNE against their authors' releases."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import METHODS
from methods.core import losses
from methods.parts import sam
from methods.parts.exemplars import herd
from models.attention import ClassAttention, GatedPositionalAttention, content_attention, split_heads
from models.dne import DNE
from models.dytox import DyTox, DyToxParts
from models.task_attention import TaskAttention, TaskAttentionMixer
from models.transformer import DecoderBlock, EncoderBlock, Mlp, TaskHead
from tests.parity.cases import Table, assert_close, at_task, batch_of, cases, numbered

EXACT = {"rtol": 1e-9, "atol": 1e-10}
RENAMED = {
    "attn.qk": "attention.query_key",
    "attn.q": "attention.query",
    "attn.k": "attention.key",
    "attn.v": "attention.value",
    "attn.proj": "attention.output",
    "attn.pos_proj": "attention.position",
    "attn.gating_param": "attention.gate",
    "mlp.fc1": "mixer.first",
    "mlp.fc2": "mixer.second",
    "sabs.0": "encoder.blocks.0",
    "tabs.0": "decoder",
    "pos_embed": "encoder.position",
    "patch_embed.proj": "encoder.patches.projection",
    "task_tokens": "tokens",
    "head_div": "divergence",
}


# ---- weights of the releases --------------------------------------------------------------------------------


def formula(parameters) -> dict[str, Tensor]:
    """The release's parameters by name: the k-th scalar of the i-th is c + 0.3 sin(k + 10 i), c = 1 for norms' weights
    and gates, else 0; a third entry is a value that stays as the release starts it."""
    found = {}
    for i, (name, shape, *start) in enumerate(parameters):
        numbers = 0.3 * torch.sin(torch.arange(torch.Size(shape).numel(), dtype=torch.float64) + 10 * i)
        one = "gating" in name or ("norm" in name and name.endswith("weight"))
        found[name] = torch.full(shape, float(start[0]), dtype=torch.float64) if start else numbers.view(shape) + one
    return found


def our_name(name: str) -> str:
    for theirs, ours in RENAMED.items():
        name = f".{name}.".replace(f".{theirs}.", f".{ours}.").strip(".")
    if name.startswith(("head.", "divergence.")):
        name = name.replace("head.", "heads.", 1) if name.startswith("head.") else name
        name = name.replace(".head.", ".linear.")
    return name


def fill(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copies `weights` into all parameters of `module`, each of which must be there; the release's bias on positions,
    which its softmax cancels, has no place in ours."""
    weights = {name: value for name, value in weights.items() if not name.endswith("position.bias")}
    parameters = dict(module.double().named_parameters())
    assert weights.keys() == parameters.keys()
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name].reshape(parameter.shape))


def port(module: nn.Module, parameters) -> None:
    fill(module, {our_name(name): value for name, value in formula(parameters).items()})
    module.eval()


def images() -> Tensor:
    return torch.cos(0.37 * torch.arange(2 * 3 * 8 * 8, dtype=torch.float64)).view(2, 3, 8, 8)


# ---- losses -------------------------------------------------------------------------------------------------


class Answers(nn.Module):
    """A network whose logits and divergence scores are tables."""

    def __init__(self, inputs):
        super().__init__()
        self.logits = Table(inputs["logits"]).double()
        scores = inputs.get("divergence_scores")
        self.scores = None if scores is None else Table(scores).double()

    def forward(self, x):
        return self.logits(x)

    def forward_parts(self, x):
        logits = self(x)
        return DyToxParts(logits, logits[:, None], None if self.scores is None else self.scores(x))


@pytest.mark.parametrize(("inputs", "outputs"), cases("dytox_loss"))
def test_loss_of_dytox_and_its_gradients(inputs, outputs):
    dytox = METHODS["dytox"](buffer_size=20, divergence=inputs.get("divergence_weight", 0.1))
    method = at_task(dytox, inputs["task_sizes"])
    network = method.network = Answers(inputs)
    if "teacher_logits" in inputs:
        method._teacher = Table(inputs["teacher_logits"]).double()
    batch = batch_of(method, numbered(inputs["labels"]), inputs["labels"], inputs["task_sizes"])
    if "mixup_lambda" in inputs:
        own, share = F.one_hot(batch.y, sum(inputs["task_sizes"])).double(), inputs["mixup_lambda"]
        mixed = share * own + (1 - share) * own.flip(0)
        batch.targets = losses.smoothed(mixed, batch.active, inputs["smoothing"])
        assert_close(batch.targets, outputs["mixup_targets"])
    alone = inputs["case"].endswith("finetuning")
    loss = method._classification_alone(batch) if alone else method.loss(batch)
    loss.backward()
    assert_close(loss, outputs["loss"])
    assert_close(network.logits.values.grad, outputs["grad_logits"])
    if "grad_divergence_scores" in outputs:
        assert_close(network.scores.values.grad, outputs["grad_divergence_scores"])


# ---- DyTox's network ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "outputs"), cases("dytox_network", "task_attention"))
def test_task_attention_block_of_dytox(inputs, outputs):
    dim, heads = inputs["dim"], inputs["heads"]
    block = DecoderBlock(dim, ClassAttention(dim, heads), Mlp(dim, inputs["mlp_ratio"]), 0.0)
    port(block, inputs["parameters"])
    x = torch.tensor(inputs["token_then_5_patches"], dtype=torch.float64, requires_grad=True)
    normed = block.norm1(x)
    assert_close(block.attention(normed[:, :1], normed[:, 1:])[0], outputs["attention_output_before_residual"], **EXACT)
    query = split_heads(block.attention.query(normed[:, :1]), heads)
    shares = content_attention(query, split_heads(block.attention.key(normed), heads))
    assert_close(shares, outputs["attention"], **EXACT)
    output, _ = block(x[:, :1], x[:, 1:])
    assert_close(output, outputs["output"], **EXACT)
    assert_close(block.all_tokens(x[:, :1], x[:, 1:]), outputs["output"], **EXACT)
    (output * torch.tensor(inputs["weights_of_the_sum"], dtype=torch.float64)).sum().backward()
    assert_close(x.grad, outputs["grad_input_of_weighted_sum"], **EXACT)


@pytest.mark.parametrize(("inputs", "outputs"), cases("dytox_network", "gated_positional_block"))
def test_gated_positional_block(inputs, outputs):
    dim, heads = inputs["dim"], inputs["heads"]
    attention = GatedPositionalAttention(dim, heads, (2, 2))
    block = EncoderBlock(dim, attention, Mlp(dim, inputs["mlp_ratio"]), 0.0)
    port(block, inputs["parameters"])
    x = torch.tensor(inputs["patches_of_a_2x2_grid"], dtype=torch.float64)
    assert_close(attention.weights(block.norm1(x)), outputs["attention"], **EXACT)
    assert_close(block(x)[0], outputs["output"], **EXACT)


@pytest.mark.parametrize(("inputs", "outputs"), cases("dytox_network", "gated_positional_initial"))
def test_gated_positional_attention_starts_as_the_release_s_up_to_the_order_of_heads(inputs, outputs):
    attention = GatedPositionalAttention(inputs["dim"], inputs["heads"], (2, 2))
    assert sorted(attention.position.weight.tolist()) == sorted(outputs["position_weight"])
    assert torch.equal(attention.value.weight, torch.eye(inputs["dim"]))
    assert attention.gate.tolist() == outputs["gating"]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), cases("dytox_network", "network"))
def test_network_of_dytox_after_three_tasks(inputs, outputs, fused):
    dim, heads, depth, ratio = (inputs[k] for k in ("dim", "heads", "encoder_blocks", "mlp_ratio"))
    network = DyTox((3, 8, 8), inputs["patch"], dim, heads, depth, ratio, fused=fused)
    for k in range(3):
        network.expand(sum(inputs["task_sizes"][: k + 1]))
    port(network, inputs["parameters"])
    parts = network.forward_parts(images())
    assert_close(parts.embeddings.transpose(0, 1), outputs["task_embeddings"], **EXACT)
    assert_close(parts.logits, outputs["logits"], **EXACT)
    assert_close(parts.divergence, outputs["divergence"], **EXACT)


# ---- DNE's layers and network -------------------------------------------------------------------------------


def task_attention_of(weights: dict[str, Tensor], expert: int) -> dict[str, Tensor]:
    """Our parameters of the task attention of expert 1 or 2, from the release's layer with experts 0, 1 and 2."""
    part = "curr_attn_block" if expert == 2 else f"attn_blocks.{expert}"
    sources, found = f"proj_blocks.{expert}.proj_blocks", {"query.weight": weights[f"{part}.q.weight"]}
    heads = len({name for name in weights if name.startswith(f"{sources}.")}) // 2
    found["key.weight"] = weights[f"{part}.k.weight"]
    found["value"] = torch.stack([weights[f"{sources}.{h}.weight"] for h in range(heads)], dim=1)
    found["bias"] = torch.stack([weights[f"{sources}.{h}.bias"] for h in range(heads)])
    return found | {"scale": weights[f"{part}.lambda_factor"].squeeze()}


def below(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def task_attention(weights, heads: list[int], expert: int, inputs: int, outputs: int) -> TaskAttention:
    layer = TaskAttention(sum(heads[:expert]), heads[expert], inputs, outputs)
    assert layer.scale.item() == sum(heads[:expert])  # as it starts
    fill(layer, task_attention_of(weights, expert))
    return layer


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), cases("dne_layer", "task_attention_layer"))
def test_task_attention_layer_of_dne(inputs, outputs, fused):
    weights, wide, deep = formula(inputs["parameters"]), inputs["head_width_in"], inputs["head_width_out"]
    heads = [inputs["old_heads"], *inputs["new_heads_of_experts_2_and_3"]]
    layers = [task_attention(weights, heads, e, wide, deep) for e in (1, 2)]
    x = torch.tensor(inputs["x"], dtype=torch.float64, requires_grad=True)
    slices = [part.unflatten(-1, (-1, wide)) for part in x.split([n * wide for n in heads], dim=-1)]
    first = F.linear(slices[0].flatten(-2), weights["linear_list.0.weight"], weights["linear_list.0.bias"])
    parts = [first.detach()]
    for e, layer in enumerate(layers, start=1):
        layer.fused = fused
        parts.append(layer(slices[e], slices[:e]).flatten(-2))
    output = torch.cat(parts, dim=-1)
    assert_close(output, outputs["output"], **EXACT)
    assert [layer.scale.item() for layer in layers] == outputs["lambda"]
    newest = torch.tensor(inputs["weights_of_the_sum"], dtype=torch.float64)[..., -parts[2].shape[-1] :]
    (parts[2] * newest).sum().backward()
    assert_close(x.grad, outputs["grad_new_slice_and_old_of_weighted_sum"], **EXACT)
    assert_close(layers[1].scale.grad, outputs["grad_lambda_of_expert_3"][0], **EXACT)


def mixers_of(weights: dict[str, Tensor], heads: list[int], width: int, ratio: int) -> list[nn.Module]:
    """The MLP of the first expert and the task attention of the later ones, from the release's MLP of all."""
    found: list[nn.Module] = []
    for e, own in enumerate(heads):
        parts = {ours: below(weights, f"{theirs}.") for ours, theirs in (("first", "fc1"), ("second", "fc2"))}
        if e == 0 or not any(".proj_blocks." in name for name in weights):
            ported = {k: {p: part[f"linear_list.{e}.{p}"] for p in ("weight", "bias")} for k, part in parts.items()}
            mixer: nn.Module = Mlp(own * width, ratio)
        else:
            ported = {k: task_attention_of(part, e) for k, part in parts.items()}
            mixer = TaskAttentionMixer(sum(heads[:e]), own, width, ratio)
        fill(mixer, {f"{k}.{name}": value for k, values in ported.items() for name, value in values.items()})
        found.append(mixer)
    return found


@pytest.mark.parametrize(("inputs", "outputs"), cases("dne_layer", "mlp"))
def test_mlp_of_dne(inputs, outputs):
    heads, width = [inputs["old_heads"], *inputs["new_heads"]], inputs["head_width"]
    mixers = mixers_of(formula(inputs["parameters"]), heads, width, inputs["gamma"])
    x = torch.tensor(inputs["x"], dtype=torch.float64)
    shown, output = [], []
    for mixer, features, n in zip(mixers, x.split([n * width for n in heads], dim=-1), heads, strict=True):
        mixed, hidden = mixer(features, shown)
        output.append(mixed)
        shown.append(Shown(features.unflatten(-1, (n, -1)), hidden.unflatten(-1, (n, -1))))
    assert_close(torch.cat(output, dim=-1), outputs["output"], **EXACT)


class Shown:
    def __init__(self, features, hidden):
        self.features, self.hidden = features, hidden


@pytest.mark.parametrize(("inputs", "outputs"), cases("dne_layer", "initial_lambda"))
def test_scale_of_task_attention_starts_as_the_release_s(inputs, outputs):
    for case in outputs["lambda"]:
        first, k = case["first_heads"], case["k"]
        network = DNE((3, 8, 8), 4, 4 * first, first, new_heads=k, depth=1)
        starts = []
        for task in range(len(case["lambda_of_experts_2_on"]) + 1):
            network.expand(task + 1)
            if task:
                starts.append(network.experts[-1].encoder.blocks[0].mixer.first.scale.item())
        assert starts == case["lambda_of_experts_2_on"]


def ported_dne(inputs, cross_task: str) -> tuple[DNE, dict[str, Tensor]]:
    """Our network of three experts with the release's weights in them (its heads aside), and these weights."""
    heads, width, ratio = inputs["heads"], inputs["head_width"], inputs["mlp_ratio"]
    network = DNE(
        (3, 8, 8), inputs["patch"], heads[0] * width, heads[0], heads[1], 1, ratio, cross_task=cross_task
    ).double()
    for k in range(3):
        network.expand(sum(inputs["task_sizes"][: k + 1]))
    network.double().eval()
    weights = formula(inputs["parameters_name_shape"])
    mixers = {b: mixers_of(below(weights, f"{b}.mlp."), heads, width, ratio) for b in ("sabs.0", "tabs.0")}
    for e, expert in enumerate(network.experts):
        own = {}
        for name, value in weights.items():
            listed = [f"{kind}.{e}" for kind in ("conv_list", "norm_layers", "linear_list")]
            for part in listed:
                if f".{part}." in name and ".mlp." not in name:
                    own[our_name(name.replace(f".{part}", ""))] = value
            if name == f"pos_embed_list.{e}":
                own["encoder.position"] = value
            if name == f"sabs.0.attn.gating_param_list.{e}":
                own["encoder.blocks.0.attention.gate"] = value
        query, key = (own.pop(f"encoder.blocks.0.attention.{part}.weight") for part in ("query", "key"))
        own["encoder.blocks.0.attention.query_key.weight"] = torch.cat([query, key])
        for block, ours in (("sabs.0", "encoder.blocks.0"), ("tabs.0", "decoder")):
            own |= {f"{ours}.mixer.{name}": p.detach() for name, p in mixers[block][e].named_parameters()}
        fill(expert, own)
        network.tokens[e].data = weights[f"task_tokens.{e}"][0]
    return network, weights


def head_of(weights: dict[str, Tensor], name: str, dim: int) -> TaskHead:
    part = below(weights, f"{name}.")
    head = TaskHead(dim, len(part["head.bias"]))
    fill(head, {our_name(f"divergence.{k}").removeprefix("divergence."): v for k, v in part.items()})
    return head


DNE_CASES = [
    pytest.param(cross_task, *case.values, id=file)
    for file, cross_task in (
        ("dne_network_k1", "dne"),
        ("dne_network_k2", "dne"),
        ("dne_network_independent", "ia"),
    )
    for case in cases(file)
]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("cross_task", "inputs", "outputs"), DNE_CASES)
def test_network_of_dne_with_three_experts(cross_task, inputs, outputs, fused):
    network, weights = ported_dne(inputs, cross_task)
    network.use_fused(fused)
    dim = sum(network.widths)
    network.heads.own[-1] = head_of(weights, "head.2", dim)
    network.divergence = head_of(weights, "head_div", dim)
    parts = network.forward_parts(images())
    newest = inputs["task_sizes"][-1]
    assert_close(parts.embedding, outputs["embedding"], **EXACT)
    assert_close(parts.divergence, outputs["divergence"], **EXACT)
    assert_close(parts.logits[:, -newest:], [row[-newest:] for row in outputs["logits"]], **EXACT)


@pytest.mark.parametrize(("cross_task", "inputs", "outputs"), DNE_CASES)
def test_old_heads_of_the_release_read_and_normalise_the_whole_embedding_ours_their_own_part(
    cross_task, inputs, outputs
):
    """The release's heads over our embedding give its logits. Ours keep the old logits when an expert comes, so that
    with the same weights, cut into each head's own part and new columns, the old logits are others."""
    network, weights = ported_dne(inputs, cross_task)
    widths, sizes = network.widths, inputs["task_sizes"]
    heads = [head_of(weights, f"head.{t}", sum(widths)) for t in range(3)]
    embedding = network.forward_parts(images()).embedding
    theirs = torch.cat([head(embedding) for head in heads], dim=1)
    assert_close(theirs, outputs["logits"], **EXACT)
    for t, head in enumerate(heads):
        own, dim = network.heads.own[t], sum(widths[: t + 1])
        for ours, value in ((own.norm.weight, head.norm.weight[:dim]), (own.norm.bias, head.norm.bias[:dim])):
            ours.data = value.detach()
        own.linear.weight.data, own.linear.bias.data = head.linear.weight[:, :dim].detach(), head.linear.bias.detach()
    for e in (1, 2):
        start = sum(widths[:e])
        columns = [head.linear.weight[:, start : start + widths[e]] for head in heads[:e]]
        network.heads.columns[e - 1].data = torch.cat(columns).detach()
    difference = (network(images()) - theirs).abs()
    assert 0.01 < float(difference[:, : sum(sizes[:2])].max()) < 3
    assert float(difference[:, sum(sizes[:2]) :].max()) < 1e-10


# ---- sharpness-aware steps and herding ----------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "outputs"), cases("dytox_sam_herding", "asam", "sam"))
def test_sharpness_aware_step(inputs, outputs):
    a, b = (nn.Parameter(torch.tensor(inputs[k], dtype=torch.float64)) for k in "ab")
    x, start = torch.tensor(inputs["x"], dtype=torch.float64), [inputs["a"], inputs["b"]]

    def step():
        a.grad = b.grad = None
        loss = torch.sin(x @ a.T + b).square().mean()
        loss.backward()
        return loss

    def both(expected, *found, **tolerance):
        for value, wanted in zip(found, expected, strict=True):
            assert_close(value, wanted, **(EXACT | tolerance))

    assert_close(step(), outputs["loss"], **EXACT)
    moved = sam.ascend([a, b], inputs["rho"], 0.0, adaptive=inputs["adaptive"])
    both(outputs["worst_a_b"], a, b)
    assert_close(step(), outputs["loss_there"], **EXACT)
    both(outputs["grad_there"], a.grad, b.grad)
    sam.restore(moved)
    both(start, a, b, rtol=0, atol=0)  # bit for bit, where the release's `second_step` is off by rounding
    torch.optim.SGD([a, b], inputs["sgd_lr"]).step()
    both(outputs["a_b_after_sgd"], a, b)


@pytest.mark.parametrize(("inputs", "outputs"), cases("dytox_sam_herding", "herding"))
def test_herding_is_the_release_s_up_to_the_first_repeated_pick(inputs, outputs):
    """The release walks w <- w + mean - pick over all images and leaves repeats out: a repeat moves its walk on. iCaRL's
    Algorithm 4, ours, never asks a chosen image again."""
    x = F.normalize(torch.tensor(inputs["features"], dtype=torch.float64), dim=1)
    walk, picks = x.mean(0), []
    while len(set(picks)) < len(x):
        picks.append(int((x @ walk).argmax()))
        walk = walk + x.mean(0) - x[picks[-1]]
    assert list(dict.fromkeys(picks)) == outputs["first_12"]
    before = next(k for k, pick in enumerate(picks) if pick in picks[:k])
    ours = herd(x, 12).tolist()
    assert ours[:before] == outputs["first_12"][:before]
    assert ours != outputs["first_12"]
    assert herd(x, 6).tolist() == ours[:6]
