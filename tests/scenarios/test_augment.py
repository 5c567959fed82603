"""Batched augmentation against Pillow, torchvision and timm, image by image, on the same drawn parameters.

Tolerances. Colour operations must agree with Pillow exactly: both cut the same float32 or integer results off
to uint8. Three exceptions may be off by one level of 255:
- autocontrast: Pillow's float rule can give 254.99... and cut it to 254, ours is exact in integers;
- hue: ours rounds to the nearest level, torchvision's tensor function scales by 255.999 and cuts off;
- affine: Pillow sums in float64, ours in float32, so a value near an integer may be cut off to the one or the
  other. With the 2e-4 added so that flat areas stay, and coordinates good to 4e-6 at slopes of some hundred
  levels a pixel, that is expected for about 1 value in 1000; 1 in 100 is allowed.
"""

import math

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from PIL import Image
from scipy import stats
from torch import Generator, Tensor
from torchvision.transforms import AutoAugment as TorchvisionAutoAugment
from torchvision.transforms import AutoAugmentPolicy

from scenarios import augment
from scenarios.augment import (
    POLICY_OPERATIONS,
    Augment,
    AutoAugment,
    ColorJitter,
    Cutout,
    Flip,
    Operation,
    RandAugment,
    RandomCrop,
    RandomErasing,
)
from scenarios.mixup import Mixup

OPERATIONS: list[Operation] = [
    RandomCrop(padding=4),
    Flip(),
    ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    Cutout(size=16),
    RandomErasing(probability=1.0),
    RandAugment(probability=1.0),
    AutoAugment(),
]
TIMM_NAME = {name: f"{name}Increasing" for name in ("Color", "Contrast", "Brightness", "Sharpness")}
TIMM_NAME |= {"Posterize": "PosterizeIncreasing", "Solarize": "SolarizeIncreasing"}
TIMM_NAME |= {"TranslateX": "TranslateXRel", "TranslateY": "TranslateYRel"}


@pytest.fixture(autouse=True)
def one_thread():
    # Small tensors: a second thread costs more than it gives, and much more beside other load.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pictures(n: int, channels: int = 3, height: int = 32, width: int = 32) -> Tensor:
    """uint8 images of all kinds: smooth with strong and weak contrast, noise, and some of a single colour."""
    rng = seeded(5)
    coarse = torch.rand(n, channels, 4, 4, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    contrast = torch.rand(n, 1, 1, 1, generator=rng) * 300
    noisy = smooth * contrast + 20 + 10 * torch.randn(smooth.shape, generator=rng)
    images = noisy.clamp(0, 255).to(torch.uint8)
    images[::4] = torch.randint(0, 256, images[::4].shape, generator=rng).to(torch.uint8)
    images[1::16] = torch.randint(0, 256, (len(images[1::16]), channels, 1, 1), generator=rng).to(torch.uint8)
    return images


def to_pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def from_pil(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def difference(got: Tensor, expected: Tensor) -> Tensor:
    return (got.int() - expected.int()).abs()


def ids(operation: Operation) -> str:
    return type(operation).__name__


# What holds for all operations


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_the_seed_decides_and_the_input_stays(operation: Operation) -> None:
    images = pictures(32)
    before = images.clone()
    first = operation(images, seeded(1))
    assert first.dtype == torch.uint8
    assert first.shape == images.shape
    assert torch.equal(first, operation(images, seeded(1)))
    assert not torch.equal(first, operation(images, seeded(2)))
    assert torch.equal(images, before)


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_equal_images_in_one_batch_come_out_different(operation: Operation) -> None:
    copies = pictures(3)[2:].expand(64, -1, -1, -1)
    different = operation(copies, seeded()).flatten(1).unique(dim=0)
    assert len(different) > (1 if isinstance(operation, Flip) else 8)


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_an_image_depends_on_its_own_draw_alone(operation: Operation) -> None:
    images = pictures(32)
    draws = operation.draw(images, seeded())
    whole = operation.apply(images, *draws)
    for i in range(len(images)):
        alone = operation.apply(images[i : i + 1], *(draw[i : i + 1] for draw in draws))
        assert torch.equal(alone[0], whole[i])


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 24)], ids=str)
def test_other_shapes(operation: Operation, shape: tuple[int, int, int]) -> None:
    images = pictures(8, *shape)
    assert operation(images, seeded()).shape == images.shape


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_memory_format_does_not_matter(operation: Operation) -> None:
    images = pictures(8)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(operation(last, seeded()), operation(images, seeded()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_a_gpu_does_as_the_processor(operation: Operation) -> None:
    images = pictures(256)
    steps = difference(operation(images.cuda(), seeded()).cpu(), operation(images, seeded()))
    # A level off where float32 sums differ in their last bit; a following operation can widen it.
    assert (steps > 0).float().mean() < 0.01


def test_augment_runs_in_order_and_normalises_last() -> None:
    images = pictures(4)
    steps = Augment([Flip(probability=1.0), Cutout(size=8, fill=7)], normalise=lambda x: x.float() / 255)
    draws = seeded(3)
    expected = Cutout(size=8, fill=7)(Flip(probability=1.0)(images, draws), draws).float() / 255
    assert torch.equal(steps(images, seeded(3)), expected)
    assert torch.equal(Augment([])(images, seeded()), images)


@pytest.mark.parametrize(
    "images", [torch.rand(2, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)], ids=["float", "3d"]
)
def test_augment_takes_only_batches_of_bytes(images: Tensor) -> None:
    with pytest.raises(TypeError, match=r"uint8 \[N, C, H, W\]"):
        Augment([Flip()])(images, seeded())


# Where things are


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 16, 24)], ids=str)
def test_crop_is_torchvisions(shape: tuple[int, int, int]) -> None:
    images = pictures(64, *shape)
    crop = RandomCrop(padding=4)
    draws = crop.draw(images, seeded())
    for image, got, top, left in zip(images, crop.apply(images, *draws), *draws):
        assert torch.equal(got, TF.crop(TF.pad(image, [4]), int(top), int(left), *shape[1:]))


def test_crops_are_uniform() -> None:
    top, left = RandomCrop(padding=4).draw(torch.empty(81_000, 1, 1, 1), seeded())
    counts = torch.bincount(top * 9 + left, minlength=81)
    assert len(counts) == 81
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_flip_is_torchvisions_and_its_probability_is_kept() -> None:
    images = pictures(64)
    flip = Flip()
    (flipped,) = flip.draw(images, seeded())
    for image, got, done in zip(images, flip.apply(images, flipped), flipped):
        assert torch.equal(got, TF.hflip(image) if done else image)
    (flipped,) = Flip(probability=0.3).draw(torch.empty(20_000, 1, 1, 1), seeded())
    assert flipped.float().mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 20_000))


def test_cutout_is_a_clipped_square_around_its_centre() -> None:
    images = pictures(64)
    cutout = Cutout(size=16, fill=(1, 2, 3))
    rows, columns = cutout.draw(images, seeded())
    cut = cutout.apply(images, rows, columns)
    for image, got, row, column in zip(images, cut, rows.tolist(), columns.tolist()):
        expected = image.clone()
        box = expected[:, max(0, row - 8) : row + 8, max(0, column - 8) : column + 8]
        box[:] = torch.tensor([1, 2, 3]).view(3, 1, 1)
        assert torch.equal(got, expected)
    rows, columns = cutout.draw(torch.empty(32_000, 1, 8, 4), seeded())
    assert stats.chisquare(torch.bincount(rows * 4 + columns, minlength=32).numpy()).pvalue > 1e-3


def test_erasing_fills_the_drawn_rectangles() -> None:
    images = pictures(64)
    erasing = RandomErasing(probability=0.7, fill=9)
    draws = erasing.draw(images, seeded())
    boxes = torch.stack(draws, 1).tolist()
    for image, got, (top, left, bottom, right) in zip(images, erasing.apply(images, *draws), boxes):
        expected = image.clone()
        expected[:, top:bottom, left:right] = 9
        assert torch.equal(got, expected)


def test_erased_rectangles_have_the_distribution_of_timms() -> None:
    # The reference: the rule image by image (Zhong et al. 2020, algorithm 1, with timm's ten attempts).
    rng = np.random.default_rng(0)
    n, side = 20_000, 32
    area = rng.uniform(0.02, 1 / 3, (n, 10)) * side * side
    aspect = np.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3), (n, 10)))
    heights, widths = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    attempts = np.stack([heights, widths], 2)
    reference = np.array([next(box for box in boxes if (box < side).all()) for boxes in attempts])
    top, left, bottom, right = RandomErasing(probability=0.25).draw(torch.empty(n, 3, side, side), seeded())
    erased = bottom > top
    assert erased.float().mean() == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / n))
    assert (top.min(), left.min()) == (0, 0)
    assert (bottom.max(), right.max()) == (side, side)
    boxes = torch.stack([bottom - top, right - left], 1)[erased].numpy()
    assert boxes.max() < side
    assert stats.ks_2samp(boxes[:, 0], reference[:, 0]).pvalue > 1e-3
    assert stats.ks_2samp(boxes.prod(1), reference.prod(1)).pvalue > 1e-3
    # Where it stands is uniform over where it fits.
    room = (side - boxes[:, 0]) + 1
    assert np.mean((top[erased].numpy() + 0.5) / room) == pytest.approx(0.5, abs=0.02)


def test_fill_needs_a_value_a_channel() -> None:
    with pytest.raises(ValueError, match="3 values, the images have 1 channels"):
        Cutout(size=4, fill=(1, 2, 3))(pictures(2, channels=1), seeded())


# Colours


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (augment.brightness, TF.adjust_brightness),
        (augment.contrast, TF.adjust_contrast),
        (augment.saturation, TF.adjust_saturation),
    ],
    ids=["brightness", "contrast", "saturation"],
)
def test_factors_are_pillows_exactly(function, reference) -> None:
    images = pictures(200)
    factors = torch.linspace(0, 2, 200)
    for image, got, factor in zip(images, function(images, factors), factors.tolist()):
        assert torch.equal(got, from_pil(reference(to_pil(image), factor)))


def test_hue_is_torchvisions_to_one_level() -> None:
    images = pictures(200)
    shifts = torch.linspace(-0.5, 0.5, 200)
    got = augment.hue(images, shifts)
    expected = torch.stack([TF.adjust_hue(image, shift) for image, shift in zip(images, shifts.tolist())])
    assert difference(got, expected).max() <= 1
    assert difference(got, images).float().mean() > 5
    assert torch.equal(augment.hue(images, torch.zeros(200)), images)


def test_jitter_changes_in_the_drawn_order() -> None:
    images = pictures(64)
    jitter = ColorJitter(brightness=0.5, contrast=0.5, saturation=0.5)
    values, order = jitter.draw(images, seeded())
    changes = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, lambda image, _: image)
    for image, got, factors, sequence in zip(images, jitter.apply(images, values, order), values, order):
        expected = to_pil(image)
        for change in sequence.tolist():
            expected = changes[change](expected, float(factors[change]))
        assert torch.equal(got, from_pil(expected))


def test_one_change_alone_is_the_same_by_either_path() -> None:
    images = pictures(32)
    jitter = ColorJitter(brightness=63 / 255)
    values, _ = jitter.draw(images, seeded())
    assert torch.equal(jitter(images, seeded()), augment.brightness(images, values[:, 0]))


def test_jitter_draws_are_torchvisions() -> None:
    values, order = ColorJitter(brightness=63 / 255, contrast=1.5, hue=0.1).draw(torch.empty(24_000, 1, 1, 1), seeded())
    ranges = [(1 - 63 / 255, 1 + 63 / 255), (0.0, 2.5), (1.0, 1.0), (-0.1, 0.1)]
    for column, (low, high) in zip(values.unbind(1), ranges):
        if low == high:
            assert torch.equal(column, torch.full_like(column, low))
        else:
            assert stats.kstest(column.numpy(), stats.uniform(low, high - low).cdf).pvalue > 1e-3
    _, counts = order.unique(dim=0, return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_jitter_rejects_an_impossible_hue() -> None:
    with pytest.raises(ValueError, match=r"less than or equal to 0\.5"):
        ColorJitter(hue=0.6)


# RandAugment and AutoAugment


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("name", POLICY_OPERATIONS)
def test_each_operation_is_timms(name: str, interpolation: str) -> None:
    from timm.data.auto_augment import NAME_TO_OP

    images = pictures(80)
    # Magnitudes of 9 for one half; all others, weak ones too, for the other.
    values = torch.cat(
        [_values_of(name, RandAugment(), 40), _values_of(name, RandAugment(magnitude=5, magnitude_std=5), 40)]
    )
    draws = (torch.full((80, 1), POLICY_OPERATIONS.index(name)), values.view(-1, 1))
    got = RandAugment(interpolation=interpolation, fill=(124, 116, 104)).apply(images, *draws)

    options = {"fillcolor": (124, 116, 104), "resample": Image.Resampling[interpolation.upper()]}
    reference = NAME_TO_OP[TIMM_NAME.get(name, name)]
    expected = []
    for image, value in zip(images, values.tolist()):
        if name == "Posterize" and value == 0:
            expected.append(torch.zeros_like(image))  # what timm means by 0 bits; newer Pillows refuse it
        elif name in ("AutoContrast", "Equalize", "Invert"):
            expected.append(from_pil(reference(to_pil(image))))
        else:
            whole = name in ("Posterize", "Solarize", "SolarizeAdd")
            expected.append(from_pil(reference(to_pil(image), int(value) if whole else value, **options)))
    off = difference(got, torch.stack(expected))
    if name == "AutoContrast" or name in augment.GEOMETRIC_OPERATIONS:
        assert off.max() <= 1
        assert (off > 0).float().mean() < 0.01
    else:
        assert off.max() == 0


def _values_of(name: str, policy: RandAugment, n: int) -> Tensor:
    """n values that the policy draws for this operation."""
    operations, values = policy.draw(torch.empty(100 * n, 1, 1, 1), seeded(4))
    return values[operations == POLICY_OPERATIONS.index(name)][:n]


@pytest.mark.parametrize("magnitude", [0, 1, 5, 8.7, 9, 10])
def test_values_are_timms_increasing_levels(magnitude: float) -> None:
    from timm.data.auto_augment import LEVEL_TO_ARG

    for name in POLICY_OPERATIONS:
        level = LEVEL_TO_ARG[TIMM_NAME.get(name, name)]
        if level is None:
            continue
        expected = {round(float(level(magnitude, {})[0]), 5) for _ in range(64)}  # both signs among 64 tries
        drawn = _values_of(name, RandAugment(magnitude=magnitude, magnitude_std=0), 40)
        assert {round(value, 5) for value in drawn.tolist()} == expected, name


def test_rand_augment_draws_are_timms() -> None:
    n = 30_000
    operations, values = RandAugment().draw(torch.empty(n, 1, 1, 1), seeded())
    assert operations.shape == values.shape == (n, 2)
    assert (operations >= 0).float().mean() == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / (2 * n)))
    counts = torch.bincount(operations[operations >= 0], minlength=15)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    # The two are independent: all pairs, repeats too, are equally frequent.
    both = operations[(operations >= 0).all(1)]
    pairs = torch.bincount(both[:, 0] * 15 + both[:, 1], minlength=225)
    assert stats.chisquare(pairs.numpy()).pvalue > 1e-3
    # The magnitude, read off an operation that is linear in it: N(9, 0.5) with everything above 10 at 10.
    shear = values[operations == POLICY_OPERATIONS.index("ShearX")] / 0.03
    assert (shear > 0).float().mean() == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / len(shear)))
    magnitude = shear.abs().numpy()
    below = magnitude[magnitude < 9.999]
    assert 1 - len(below) / len(magnitude) == pytest.approx(stats.norm.sf(2), abs=0.012)
    assert stats.kstest(below, stats.truncnorm(-np.inf, 2, loc=9, scale=0.5).cdf).pvalue > 1e-3


def test_two_operations_follow_each_other() -> None:
    images = pictures(64)
    policy = RandAugment(probability=1.0)
    operations, values = policy.draw(images, seeded())
    once = policy.apply(images, operations[:, :1], values[:, :1])
    twice = policy.apply(once, operations[:, 1:], values[:, 1:])
    assert torch.equal(policy.apply(images, operations, values), twice)
    assert torch.equal(policy.apply(images, torch.full_like(operations, -1), values), images)


def test_auto_augment_policy_is_the_published_one() -> None:
    published = TorchvisionAutoAugment(AutoAugmentPolicy.CIFAR10).policies
    ours = [tuple((name, p, level) for name, p, level in pair) for pair in augment.CIFAR10_POLICY]
    assert ours == [tuple((name, p, level or 0) for name, p, level in pair) for pair in published]


def test_auto_augment_draws_follow_the_policy() -> None:
    n = 25_000
    strengths = TorchvisionAutoAugment(AutoAugmentPolicy.CIFAR10)._augmentation_space(10, (32, 32))
    operations, values = AutoAugment().draw(torch.empty(n, 3, 32, 32), seeded())
    expected = torch.zeros(2, len(POLICY_OPERATIONS))
    allowed: dict[str, set[float]] = {}
    for pair in augment.CIFAR10_POLICY:
        for place, (name, probability, level) in enumerate(pair):
            expected[place, POLICY_OPERATIONS.index(name)] += probability / 25
            table, signed = strengths[name]
            value = float(table[level]) if table.ndim else 0.0
            value /= 32 if name.startswith("Translate") else 1  # torchvision counts pixels
            start = 1.0 if name in ("Color", "Contrast", "Brightness", "Sharpness") else 0.0
            both = {start + value, start - value} if signed else {start + value}
            allowed.setdefault(name, set()).update(round(v, 4) for v in both)
    for place in range(2):
        for i, part in enumerate(expected[place].tolist()):
            error = 4 * math.sqrt(part * (1 - part) / n)
            assert (operations[:, place] == i).float().mean() == pytest.approx(part, abs=error)
    for i, name in enumerate(POLICY_OPERATIONS):
        drawn = {round(v, 4) for v in values[operations == i].tolist()}
        assert drawn == (allowed.get(name, set()) if drawn else set()), name


def test_flat_areas_keep_their_level_when_turned() -> None:
    # Without care float32 turns 255 into 254: a bias, as results are cut off.
    levels = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32)
    for name in augment.GEOMETRIC_OPERATIONS:
        values = _values_of(name, RandAugment(magnitude=5, magnitude_std=5), 256).view(-1, 1)
        draws = (torch.full((256, 1), POLICY_OPERATIONS.index(name)), values)
        got = RandAugment(fill=0).apply(levels, *draws)
        assert ((got == levels) | (got == 0)).all()


# Mixup


@pytest.mark.parametrize("per_image", [True, False])
def test_mixup_mixes_images_as_their_targets(per_image: bool) -> None:
    images = torch.randn(32, 3, 4, 4, generator=seeded())
    mixed, targets = Mixup(alpha=0.8, per_image=per_image)(images, torch.eye(32), seeded(1))
    # One class an image: the targets say what is in the mixture.
    assert torch.allclose(mixed, torch.einsum("nk,kchw->nchw", targets, images), atol=1e-5)
    assert torch.allclose(targets.sum(1), torch.ones(32))
    assert (targets > 0).sum(1).max() == 2
    kept = targets.diagonal()
    assert len(kept[kept < 1].unique()) > 20 if per_image else len(kept[kept < 1].unique()) == 1
    again, _ = Mixup(alpha=0.8, per_image=per_image)(images, torch.eye(32), seeded(1))
    assert torch.equal(mixed, again)


def test_the_part_kept_is_beta_distributed() -> None:
    n = 2000
    _, targets = Mixup(alpha=0.8, per_image=True)(torch.zeros(n, 1, 1, 1), torch.eye(n), seeded())
    kept = targets.diagonal()[targets.diagonal() < 1]  # 1 where an image met itself
    assert len(kept) > n - 10
    assert stats.kstest(kept.numpy(), stats.beta(0.8, 0.8).cdf).pvalue > 1e-3


def test_a_batch_is_mixed_as_often_as_asked() -> None:
    images, targets, generator = torch.zeros(4, 1, 1, 1), torch.eye(4), seeded()
    mixed = sum(Mixup(probability=0.25)(images, targets, generator) is not None for _ in range(2000))
    assert mixed == pytest.approx(500, abs=4 * math.sqrt(2000 * 0.25 * 0.75))
