import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import zoo
from export import frozen as frozen_module
from export import serving_files, verification
from export.frozen import example_of, freeze
from tests import descriptors
from tests.binaries import run
from tests.descriptors import WAY, episode
from tests.export import test_c_api
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


def example(image):
    return example_of(tf.io.encode_png(tf.cast(255 * tf.clip_by_value(image, 0, 1), tf.uint8)).numpy())


def test_the_classify_signature_names_the_classes(frozen):
    model, x, folder = frozen
    loaded = tf.saved_model.load(str(folder))
    answers = loaded.signatures["classify"](inputs=tf.constant([example(image) for image in x["query_x"][0]]))
    pixels = tf.floor(255 * tf.clip_by_value(x["query_x"][0], 0, 1)) / 255
    expected = loaded.signatures["serving_default"](images=pixels)["probabilities"]
    np.testing.assert_allclose(answers["scores"], expected, rtol=1e-3, atol=1e-4)
    assert answers["classes"].numpy().tolist() == [[name.encode() for name in NAMES]] * len(pixels)
    definition = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    method = definition.meta_graphs[0].signature_def["classify"].method_name
    assert method == "tensorflow/serving/classify"


def test_an_example_without_one_file_is_answered_with_nothing_alone(frozen):
    """An error would fail the requests that the server merged with it."""
    _, x, folder = frozen
    classify, good = tf.saved_model.load(str(folder)).signatures["classify"], example(x["query_x"][0, 0])
    both = tf.train.Example.FromString(good)
    both.features.feature["image/encoded"].bytes_list.value.append(b"another")
    scores = classify(inputs=tf.constant([good, b"", both.SerializeToString(), example_of(b"no image")]))["scores"]
    np.testing.assert_allclose(scores[0], classify(inputs=tf.constant([good]))["scores"][0], rtol=1e-4, atol=1e-6)
    assert np.isnan(scores[1:]).all()


def test_an_image_above_max_image_pixels_counts_as_a_broken_one(tmp_path, unproven):
    model = descriptors.build("prototypical_network")
    x, _ = episode(num_tasks=1)
    folder = freeze(model, x["support_x"][0], x["support_y"][0], NAMES, tmp_path, max_image_pixels=300)
    small, large = (example(np.zeros([side, side, 1], np.float32)) for side in (17, 18))  # 289 and 324 pixels
    scores = tf.saved_model.load(str(folder)).signatures["classify"](inputs=tf.constant([small, large]))["scores"]
    assert np.isfinite(scores[0]).all() and np.isnan(scores[1]).all()


def test_an_image_that_is_not_finite_is_answered_with_nothing(frozen):
    """One of NaN alone was a class: max-pooling drops what is no number."""
    _, x, folder = frozen
    loaded, images = tf.saved_model.load(str(folder)).signatures["serving_default"], x["query_x"][0].numpy()
    expected = loaded(images=tf.constant(images))["probabilities"]
    images[0], images[2, 3, 3] = np.nan, np.inf
    answers = loaded(images=tf.constant(images))
    assert np.isnan(answers["probabilities"].numpy()[[0, 2]]).all() and answers["labels"].numpy()[[0, 2]].tolist() == [
        -1,
        -1,
    ]
    np.testing.assert_allclose(
        np.delete(answers["probabilities"], [0, 2], 0), np.delete(expected, [0, 2], 0), rtol=1e-4, atol=1e-6
    )


def test_no_images_is_an_empty_answer(frozen):
    _, x, folder = frozen
    loaded = tf.saved_model.load(str(folder))
    empty = loaded.signatures["serving_default"](images=x["query_x"][0, :0])
    assert empty["probabilities"].shape == (0, WAY) and empty["labels"].shape == (0,)
    named = loaded.signatures["classify"](inputs=tf.zeros([0], tf.string))
    assert named["scores"].shape == (0, WAY) and named["classes"].shape == (0, WAY)


def test_images_of_another_shape_are_invalid_arguments(frozen, tmp_path):
    """Through the C API, as a server asks: it feeds any shape, and pixels of [2, 256] were answered in a scrambled order."""
    _, _, folder = frozen
    rng = np.random.default_rng(0)
    shapes = [(2, 256), (2, 8, 32, 1), (2, 16, 16), (16, 16, 1), (), (2, 16, 16, 1, 1), (2, 16, 16, 1)]
    requests = {str(number): rng.random(shape).astype(np.float32) for number, shape in enumerate(shapes)}
    codes = test_c_api.run(folder, [["serving_default", {"images": key}] for key in requests], requests, tmp_path)[
        "codes"
    ]
    assert codes.tolist() == [test_c_api.INVALID_ARGUMENT] * (len(shapes) - 1) + [test_c_api.OK]


def test_warm_up_requests_of_both_apis_are_answered(frozen):
    _, _, folder = frozen
    requests, loaded = serving_files.read_warmup(folder), tf.saved_model.load(str(folder))
    assert set(requests) == {"serving_default", "classify"}
    for signature, inputs in requests.items():
        answers = loaded.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        assert all(len(value) == 1 for value in answers.values())
    assert {path.name for path in folder.parent.iterdir()} == {"1", "models.config", "batching_params.pbtxt"}
    assert (folder / "batching_params.pbtxt").read_text() == (folder.parent / "batching_params.pbtxt").read_text()


def test_a_classifier_that_answers_otherwise_leaves_nothing(tmp_path, monkeypatch):
    original = frozen_module.reload_and_answer

    def changed(folder, requests):
        return {
            name: value if value.dtype.kind == "S" else value + 1 for name, value in original(folder, requests).items()
        }

    monkeypatch.setattr(frozen_module, "reload_and_answer", changed)
    x, _ = episode(num_tasks=1)
    model = descriptors.build("prototypical_network")
    with pytest.raises(verification.ExportError, match="serving_default/probabilities must be the model's within"):
        freeze(model, x["support_x"][0], x["support_y"][0], NAMES, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_transductive_model_is_frozen_only_when_asked_for(tmp_path):
    model, (x, _) = descriptors.build("relation_network_transductive"), episode(num_tasks=1)
    support = (x["support_x"][0], x["support_y"][0], NAMES)
    with pytest.raises(ValueError, match="--allow_transductive .* Received: RelationNetwork, whose answer to a query"):
        freeze(model, *support, tmp_path)
    assert not list(tmp_path.iterdir())
    folder = freeze(model, *support, tmp_path, allow_transductive=True)
    assert json.loads((folder / "adaptation.json").read_text())["transductive"] is True


def test_more_images_than_a_classifier_takes_are_invalid_arguments_that_name_the_limit(frozen):
    _, _, folder = frozen
    assert json.loads((folder / "adaptation.json").read_text())["limits"]["images"] == 500
    loaded = tf.saved_model.load(str(folder)).signatures
    with pytest.raises(tf.errors.InvalidArgumentError, match="`images` must be at most 500"):
        loaded["serving_default"](images=tf.zeros([501, 16, 16, 1]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`inputs` must be at most 500"):
        loaded["classify"](inputs=tf.fill([501], b""))


def test_names_and_labels_must_fit(tmp_path):
    model = descriptors.build("prototypical_network")
    x, _ = episode(num_tasks=1)
    with pytest.raises(ValueError, match=f"`class_names` must be 2 to {WAY} names. Received: 4"):
        freeze(model, x["support_x"][0], x["support_y"][0], [*NAMES, "delta"], tmp_path)
    for name in ("\udcff", b"gamma"):
        with pytest.raises(
            ValueError, match="`class_names` must be text, which UTF-8 can hold. Received: ..*(udcff|gamma)"
        ):
            freeze(model, x["support_x"][0], x["support_y"][0], [*NAMES[:2], name], tmp_path)
    with pytest.raises(ValueError, match="`support_labels` must show every class from 0 to 1"):
        freeze(model, x["support_x"][0], x["support_y"][0], NAMES[:2], tmp_path)
    with pytest.raises(ValueError, match=r"`support_images` must be .S, 16, 16, 1., .* Received: shapes \(6, 256\)"):
        freeze(model, tf.reshape(x["support_x"][0], [6, 256]), x["support_y"][0], NAMES, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("preset", ["maml_mlp_sinusoid_5shot", "prototypical_network_conv4_glyphs_30way_1shot"])
def test_only_classifiers_of_images_with_a_fixed_way_are_frozen(preset, tmp_path):
    """Not a regression model, and not one that takes any number of classes."""
    with pytest.raises(
        ValueError, match=r"Expected a classifier of images .* with a fixed `way`. Received: .* way=None"
    ):
        freeze(zoo.from_preset(preset), [], [], NAMES, tmp_path)


def test_the_binary_freezes_a_preset_on_a_folder(tmp_path):
    """One that takes the middle of pictures: the examples are cropped, and what is classified."""
    model = zoo.from_preset("prototypical_network_conv4_glyphs_30way_1shot")
    model.save_preset(tmp_path / "mine", fit="crop")
    write_folder(tmp_path / "support", np.random.default_rng(0).random((4, 30, 45, 1)), [0, 0, 1, 1])
    flags = [f"--preset={tmp_path / 'mine'}", f"--support={tmp_path / 'support'}"]
    done = run("export.freeze_model", *flags, f"--output_dir={tmp_path / 'served'}")
    assert done.returncode == 0, done.stderr
    assert "a classifier of letter 0, letter 1" in done.stdout and "--model_name=served" in done.stdout
    files = sorted((tmp_path / "support").rglob("*.png"))
    expected = zoo.from_preset(tmp_path / "mine").learn(tmp_path / "support").probabilities(files)
    loaded = tf.saved_model.load(str(tmp_path / "served" / "1"))
    asked = tf.constant([example_of(file.read_bytes()) for file in files])
    np.testing.assert_allclose(loaded.signatures["classify"](inputs=asked)["scores"], expected, atol=1e-3)
    named = run("export.classify", f"--saved_model={tmp_path / 'served' / '1'}", f"--query={tmp_path / 'support'}")
    assert named.returncode == 0 and "accuracy: 100.0 % of 4 images" in named.stdout, named.stderr
    sidecar = json.loads((tmp_path / "served" / "1" / "adaptation.json").read_text())
    assert sidecar["fit"] == "crop" and "cropped in the middle" in sidecar["image_files"]
    other = run(
        "export.freeze_model", "--preset=maml_mlp_sinusoid_5shot", flags[1], f"--output_dir={tmp_path / 'other'}"
    )
    assert other.returncode != 0 and "error: Expected a classifier of images" in other.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
