import sys

import numpy as np
import pytest

from publishing.contact_sheet import contact_sheet
from zoo.datasets.sampler import ImageClasses


def test_contact_sheet_has_classes_as_rows():
    # Two classes of 2x2 images, one with a single image, between gaps of 2 pixels.
    images = np.stack([np.full((2, 2, 1), level, np.uint8) for level in (10, 20, 30)])
    sheet = contact_sheet(ImageClasses.from_labels(images, np.array([0, 0, 1]), ["a", "b"]), 5, 2)
    assert sheet.shape == (10, 10) and sheet.dtype == np.uint8
    assert sheet[2::4, 2::4][:2, :2].tolist() == [[10, 20], [30, 0]]
    with pytest.raises(ValueError, match="Received: num_classes=0, num_images=20"):
        contact_sheet(ImageClasses.from_labels(images, np.array([0, 0, 1]), ["a", "b"]), 0)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
