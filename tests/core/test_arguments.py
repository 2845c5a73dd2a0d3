import sys

import keras
import numpy as np
import pytest

from zoo.core import arguments


@pytest.mark.parametrize("value", [0, 1.0, "3", True, None, -1])
def test_a_count_is_an_int_from_its_lowest(value):
    with pytest.raises(ValueError, match=f"`steps` must be an int of at least 1. Received: steps={value!r}"):
        arguments.count("steps", value)


def test_good_values_come_back_as_plain_python():
    assert [type(v) for v in (arguments.count("n", np.int64(3)), arguments.number("a", np.float32(0.5)))] == [
        int,
        float,
    ]
    assert arguments.count("n", 0, at_least=0) == 0 and arguments.number("a", 1, above=0) == 1
    assert arguments.interval("bounds", [1, 2.5]) == (1, 2.5)
    assert arguments.choice("loss", "mse", ("mse", "mae")) == "mse" and arguments.flag("bias", False) is False


@pytest.mark.parametrize(
    "value, bounds, message",
    [
        ("0.1", {}, "`rate` must be a number. Received: rate='0.1'"),
        (float("nan"), {}, "`rate` must be a number. Received: rate=nan"),
        (True, {}, "`rate` must be a number. Received: rate=True"),
        (0, {"above": 0}, "`rate` must be a number above 0. Received: rate=0"),
        (
            1.5,
            {"at_least": 0, "at_most": 1},
            "`rate` must be a number of at least 0 and of at most 1. Received: rate=1.5",
        ),
        (1.0, {"at_least": 0, "below": 1}, "`rate` must be a number of at least 0 and below 1. Received: rate=1.0"),
    ],
)
def test_a_number_is_finite_and_within_its_bounds(value, bounds, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        arguments.number("rate", value, **bounds)


@pytest.mark.parametrize("value", [(2, 1), 1.0, ("a", "b"), (1, 2, 3), None])
def test_an_interval_is_two_numbers_in_order(value):
    with pytest.raises(ValueError, match="`bounds` must be .low, high., two numbers. Received: bounds="):
        arguments.interval("bounds", value)


@pytest.mark.parametrize("check, value", [(arguments.flag, "false"), (arguments.flag, 1)])
def test_a_flag_is_no_word(check, value):
    with pytest.raises(ValueError, match="`bias` must be True or False. Received: bias="):
        check("bias", value)


def test_a_choice_is_one_of_its_words():
    with pytest.raises(ValueError, match=r"`loss` must be one of \('mse', 'mae'\). Received: loss=\['mse'\]"):
        arguments.choice("loss", ["mse"], ("mse", "mae"))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, x):
        return self.dense(x)


def _two_inputs():
    one, other = keras.Input((2,)), keras.Input((2,))
    return keras.Model([one, other], keras.layers.Concatenate()([one, other]))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: "conv4", "`backbone` must be a keras.Model. Received: 'conv4'"),
        (lambda: keras.layers.Dense(3), "`backbone` must be a keras.Model"),
        (
            lambda: keras.Sequential([keras.layers.Dense(3)]),
            "one input and one output. Received: Sequential .*no inputs yet",
        ),
        (Subclassed, "one input and one output. Received: Subclassed .*no inputs yet"),
        (_two_inputs, "one input and one output. Received: 2 inputs and 1 outputs"),
        (
            lambda: keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)]),
            r"`backbone` must give embeddings \[B, D\], of known size. Received: output shape \(None, 6, 6, 2\)",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((4, 2), batch_size=3), keras.layers.LSTM(2, stateful=True, name="l")]
            ),
            "^`backbone` must have no layer that remembers the rows before. Received: l with stateful=True$",
        ),
        (  # images from 0 to 1 would be 0 there
            lambda: keras.Sequential([keras.Input((4,), dtype="uint8"), keras.layers.Rescaling(1 / 255)]),
            "^`backbone` must take floats, images from 0 to 1, .* Received: an input of dtype uint8$",
        ),
    ],
    ids=["name", "layer", "unbuilt", "subclassed", "two inputs", "maps", "stateful", "uint8"],
)
def test_backbones_whose_shapes_are_not_known_or_do_not_fit_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        arguments.backbone(build(), 2)


def test_functional_and_sequential_backbones_fit():
    for model in (keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]),):
        assert arguments.backbone(model, 2) is model


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
