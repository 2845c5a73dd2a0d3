"""The wire format of episodes: its checks, and the sums that respect its padding.

A batch of T tasks is `(x, y)`:

    x = {"support_x": float32 [T, S, ...], "support_y": int64 [T, S], "query_x": float32 [T, Q, ...]}
    y = query_y, int64 [T, Q]

Label -1 is padding: the row is ignored by adaptation, loss and metrics. Regression tasks carry float targets
`[T, S, D]` and `[T, Q, D]` in place of the labels, and have no padding.
"""

import tensorflow as tf

PADDING_LABEL = -1
KEYS = ("support_x", "support_y", "query_x")
# A logit this low has probability exactly 0 in float32, and its gradient is 0 and not NaN.
ABSENT_CLASS_LOGIT = -1e9


def as_images(name, images, input_shape, dtype):
    """Tensor or NumPy array of floats [T, rows, *input_shape] as a tensor of `dtype`.

    Raises:
        ValueError: for anything else.
    """
    images = tf.convert_to_tensor(images)
    check_images(name, images, input_shape)
    return tf.cast(_of_known_shape(name, images, (None, None, *input_shape)), dtype)


def _of_known_shape(name, images, expected):
    """The images with the shape that is expected, of which a graph that Keras traced for several shapes knows too little.

    There it is checked when it runs; a graph that knows it gets no op.
    """
    sizes = images.shape if images.shape.rank is not None else [None] * len(expected)
    if all(size is not None or want is None for size, want in zip(sizes, expected)):
        return images
    given = tf.concat([tf.shape(images), tf.fill([len(expected)], -1)], axis=0)[: len(expected)]
    fits = [given[axis] == size for axis, size in enumerate(expected) if size is not None]
    message = f"`{name}` must be float {_axes(expected)}, tasks first."
    right = tf.reduce_all([tf.rank(images) == len(expected), *fits])
    with tf.control_dependencies(
        [tf.debugging.Assert(right, [message, "Received: shape", tf.shape(images)], len(expected))]
    ):
        images = tf.identity(images)
    images.set_shape(expected)
    return images


def as_targets(name, targets, images, dtype, way=None, target_size=None):
    """Labels [T, rows] of any int, or floats [T, rows, target_size], as a tensor of `dtype`; errors as `check_targets`."""
    targets = tf.convert_to_tensor(targets)
    check_targets(name, targets, images, way, target_size)
    return tf.cast(targets, dtype)


def as_state(task_state, signature=None):
    """A task state whose entries may be NumPy arrays as one of tensors.

    Args:
        task_state: dict, name -> float [T, ...].
        signature: tf.TensorSpec of entries that it must have, without T, by name.

    Raises:
        ValueError: for anything but a dict, and where an entry of the signature is not there or has another shape.
    """
    if not isinstance(task_state, dict):
        raise ValueError(f"`task_state` must be the dict that `adapt` returns. Received: {type(task_state).__name__}")
    state = {name: tf.convert_to_tensor(value) for name, value in task_state.items()}
    for name, spec in (signature or {}).items():
        expected = tf.TensorShape([None, *spec.shape])
        if name not in state or not state[name].shape.is_compatible_with(expected):
            received = f"shape {state[name].shape}" if name in state else f"entries {sorted(state)}"
            raise ValueError(
                f"`task_state` must have `{name}` of shape {expected}, as `adapt` of this model returns it. Received: {received}"
            )
    return state


def at_least_float32(values):
    """Values of half precision as float32, others as they are: losses, probabilities and -1e9 need the digits."""
    return tf.cast(values, tf.float32) if values.dtype in (tf.float16, tf.bfloat16) else values


def check_images(name, images, input_shape):
    """Raises ValueError unless `images` is float [T, rows, *input_shape]."""
    expected = (None, None) + tuple(input_shape)
    shape = images.shape
    fits = shape.rank is None or (
        shape.rank == len(expected)
        and all(want is None or got is None or want == got for want, got in zip(expected, shape))
    )
    if not fits or not images.dtype.is_floating:
        raise ValueError(
            f"`{name}` must be float {_axes(expected)}, tasks first. Received: dtype={images.dtype.name}, shape={shape}"
        )


def _axes(expected):
    """(None, None, 28, 28, 1) for a message: [T, rows, 28, 28, 1]."""
    return f"[{', '.join(['T', 'rows', *map(str, expected[2:])])}]"


def check_targets(name, targets, images, way=None, target_size=None):
    """Raises ValueError unless `targets` are labels [T, rows] (or, with `target_size`, floats [T, rows, target_size]).

    Eager labels are also checked against `way`; inside a graph an assertion does the same when it runs.
    """
    if target_size is not None:
        if not targets.dtype.is_floating or targets.shape.rank != 3 or targets.shape[-1] != target_size:
            raise ValueError(
                f"`{name}` must be float [T, rows, {target_size}] for a regression model. "
                f"Received: dtype={targets.dtype.name}, shape={targets.shape}"
            )
    elif not targets.dtype.is_integer or targets.shape.rank != 2:
        raise ValueError(
            f"`{name}` must be int64 [T, rows], class labels from 0 and {PADDING_LABEL} for padding. "
            f"Received: dtype={targets.dtype.name}, shape={targets.shape}"
        )
    if not targets.shape[:2].is_compatible_with(images.shape[:2]):
        raise ValueError(
            f"`{name}` must label every row of its images, {images.shape[:2]}. Received: shape={targets.shape}"
        )
    if target_size is None and way is not None and tf.executing_eagerly() and tf.size(targets) > 0:
        lowest, highest = int(tf.reduce_min(targets)), int(tf.reduce_max(targets))
        if lowest < PADDING_LABEL or highest >= way:
            raise ValueError(
                f"`{name}` must hold labels from 0 to {way - 1}, and {PADDING_LABEL} for padding. "
                f"Received: labels from {lowest} to {highest}"
            )


def label_range_assertion(name, labels, way):
    """An op that fails with a clear message when a label is outside -1 .. way - 1. For training graphs, not for serving."""
    message = f"`{name}` must hold labels from 0 to {way - 1}, and {PADDING_LABEL} for padding."
    inside = tf.logical_and(labels >= PADDING_LABEL, labels < tf.cast(way, labels.dtype))
    return tf.debugging.Assert(
        tf.reduce_all(inside),
        [message, "Received: labels from", tf.reduce_min(labels), "to", tf.reduce_max(labels)],
    )


def answerable_assertion(support_y, query_y, way=None):
    """An op that fails with a clear message where a query's class has no support row in its task: nothing can answer it."""
    found = tf.reduce_any(query_y[:, :, None] == tf.cast(support_y, query_y.dtype)[:, None], axis=-1)  # [T, Q]
    lost = tf.logical_and(usable_rows(query_y, way), tf.logical_not(found))
    message = (
        f"Every label in `y` must have a support row in its task, or be {PADDING_LABEL} for padding: of a class without one "
        "nothing is known."
    )
    first = tf.boolean_mask(query_y, lost)[:1]
    return tf.debugging.Assert(tf.logical_not(tf.reduce_any(lost)), [message, "Received: label", first])


def usable_rows(labels, way=None):
    """Bool [..., rows]: the rows that count. A label below 0, or not below `way`, marks a row to ignore."""
    usable = labels >= 0
    return usable if way is None else tf.logical_and(usable, labels < tf.cast(way, labels.dtype))


def one_hot(labels, way, dtype=tf.float32):
    """[..., rows] -> [..., rows, way]; rows to ignore are all zeros."""
    return tf.one_hot(labels, way, dtype=dtype)


def class_counts(support_y, way, dtype=tf.float32):
    """Usable support rows per class: [T, S] -> [T, way]."""
    return tf.reduce_sum(one_hot(support_y, way, dtype), axis=-2)


def class_means(rows, support_y, way):
    """(mean of the usable rows of each class, [T, S, D] -> [T, way, D], 0 where there are none; their counts [T, way])."""
    labels = one_hot(support_y, way, rows.dtype)  # [T, S, way]
    counts = tf.reduce_sum(labels, axis=1)  # [T, way]
    sums = tf.matmul(labels, rows, transpose_a=True)  # [T, way, D]
    return sums / tf.maximum(counts, 1)[..., None], counts


def mask_absent_classes(logits, counts):
    """Gives classes without a usable support row probability 0; a task that has no usable row at all stays as it is.

    Args:
        logits: float [T, Q, way].
        counts: float [T, way], from `class_counts`.
    """
    present = counts > 0
    kept = tf.logical_or(present, tf.logical_not(tf.reduce_any(present, axis=-1, keepdims=True)))  # [T, way]
    return hide(logits, kept[:, None])


def hide(scores, kept):
    """Scores [..., n] of which a softmax over n gives those that are not kept exactly 0, unless none is kept; bool [..., n]."""
    # Squared distances can pass any constant: then those hidden are as far again below the lowest of the others.
    lowest = tf.reduce_min(tf.where(kept, scores, tf.zeros_like(scores)), axis=-1, keepdims=True)
    hidden = tf.minimum(tf.cast(ABSENT_CLASS_LOGIT, scores.dtype), 2 * tf.stop_gradient(lowest))
    return tf.where(kept, scores, hidden)


def mean_over_usable(values, labels):
    """Mean of `values` [..., rows] over the rows whose label is not padding; 0 where there is none."""
    usable = labels >= 0
    total = tf.reduce_sum(tf.where(usable, values, tf.zeros_like(values)), axis=-1)
    return total / tf.maximum(tf.reduce_sum(tf.cast(usable, values.dtype), axis=-1), 1)


def cross_entropy(labels, logits):
    """Softmax cross-entropy, averaged over the usable rows: [..., rows], [..., rows, way] -> [...]. Natural log."""
    row_losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.maximum(labels, 0), logits=logits)
    return mean_over_usable(row_losses, labels)


def mean_squared_error(targets, outputs):
    """[..., rows, D], [..., rows, D] -> [...]."""
    return tf.reduce_mean(tf.math.squared_difference(outputs, targets), axis=[-2, -1])


def accuracy(labels, logits):
    """Share of the usable rows whose highest logit is their label: [..., rows], [..., rows, way] -> [...]."""
    correct = tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels
    return mean_over_usable(tf.cast(correct, logits.dtype), labels)
