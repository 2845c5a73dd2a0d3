"""TensorFlow Serving's gRPC service, answered by a SavedModel in this process."""

import concurrent.futures
import contextlib
import pathlib
import threading

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from export import client

_LIMIT = 64 << 20


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers each request on its own, as a server without batching."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.local = client.LocalClient(folder)

    def answer(self, signature, inputs):
        return self.local.call(signature, inputs)

    def Predict(self, request, context):
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        try:
            outputs = self.answer(request.model_spec.signature_name, inputs)
        except client.ServingError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except BatchError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Received: {request.metadata_field}")
        saved = saved_model_pb2.SavedModel.FromString((self.folder / "saved_model.pb").read_bytes())
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=saved.meta_graphs[0].signature_def)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        return response


class BatchError(Exception):
    """Requests that cannot be merged: all of them fail."""


class MergingServicer(Servicer):
    """Answers `count` requests at once, merged and split again as a server with batching does (BatchingSession of
    tensorflow/serving): along the first dimension; refused, all of them, where another dimension differs; padded to the next of
    `allowed_batch_sizes` with copies of the first row of the last request; one that fails, fails all.
    """

    def __init__(self, folder, count, allowed_batch_sizes=(1, 2, 4, 8, 16)):
        super().__init__(folder)
        self._allowed = allowed_batch_sizes
        self._waiting, self._answers = {}, {}
        self._barrier = threading.Barrier(count, action=self._answer_all, timeout=60)
        self._lock = threading.Lock()
        self.sizes = []  # of the batches that were run

    def answer(self, signature, inputs):
        with self._lock:
            ticket = len(self._waiting)
            self._waiting[ticket] = signature, inputs
        self._barrier.wait()
        answer = self._answers[ticket]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _answer_all(self):
        try:
            self._answers = dict(enumerate(self._merge_and_split()))
        except (BatchError, client.ServingError) as error:
            self._answers = dict.fromkeys(self._waiting, error)
        self._waiting = {}

    def _merge_and_split(self):
        signatures, requests = zip(*(self._waiting[ticket] for ticket in sorted(self._waiting)), strict=True)
        assert len(set(signatures)) == 1
        counts = [len(next(iter(request.values()))) for request in requests]
        size = next(size for size in self._allowed if size >= sum(counts))
        self.sizes.append(size)
        merged = {}
        for name, last in requests[-1].items():
            if len({request[name].shape[1:] for request in requests}) > 1:
                raise BatchError(f"Tensors with name {name!r} from different tasks have different shapes")
            padding = [last[:1]] * (size - sum(counts))
            merged[name] = np.concatenate([*(request[name] for request in requests), *padding])
        outputs = self.local.call(signatures[0], merged)
        ends = np.cumsum(counts)
        parts = {name: np.split(value, ends) for name, value in outputs.items()}
        return [{name: values[ticket] for name, values in parts.items()} for ticket in range(len(requests))]


@contextlib.contextmanager
def serving(servicer, num_threads=2):
    """Runs the servicer; gives its address."""
    options = [(f"grpc.max_{way}_message_length", _LIMIT) for way in ("receive", "send")]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(num_threads), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(0)
