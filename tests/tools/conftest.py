import gzip
import struct

import numpy as np
import pytest


@pytest.fixture
def idx_images(tmp_path):
    """An IDX folder of bright and dark images, ten classes by brightness."""
    folder = tmp_path / "idx"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 400), ("t10k", 50)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = rng.integers(0, 30, (count, 28, 28)) + labels[:, None, None] * 20
        for what, data in (("images-idx3", pixels.astype(np.uint8)), ("labels-idx1", labels)):
            head = struct.pack(f">HBB{data.ndim}I", 0, 8, data.ndim, *data.shape)
            with gzip.open(folder / f"{part}-{what}-ubyte.gz", "wb") as stream:
                stream.write(head + data.tobytes())
    return folder
