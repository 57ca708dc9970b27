import pytest
import torch
from torch.nn import functional

from hwnas.training.batches import batch_indices, shifted


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("count", "size", "wanted"), [(10, 4, [4, 3, 3]), (8, 4, [4, 4]), (3, 64, [3]), (2, 1, [1, 1])]
)
def test_batches_cover_all_images_once_in_equal_parts(count, size, wanted):
    parts = list(batch_indices(count, size, seeded()))
    assert sorted(torch.cat(parts).tolist()) == list(range(count))
    assert [len(part) for part in parts] == wanted


def test_every_pass_has_an_order_of_its_own():
    generator = seeded()
    first, second = (torch.cat(list(batch_indices(50, 8, generator))) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, torch.cat(list(batch_indices(50, 8, seeded()))))


def test_shifts_are_crops_of_the_image_padded_by_its_edge():
    images = torch.arange(32 * 2 * 48.0).view(32, 2, 8, 6)
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    found = set()
    for before, after in zip(padded, shifted(images, 0.15, seeded()), strict=True):
        crops = {(y, x): before[:, y : y + 8, x : x + 6] for y in range(3) for x in range(3)}
        found.update(place for place, crop in crops.items() if torch.equal(after, crop))
    # One of three moves is missed by 32 images with a probability of (2/3)**32, 2e-6.
    assert {y for y, _ in found} == {x for _, x in found} == {0, 1, 2}


def test_no_shift_gives_the_images_themselves():
    images = torch.rand(2, 1, 8, 8)
    assert shifted(images, 0, seeded()) is images
    assert shifted(images, 0.06, seeded()) is images
