"""A model that has adapted, as an ordinary image classifier: no support set in the request."""

import json
import re

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from commands.terminal import printable
from export.graph_checks import append_rows, require
from export.limits import MAX_IMAGE_PIXELS, Limits
from export.padding import QUERY_ROWS, SUPPORT_ROWS
from export.preprocessing import decode_images
from export.requests import finite_rows, keep_rows
from export.saved_model import check_graph, check_inductive, check_input_size, image_files
from export.serving_files import batch_size_of, write_server_samples, write_warmup
from export.sidecar import SIDECAR_FILE
from export.tracing import traced
from export.verification import TOLERANCE, ExportError, reload_and_answer
from export.versions import choose_version, new_version

_IMAGE_FEATURE = "image/encoded"


def freeze(
    model,
    support_images,
    support_labels,
    class_names,
    output_dir,
    version=None,
    invert=False,
    allow_transductive=False,
    max_image_pixels=MAX_IMAGE_PIXELS,
):
    """Adapts a model and writes it as a SavedModel of its own, `<output_dir>/<version>/`.

    Signatures: `serving_default`, images float32 [B, H, W, C] -> `probabilities` float32 [B, N], `labels` int64 [B]; and
    for images of 1 or 3 channels `classify`, a real Classify signature: tf.Example protos with the file in "image/encoded" ->
    `classes` string [B, N], `scores` float32 [B, N]. Each image of a request is answered alone, also by a transductive model. A fresh process without
    this package gave the same answers before the folder got its name.

    Args:
        model: a FewShotModel for classification with a fixed `way`.
        support_images: float32 [S, H, W, C].
        support_labels: int64 [S], from 0 to the number of names minus one.
        class_names: names of the first N classes, at most `way`.
        output_dir, version, invert: as in `export.saved_model.export`.
        allow_transductive: whether a model may be frozen whose answer to an image depends on the others: here it has none.
        max_image_pixels: of an image file.

    Returns:
        The version folder, a pathlib.Path.

    Raises:
        ValueError: for another model, a transductive one that is not allowed, images of another shape, labels without a name,
            more names than the model has classes, or a version that exists.
        ExportError: where the reloaded answers differ.
    """
    check_freezable(model, allow_transductive)
    images, labels = _checked_support(model, support_images, support_labels, class_names)
    output_dir, version = choose_version(output_dir, version)
    frozen = _FrozenModel(model, model.adapt(images, labels), class_names, invert, max_image_pixels)
    check_graph(frozen.signatures)
    name = output_dir.resolve().name
    with new_version(output_dir, version) as folder:
        tf.saved_model.save(frozen.module, str(folder), signatures=frozen.signatures)
        if "classify" in frozen.signatures:
            _mark_classify(folder)
        sidecar = {
            "method": type(model).__name__,
            "frozen": True,
            "classes": list(class_names),
            "input_shape": list(model.input_shape),
            "inputs": "float32 from 0 to 1",
            "image_files": image_files(model, invert),
            "fit": model.image_fit,
            "limits": {"images": frozen.max_images, "image_pixels": frozen.limits.image_pixels},
            "transductive": model.transductive,
        }
        (folder / SIDECAR_FILE).write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")
        requests = _verify(frozen, folder, model.input_shape)
        warmup = {"serving_default": {"images": requests["images"][:1]}}
        write_warmup(folder, name, warmup, requests.get("inputs", [])[:1])
        batch_size = batch_size_of(True, frozen.limits, {SUPPORT_ROWS: 1, QUERY_ROWS: 1})
        write_server_samples(output_dir, name, batch_size, folder)
    return output_dir / str(version)


def _checked_support(model, images, labels, class_names):
    """The support set as one task. Raises ValueError where it does not fit the model or the names."""
    if not 2 <= len(class_names) <= model.way:
        raise ValueError(f"`class_names` must be 2 to {model.way} names. Received: {len(class_names)}")
    # The name of a folder may be bytes that are no text, which Python keeps as surrogates.
    unnamed = [name for name in class_names if not isinstance(name, str) or re.search("[\ud800-\udfff]", name)]
    if unnamed:
        raise ValueError(f"`class_names` must be text, which UTF-8 can hold. Received: {printable(unnamed[0])}")
    images, labels = tf.convert_to_tensor(images, tf.float32), tf.convert_to_tensor(labels, tf.int64)
    if labels.shape.rank != 1 or images.shape != (labels.shape[0], *model.input_shape):
        raise ValueError(
            f"`support_images` must be [S, {', '.join(map(str, model.input_shape))}], with S `support_labels`. "
            f"Received: shapes {images.shape} and {labels.shape}"
        )
    if sorted(set(labels.numpy())) != list(range(len(class_names))):
        raise ValueError(
            f"`support_labels` must show every class from 0 to {len(class_names) - 1}. Received: {labels.numpy()}"
        )
    return images[None], labels[None]


class _FrozenModel:
    """An adapted model as functions of tensors, with its task state as a constant."""

    def __init__(self, model, state, class_names, invert, max_image_pixels):
        self._model, self._invert = model, invert
        self._num_classes = len(class_names)
        self.limits = Limits.of(model, max_image_pixels=max_image_pixels)
        self.max_images = min(self.limits.rows, self.limits.query_images)
        self.module = tf.Module()
        self.module.weights = [variable.value for variable in model.variables]
        self.module.state = {name: tf.Variable(value, trainable=False) for name, value in state.items()}
        self._names = tf.constant(list(class_names))
        images = tf.TensorSpec((None, *model.input_shape), tf.float32, name="images")
        examples = tf.TensorSpec([None], tf.string, name="inputs")
        functions = {"serving_default": (self.predict, images)}
        if model.input_shape[-1] in (1, 3):
            functions["classify"] = self.classify, examples
        self.signatures = {name: traced(function, inputs) for name, (function, inputs) in functions.items()}

    def predict(self, images):
        probabilities = self.probabilities(images)
        known = tf.reduce_all(tf.math.is_finite(probabilities), axis=-1)
        return {"probabilities": probabilities, "labels": tf.where(known, tf.argmax(probabilities, axis=-1), -1)}

    def classify(self, inputs):
        is_flat = require(tf.equal(tf.rank(inputs), 1), "`inputs` must be [B] tf.Examples.", inputs)
        with tf.control_dependencies([is_flat, self._bound("inputs", inputs)]):
            inputs = tf.identity(inputs)
        files = tf.io.parse_example(inputs, {_IMAGE_FEATURE: tf.io.RaggedFeature(tf.string)})[_IMAGE_FEATURE]
        # An Example with no file or several has a broken one: an error would fail the requests merged with this one.
        is_one = tf.equal(files.row_lengths(), 1)[:, None]
        files = tf.where(is_one, files[:, :1].to_tensor("", shape=[None, 1]), "")
        model, most = self._model, self.limits.image_pixels
        images = decode_images(files, model.input_shape, self._invert, model.image_fit, most)[:, 0]
        return {
            "classes": tf.tile(self._names[None], [tf.shape(inputs)[0], 1]),
            "scores": self.probabilities(images),
        }

    def probabilities(self, images):
        """float32 [B, H, W, C] -> float32 [B, N], each image answered alone: NaN where it is not finite, or its answer is not."""
        size = ", ".join(map(str, self._model.input_shape))
        fits = tf.reduce_all(tf.equal(tf.shape(images)[1:], self._model.input_shape))
        shape = require(fits, f"`images` must be [B, {size}].", images)
        with tf.control_dependencies([shape, self._bound("images", images)]):
            batch = tf.shape(images)[0]
            # Ops of the network may not take zero rows: ask about one blank image, and drop the answer.
            rows = append_rows(tf.identity(images)[None], tf.cast(tf.equal(batch, 0), tf.int32))[0]
        valid = finite_rows(rows, 1)  # what the network makes of NaN may be finite: a pooling drops it
        tasks = keep_rows(rows, valid)[:, None]
        states = {
            name: tf.repeat(tf.convert_to_tensor(value), tf.shape(tasks)[0], axis=0)
            for name, value in self.module.state.items()
        }
        probabilities = tf.nn.softmax(self._model.predict_with(states, tasks)[:, 0, : self._num_classes])
        valid = tf.logical_and(valid, finite_rows(probabilities, 1))
        return tf.where(valid[:, None], probabilities, float("nan"))[:batch]

    def _bound(self, name, tensor):
        """An op that refuses more images than the classifier takes at once."""
        message = f"`{name}` must be at most {self.max_images}: the images that this classifier takes in a request."
        count = tf.concat([tf.shape(tensor), [1]], axis=0)[0]  # of a scalar, which another check refuses, one
        return require(count <= self.max_images, message, tensor)


def _verify(frozen, folder, input_shape):
    """Raises ExportError unless a fresh process answers from `folder` as the Python model does; the requests it answered."""
    images = np.random.default_rng(0).random((3, *input_shape), dtype=np.float32)
    requests = {"images": images}
    expected = {"serving_default/probabilities": frozen.predict(images)["probabilities"].numpy()}
    if "classify" in frozen.signatures:
        files = [tf.io.encode_png(tf.cast(255 * image, tf.uint8)).numpy() for image in images]
        requests["inputs"] = np.array([example_of(file) for file in files])
        expected["classify/scores"] = frozen.classify(requests["inputs"])["scores"].numpy()
    answers = reload_and_answer(folder, requests)
    for name, value in expected.items():
        difference = float(np.max(np.abs(answers[name] - value), initial=0.0))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"The reloaded {name} must be the model's within {TOLERANCE}. Received: difference {difference}"
            )
    return requests


def example_of(file):
    """The bytes of an image file as the tf.Example that the Classify signature takes, serialized."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[file]))
    return tf.train.Example(features=tf.train.Features(feature={_IMAGE_FEATURE: feature})).SerializeToString()


def check_freezable(model, allow_transductive=False):
    """Raises ValueError for what is not a classifier of images with a fixed number of classes, or transductive and not allowed."""
    if model.target_size is not None or model.way is None or len(model.input_shape) != 3:
        raise ValueError(
            "Expected a classifier of images [H, W, C] with a fixed `way`. "
            f"Received: {type(model).__name__} with input_shape={model.input_shape}, way={model.way}"
        )
    check_input_size(model)
    check_inductive(model, allow_transductive)


def _mark_classify(folder):
    """TensorFlow 2 marks every signature as Predict; the Classify API of the server needs its own mark."""
    path = folder / "saved_model.pb"
    content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    content.meta_graphs[0].signature_def["classify"].method_name = tf.compat.v1.saved_model.CLASSIFY_METHOD_NAME
    path.write_bytes(content.SerializeToString())
