"""`model.learn`: pictures of all kinds in, names out, and the numbers are those of `adapt` and `predict_with`."""

import io
import json
import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import export
import zoo
from export import folders, signatures
from export.frozen import freeze
from tests import descriptors
from zoo.datasets.image_files import read_image

NAMES = ("cat", "dog", "owl")


def pictures(count, shape=(16, 16, 1), seed=0):
    return list(np.random.default_rng(seed).random((count, *shape), dtype=np.float32))


def of_three(**options):
    return {name: pictures(2, seed=number, **options) for number, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def model():
    return descriptors.build("prototypical_network")


@pytest.mark.filterwarnings("ignore:This .* answers pictures by those")
@pytest.mark.parametrize("method", descriptors.params())
def test_learn_and_predict_are_adapt_and_predict_with(method):
    """Two classes where the model has three: the third has no probability."""
    model = descriptors.build(method)
    for num_classes in (3, 2):
        classes = dict(list(of_three().items())[:num_classes])
        classifier = model.learn(classes)
        support = np.concatenate([np.stack(images) for images in classes.values()])[None]
        labels = np.repeat(np.arange(num_classes), 2)[None]
        queries = pictures(4, seed=9)
        state = model.adapt(tf.constant(support), tf.constant(labels))
        logits = model.predict_with(state, tf.constant(np.stack(queries)[None]))[0, :, :num_classes]
        expected = tf.nn.softmax(logits).numpy()
        found = classifier.probabilities(queries)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert found.shape == (4, num_classes) and found.dtype == np.float32
        named = [(NAMES[row.argmax()], pytest.approx(row.max(), abs=1e-5)) for row in expected]
        assert classifier.predict(queries) == named


def test_one_picture_gives_one_answer_and_a_list_a_list(model):
    classifier = model.learn(of_three())
    query = pictures(1, seed=9)[0]
    name, probability = classifier.predict(query)
    assert name in NAMES and classifier.predict([query]) == [(name, pytest.approx(probability))]
    assert isinstance(name, str) and isinstance(probability, float)
    assert classifier.predict(np.stack([query, query])) == 2 * classifier.predict([query])
    row = classifier.probabilities(query)
    assert row.shape == (3,) and row.sum() == pytest.approx(1) and dict(zip(classifier.names, row))[name] == probability
    assert classifier.predict([]) == [] and classifier.probabilities([]).shape == (0, 3)


def test_many_pictures_are_answered_in_parts(model):
    classifier = model.learn(of_three())
    queries = pictures(300, seed=9)
    np.testing.assert_allclose(
        classifier.probabilities(queries)[[0, 255, 256, 299]],
        classifier.probabilities([queries[number] for number in (0, 255, 256, 299)]),
        atol=1e-5,
    )


@pytest.mark.parametrize("ink", [False, True])
@pytest.mark.parametrize("shape", [(16, 16, 1), (16, 12, 3)])
def test_every_kind_of_picture_is_what_read_image_makes_of_its_file(tmp_path, shape, ink):
    """A turned JPEG, a PNG with holes, one of 16 bits: as a path, as a PIL image and, where it has arrays, as one."""
    rng = np.random.default_rng(0)
    model = zoo.PrototypicalNetwork(zoo.backbones.mlp(shape, hidden_sizes=(4,)))
    model.ink = ink
    colours = rng.integers(0, 256, (40, 30, 4), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "holes.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(colours[..., :3]).save(tmp_path / "turned.jpg", exif=turned)
    Image.fromarray(rng.integers(0, 2**16, (20, 20), dtype=np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(colours[..., 0]).save(tmp_path / "grey.png")
    files = sorted(tmp_path.iterdir())
    expected = np.stack([read_image(file, *shape, ink) for file in files]) / np.float32(255)
    for kind in (files, [str(file) for file in files], [Image.open(file) for file in files]):
        classifier = model.learn({"a": kind[:2], "b": kind[2:]})
        np.testing.assert_array_equal(classifier.support_images, expected)
    holes, grey = files.index(tmp_path / "holes.png"), files.index(tmp_path / "grey.png")
    for levels, place in ((colours, holes), (colours[..., 0], grey), (colours[..., :1], grey)):
        for array in (levels, levels / 255, (levels / 255).astype(np.float32)):
            found = model.learn({"a": [array], "b": [array]}).support_images
            np.testing.assert_array_equal(found, [expected[place]] * 2)
    opposite = model.learn({"a": files[:2], "b": files[2:]}, invert=not ink)
    grey_only = [read_image(files[grey], *shape, not ink) / np.float32(255)]
    np.testing.assert_array_equal(opposite.support_images[grey : grey + 1], grey_only)


def test_pictures_are_fitted_as_the_model_was_trained(tmp_path):
    """To learn from, to name, and in the served graph."""
    fit = "crop"
    model = descriptors.build("prototypical_network")
    model.image_fit = fit
    levels = np.random.default_rng(0).integers(0, 256, (4, 20, 33), dtype=np.uint8)
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for file, image in zip(files, levels):
        Image.fromarray(image).save(file)
    expected = np.stack([read_image(file, 16, 16, 1, False, fit) for file in files]) / np.float32(255)
    classifier = model.learn({"a": files[:1], "b": files[1:2]})
    np.testing.assert_array_equal(classifier.support_images, expected[:2])
    np.testing.assert_allclose(
        classifier.probabilities(files[2:]), classifier.probabilities(list(expected[2:])), atol=1e-6
    )
    served = signatures.ServedModel(model, chosen=["adapt_and_predict_image_bytes"])
    read = served.decode(tf.constant([[file.read_bytes() for file in files]]))[0]
    np.testing.assert_allclose(read, expected, atol=1.01 / 255)
    with pytest.raises(ValueError, match="`fit` must be one of .* Received: fit='cover'"):
        model.save_preset(tmp_path / "mine", fit="cover")


def test_floats_of_the_models_shape_are_not_rounded(model):
    given = pictures(2)
    found = model.learn({"a": given[:1], "b": given[1:]}).support_images
    np.testing.assert_array_equal(found, given)
    inverted = model.learn({"a": given[:1], "b": given[1:]}, invert=True).support_images
    np.testing.assert_array_equal(inverted, 1 - np.stack(given))


def test_a_folder_of_class_folders_is_learned(model, tmp_path):
    for number, name in enumerate(NAMES):
        (tmp_path / name / "more").mkdir(parents=True)
        for place in (name, f"{name}/more"):
            Image.fromarray(np.full((20, 20), 80 * number, np.uint8)).save(tmp_path / place / "x.png")
    classifier = model.learn(str(tmp_path))
    assert classifier.names == NAMES and classifier.support_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert classifier.predict(tmp_path / "owl" / "x.png")[0] == "owl"


GREY = np.zeros((9, 9), np.uint8)


@pytest.mark.parametrize(
    "classes, message",
    [
        ([GREY, GREY], "`classes` must be a dict from names to lists .* Received: list"),
        ({1: [GREY], 2: [GREY]}, r"`classes` must be a dict from names .* Received: \[1, 2\]"),
        ({"a": [GREY]}, r"`classes` must have 2 to 3, the way of .* Received: 1 \(a\)"),
        ({name: [GREY] for name in "abcd"}, r"2 to 3, .* `model.with_way\(N\)` takes more. Received: 4 \(a, b, c, d\)"),
        ({"a": [GREY], "b": []}, "Class 'b' must have at least one picture. Received: none"),
        ({"a": [GREY], "b": "b.png"}, "Class 'b' must have a list of pictures, .* Received: str 'b.png'"),
        ({"a": [GREY], "b": GREY}, r"Class 'b' must have a list .* Received: an array of shape=\(9, 9\), dtype=uint8"),
        ({"a": [GREY], "b": [GREY, GREY / 1 + 2]}, "Picture 1 of class 'b' must be floats from 0 to 1 .* from 2 to 2"),
        ({"a": [GREY], "b": [GREY * np.nan]}, "Picture 0 of class 'b' must be floats from 0 to 1 .* from nan to nan"),
        ({"a": [GREY], "b": [GREY.astype(int)]}, "Picture 0 of class 'b' must be NumPy uint8 or float .* dtype=int64"),
        (
            {"a": [GREY], "b": [np.zeros((9, 9, 2))]},
            "Picture 0 of class 'b' must .*C is 1, 3 or 4. Received: .*9, 9, 2",
        ),
        ({"a": [GREY], "b": [None]}, "Picture 0 of class 'b' must be NumPy .* Received: NoneType 'None'"),
        ({"a": [GREY], "b": ["none/b.png"]}, "none/b.png cannot be read: No such file"),
        ({"a": [GREY], "b": [Image.new("F", (9, 9))]}, "Picture 0 of class 'b' must be a PIL image .* mode='F'"),
        ({"a": [GREY], "b": [Image.new("I", (9, 9))]}, "Picture 0 of class 'b' must be a PIL image .* mode='I'"),
        ({"a": [GREY], "b": [Image.new("La", (9, 9))]}, "Picture 0 of class 'b' must be a PIL image .* mode='La'"),
        ("none/folder", "Expected a folder with one folder of pictures per class. Received: none/folder"),
    ],
)
def test_what_cannot_be_learned_is_said_in_one_line(model, classes, message):
    with pytest.raises(ValueError) as caught:
        model.learn(classes)
    assert re.search(message, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def test_a_folder_of_subsets_holds_no_examples(model, tmp_path):
    """The classes would be called test and train."""
    for place in ("train/cat", "train/dog", "test/owl"):
        (tmp_path / place).mkdir(parents=True)
        Image.fromarray(GREY).save(tmp_path / place / "x.png")
    for learn in (model.learn, folders.class_folders):
        with pytest.raises(
            ValueError, match=r"one folder of pictures per class, such as .*/train. .* subsets test, train$"
        ):
            learn(tmp_path)
        assert len(learn(tmp_path / "train").names if learn == model.learn else learn(tmp_path / "train")) == 2


def test_what_goes_through_pictures_once_is_a_list_of_them(model):
    classes, queries = of_three(), pictures(3, seed=9)
    expected = model.learn(classes).probabilities(queries)
    classifier = model.learn({name: iter(images) for name, images in classes.items()})
    for several in ((query for query in queries), tf.stack(queries)):
        np.testing.assert_array_equal(classifier.probabilities(several), expected)
    assert len(classifier.predict(iter(queries))) == 3


def test_a_pil_image_that_cannot_be_read_is_named(model, tmp_path):
    classifier = model.learn(of_three())
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "x.jpg")
    whole = (tmp_path / "x.jpg").read_bytes()
    with pytest.raises(ValueError, match="^The picture cannot be read as an image: OSError: image file is truncated"):
        classifier.predict(Image.open(io.BytesIO(whole[: len(whole) // 2])))


def test_what_cannot_be_predicted_is_named(model):
    classifier = model.learn(of_three())
    with pytest.raises(ValueError, match="Picture 1 must be NumPy uint8 or float"):
        classifier.predict([GREY, 3])
    with pytest.raises(ValueError, match="The picture must be NumPy"):
        classifier.predict(3)
    with pytest.raises(ValueError, match="`invert` must be True, False or None. Received: invert=1"):
        model.learn(of_three(), invert=1)


def test_models_of_no_images_are_refused():
    regression = zoo.from_preset("maml_mlp_sinusoid_5shot")
    with pytest.raises(ValueError, match=r"needs a classifier of images .* Received: MAML with input_shape=\(1,\)"):
        regression.learn(of_three())


def test_another_way_keeps_the_weights(model):
    wider = model.with_way(4)
    for one, other in zip(model.get_weights(), wider.get_weights()):
        np.testing.assert_array_equal(one, other)
    classes = {**of_three(), "elk": pictures(2, seed=7)}
    assert wider.way == 4 and set(dict(wider.learn(classes).predict(pictures(9)))) <= set(classes)
    with pytest.raises(ValueError, match="`way` must be 3, the way that this MAML was made with. Received: way=4"):
        descriptors.build("maml").with_way(4)


@pytest.fixture
def again(tmp_path):
    """A model for any way whose dark is ink and that takes the middle of pictures: saved, loaded, saved and loaded again."""
    model = descriptors.build("prototypical_network").with_way(None)
    model.save_preset(tmp_path / "mine", ink=True, fit="crop")
    assert json.loads((tmp_path / "mine" / "model.json").read_text())["metadata"] == {
        "ink": True,
        "fit": "crop",
    }
    loaded = zoo.from_preset(tmp_path / "mine")
    loaded.save_preset(str(tmp_path / "again"))
    return zoo.from_preset(str(tmp_path / "again"))


def expected_on_paper():
    """What the model answers to pictures of dark ink."""
    return descriptors.build("prototypical_network").learn(of_three(), invert=True).probabilities(pictures(3))


def test_a_saved_model_answers_as_before_and_dark_stays_ink(again):
    assert again.ink is True and again.image_fit == "crop" and again.way is None
    assert again.with_way(3).image_fit == "crop"
    np.testing.assert_allclose(again.learn(of_three()).probabilities(pictures(3)), expected_on_paper(), atol=1e-6)
    with pytest.raises(NotImplementedError, match=r"`export.export_saved_model\(model, folder\)`"):
        again.export("none")


def test_copies_by_keras_take_pictures_as_the_model_does(tmp_path):
    """A model that reads dark as ink, loaded from a file of Keras, would read paper as ink otherwise and say nothing."""
    model = zoo.PrototypicalNetwork(zoo.backbones.mlp((4, 4, 1), hidden_sizes=(3,)))
    assert not {"ink", "image_fit"} & set(model.get_config())
    model.ink, model.image_fit = True, "pad"
    model.save(tmp_path / "model.keras")
    for again in (keras.saving.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)):
        assert again.ink is True and again.image_fit == "pad"


@pytest.mark.filterwarnings("ignore:This .* answers pictures by those")
def test_a_transductive_classifier_is_exported_only_when_asked_for(tmp_path, monkeypatch):
    """The line that refuses it names the argument that allows it."""
    classifier, asked = descriptors.build("maml_transductive").learn(of_three()), {}
    with pytest.raises(ValueError, match="`allow_transductive`. exports this one all the same"):
        export.export_classifier(classifier, tmp_path)
    monkeypatch.setattr("export.frozen.freeze", lambda *_, **options: asked.update(options))  # it starts a process
    export.export_classifier(classifier, tmp_path, allow_transductive=True)
    assert asked == {"allow_transductive": True}


def test_a_network_for_any_size_is_not_exported(tmp_path):
    """As those of keras.applications without their top are, when nobody says their `input_shape`."""
    network = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D()]
    )
    model, images = zoo.PrototypicalNetwork(network, way=2), np.zeros((2, 8, 8, 3), np.float32)
    message = (
        r"an input of known size.*a keras.Sequential of keras.Input.*and the network. Received: .*\(None, None, 3\)"
    )
    for write in (
        lambda: export.export_saved_model(model, tmp_path / "served"),
        lambda: freeze(model, images, [0, 1], ["a", "b"], tmp_path / "frozen"),
    ):
        with pytest.raises(ValueError, match=message):
            write()


@pytest.mark.slow
def test_a_model_in_hand_and_a_classifier_are_exported(again, tmp_path):
    folder = export.export_classifier(again.learn(of_three()), tmp_path / "frozen")
    frozen = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answer = frozen(images=tf.constant(1 - np.stack(pictures(3))))["probabilities"]
    np.testing.assert_allclose(answer, expected_on_paper(), atol=1e-5)
    folder = export.export_saved_model(again, tmp_path / "served", way=3)
    sidecar = json.loads((folder / "adaptation.json").read_text())
    assert sidecar["way"] == 3 and "ink" in sidecar["image_files"] and sidecar["fit"] == "crop"


def test_save_preset_refuses_what_from_preset_would(tmp_path, model):
    run = tmp_path / "run"
    model.save_preset(run)
    content = json.loads((run / "model.json").read_text())
    content["metadata"]["config"] = {}
    (run / "model.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="`folder` must be one without a training run. Received: "):
        model.save_preset(run)
    with pytest.raises(ValueError, match="`ink` must be True, False or None"):
        model.save_preset(tmp_path / "other", ink="dark")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`folder` must be a folder that can be written"):
        model.save_preset(tmp_path / "file")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
