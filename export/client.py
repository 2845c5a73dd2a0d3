"""Clients of an exported model: a local SavedModel, TensorFlow Serving by gRPC, TensorFlow Serving by REST.

All three answer the same calls. Images are float32 arrays [T, rows, H, W, C] or, for the calls named `_files`, the bytes of
image files in lists [T][rows]; labels are int64 [T, S], -1 for rows to ignore.
"""

import base64
import json
import urllib.error
import urllib.request

import numpy as np

_FILE_SIGNATURE = "adapt_and_predict_image_bytes"


class ServingError(RuntimeError):
    """The model refused a request, or could not be reached."""


class Client:
    """What the three clients share; a client gives `call`."""

    def call(self, signature, inputs):
        """Named arrays to a signature -> its named answers, as arrays. Raises ServingError."""
        raise NotImplementedError(f"{type(self).__name__} must define `call`.")

    def adapt(self, support_images, support_labels):
        """The task state of each task: float32 [T, P]. Keep it, and send it with the queries."""
        inputs = {"support_images": _images(support_images), "support_labels": _labels(support_labels)}
        return self.call("adapt", inputs)["task_state"]

    def predict(self, task_state, query_images):
        """(probabilities [T, Q, N], labels [T, Q]); NaN and -1 where a state is not one of this export."""
        inputs = {"task_state": np.asarray(task_state, np.float32), "query_images": _images(query_images)}
        return _answers(self.call("predict", inputs))

    def adapt_and_predict(self, support_images, support_labels, query_images):
        """(probabilities [T, Q, N], labels [T, Q]) in one request."""
        inputs = {"support_images": _images(support_images), "support_labels": _labels(support_labels)}
        return _answers(self.call("adapt_and_predict", {**inputs, "query_images": _images(query_images)}))

    def adapt_and_predict_files(self, support_files, support_labels, query_files):
        """As `adapt_and_predict`, from image files, paths or bytes: lists [T][rows], no bytes at all for a row to ignore.

        Files are opened here, and those that the graph would not read as training does are written anew: see
        `export.outgoing_files`. Raises ValueError for one that cannot be read.
        """
        inputs = {
            "support_image_bytes": _files(support_files),
            "support_labels": _labels(support_labels),
            "query_image_bytes": _files(query_files),
        }
        return _answers(self.call(_FILE_SIGNATURE, inputs))


class LocalClient(Client):
    """A SavedModel in this process: no server.

    Args:
        saved_model: version folder of an export.

    Raises:
        ServingError: where there is no SavedModel.
    """

    def __init__(self, saved_model):
        import tensorflow as tf  # the other two clients do not need it

        self._tf = tf
        try:
            self._loaded = tf.saved_model.load(str(saved_model))
        except OSError as error:
            raise ServingError(f"Expected the version folder of an export. Received: {saved_model}: {error}") from error

    def call(self, signature, inputs):
        if signature not in self._loaded.signatures:
            raise ServingError(f"The model has the signatures {sorted(self._loaded.signatures)}. Received: {signature}")
        try:
            outputs = self._loaded.signatures[signature](
                **{
                    name: self._tf.constant(value.tolist() if value.dtype == object else value)
                    for name, value in inputs.items()
                }
            )
        except self._tf.errors.OpError as error:
            raise ServingError(error.message) from error
        return {name: value.numpy() for name, value in outputs.items()}


class GrpcClient(Client):
    """TensorFlow Serving by gRPC.

    Args:
        target: "host:port", port 8500 unless the server was told otherwise.
        model_name: name under which the server serves the model.
        version: of the model; the server's choice when None.
        deadline: seconds until a request is given up.
        max_message_bytes: largest request and answer; gRPC's own limit is 4 MB, which 12 task states of a Conv-4 pass.
    """

    def __init__(self, target, model_name, version=None, deadline=10.0, max_message_bytes=64 << 20):
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        options = [(f"grpc.max_{way}_message_length", max_message_bytes) for way in ("send", "receive")]
        self._channel = grpc.insecure_channel(target, options=options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model_name, self._version, self._deadline = model_name, version, deadline

    def call(self, signature, inputs):
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self._stub.Predict(request, timeout=self._deadline)
        except grpc.RpcError as error:
            raise ServingError(f"{error.code().name}: {error.details()}") from error
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def close(self):
        """Closes the channel."""
        self._channel.close()


class RestClient(Client):
    """TensorFlow Serving by REST, with the standard library alone.

    Args:
        url: "http://host:port", port 8501 unless the server was told otherwise.
        model_name, version, deadline: as in `GrpcClient`.
    """

    def __init__(self, url, model_name, version=None, deadline=10.0):
        chosen = "" if version is None else f"/versions/{version}"
        self._url = f"{url.rstrip('/')}/v1/models/{model_name}{chosen}:predict"
        self._deadline = deadline

    def call(self, signature, inputs):
        body = {"signature_name": signature, "inputs": {name: _to_json(value) for name, value in inputs.items()}}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self._deadline) as response:
                outputs = json.load(response)["outputs"]
        except urllib.error.HTTPError as error:
            raise ServingError(f"HTTP {error.code}: {error.read().decode(errors='replace')}") from error
        except (urllib.error.URLError, TimeoutError) as error:
            raise ServingError(f"{self._url}: {error}") from error
        # A signature with one output is answered with its value alone.
        outputs = outputs if isinstance(outputs, dict) else {"embeddings": outputs}
        return {
            name: np.array(value, np.int64 if name in ("labels", "support_count") else np.float32)
            for name, value in outputs.items()
        }


def _to_json(value):
    if value.dtype != object:
        return value.tolist()
    if value.ndim:
        return [_to_json(np.asarray(item, dtype=object)) for item in value]
    return {"b64": base64.b64encode(value.item()).decode()}


def _images(images):
    return np.asarray(images, np.float32)


def _labels(labels):
    return np.asarray(labels, np.int64)


def _files(files):
    from export.outgoing_files import outgoing_file  # calls with arrays do not need it

    rows = [[outgoing_file(file) for file in task] for task in files]
    array = np.empty((len(rows), len(rows[0]) if rows else 0), dtype=object)
    array[:] = rows
    return array


def _answers(outputs):
    return outputs["probabilities"], outputs["labels"]
