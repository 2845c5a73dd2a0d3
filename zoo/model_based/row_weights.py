"""A backbone and two dense layers as functions of their weights: each row under its own, and gradients of each row."""

import keras
import tensorflow as tf

from zoo.core import convolution, episode, gradients
from zoo.core.batch_norm import BatchNorm

# ---- which networks


def check_chain(backbone):
    """Raises ValueError, with the layer that does not fit, unless the functions below run `backbone` as it is."""
    layers = backbone.layers
    wrong = [
        layer
        for layer, following in zip(layers, [*layers[1:], None])
        # Without weights there may still be variables: the seeds of Dropout and its like.
        if not (_is_plain_convolution(layer) and _is_plain_relu(following) if has_kernel(layer) else _is_plain(layer))
    ]
    wrong += _off_the_chain(backbone)
    if wrong:
        raise ValueError(
            "`backbone` must be a chain of Conv2D without bias or activation, stride 1, padding 'same' and channels last, "
            "each with a plain ReLU after it, and of layers without weights, randomness and statistics of a batch, each called "
            f"once and on the layer before it alone. Received: layer {wrong[0].name}"
        )


def _is_plain(layer):
    """Whether a layer does the same to each row, and has nothing to train: a batch's statistics would mix the rows."""
    return not layer.variables and not any(isinstance(part, BatchNorm) for part in layer._flatten_layers())


def has_kernel(layer):
    return isinstance(layer, keras.layers.Conv2D)


def _off_the_chain(backbone):
    """What a functional model calls on anything but the one output before it. A Sequential is a chain."""
    by_depth = {} if isinstance(backbone, keras.Sequential) else backbone._nodes_by_depth
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    for node, layer, before in zip(nodes, backbone.layers, [None, *nodes]):
        inputs = [] if before is None else before.output_tensors
        if node.operation is not layer or [id(t) for t in node.input_tensors] != [id(t) for t in inputs]:
            yield node.operation
    yield from [node.operation for node in nodes[len(backbone.layers) :]]


def _is_plain_convolution(layer):
    plain = type(layer) is keras.layers.Conv2D and not layer.use_bias and layer.strides == (1, 1)
    plain = plain and layer.padding == "same" and layer.dilation_rate == (1, 1) and layer.groups == 1
    return plain and layer.activation is keras.activations.linear and layer.data_format == "channels_last"


def _is_plain_relu(layer):
    plain = type(layer) is keras.layers.ReLU and layer.max_value is None
    return plain and layer.negative_slope == 0 and layer.threshold == 0


# ---- layers under given weights


def conv_kernels(backbone):
    return [layer.kernel for layer in backbone.layers if has_kernel(layer)]


def key_kernels(backbone, hidden):
    """The kernels up to the hidden layer, in order."""
    return [*conv_kernels(backbone), hidden.kernel]


def split_weights(weights, kernels):
    """[..., P] -> one [..., *shape] per kernel of the network."""
    parts = tf.split(weights, [kernel.shape.num_elements() for kernel in kernels], axis=-1)
    lead = [-1] * (weights.shape.rank - 1)
    return [tf.reshape(part, [*lead, *kernel.shape]) for part, kernel in zip(parts, kernels)]


def run_chain(backbone, x, convolve):
    """The backbone with `convolve(index, kernel, h)` in place of each Conv2D and the ReLU after it: [B, ...], float32 or wider.

    Kernel and h have the dtype that the Conv2D computes in.
    """
    index, after_convolution = 0, False
    for layer in backbone.layers:
        if has_kernel(layer):
            x = convolve(index, tf.cast(layer.kernel, layer.compute_dtype), tf.cast(x, layer.compute_dtype))
            index += 1
        elif not after_convolution and not isinstance(layer, keras.layers.InputLayer):
            x = layer(x)
        after_convolution = has_kernel(layer)
    return episode.at_least_float32(x)


def patches(h, kernel_shape):
    """What a kernel of stride 1 and padding "same" sees at each place: [B, H, W, C] -> [B, H * W, kernel's inputs]."""
    return flatten_space(convolution.patches(h, kernel_shape[:2]))


def flatten_space(h):
    """[B, H, W, C] -> [B, H * W, C]."""
    return tf.reshape(h, [-1, h.shape[1] * h.shape[2], h.shape[3]])


def row_convolution(h, kernels):
    """Each image under its own kernel: [B, H, W, C], [B, rows, columns, C, F] -> [B, H, W, F].

    As one batch of products: the kernels are not shared, so that no convolution can be.
    """
    _, rows, columns, channels, filters = kernels.shape
    flat = tf.reshape(kernels, [-1, rows * columns * channels, filters])
    return tf.reshape(tf.matmul(patches(h, kernels.shape[1:]), flat), [-1, *h.shape[1:3], filters])


def row_product(h, kernels):
    """Each row times its own matrix: [B, D], [B, D, F] -> [B, F]."""
    return tf.matmul(h[:, None], kernels)[:, 0]


def row_gradients(backbone, hidden, head, x, loss):
    """Gradient of a scalar loss by every slow weight of a network, its share of each row: a list of [S, size], constants.

    The gradient by a layer's outputs has one row per image; its product with the layer's inputs, taken row by row, is the
    share of that row. One pass for all rows; where the loss is a sum over rows, the share is the row's own gradient. Where layers
    of the backbone compute in half precision, so do the ways there and back; the shares are float32.

    Args:
        backbone, hidden, head: the network.
        x: float [S, *input_shape].
        loss: function of the outputs of `hidden`, before its ReLU, and of `head`.

    Returns:
        Per kernel, in the order of the network, float [S, number of its elements].
    """
    inputs, outputs = [], []

    def linear(h, z):
        watched = episode.at_least_float32(z)
        tape.watch(watched)
        inputs.append(episode.at_least_float32(h))
        outputs.append(watched)
        return tf.cast(watched, z.dtype)

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        h = run_chain(backbone, x, lambda index, kernel, h: tf.nn.relu(linear(h, convolution.convolve(h, kernel))))
        key = linear(h, tf.matmul(h, hidden.kernel))
        h = tf.nn.relu(key)
        total = loss(key, linear(h, tf.matmul(h, head.kernel)))
    slopes = gradients.gradient(tape, total, outputs, gradients.inner_loss_scale(backbone))
    shares = []
    for kernel, h, slope in zip([*key_kernels(backbone, hidden), head.kernel], inputs, slopes):
        h, slope = (
            (patches(h, kernel.shape), flatten_space(slope)) if h.shape.rank == 4 else (h[:, None], slope[:, None])
        )
        product = tf.matmul(h, slope, transpose_a=True)  # [S, kernel's inputs, outputs]
        shares.append(tf.stop_gradient(tf.reshape(product, [-1, kernel.shape.num_elements()])))
    return shares
