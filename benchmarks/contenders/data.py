"""Episodes and initial weights that all contenders are given: NumPy alone."""

import math

import numpy as np

NUM_BATCHES = 4


def batches(row):
    """`NUM_BATCHES` batches of images of noise around a mean per class: lists of (support x, y, query x, y), T leading."""
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(NUM_BATCHES):
        means = generator.random((row["tasks"], row["way"], 1, *row["network"]["options"]["input_shape"]), np.float32)
        part = []
        for count in (row["shot"], row["query"]):
            shape = (row["tasks"], row["way"], count, *row["network"]["options"]["input_shape"])
            images = 0.5 * (means + generator.random(shape, np.float32))
            labels = np.broadcast_to(np.arange(row["way"])[:, None], shape[:3])
            # Shot by shot, so that minibatches hold every class.
            part += [np.swapaxes(v, 1, 2).reshape(row["tasks"], -1, *v.shape[3:]) for v in (images, labels)]
        drawn.append(part)
    return drawn


def weights(row):
    """Conv-4 and a dense layer: {"blocks": [(kernel HWIO, gamma, beta)] * 4, "head": (kernel, bias) or ()}, float32."""
    generator = np.random.default_rng(1)
    network = row["network"]
    image, filters = network["options"]["input_shape"], network["options"]["filters"]

    def glorot(*shape):
        limit = math.sqrt(6 / (math.prod(shape[:-1]) + math.prod(shape[:-2]) * shape[-1]))
        return generator.uniform(-limit, limit, shape).astype(np.float32)

    blocks = []
    for size in (image[-1], filters, filters, filters):
        blocks.append((glorot(3, 3, size, filters), np.ones(filters, np.float32), np.zeros(filters, np.float32)))
    if row["method"] == "PrototypicalNetwork":
        return {"blocks": blocks, "head": ()}
    height, width = (_halved(size, network["name"]) for size in image[:2])
    return {
        "blocks": blocks,
        "head": (glorot(height * width * filters, row["way"]), np.zeros(row["way"], np.float32)),
    }


def _halved(size, network):
    for _ in range(4):
        size = math.ceil(size / 2) if network == "strided_conv4" else size // 2
    return size
