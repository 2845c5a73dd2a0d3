"""A backbone and two dense layers as functions of their weights: each row under its own, and gradients of each row."""

import keras
import tensorflow as tf

# ---- layers under given weights


def conv_kernels(backbone):
    return [layer.kernel for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]


def key_kernels(backbone, hidden):
    """The kernels up to the hidden layer, in order."""
    return [*conv_kernels(backbone), hidden.kernel]


def split_weights(weights, kernels):
    """[..., P] -> one [..., *shape] per kernel of the network."""
    parts = tf.split(weights, [kernel.shape.num_elements() for kernel in kernels], axis=-1)
    lead = [-1] * (weights.shape.rank - 1)
    return [tf.reshape(part, [*lead, *kernel.shape]) for part, kernel in zip(parts, kernels)]


def run_chain(backbone, x, convolve):
    """The backbone with `convolve(index, kernel, h)` in place of each Conv2D and its ReLU."""
    index = 0
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Conv2D):
            x = convolve(index, tf.convert_to_tensor(layer.kernel), x)
            index += 1
        elif not isinstance(layer, (keras.layers.InputLayer, keras.layers.ReLU)):
            x = layer(x)
    return x


def patches(h, kernel_shape):
    """What a kernel of stride 1 and padding "same" sees at each place: [B, H, W, C] -> [B, H * W, kernel's inputs]."""
    rows, columns = kernel_shape[:2]
    height, width = h.shape[1:3]
    margins = [[(size - 1) // 2, size // 2] for size in (rows, columns)]
    h = tf.pad(h, [[0, 0], *margins, [0, 0]])
    shifted = [h[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    return flatten_space(tf.concat(shifted, axis=-1))


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
    share of that row. One pass for all rows; where the loss is a sum over rows, the share is the row's own gradient.

    Args:
        backbone, hidden, head: the network.
        x: float [S, *input_shape].
        loss: function of the outputs of `hidden`, before its ReLU, and of `head`.

    Returns:
        Per kernel, in the order of the network, float [S, number of its elements].
    """
    inputs, outputs = [], []

    def linear(h, z):
        tape.watch(z)
        inputs.append(h)
        outputs.append(z)
        return z

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        h = run_chain(backbone, x, lambda index, kernel, h: tf.nn.relu(linear(h, tf.nn.conv2d(h, kernel, 1, "SAME"))))
        key = linear(h, tf.matmul(h, hidden.kernel))
        h = tf.nn.relu(key)
        total = loss(key, linear(h, tf.matmul(h, head.kernel)))
    slopes = tape.gradient(total, outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    gradients = []
    for kernel, h, slope in zip([*key_kernels(backbone, hidden), head.kernel], inputs, slopes):
        h, slope = (
            (patches(h, kernel.shape), flatten_space(slope)) if h.shape.rank == 4 else (h[:, None], slope[:, None])
        )
        product = tf.matmul(h, slope, transpose_a=True)  # [S, kernel's inputs, outputs]
        gradients.append(tf.stop_gradient(tf.reshape(product, [-1, kernel.shape.num_elements()])))
    return gradients
