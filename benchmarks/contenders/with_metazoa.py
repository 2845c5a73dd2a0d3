"""Metazoa's steps: python -m benchmarks.contenders.with_metazoa ROW, `ceiling` in its place, or ROW profile."""

import sys

import tensorflow as tf

import zoo
from benchmarks import profile, row_configs, rows
from benchmarks.contenders import child, data, steps
from trainers import builder, distribute


def build_model(row):
    """The row's model, compiled, with the weights that all contenders start from."""
    model = builder.build_model(builder.to_dict(row_configs.get_config(row)))
    model.compile(optimizer="sgd" if row["method"] == "Reptile" else "adam")
    model.optimizer.learning_rate = 1.0 if row["method"] == "Reptile" else steps.ADAM["learning_rate"]
    variables = [*model.trainable_variables, *([model.key_head.kernel] if row["method"] == "MetaNetwork" else [])]
    for variable, value in zip(variables, data.in_order(row), strict=True):
        variable.assign(tf.reshape(value, variable.shape))
    return model


def as_episodes(batch):
    support_x, support_y, query_x, query_y = (tf.constant(values) for values in batch)
    return {"support_x": support_x, "support_y": support_y, "query_x": query_x}, query_y


def main(name, profiled=None):
    if name == "ceiling":
        images, kernel = tf.ones(child.CONVOLUTION), tf.ones([3, 3, 64, 64])
        matrix = tf.ones([child.MATRIX, child.MATRIX])
        child.answer_ceiling(
            lambda: tf.nn.conv2d(images, kernel, 1, "SAME").numpy(), lambda: tf.matmul(matrix, matrix).numpy()
        )
        return
    row = rows.ROWS[name]
    distribute.configure_threads(zoo.METHODS[row["method"]])  # as the trainers do
    model = build_model(row)
    batches = [as_episodes(batch) for batch in data.batches(row)]
    initial = [variable.numpy() for variable in model.trainable_variables]
    step = tf.function(model.test_step if row["evaluated"] else model.train_step, autograph=False)

    def take(number):
        return float(step(batches[number % len(batches)])["loss"])

    def gradient_norm():
        if not steps.has_gradient(row):
            return None
        for variable, value in zip(model.trainable_variables, initial):
            variable.assign(value)
        slopes = tf.function(lambda x, y: model.compute_gradients(x, y)[2], autograph=False)(*batches[0])
        return float(tf.linalg.global_norm(slopes))

    if profiled:
        take(0)
        child.answer(shares=profile.shares_by_kind(lambda: [take(number) for number in range(1, 5)]))
    else:
        child.serve(take, lambda: {"gradient": gradient_norm()})


if __name__ == "__main__":
    main(*sys.argv[1:])
