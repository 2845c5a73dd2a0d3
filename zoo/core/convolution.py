"""Convolutions whose kernel may be another one for each task."""

import functools

import keras
import tensorflow as tf

from zoo.core import task_loop


def convolve(x, kernel, strides=1, padding="SAME", dilations=1):
    """`tf.nn.conv2d`, for images [B, H, W, C] and a kernel [rows, columns, C, F]: [B, H', W', F].

    Where all tasks are run at once, each has a kernel of its own: the convolution is grouped then, or, where the device has no
    gradients of that, patches times a matrix. `python -m benchmarks.task_convolutions` times both.
    """
    if not task_loop.at_once() or groups_have_gradients(x.dtype):
        return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilations)
    seen = patches(x, kernel.shape[:2], strides, padding, dilations)
    return product(seen, kernel)


@functools.cache
def groups_have_gradients(dtype):
    """Whether the device has gradients of grouped convolutions of this type: a CPU through oneDNN alone, in float32 and bfloat16."""
    with tf.init_scope():
        maps, kernel = tf.zeros([1, 1, 1, 2], dtype), tf.zeros([1, 1, 1, 2], dtype)
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 1, 1, 2], filter=kernel, out_backprop=maps, strides=[1, 1, 1, 1], padding="SAME"
            )
        except tf.errors.OpError:
            return False
    return True


def product(seen, kernel):
    """Patches [B, H', W', P] times a kernel [rows, columns, C, F] of P x F numbers: [B, H', W', F]."""
    size, filters = kernel.shape[:3].num_elements(), kernel.shape[3]
    outputs = tf.matmul(tf.reshape(seen, [-1, size]), tf.reshape(kernel, [size, filters]))
    return tf.reshape(outputs, [-1, *seen.shape[1:3], filters])


def patches(x, kernel_size, strides=1, padding="SAME", dilations=1):
    """What a kernel sees at each place: [B, H, W, C] -> [B, H', W', rows * columns * C], in the order of a kernel's elements.

    Shifted slices side by side: `tf.image.extract_patches` is ten times slower.

    Raises:
        ValueError: for images of unknown height or width.
    """
    if None in x.shape[1:3]:
        raise ValueError(f"Patches need images of a known height and width. Received: shape={x.shape}")
    axes = zip(x.shape[1:3], kernel_size, _pair(strides), _pair(dilations))
    rows, columns = (_slices(*axis, padding) for axis in axes)
    x = tf.pad(x, [[0, 0], rows[0], columns[0], [0, 0]])
    return tf.concat([x[:, row, column] for row in rows[1] for column in columns[1]], axis=-1)


def _slices(size, kernel_size, stride, dilation, padding):
    """(margins before and after, a slice of the padded axis for each place in the kernel)."""
    reach = (kernel_size - 1) * dilation  # from the first to the last
    if padding == "SAME":
        steps = -(-size // stride)
        missing = max((steps - 1) * stride + reach + 1 - size, 0)
    else:
        steps, missing = (size - reach - 1) // stride + 1, 0
    starts = [place * dilation for place in range(kernel_size)]
    slices = [slice(start, start + (steps - 1) * stride + 1, stride) for start in starts]
    return [missing // 2, missing - missing // 2], slices


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def batch_convolutions(network):
    """Has every plain keras.layers.Conv2D of a network convolve by `convolve`, which differs where tasks are run at once alone."""
    for layer in network._flatten_layers():
        own = getattr(type(layer), "convolution_op", None) is keras.layers.Conv2D.convolution_op
        plain = own and isinstance(layer, keras.layers.Conv2D) and layer.groups == 1
        if plain and layer.data_format == "channels_last":
            layer.convolution_op = functools.partial(_convolution_op, layer)


def _convolution_op(layer, inputs, kernel):
    if not task_loop.at_once():
        return type(layer).convolution_op(layer, inputs, kernel)
    kernel = tf.convert_to_tensor(kernel)
    return convolve(inputs, kernel, layer.strides, layer.padding.upper(), layer.dilation_rate)
