"""What Keras' loops say of data that does not fit the graph that they have."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.core import graph_errors


def episodes(size, channels=3):
    rng = np.random.default_rng(0)
    images = {f"{part}_x": rng.random((2, 4, size, size, channels)).astype(np.float32) for part in ("support", "query")}
    labels = np.tile([0, 1], (2, 2))
    return tf.data.Dataset.from_tensors(({**images, "support_y": labels}, labels))


@pytest.fixture(scope="module")
def model():
    """One whose loops have their graphs: of pictures of 8x8."""
    model = zoo.PrototypicalNetwork(
        keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    )
    model.compile(optimizer="sgd")
    for loop in (model.fit, model.evaluate, model.predict):
        loop(episodes(8), verbose=0)
    return model


@pytest.mark.parametrize("loop", ["fit", "evaluate", "predict"])
def test_pictures_of_another_shape_than_those_before_are_refused_in_a_line(loop, model):
    for shape in ((12, 3), (8, 1)):
        with pytest.raises(
            ValueError, match=r"must be float \[T, rows, 8, 8, 3\], tasks first.*Received: shape"
        ) as error:
            getattr(model, loop)(episodes(*shape), verbose=0)
        assert "\n" not in str(error.value) and f"[2 4 {shape[0]} {shape[0]} {shape[1]}]" in str(error.value)
        assert isinstance(error.value, tf.errors.InvalidArgumentError)
    getattr(model, loop)(episodes(8), verbose=0)  # which goes on as before


def test_a_picture_that_is_gone_is_said_in_a_line(model):
    data = episodes(8).map(lambda x, y: (x, y + tf.strings.to_number(tf.io.read_file("gone.png"), tf.int64)))
    with pytest.raises(ValueError, match="^gone.png; No such file or directory$") as error:
        model.evaluate(data, verbose=0)
    assert isinstance(error.value, tf.errors.NotFoundError)


def test_the_line_of_an_error_is_what_is_wrong_and_not_where():
    message = 'Graph execution error:\n\nDetected at node a defined at (most recent call last):\n  File "b.py", line 1\n\nwrong'
    assert graph_errors.line_of(tf.errors.InternalError(None, None, f"{message}\n\t [[{{{{node c}}}}]]")) == "wrong"


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
