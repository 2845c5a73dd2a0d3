import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import zoo
from export.frozen import freeze
from tests import descriptors
from tests.binaries import run
from tests.descriptors import WAY, episode
from tests.export.image_files import write_folder

NAMES = ["alpha", "beta", "gamma"]


@pytest.fixture(params=["prototypical_network", "maml", "reptile", "matching_network"], scope="module")
def frozen(request, tmp_path_factory):
    model = descriptors.build(request.param)
    x, _ = episode(num_tasks=1)
    folder = freeze(model, x["support_x"][0], x["support_y"][0], NAMES, tmp_path_factory.mktemp("frozen"))
    return model, x, folder


def test_each_image_is_answered_as_the_adapted_model_answers_it_alone(frozen):
    model, x, folder = frozen
    answers = tf.saved_model.load(str(folder)).signatures["serving_default"](images=x["query_x"][0])
    alone = [model({**x, "query_x": x["query_x"][:, i : i + 1]})[0, 0] for i in range(x["query_x"].shape[1])]
    expected = tf.nn.softmax(tf.stack(alone)).numpy()
    np.testing.assert_allclose(answers["probabilities"], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(answers["labels"], expected.argmax(axis=-1))


def example_of(image):
    encoded = tf.io.encode_png(tf.cast(255 * tf.clip_by_value(image, 0, 1), tf.uint8)).numpy()
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    return tf.train.Example(features=tf.train.Features(feature={"image/encoded": feature})).SerializeToString()


def test_the_classify_signature_names_the_classes(frozen):
    model, x, folder = frozen
    loaded = tf.saved_model.load(str(folder))
    answers = loaded.signatures["classify"](inputs=tf.constant([example_of(image) for image in x["query_x"][0]]))
    pixels = tf.floor(255 * tf.clip_by_value(x["query_x"][0], 0, 1)) / 255
    expected = loaded.signatures["serving_default"](images=pixels)["probabilities"]
    np.testing.assert_allclose(answers["scores"], expected, rtol=1e-3, atol=1e-4)
    assert answers["classes"].numpy().tolist() == [[name.encode() for name in NAMES]] * len(pixels)
    definition = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    method = definition.meta_graphs[0].signature_def["classify"].method_name
    assert method == "tensorflow/serving/classify"


def test_names_and_labels_must_fit(tmp_path):
    model = descriptors.build("prototypical_network")
    x, _ = episode(num_tasks=1)
    with pytest.raises(ValueError, match=f"`class_names` must be 2 to {WAY} names. Received: 4"):
        freeze(model, x["support_x"][0], x["support_y"][0], [*NAMES, "delta"], tmp_path)
    with pytest.raises(ValueError, match="`support_labels` must show every class from 0 to 1"):
        freeze(model, x["support_x"][0], x["support_y"][0], NAMES[:2], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("preset", ["maml_mlp_sinusoid_5shot", "prototypical_network_conv4_glyphs_30way_1shot"])
def test_only_classifiers_of_images_with_a_fixed_way_are_frozen(preset, tmp_path):
    """Not a regression model, and not one that takes any number of classes."""
    with pytest.raises(
        ValueError, match=r"Expected a classifier of images .* with a fixed `way`. Received: .* way=None"
    ):
        freeze(zoo.from_preset(preset), [], [], NAMES, tmp_path)


def test_the_binary_freezes_a_preset_on_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    write_folder(tmp_path / "support", rng.random((4, 28, 28, 1)), [0, 0, 1, 1])
    flags = ["--preset=prototypical_network_conv4_glyphs_30way_1shot", f"--support={tmp_path / 'support'}"]
    done = run("export.freeze_model", *flags, f"--output_dir={tmp_path / 'served'}")
    assert done.returncode == 0, done.stderr
    assert (
        "a classifier of letter 0, letter 1" in done.stdout and (tmp_path / "served" / "1" / "saved_model.pb").exists()
    )
    other = run(
        "export.freeze_model", "--preset=maml_mlp_sinusoid_5shot", flags[1], f"--output_dir={tmp_path / 'other'}"
    )
    assert other.returncode != 0 and "error: Expected a classifier of images" in other.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
