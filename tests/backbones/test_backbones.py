import sys

import numpy as np
import pytest

from zoo import backbones


@pytest.mark.parametrize(
    "name, options, embedding_size, num_parameters",
    [
        # 3x3 kernels without bias, gamma and beta: 9 * 64 + 3 * 9 * 64 * 64 + 4 * 2 * 64
        ("conv4", {}, 64, 111680),
        ("conv4", {"input_shape": (84, 84, 3)}, 1600, 112832),
        ("strided_conv4", {}, 64, 111424),
        ("mlp", {}, 40, 40 + 40 + 1600 + 40),
        # the paper's network without convolutions, biases left out in front of BatchNorm
        (
            "mlp",
            {"input_shape": (28, 28, 1), "hidden_sizes": (256, 128, 64, 64), "batch_norm": True},
            64,
            784 * 256 + 256 * 128 + 128 * 64 + 64 * 64 + 2 * (256 + 128 + 64 + 64),
        ),
    ],
)
def test_sizes_of_the_papers(name, options, embedding_size, num_parameters):
    backbone = backbones.build(name, **options)
    assert backbone.output_shape == (None, embedding_size)
    assert sum(np.prod(variable.shape) for variable in backbone.trainable_variables) == num_parameters


def test_strided_conv4_halves_to_two_by_two():
    backbone = backbones.build("strided_conv4")
    assert backbone.get_layer("relu_4").output.shape == (None, 2, 2, 64)


def test_bad_names_and_sizes_are_named():
    with pytest.raises(ValueError, match="Unknown backbone: expected one of .* Received: 'conv5'"):
        backbones.build("conv5")
    with pytest.raises(ValueError, match="at least 16 x 16. Received: input_shape="):
        backbones.build("conv4", input_shape=(12, 12, 1))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
