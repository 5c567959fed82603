"""What is compared with the releases: the settings that are a release's, the tests, and where release and paper part.

The tests take their settings from here, and `python -m tests.parity` makes results/published/parity.md of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from methods.core.releases import CODA, HELD_AGAINST, Release

AS_RELEASED: dict[str, dict[str, Any]] = {
    "finetune": {"compete": "new"},
    "lwf": {"compete": "new", "squared": False, "strength": 3.0},
    "icarl": {"objective": "ce"},
    "podnet": {"nca": "release", "similarity": "distance"},
    "gem": {"ridge": 1e-3},
    "ewc": {"variant": "online", "half": False, "fisher_labels": "true_weighted"},
}
"""Settings with which a method is the release's; a method that is not here is so with its defaults."""


@dataclass(frozen=True)
class Comparison:
    """method: the one of ours; golden: its file of cases; test: "file::function[start of the parameters' id"; compared:
    what of it; by: another release than the method's."""

    method: str
    golden: str
    test: str
    compared: str
    by: Release | None = None

    @property
    def release(self) -> Release:
        return self.by or HELD_AGAINST[self.method]


LOSSES = "test_convolutional::test_loss_and_gradient_are_the_release_s"
REPLAY = "test_online::test_replay_of_a_step"
GEM_STEP = "test_online::test_step_of_gem_and_agem"
DNE_NETWORK = "test_transformers::test_network_of_dne_with_three_experts"
OLD_HEADS = (
    "test_transformers::test_old_heads_of_the_release_read_and_normalise_the_whole_embedding_ours_their_own_part"
)
STEP = "loss, gradient and parameters after a step"
ADAPTATION = "test_adaptation::"
PREFIXED = "test_prompts::test_attention_with_a_prefix"
COUNTED = "test_prompts::test_trainable_parameters_on_vit_b_16"

COMPARISONS = (
    Comparison("finetune", "finetune", f"{LOSSES}[finetune-", "loss and gradient in tasks 1 to 3"),
    Comparison("lwf", "lwf", f"{LOSSES}[lwf-", "loss and gradient in tasks 1 to 3"),
    Comparison(
        "lwf",
        "lwf",
        "test_convolutional::test_plain_lwf_differs_from_the_release_by_what_its_settings_say",
        "loss with the defaults: the release's terms over other columns, times T²",
    ),
    Comparison("replay", "replay_herding", f"{LOSSES}[replay-", "loss and gradient in tasks 1 to 3"),
    Comparison(
        "replay",
        "replay_herding",
        "test_convolutional::test_exemplars_their_order_and_their_shares[replay_herding-",
        "exemplars, their order and their shares after two tasks",
    ),
    Comparison("icarl", "icarl", f"{LOSSES}[icarl-", "loss and gradient in tasks 1 to 3"),
    Comparison(
        "icarl",
        "icarl",
        "test_convolutional::test_exemplars_their_order_and_their_shares[icarl-",
        "exemplars, class means, classes by their nearness",
    ),
    Comparison("wa", "wa", f"{LOSSES}[wa-", "loss and gradient in tasks 1 to 3"),
    Comparison("wa", "wa", "test_convolutional::test_weight_alignment", "γ and the aligned weights"),
    Comparison("bic", "bic", "test_convolutional::test_bic_stage_1", "stage 1: corrected logits, loss, gradient"),
    Comparison(
        "bic",
        "bic",
        "test_convolutional::test_bic_stage_2_is_the_paper_s",
        "stage 2 without the release's inner softmax: loss, gradients of α and β",
    ),
    Comparison(
        "bic",
        "bic",
        "test_convolutional::test_bic_stage_2_of_the_release_is_a_double_softmax_which_ours_is_not",
        "stage 2 as released, from our corrected logits: loss",
    ),
    Comparison(
        "der_expand",
        "der_expand",
        "test_convolutional::test_der_loss_and_gradients",
        "loss and gradients of both output layers",
    ),
    Comparison(
        "ucir",
        "ucir",
        "test_convolutional::test_ucir_loss_and_gradients",
        "the three losses together, gradients of features, rows and scale",
    ),
    Comparison(
        "ucir",
        "ucir",
        "test_convolutional::test_the_ranking_of_ucir_s_paper_is_k_times_the_release_s",
        "ranking summed over K, as printed: K times the release's",
    ),
    Comparison("ucir", "ucir", "test_convolutional::test_ucir_imprinting", "imprinted rows"),
    Comparison(
        "ucir",
        "ucir",
        "test_convolutional::test_ucir_weight_of_the_old_features",
        "λ for several shares of old classes",
    ),
    Comparison("podnet", "podnet", "test_convolutional::test_pod_spatial", "POD-spatial and its gradients"),
    Comparison("podnet", "podnet", "test_convolutional::test_nca_of_the_release", "NCA loss and its gradients"),
    Comparison(
        "podnet",
        "podnet",
        "test_convolutional::test_podnet_similarities_of_several_proxies",
        "similarities of three proxies a class (cosine and distance), gradients",
    ),
    Comparison(
        "podnet", "podnet", "test_convolutional::test_podnet_loss_and_gradients", "whole loss and all its gradients"
    ),
    Comparison(
        "foster", "foster", "test_convolutional::test_foster_class_weights", "class weights, boosting and compression"
    ),
    Comparison(
        "foster",
        "foster",
        "test_convolutional::test_foster_boosting_and_compression",
        "logits; losses and gradients of boosting and compression",
    ),
    Comparison(
        "dytox", "dytox_loss", "test_transformers::test_loss_of_dytox_and_its_gradients", "losses and gradients"
    ),
    Comparison(
        "dytox",
        "dytox_network",
        "test_transformers::test_task_attention_block_of_dytox",
        "task-attention block: attention, output, gradient",
    ),
    Comparison("dytox", "dytox_network", "test_transformers::test_gated_positional_block", "gated positional block"),
    Comparison(
        "dytox",
        "dytox_network",
        "test_transformers::test_gated_positional_attention_starts_as_the_release_s_up_to_the_order_of_heads",
        "its initial weights, heads as a set",
    ),
    Comparison(
        "dytox",
        "dytox_network",
        "test_transformers::test_network_of_dytox_after_three_tasks",
        "network of three tasks: embeddings, logits, divergence",
    ),
    Comparison(
        "dytox",
        "dytox_sam_herding",
        "test_transformers::test_sharpness_aware_step",
        "SAM and ASAM: worst weights, gradient there, step",
    ),
    Comparison(
        "dytox",
        "dytox_sam_herding",
        "test_transformers::test_herding_is_the_release_s_up_to_the_first_repeated_pick",
        "herding order, up to the release's first repeated pick",
    ),
    Comparison(
        "dne",
        "dne_layer",
        "test_transformers::test_task_attention_layer_of_dne",
        "task-attention layer, k = 1 and 2: output, λ, gradients",
    ),
    Comparison("dne", "dne_layer", "test_transformers::test_mlp_of_dne", "MLP of task attention, k = 1 and 2"),
    Comparison(
        "dne", "dne_layer", "test_transformers::test_scale_of_task_attention_starts_as_the_release_s", "λ as it starts"
    ),
    Comparison(
        "dne",
        "dne_network_k1",
        f"{DNE_NETWORK}[dne_network_k1",
        "three experts, k = 1: embedding, new logits, divergence",
    ),
    Comparison("dne", "dne_network_k2", f"{DNE_NETWORK}[dne_network_k2", "three experts, k = 2: the same"),
    Comparison(
        "dne",
        "dne_network_independent",
        f"{DNE_NETWORK}[dne_network_independent",
        "three independent experts: the same",
    ),
    Comparison(
        "dne", "dne_network_k1", f"{OLD_HEADS}[dne_network_k1", "all logits, by the release's heads over our embedding"
    ),
    Comparison("er", "er_der_derpp", f"{REPLAY}[er]", STEP),
    Comparison("der_replay", "er_der_derpp", f"{REPLAY}[der]", f"{STEP}; stored logits"),
    Comparison("derpp", "er_der_derpp", f"{REPLAY}[derpp", f"{STEP}; stored logits"),
    Comparison("gem", "gem_agem", "test_online::test_projection_of_gem", "projection of given gradients"),
    Comparison("gem", "gem_agem", f"{GEM_STEP}[gem_step", f"{STEP}; gradients of the memories"),
    Comparison("a-gem", "gem_agem", "test_online::test_projection_of_agem", "projection of given gradients"),
    Comparison("a-gem", "gem_agem", f"{GEM_STEP}[agem_step", STEP),
    Comparison(
        "ewc", "ewc_online", "test_online::test_online_ewc", "importance, penalty, steps under it over three tasks"
    ),
    Comparison(
        "si",
        "si",
        "test_online::test_synaptic_intelligence",
        "path integral, Ω, steps under the penalty over three tasks",
    ),
    Comparison(
        "ncm", "ncm_simplecil", "test_pretrained::test_nearest_means", "class means, distances or cosines, answers"
    ),
    Comparison(
        "ncm",
        "ncm_simplecil",
        "test_pretrained::test_distances_to_raw_means_as_avalanche",
        "distances to raw means (Avalanche's)",
    ),
    Comparison(
        "slda",
        "slda",
        "test_pretrained::test_streaming_discriminant_analysis",
        "means, covariance and scores after 1 to 20 images",
    ),
    Comparison(
        "slda",
        "slda",
        "test_pretrained::test_discriminant_analysis_at_the_published_shrinkage",
        "scores at the published shrinkage",
    ),
    Comparison("fecam", "fecam", "test_pretrained::test_mahalanobis_distances", "covariances and distances"),
    Comparison(
        "fecam",
        "fecam",
        "test_pretrained::test_covariances_of_classes_are_shrunk_twice_and_made_correlations",
        "shrunk and normalised covariances",
    ),
    Comparison(
        "ranpac",
        "ranpac",
        "test_pretrained::test_ridge_regression_on_random_projections",
        "sums, weights, scores, the ridge chosen",
    ),
    Comparison("aper", "aper_adapter_ssf", f"{ADAPTATION}test_adapter", "adapter alone, with and without residual"),
    Comparison(
        "aper",
        "aper_adapter_ssf",
        f"{ADAPTATION}test_block_with_an_adapter_beside_its_mlp",
        "block with an adapter beside its MLP, and without",
    ),
    Comparison("aper", "aper_adapter_ssf", f"{ADAPTATION}test_scale_and_shift", "scale and shift of tokens"),
    Comparison(
        "aper",
        "aper_adapter_ssf",
        f"{ADAPTATION}test_block_with_scales_and_shifts",
        "block with scale and shift behind norms and linear layers",
    ),
    Comparison(
        "aper",
        "aper_adapter_ssf",
        f"{ADAPTATION}test_prototypes_of_plain_and_tuned_features",
        "prototypes of both features, cosines",
    ),
    Comparison(
        "ease",
        "ease",
        f"{ADAPTATION}test_subspaces_and_the_means_that_are_made_up",
        "completed prototypes and reweighted scores over three tasks; `anew: false`; `plain: true` with `beta: 0.5`",
    ),
    Comparison(
        "slca",
        "slca",
        f"{ADAPTATION}test_alignment_of_the_head",
        "class statistics, normalised logits, losses and head after an epoch of alignment, with `tau: 0.1` and none",
    ),
    Comparison(
        "inflora",
        "inflora",
        f"{ADAPTATION}test_directions_and_memory_over_four_tasks",
        "fixed directions and memory over four tasks, of both types",
    ),
    Comparison(
        "inflora",
        "inflora",
        f"{ADAPTATION}test_attention_with_updates_of_keys_and_values",
        "attention with the updates of no, one and two tasks",
    ),
    Comparison(
        "sd-lora",
        "sdlora",
        f"{ADAPTATION}test_directions_and_magnitudes",
        "qkv with no, one and two earlier directions",
    ),
    Comparison(
        "sd-lora",
        "sdlora",
        f"{ADAPTATION}test_gradients_of_directions_and_magnitudes",
        "gradients of magnitudes and of the newest direction",
    ),
    Comparison(
        "l2p",
        "l2p",
        "test_prompts::test_each_image_takes_the_prompts_of_its_own_nearest_keys",
        "choice, prompts before the tokens, distance to keys and its gradient, without a vote and of single images",
    ),
    Comparison(
        "l2p", "l2p", "test_prompts::test_cosines_of_other_queries_and_of_given_keys", "choice by four other queries"
    ),
    Comparison("l2p", "l2p", "test_prompts::test_the_network_of_l2p", "a network's logits, loss and gradients"),
    Comparison(
        "l2p",
        "coda_release_dualprompt_l2p",
        "test_prompts::test_prefixes_of_l2p_plus_plus",
        "L2P++: choice, prefixes, distance to own keys",
        by=CODA,
    ),
    Comparison(
        "l2p",
        "coda_release_dualprompt_l2p",
        "test_prompts::test_blocks_of_l2p_plus_plus",
        "L2P++: blocks with prefixes, their sizes",
        by=CODA,
    ),
    Comparison("l2p", "parameter_counts", f"{COUNTED}[l2p", "trainable parameters on ViT-B/16, L2P++ too"),
    Comparison(
        "dualprompt",
        "dualprompt",
        "test_prompts::test_prefixes_of_an_image_do_not_depend_on_its_batch",
        "choice, prefixes of single images, distance to keys and its gradient, told the task and not",
    ),
    Comparison("dualprompt", "dualprompt", f"{PREFIXED}[dualprompt", "attention with and without a prefix"),
    Comparison(
        "dualprompt",
        "dualprompt",
        "test_prompts::test_the_network_of_dualprompt",
        "a network's logits one image at a time, loss and gradients of one image",
    ),
    Comparison(
        "dualprompt",
        "coda_release_dualprompt_l2p",
        "test_prompts::test_prefixes_of_dualprompt_in_coda_s_release",
        "a key a block: choice, prefixes, distance and its gradient",
        by=CODA,
    ),
    Comparison(
        "dualprompt",
        "coda_release_dualprompt_l2p",
        "test_prompts::test_blocks_of_dualprompt_in_coda_s_release",
        "blocks with prefixes, their sizes",
        by=CODA,
    ),
    Comparison(
        "dualprompt", "parameter_counts", f"{COUNTED}[dualprompt", "trainable parameters on ViT-B/16, CODA's too"
    ),
    Comparison(
        "coda-prompt",
        "coda_prompt",
        "test_prompts::test_weighted_components",
        "prefixes after one, two and three tasks, penalty, gradients",
    ),
    Comparison(
        "coda-prompt",
        "coda_prompt",
        "test_prompts::test_new_components_start_as_the_release_s",
        "start of new components, before and after training",
    ),
    Comparison("coda-prompt", "coda_prompt", "test_prompts::test_penalties", "penalty on keys and on prompts"),
    Comparison("coda-prompt", "coda_prompt", f"{PREFIXED}[coda_prompt", "attention with and without a prefix"),
    Comparison(
        "coda-prompt",
        "coda_prompt",
        "test_prompts::test_the_network_of_coda_prompt",
        "a network's query, features, logits, loss and gradients",
    ),
    Comparison("coda-prompt", "parameter_counts", f"{COUNTED}[coda_prompt", "trainable parameters on ViT-B/16"),
)

APART: dict[str, tuple[str, ...]] = {
    "finetune": ("The release's cross-entropy has the new columns only; `compete: seen` has all.",),
    "lwf": (
        "The release distils all old columns in one softmax, without T², and its cross-entropy has the new columns only; "
        "Li & Hoiem have a head a task, whose distillations are apart.",
    ),
    "replay": ("The release gives each class floor(memory / classes) exemplars.",),
    "icarl": (
        "The paper, and Rebuffi's own code, have a sigmoid a column; PyCIL has cross-entropy, and distillation of weight 1 "
        "without T².",
        "PyCIL adds 1e-8 to lengths before it divides: class means differ by about 2e-9.",
    ),
    "wa": (
        "Distillation has the share known / all and no T². Biases are not aligned.",
        "PyCIL draws rows of new classes Kaiming-uniform for a linear layer, with bias 0: `head_init: unit`.",
    ),
    "bic": (
        "PyCIL's stage 2 takes the cross-entropy of a softmax of the logits, a softmax twice; the paper's eq. 5, and ours, "
        "takes it once.",
        "The authors' TensorFlow code was not run.",
    ),
    "der_expand": (
        "PyCIL keeps the old output layer's weights, has a bias and aligns weights after each task; the authors' release "
        "does none of these and fine-tunes a new layer.",
        "Not compared: the grown network and the last alignment.",
    ),
    "ucir": (
        "The ranking loss is a mean over (old image, k) in the release and a sum over k in the paper's eq. 8: "
        "`ranking_over`.",
        "The paper prints sqrt(new / old) for λ; the release has sqrt(old / new).",
        "The authors' CIFAR script does not fine-tune at a task's end; Douillard's, whose schedule the suites take, does.",
        "The release draws its hundred classes of ImageNet at random; those of suite imagenet100 are DyTox's.",
    ),
    "podnet": (
        "The released options take -|a - b|² = 2 cos - 2 for the similarity, so that proxies' softmax and η start twice as "
        "sharp as with the paper's cosines: `similarity`.",
        "The release's NCA has its margin in every column, where it cancels, no hinge, and 1 for the own class in the "
        "denominator: `nca`. Its hinge, an option, is not ours.",
    ),
    "foster": (
        "Distillation has no T². The release counts classes nominally (500 new on CIFAR-100); ours counts the examples.",
        "Not compared: the alignment of the teacher.",
    ),
    "dytox": (
        "The paper writes cross-entropy and Kullback-Leibler divergence; the release takes means over columns too "
        "(`criterion`, `distillation_mean`).",
        "The release's herding lets a repeated pick move its walk on, as iCaRL's code does; iCaRL's Algorithm 4, and "
        "ours, never asks a chosen image again.",
        "The release's ASAM has no η: `sam_eta: 0`.",
    ),
    "dne": (
        "The paper's eq. 17 has a layer norm between the two layers, the release none; eq. 23 has a λ a head, the release "
        "one a layer. Ours is the release's.",
        "The release has no spatial-task attention (STA): nothing to hold ours against.",
        "The release's old heads read and normalise the whole embedding, ours their own part and new columns that start at "
        "0, so that old logits start unchanged.",
    ),
    "er": ("Mammoth offers an example to the buffer in every epoch; ours once.",),
    "gem": ("Mammoth adds 1e-3 to the diagonal of GGᵀ and a margin of 0.5; eq. 11 has neither: `ridge`, `margin`.",),
    "ewc": (
        "Mammoth weights squared gradients by the label's probability, has no ½ before the penalty, and takes a mean over "
        "batches times their size.",
    ),
    "aper": (
        "The release drops a tenth of an adapter's bottleneck in training; so does ours, by other random numbers.",
        "Not compared: prompts (VPT), which no golden case has.",
    ),
    "ease": ("The sum over the other subspaces is divided by their number, as in the release.",),
    "slca": (
        "The release finds a class's task by dividing its number by the size of the current task, which is wrong where the first "
        "task is larger (B50); ours knows the task.",
        "The factor 0.9 + 0.1 t / T on the means is the release's.",
    ),
    "inflora": (
        "The release calls the fixed matrix A and trains B; the paper has B fixed. Squared singular values of XᵀX, not of X, "
        "count as energy.",
        "The first task leaves out the vector that crosses the bound, later ones take it. Where more than half of all "
        "directions are kept after the first task already, the release marks its basis as the rest without making it so; "
        "ours makes it so.",
        "Where fewer directions are left than the rank, the release fills up with arbitrary ones; ours are 0 there.",
    ),
    "sd-lora": (
        "Earlier directions are divided by their lengths, the newest is not, and magnitudes start anew with every task: the "
        "release's way. Its module for evaluation, which its learner does not use, keeps the last task only.",
    ),
    "si": (
        "Mammoth clips gradients to ±1 before the step; the path integral takes them unclipped and without the penalty.",
    ),
    "l2p": (
        "The release counts the keys chosen in a batch and gives every image the winners, in its configuration for "
        "CIFAR-100 at test too, where a batch is of one task and so tells it (l2p#28; PILOT the same). Ours takes each "
        "image by itself, as do the release's cases without the vote and of single images.",
        "The release gives prompts the position of the class token, which a trained prompt can hold itself; the paper's, "
        "and ours, have none.",
        "Its loss has -cos where the paper and ours have 1 - cos.",
        "L2P++: the release pulls every image to the keys chosen by all images of its batch, having indexed by a matrix; "
        "ours to its own.",
    ),
    "dualprompt": (
        "The release lets the batch vote on the task's prompt at test, which tells the task (dualprompt-pytorch#5: 75.6 "
        "with the batch, 65.2 one image at a time). Ours takes each image by itself.",
        "The release reshapes prefixes from (layer, key or value, image) to (layer, image, key or value): keys and values "
        "of a batch are mixed over its images (dualprompt-pytorch#8; PILOT the same). Ours does not, and is compared on "
        "single images, where the reshape is right.",
        "At test the release has the keys of tasks to come compete, as they were drawn; ours only those of tasks seen.",
        "In CODA-Prompt's release halves of one prompt are keys and values, each block has a key of its own, and distances "
        "are added up over images.",
    ),
    "coda-prompt": (
        "The release's penalty is a mean over entries, which its settings for CIFAR-100 weigh by 0; an earlier state of it "
        "(22948d2) weighs it by 1e-7.",
        "New components are orthogonal to old ones and to each other only as long as the old have not been trained.",
        "Components of earlier tasks get no gradient in either; in the release an optimizer with momentum or decay of "
        "weights would move them all the same.",
    ),
}
"""Where release and paper, or release and ours, differ; of a method that is not here no difference is known."""
