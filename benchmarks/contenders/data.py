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
    """{"blocks": [(kernel HWIO, gamma, beta)] * 4, "head": (kernel, bias) or (), "more": {name: those of a method}}, float32.

    A Meta Network's are all in "more": it has no BatchNorm.
    """
    generator = np.random.default_rng(1)
    network = row["network"]
    image, filters = network["options"]["input_shape"], network["options"]["filters"]

    def glorot(*shape):
        limit = math.sqrt(6 / (math.prod(shape[:-1]) + math.prod(shape[:-2]) * shape[-1]))
        return generator.uniform(-limit, limit, shape).astype(np.float32)

    more = _METHODS.get(row["method"], lambda *_: {})(row, glorot, generator)
    if row["method"] == "MetaNetwork":
        return {"blocks": [], "head": (), "more": more}
    blocks = []
    for size in (image[-1], filters, filters, filters):
        blocks.append((glorot(3, 3, size, filters), np.ones(filters, np.float32), np.zeros(filters, np.float32)))
    if row["method"] in ("PrototypicalNetwork", "FullContextMatchingNetwork", "MANN"):
        return {"blocks": blocks, "head": (), "more": more}
    height, width = (_halved(size, network["name"]) for size in image[:2])
    return {
        "blocks": blocks,
        "head": (glorot(height * width * filters, row["way"]), np.zeros(row["way"], np.float32)),
        "more": more,
    }


def in_order(row):
    """The weights as a flat list, in the order of Metazoa's trainable variables; a Meta Network's `key_head` comes last."""
    given = weights(row)
    network = [*given["blocks"], given["head"]]
    parts = [given["more"], *network] if row["method"] == "LSTMMetaLearner" else [*network, given["more"]]
    return list(_leaves(parts))


def _leaves(values):
    if isinstance(values, np.ndarray):
        yield values
    else:
        for value in values.values() if isinstance(values, dict) else values:
            yield from _leaves(value)


def _zeros(*shape):
    return np.zeros(shape, np.float32)


def _full_context(row, glorot, generator):
    size = row["network"]["options"]["filters"]  # of an embedding: one place is left
    inputs = {"forward": 2 * size, "backward": 2 * size, "attention": 3 * size}
    return {name: (glorot(number, 4 * size), _zeros(4 * size)) for name, number in inputs.items()}


def _mann(row, glorot, generator):
    image, filters = row["network"]["options"]["input_shape"], row["network"]["options"]["filters"]
    size = math.prod(image) // 4 + filters * math.prod(_halved(side, "strided_conv4") for side in image[:2])
    return {
        "image": (glorot(size, 800), _zeros(800)),
        "label": glorot(row["way"], 800),
        "recurrent": glorot(360, 800),
        "output": (glorot(360, row["way"]), _zeros(row["way"])),
        "key": (glorot(200, 160), _zeros(160)),
        "write_gate": (glorot(200, 4), _zeros(4)),
    }


def _lstm_meta_learner(row, glorot, generator):
    shapes = {"kernel": (24, 80), "bias": (80,), "w_f": (22, 1), "w_i": (22, 1)}
    small = {name: generator.uniform(-0.01, 0.01, shape).astype(np.float32) for name, shape in shapes.items()}
    return {**small, "b_f": np.float32([4.5]), "b_i": np.float32([-4.5])}


def _meta_network(row, glorot, generator):
    def uniform(*shape):
        return generator.uniform(-0.1, 0.1, shape).astype(np.float32)

    def network(image_channels, filters):
        return [uniform(3, 3, size, filters) for size in (image_channels, *4 * [filters])] + [uniform(filters, filters)]

    def task_learner():
        return uniform(2, 80), uniform(20, 80), _zeros(80, 1), uniform(20, 1), _zeros(1, 1)

    def row_learner():
        return uniform(2, 20), uniform(20, 20), uniform(20, 1), _zeros(20, 1), _zeros(20, 1), _zeros(1, 1)

    filters = row["network"]["options"]["filters"]
    channels = row["network"]["options"]["input_shape"][-1]
    return {
        "base": [*network(channels, filters), uniform(filters, row["way"])],
        "key": network(channels, filters),
        "conv_task": task_learner(),
        "dense_task": task_learner(),
        "conv_row": row_learner(),
        "dense_row": row_learner(),
        "key_head": uniform(filters, row["way"]),
    }


_METHODS = {
    "FullContextMatchingNetwork": _full_context,
    "MANN": _mann,
    "LSTMMetaLearner": _lstm_meta_learner,
    "MetaNetwork": _meta_network,
}


def _halved(size, network):
    for _ in range(4):
        size = math.ceil(size / 2) if network == "strided_conv4" else size // 2
    return size
