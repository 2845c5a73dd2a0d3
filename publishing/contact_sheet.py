"""Classes at a glance."""

import math
import os

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_FONT_SIZE = 12
_GAP = 2
_GAP_LEVEL = 64


def contact_sheet(classes, num_classes=20, num_images=20, seed=0, names=False):
    """Classes as rows, their images as columns: to look at before training on them.

    Args:
        classes: ImageClasses.
        num_classes: rows, drawn by `seed` without repetition and kept in order; all classes where there are fewer.
        num_images: columns, the first of each class; places stay black where a class has fewer.
        seed: int.
        names: whether the name of each class stands to the left of its row.

    Returns:
        uint8 [H, W], or [H, W, C] where the images have more than one channel.

    Raises:
        ValueError: for fewer than one row or column.
    """
    if num_classes < 1 or num_images < 1:
        raise ValueError(
            "`num_classes` and `num_images` must be at least 1. "
            f"Received: num_classes={num_classes}, num_images={num_images}"
        )
    height, width, channels = classes.image_shape
    order = np.random.default_rng(seed).permutation(classes.num_classes)
    rows = sorted(order[:num_classes])
    cell = (height + _GAP, width + _GAP)
    sheet = np.full((len(rows) * cell[0] + _GAP, num_images * cell[1] + _GAP, channels), _GAP_LEVEL, np.uint8)
    for row, class_index in enumerate(rows):
        for column in range(num_images):
            top, left = _GAP + row * cell[0], _GAP + column * cell[1]
            place = sheet[top : top + height, left : left + width]
            if column < len(classes.members[class_index]):
                pixels = classes.images[classes.members[class_index][column]]
                place[...] = np.rot90(pixels, classes.quarter_turns[class_index])
            else:
                place[...] = 0
    if names:
        margin = _margin([str(classes.names[index]) for index in rows], cell[0], len(sheet))
        sheet = np.concatenate([np.repeat(margin[..., None], channels, axis=-1), sheet], axis=1)
    return sheet[..., 0] if channels == 1 else sheet


def _margin(names, row_height, height):
    """Names under each other, white on black: uint8 [height, width of the longest]."""
    path = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(path, min(_FONT_SIZE, row_height))
    margin = Image.new("L", (math.ceil(max(font.getlength(name) for name in names)) + 2 * _GAP, height))
    draw = ImageDraw.Draw(margin)
    for row, name in enumerate(names):
        draw.text((_GAP, _GAP + (row + 0.5) * row_height), name, fill=255, font=font, anchor="lm")
    return np.asarray(margin)
