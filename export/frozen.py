"""A model that has adapted, as an ordinary image classifier: no support set in the request."""

import json
import pathlib

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from export.editable_states import SIDECAR_FILE
from export.preprocessing import decode_images
from export.saved_model import check_graph
from export.versions import choose_version, new_version

_IMAGE_FEATURE = "image/encoded"


def freeze(model, support_images, support_labels, class_names, output_dir, version=None, invert=False):
    """Adapts a model and writes it as a SavedModel of its own, `<output_dir>/<version>/`.

    Signatures: `serving_default`, images float32 [B, H, W, C] -> `probabilities` float32 [B, N], `labels` int64 [B]; and
    `classify`, a real Classify signature: tf.Example protos with the file in "image/encoded" -> `classes` string [B, N],
    `scores` float32 [B, N]. Each image of a request is answered alone, also by a transductive model.

    Args:
        model: a FewShotModel for classification with a fixed `way`.
        support_images: float32 [S, H, W, C].
        support_labels: int64 [S], from 0 to the number of names minus one.
        class_names: names of the first N classes, at most `way`.
        output_dir, version, invert: as in `export.saved_model.export`.

    Returns:
        The version folder, a pathlib.Path.

    Raises:
        ValueError: for another model, labels without a name, more names than the model has classes, or a version that exists.
    """
    check_freezable(model)
    if not 2 <= len(class_names) <= model.way:
        raise ValueError(f"`class_names` must be 2 to {model.way} names. Received: {len(class_names)}")
    labels = tf.constant(support_labels, tf.int64)[None]
    if sorted(set(labels.numpy()[0])) != list(range(len(class_names))):
        raise ValueError(
            f"`support_labels` must show every class from 0 to {len(class_names) - 1}. Received: {labels[0]}"
        )
    state = model.adapt(tf.constant(support_images, tf.float32)[None], labels)
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.state = {name: tf.Variable(value, trainable=False) for name, value in state.items()}
    names = tf.constant(list(class_names))

    def probabilities(images):
        batch = tf.shape(images)[0]
        states = {name: tf.repeat(tf.convert_to_tensor(value), batch, axis=0) for name, value in module.state.items()}
        logits = model.predict_with(states, images[:, None])[:, 0, : len(class_names)]  # a task for each image
        return tf.nn.softmax(logits)

    def predict(images):
        values = probabilities(images)
        return {"probabilities": values, "labels": tf.argmax(values, axis=-1)}

    def classify(inputs):
        parsed = tf.io.parse_example(inputs, {_IMAGE_FEATURE: tf.io.FixedLenFeature([], tf.string)})
        images = decode_images(parsed[_IMAGE_FEATURE][:, None], model.input_shape, invert)[:, 0]
        return {"classes": tf.tile(names[None], [tf.shape(images)[0], 1]), "scores": probabilities(images)}

    image_spec = tf.TensorSpec((None, *model.input_shape), tf.float32, name="images")
    signatures = {
        "serving_default": tf.function(predict, autograph=False).get_concrete_function(image_spec),
        "classify": tf.function(classify, autograph=False).get_concrete_function(
            tf.TensorSpec([None], tf.string, name="inputs")
        ),
    }
    check_graph(signatures)
    version = choose_version(output_dir, version)
    with new_version(output_dir, version) as folder:
        tf.saved_model.save(module, str(folder), signatures=signatures)
        _mark_classify(folder)
        sidecar = {"method": type(model).__name__, "frozen": True, "classes": list(class_names)}
        (folder / SIDECAR_FILE).write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
    return pathlib.Path(output_dir) / str(version)


def check_freezable(model):
    """Raises ValueError for what is not a classifier of images with a fixed number of classes."""
    if model.target_size is not None or model.way is None or len(model.input_shape) != 3:
        raise ValueError(
            "Expected a classifier of images [H, W, C] with a fixed `way`. "
            f"Received: {type(model).__name__} with input_shape={model.input_shape}, way={model.way}"
        )


def _mark_classify(folder):
    """TensorFlow 2 marks every signature as Predict; the Classify API of the server needs its own mark."""
    path = folder / "saved_model.pb"
    content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    content.meta_graphs[0].signature_def["classify"].method_name = tf.compat.v1.saved_model.CLASSIFY_METHOD_NAME
    path.write_bytes(content.SerializeToString())
