"""Folders of image files for the tests."""

import tensorflow as tf


def write_folder(root, images, labels):
    """One folder of PNG files per label, ink dark: images [n, H, W, C]."""
    for number, (image, label) in enumerate(zip(images, labels)):
        (root / f"letter {label}").mkdir(parents=True, exist_ok=True)
        pixels = tf.cast(255 * (1 - image / images.max()), tf.uint8)
        (root / f"letter {label}" / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
