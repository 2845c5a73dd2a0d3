"""Clients of an exported model: a local SavedModel, TensorFlow Serving by gRPC, TensorFlow Serving by REST.

All three answer the same calls. Images are float32 arrays [T, rows, H, W, C] or, for the calls named `_files`, the bytes of
image files in lists [T][rows]; labels are int64 [T, S], -1 for rows to ignore.
"""

import base64
import json
import math
import os
import pathlib
import ssl
import urllib.parse

import numpy as np

from commands.terminal import printable
from export import padding
from export.answers import ServingError, probabilities_and_labels, task_states
from export.credentials import check_credentials, check_version, read_certificates
from export.http_post import post, split_url
from export.limits import MAX_IMAGE_PIXELS, image_pixels_of
from export.sidecar import SIDECAR_FILE, read_sidecar

_FILE_SIGNATURE = "adapt_and_predict_image_bytes"
_MAX_MESSAGE_BYTES = 64 << 20
_MAX_LISTS, _MAX_NAMES = 1_000_000, 1_000  # of a JSON answer: a list per query, a name per output


class Client:
    """What the three clients share; a client gives `call`.

    Answers are checked: a call returns arrays of the shapes and dtypes that it documents, or raises ServingError. What an
    export cannot answer is NaN with the label -1: queries with a foreign task state, images that are not finite, files that
    the server cannot read.

    Attributes:
        pad_to: sizes to pad rows to (`export.padding`), so that a server with batching can merge requests; None for none. More
            queries are then asked in parts, and more support rows are a ValueError.
        max_image_pixels: larger image files are shrunk before they are sent; of the export, where its sidecar is known.
        is_frozen: whether it is known to be a classifier of known classes, as `export.freeze_model` writes it.
    """

    pad_to = None
    max_image_pixels = MAX_IMAGE_PIXELS
    is_frozen = False

    def call(self, signature, inputs):
        """Named arrays to a signature -> its named answers, as arrays that are not checked. Raises ServingError."""
        raise NotImplementedError(f"{type(self).__name__} must define `call`.")

    def adapt(self, support_images, support_labels):
        """The task state of each task: float32 [T, P]. Keep it, and send it with the queries."""
        inputs = {"support_images": _images(support_images), "support_labels": _labels(support_labels)}
        return task_states(self._ask("adapt", inputs), _num_rows(inputs["support_images"])[0])

    def predict(self, task_state, query_images):
        """(probabilities [T, Q, N], labels [T, Q]); NaN and -1 where a state is not one of this export."""
        return self._answers("predict", {"task_state": np.asarray(task_state, np.float32)}, _images(query_images))

    def adapt_and_predict(self, support_images, support_labels, query_images):
        """(probabilities [T, Q, N], labels [T, Q]) in one request."""
        support = {"support_images": _images(support_images), "support_labels": _labels(support_labels)}
        return self._answers("adapt_and_predict", support, _images(query_images))

    def adapt_and_predict_files(self, support_files, support_labels, query_files):
        """As `adapt_and_predict`, from image files, paths or bytes: lists [T][rows], no bytes at all for a row to ignore.

        Files are opened here, and those that the graph would not read as training does are written anew: see
        `export.outgoing_files`. Raises ValueError for one that cannot be read.
        """
        from export.outgoing_files import rows_of_files  # calls with arrays do not need it

        support_rows, query_rows = (
            rows_of_files(files, self.max_image_pixels) for files in (support_files, query_files)
        )
        support = {"support_image_bytes": support_rows, "support_labels": _labels(support_labels)}
        return self._answers(_FILE_SIGNATURE, support, query_rows, "query_image_bytes")

    def classify(self, support, queries):
        """Names image files by examples.

        Args:
            support: {name of a class: list of its image files}, two classes at least.
            queries: list of image files. A file is a path or its bytes.

        Returns:
            (names, probabilities): the predicted name of each query, a list, and float32 [queries, classes], the classes in
            the order of `support`.

        Raises:
            ValueError: for a class without files, a file that cannot be read, or more classes than the model answers for.
            ServingError: where the server does not answer, or cannot read a file.

        Example:

        >>> names, probabilities = answering.classify({"cat": ["a.png", "b.png"], "dog": ["c.png"]}, ["which.png"])
        """
        from export.outgoing_files import file_list, labelled_files

        files, labels = labelled_files(support)
        queries = file_list("`queries`", queries)
        probabilities, answered = self.adapt_and_predict_files([files], [labels], [queries])
        if probabilities.shape[-1] < len(support):
            raise ValueError(
                f"The exported model answers for at most {probabilities.shape[-1]} classes: export it with "
                f"--way={len(support)}, where its method allows. Received: {len(support)} classes"
            )
        unanswered = [
            f"queries[{number}]" if isinstance(file, bytes) else str(file)
            for number, (file, label) in enumerate(zip(queries, answered[0]))
            if label == -1
        ]
        if unanswered:
            raise ServingError(
                "Expected an answer for each query. Received: none, for a file that the server cannot read, in the support set "
                f"or among {unanswered[:3]}"
            )
        probabilities, names = probabilities[0, :, : len(support)], list(support)
        return [names[row.argmax()] for row in probabilities], probabilities

    def _use_sidecar(self, pad_to):
        """Takes what an adaptation.json says of the served export; None for nothing."""
        if pad_to is not None:
            sidecar = read_sidecar(pad_to)
            self.pad_to, self.max_image_pixels = padding.sizes_of(sidecar), image_pixels_of(sidecar)

    def _ask(self, signature, inputs):
        if self.pad_to is None:
            return self.call(signature, inputs)
        parts = padding.split(inputs, self.pad_to)
        return padding.join([(self.call(signature, part), *asked_and_sent) for part, *asked_and_sent in parts])

    def _answers(self, signature, inputs, queries, name="query_images"):
        return probabilities_and_labels(self._ask(signature, {**inputs, name: queries}), *_num_rows(queries))


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
        saved_model = os.path.expanduser(saved_model)
        try:
            self._loaded = tf.saved_model.load(saved_model)
        except (OSError, ValueError) as error:
            versions = sorted(str(path.parent) for path in pathlib.Path(saved_model).glob("*/saved_model.pb"))
            such = f", such as {versions[-1]}" if versions else ""
            raise ServingError(
                f"Expected the version folder of an export{such}. Received: {saved_model}: {error}"
            ) from error
        self.is_frozen = "classify" in self._loaded.signatures
        sidecar = pathlib.Path(saved_model, SIDECAR_FILE)
        if sidecar.is_file():
            self.max_image_pixels = image_pixels_of(read_sidecar(sidecar))

    def classify_known(self, queries):
        """Names image files by the classes of a frozen classifier, without examples: (names of the classes, predicted names, and
        probabilities float32 [queries, classes]). Raises as `classify` does."""
        from export.frozen import example_of  # only here
        from export.outgoing_files import file_list, outgoing_file

        queries = file_list("`queries`", queries)
        asked = [example_of(outgoing_file(file, self.max_image_pixels)) for file in queries]
        answers = [
            self.call("classify", {"inputs": np.array([example], dtype=object)}) for example in asked
        ]  # one by one, as the graph does it
        names = [name.decode("utf-8", "replace") for name in answers[0]["classes"][0]]
        probabilities = np.concatenate([answer["scores"] for answer in answers])
        if not np.isfinite(probabilities).all():
            broken = [str(file) for file, row in zip(queries, probabilities) if not np.isfinite(row).all()]
            raise ServingError(f"Expected files that the model can read. Received: {broken[:3]}")
        return names, [names[row.argmax()] for row in probabilities], probabilities

    def call(self, signature, inputs):
        if signature not in self._loaded.signatures:
            raise ServingError(f"The model has the signatures {sorted(self._loaded.signatures)}. Received: {signature}")
        wanted = set(self._loaded.signatures[signature].structured_input_signature[1])
        if set(inputs) != wanted:
            raise ServingError(f"{signature} must be asked with {sorted(wanted)}. Received: {sorted(inputs)}")
        try:
            outputs = self._loaded.signatures[signature](
                **{
                    name: self._tf.constant(value, self._tf.string if value.dtype == object else None)
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
        tls: whether to connect by TLS and to prove the server's certificate.
        root_certificates: PEM file of the certificates to trust, for a server whose own is not signed by one of the system's.
        token: sent as "authorization: Bearer ..." with each request; by TLS only, since it would be readable without.
        pad_to: adaptation.json of the served version, a path or its content: rows are padded to the sizes that it names, which
            a server with batching needs. None: sent as they are.

    Raises:
        ValueError: for a token or certificates without TLS, certificates or a `pad_to` that cannot be read, or a `version` that is
            none.
    """

    def __init__(
        self,
        target,
        model_name,
        version=None,
        deadline=10.0,
        max_message_bytes=_MAX_MESSAGE_BYTES,
        tls=False,
        root_certificates=None,
        token=None,
        pad_to=None,
    ):
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        check_credentials(tls, root_certificates, token)
        check_version(version)
        self._use_sidecar(pad_to)
        options = [(f"grpc.max_{way}_message_length", max_message_bytes) for way in ("send", "receive")]
        if tls:
            trusted = None if root_certificates is None else read_certificates(root_certificates)
            credentials = grpc.ssl_channel_credentials(trusted)
            if token is not None:
                bearer = grpc.access_token_call_credentials(token)
                credentials = grpc.composite_channel_credentials(credentials, bearer)
            self._channel = grpc.secure_channel(target, credentials, options=options)
        else:
            self._channel = grpc.insecure_channel(target, options=options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model_name, self._version, self._deadline = model_name, version, deadline
        self._max_numbers = max_message_bytes  # a small message may announce an array that fills the memory

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
            dtype = tf.string if value.dtype == object else None  # an empty array of objects does not say it
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value, dtype))
        try:
            response = self._stub.Predict(request, timeout=self._deadline)
        except grpc.RpcError as error:
            raise ServingError(f"{error.code().name}: {error.details()}") from error
        return {name: self._numbers(name, value) for name, value in response.outputs.items()}

    def _numbers(self, name, proto):
        import tensorflow as tf

        sizes = [dimension.size for dimension in proto.tensor_shape.dim]
        if proto.dtype not in (tf.float32.as_datatype_enum, tf.int64.as_datatype_enum):
            raise ServingError(f"Expected {name!r} of float32 or int64. Received: dtype number {proto.dtype}")
        if min(sizes, default=0) < 0 or not 0 <= math.prod(sizes) <= self._max_numbers:
            raise ServingError(f"Expected {name!r} of at most {self._max_numbers} numbers. Received: shape {sizes}")
        try:
            return tf.make_ndarray(proto)
        except (TypeError, ValueError) as error:
            raise ServingError(f"Expected {name!r} of shape {sizes}. Received: {error}") from error

    def close(self):
        """Closes the channel."""
        self._channel.close()


class RestClient(Client):
    """TensorFlow Serving by REST, with the standard library alone.

    Redirects are not followed, and proxies of the environment are not used.

    Args:
        url: "http://host:port", port 8501 unless the server was told otherwise; "https://..." for TLS.
        model_name, version, deadline, root_certificates, token, pad_to: as in `GrpcClient`.
        max_answer_bytes: longest answer that is read.

    Raises:
        ValueError: as `GrpcClient`, and for another kind of URL.
    """

    def __init__(
        self,
        url,
        model_name,
        version=None,
        deadline=10.0,
        max_answer_bytes=_MAX_MESSAGE_BYTES,
        root_certificates=None,
        token=None,
        pad_to=None,
    ):
        secure = split_url(url)[0]
        check_credentials(secure, root_certificates, token)
        check_version(version)
        self._use_sidecar(pad_to)
        chosen = "" if version is None else f"/versions/{version}"
        self._url = f"{url.rstrip('/')}/v1/models/{urllib.parse.quote(model_name, safe='')}{chosen}:predict"
        self._deadline, self._max_answer_bytes = deadline, max_answer_bytes
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._tls = None
        if secure:
            trusted = None if root_certificates is None else read_certificates(root_certificates).decode("ascii")
            self._tls = ssl.create_default_context(cadata=trusted)

    def call(self, signature, inputs):
        body = {"signature_name": signature, "inputs": {name: _to_json(value) for name, value in inputs.items()}}
        data = json.dumps(body).encode()
        status, answer = post(self._url, data, self._headers, self._deadline, self._max_answer_bytes, self._tls)
        if status != 200:
            raise ServingError(f"HTTP {status}: {answer.decode(errors='replace')}")
        # Millions of lists or names, a byte or two each, would fill the memory for a minute.
        if answer.count(b"[") + answer.count(b"{") > _MAX_LISTS or answer.count(b":") > _MAX_NAMES:
            raise ServingError(
                f"{self._url}: expected at most {_MAX_LISTS} lists and {_MAX_NAMES} names. Received: more, in {len(answer)} bytes"
            )
        try:
            content = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise ServingError(f"{self._url}: expected JSON. Received: {type(error).__name__}: {error}") from error
        if not isinstance(content, dict) or "outputs" not in content:
            raise ServingError(f'{self._url}: expected JSON with "outputs". Received: {printable(content, 100)}')
        outputs = content["outputs"]
        # A signature with one output is answered with its value alone.
        outputs = outputs if isinstance(outputs, dict) else {"embeddings": outputs}
        return {name: _from_json(name, value) for name, value in outputs.items()}


def _to_json(value):
    if value.dtype != object:
        return value.tolist()
    if value.ndim:
        return [_to_json(np.asarray(item, dtype=object)) for item in value]
    return {"b64": base64.b64encode(value.item()).decode()}


def _from_json(name, value):
    """The numbers of an answer: lists of lists of equal length."""
    wanted = np.int64 if name in ("labels", "support_count") else np.float32
    try:
        with np.errstate(over="ignore"):
            array = np.array(value)
            kinds = "i" if wanted is np.int64 else "if"
            if array.size and array.dtype.kind not in kinds:
                raise ValueError(f"values of {array.dtype}")
            return array.astype(wanted)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ServingError(f"Expected {name!r} as lists of {np.dtype(wanted)}. Received: {error}") from error


def _images(images):
    return np.asarray(images, np.float32)


def _labels(labels):
    return np.asarray(labels, np.int64)


def _num_rows(values):
    """(T, rows) of a part of a request; what is no such part the model refuses."""
    return (*values.shape, None, None)[:2]
