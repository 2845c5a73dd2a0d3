"""What a request must look like, and what its contents may not do to the requests that a server merged with it.

Shapes are asserted: a wrong one answers INVALID_ARGUMENT, and fails what was merged with it, which a server does only with
requests of one shape. Contents never are: a task or a query whose numbers are not finite is taken out, and answered NaN.
"""

import tensorflow as tf

from export.graph_checks import append_rows, require
from zoo.core import episode


class RequestChecks:
    """The checks of one model's requests.

    Args:
        model: a FewShotModel with a fixed `way`.
        limits: `export.limits.Limits` of a request.
    """

    def __init__(self, model, limits):
        self._model, self._limits = model, limits
        self._image_size = ", ".join(str(size) for size in model.input_shape)

    def support(self, images, labels):
        """The support set as the model takes it: (images, labels, valid).

        Images of unusable rows are zeros and their labels -1; where there is no row at all, one such row. `valid`, bool [T], is
        whether the usable rows of a task are finite: one that is not has no usable row left.
        """
        checks = self._support_shapes("support_images", images, labels)
        with tf.control_dependencies(checks):
            missing = tf.cast(tf.equal(tf.shape(labels)[1], 0), tf.int32)
            images = append_rows(tf.identity(images), missing)
            labels = tf.pad(labels, [[0, 0], [0, missing]], constant_values=episode.PADDING_LABEL)
        usable = episode.usable_rows(labels, self._model.way)
        valid = tf.reduce_all(tf.logical_or(finite_rows(images, 2), tf.logical_not(usable)), axis=1)
        usable = tf.logical_and(usable, valid[:, None])
        return keep_rows(images, usable), tf.where(usable, labels, episode.PADDING_LABEL), valid

    def queries(self, images, num_tasks):
        """The queries as the model takes them, one at least: (images, valid), with `valid`, bool [T, Q], where they are finite."""
        with tf.control_dependencies(self._query_shapes("query_images", images, num_tasks)):
            # Ops of the network may not take zero rows: ask about one blank image, and drop the answer.
            missing = tf.cast(tf.equal(tf.shape(images)[1], 0), tf.int32)
            images = append_rows(tf.identity(images), missing)
        valid = finite_rows(images, 2)
        if self._model.transductive:  # it would be part of what the others are normalized by
            valid = tf.logical_and(valid, tf.reduce_all(valid, axis=1, keepdims=True))
        return keep_rows(images, valid), valid

    def files(self, support_files, labels, query_files):
        """Image files, strings [T, rows], that are to be decoded: (support set, queries). Those of unusable rows are empty."""
        checks = self._support_shapes("support_image_bytes", support_files, labels)
        checks += self._query_shapes("query_image_bytes", query_files, tf.shape(support_files)[0])
        with tf.control_dependencies(checks):  # before anything is decoded
            usable = episode.usable_rows(labels, self._model.way)
            return tf.where(usable, support_files, ""), tf.identity(query_files)

    def _support_shapes(self, name, rows, labels):
        message = f"`support_labels` must be [T, S], one label for each row of `{name}`."
        same = tf.reduce_all(tf.equal(tf.shape(rows)[:2], tf.shape(labels)))
        return [require(same, message, labels), *self.images(name, rows, self._limits.support_images)]

    def _query_shapes(self, name, rows, num_tasks):
        message = f"`{name}` must have as many tasks as the support set or task state."
        same = require(tf.equal(tf.shape(rows)[0], num_tasks), message, rows)
        return [same, *self.images(name, rows, self._limits.query_images)]

    def images(self, name, images, most_images):
        """Ops that check images, or strings of their files: [T, rows, ...], `most_images` in all tasks together."""
        fits = tf.constant(True) if images.dtype == tf.string else self._fits(tf.shape(images)[2:])
        size = "" if images.dtype == tf.string else f", {self._image_size}"
        message = f"`{name}` must be [T, rows{size}] with T > 0."
        return [
            require(tf.logical_and(fits, tf.shape(images)[0] > 0), message, images),
            self._bound(name, "tasks", tf.shape(images)[0], images),
            *self.rows(name, tf.shape(images)[0], tf.shape(images)[1], images, most_images),
        ]

    def rows(self, name, num_tasks, num_rows, tensor, most_images):
        """Ops that refuse more rows than the export allows, in one task and in all of them."""
        message = f"`{name}` must have at most {most_images} rows in all tasks together: max_images of this export."
        all_rows = tf.cast(num_tasks, tf.int64) * tf.cast(num_rows, tf.int64)
        return [self._bound(name, "rows", num_rows, tensor), require(all_rows <= most_images, message, tensor)]

    def flat_images(self, images):
        """Images without tasks, [B, ...], one at least: (images, valid), with `valid`, bool [B], where they are finite."""
        fits = require(self._fits(tf.shape(images)[1:]), f"`images` must be [B, {self._image_size}].", images)
        all_rows = self.rows("images", tf.shape(images)[0], 1, images, self._limits.query_images)
        with tf.control_dependencies([fits, self._bound("images", "images", tf.shape(images)[0], images), *all_rows]):
            missing = tf.cast(tf.equal(tf.shape(images)[0], 0), tf.int32)
            images = append_rows(tf.identity(images)[None], missing)[0]
        valid = finite_rows(images, 1)
        return keep_rows(images, valid), valid

    def _bound(self, name, of_what, count, tensor):
        """An op that refuses more of something than the export allows."""
        message = f"`{name}` must have at most {self._limits.rows} {of_what}: max_rows of this export."
        return require(count <= self._limits.rows, message, tensor)

    def _fits(self, shape):
        return tf.reduce_all(tf.equal(shape, self._model.input_shape))


def finite_rows(values, num_axes):
    """Whether all numbers behind the first `num_axes` axes are finite."""
    return tf.reduce_all(tf.math.is_finite(values), axis=list(range(num_axes, values.shape.rank)))


def keep_rows(values, kept):
    """`values` with zeros where the mask of its leading axes is False: nothing of them reaches anything else."""
    return tf.where(
        tf.reshape(kept, tf.concat([tf.shape(kept), [1] * (values.shape.rank - kept.shape.rank)], 0)), values, 0
    )
