"""The stock gRPC stub against a loopback server: metadata, warm-up records, requests that the server merges."""

import concurrent.futures
import json
import sys

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2, prediction_service_pb2_grpc

from export import client, padding, saved_model, serving_files
from tests import descriptors
from tests.descriptors import IMAGE_SHAPE, WAY, arrays
from tests.export.loopback import MergingServicer, Servicer, serving


@pytest.fixture(scope="module", params=["prototypical_network", "maml"])
def folder(request, export_of):
    return export_of(request.param)[1]


@pytest.fixture(scope="module")
def stub(folder):
    with serving(Servicer(folder)) as address, grpc.insecure_channel(address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def test_metadata_names_every_input_and_output_and_tasks_lead(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    answer = get_model_metadata_pb2.SignatureDefMap()
    assert stub.GetModelMetadata(request).metadata["signature_def"].Unpack(answer)
    signatures = {name: value for name, value in answer.signature_def.items() if not name.startswith("__")}
    assert {"adapt", "predict", "adapt_and_predict", "serving_default"} <= set(signatures)
    sizes = {
        name: [dimension.size for dimension in value.tensor_shape.dim]
        for name, value in signatures["adapt_and_predict"].inputs.items()
    }
    rows = [-1, -1, *IMAGE_SHAPE]
    assert sizes == {"support_images": rows, "support_labels": [-1, -1], "query_images": rows}
    assert set(signatures["predict"].inputs) == {"task_state", "query_images"}
    assert set(signatures["predict"].outputs) == {"probabilities", "labels"}
    for signature in signatures.values():
        assert signature.method_name == "tensorflow/serving/predict"
        for value in (*signature.inputs.values(), *signature.outputs.values()):
            assert value.tensor_shape.dim[0].size == -1


def test_warm_up_records_are_answered_as_requests(folder, stub):
    """A record that fails would fail the load of the model."""
    records = list(tf.data.TFRecordDataset(str(folder / serving_files.WARMUP_FILE)).as_numpy_iterator())
    replayed = set()
    for record in records:
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == folder.parent.name
        outputs = {name: tf.make_ndarray(value) for name, value in stub.Predict(request).outputs.items()}
        assert outputs and all(len(value) == 1 and np.isfinite(value).all() for value in outputs.values())
        replayed.add(request.model_spec.signature_name)
    assert {"adapt", "predict", "adapt_and_predict", "adapt_and_predict_image_bytes", "serving_default"} <= replayed


def ask_together(folder, calls, pad_to=None, servicer=None):
    """The answers to calls of a client that the server merges into one; exceptions in the place of those that fail."""
    with (
        serving(servicer or MergingServicer(folder, len(calls)), num_threads=len(calls)) as address,
        concurrent.futures.ThreadPoolExecutor(len(calls)) as pool,
    ):
        clients = [client.GrpcClient(address, "letters", deadline=60.0, pad_to=pad_to) for _ in calls]
        waiting = [pool.submit(call, one) for call, one in zip(calls, clients, strict=True)]
        answers = [one.exception() or one.result() for one in waiting]
        for one in clients:
            one.close()
    return answers


def test_merged_requests_answer_as_each_alone(folder):
    requests = [arrays(num_tasks=tasks, seed=seed) for seed, tasks in enumerate((1, 3, 2))]
    answers = ask_together(folder, [lambda one, r=request: one.adapt_and_predict(*r) for request in requests])
    alone = client.LocalClient(folder)
    for request, (probabilities, labels) in zip(requests, answers, strict=True):
        expected, expected_labels = alone.adapt_and_predict(*request)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(labels, expected_labels)


def tenants():
    """Requests of one task with 1 or 2 shots and 3, 5 or 6 queries."""
    drawn = [arrays(num_tasks=1, shot=shot, query=2, seed=seed) for seed, shot in enumerate((1, 2, 2))]
    return [(x, y, queries[:, :count]) for (x, y, queries), count in zip(drawn, (3, 5, 6))]


def test_requests_of_other_sizes_fail_each_other_unless_they_are_padded(export_of):
    """With the sizes of the sidecar every tenant gets what it gets alone, though the server fills its batch up."""
    _, folder = export_of("prototypical_network")
    requests = tenants()
    calls = [lambda one, r=request: one.adapt_and_predict(*r) for request in requests]
    refused = ask_together(folder, calls)
    assert all(isinstance(error, client.ServingError) and "FAILED_PRECONDITION" in str(error) for error in refused)
    servicer = MergingServicer(folder, len(calls))
    answers = ask_together(folder, calls, pad_to=folder / "adaptation.json", servicer=servicer)
    assert servicer.sizes == [4]
    alone = client.LocalClient(folder)
    for request, (probabilities, labels) in zip(requests, answers, strict=True):
        expected, expected_labels = alone.adapt_and_predict(*request)
        assert probabilities.shape == expected.shape
        np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(labels, expected_labels)


def test_states_of_padded_support_sets_are_merged_too(export_of):
    """A state that grows with the support set has the size of the padded one."""
    _, folder = export_of("matching_network")
    alone, padding_client = client.LocalClient(folder), client.LocalClient(folder)
    padding_client.pad_to = padding.sizes_of(folder / "adaptation.json")
    requests = tenants()
    states = [padding_client.adapt(x, y) for x, y, _ in requests[1:]]
    calls = [lambda one, s=state, q=request[2]: one.predict(s, q) for state, request in zip(states, requests[1:])]
    answers = ask_together(folder, calls, pad_to=folder / "adaptation.json")
    for request, (probabilities, _) in zip(requests[1:], answers, strict=True):
        np.testing.assert_allclose(probabilities, alone.adapt_and_predict(*request)[0], rtol=1e-4, atol=1e-5)


def test_a_transductive_export_names_no_sizes_to_pad_to(tmp_path, unproven):
    folder = saved_model.export(descriptors.build("maml_transductive"), tmp_path, allow_transductive=True)
    assert json.loads((folder / "adaptation.json").read_text())["pad_to"] is None


def test_a_foreign_state_leaves_the_requests_merged_with_it_alone(folder):
    support_x, support_y, query_x = arrays(num_tasks=1)
    alone = client.LocalClient(folder)
    state = alone.adapt(support_x, support_y)
    foreign = state.copy()
    foreign[0, 1] += 1
    calls = [lambda one, s=value: one.predict(s, query_x) for value in (state, foreign)]
    (probabilities, _), (refused, labels) = ask_together(folder, calls)
    np.testing.assert_allclose(probabilities, alone.predict(state, query_x)[0], rtol=1e-4, atol=1e-6)
    assert np.isnan(refused).all() and refused.shape[-1] == WAY and (labels == -1).all()


def test_grpcs_own_limit_of_four_megabytes(folder):
    """The default of a stub refuses what `GrpcClient` allows, at the client."""
    support = np.zeros([16, 1 + (4 << 20) // (16 * 4 * np.prod(IMAGE_SHAPE)), *IMAGE_SHAPE], np.float32)
    labels = np.full(support.shape[:2], -1, np.int64)
    labels[:, :WAY] = range(WAY)
    with serving(Servicer(folder)) as address:
        roomy = client.GrpcClient(address, "letters", deadline=60.0)
        default = client.GrpcClient(address, "letters", deadline=60.0, max_message_bytes=4 << 20)
        assert roomy.adapt(support, labels).shape[0] == 16
        with pytest.raises(client.ServingError, match="RESOURCE_EXHAUSTED"):
            default.adapt(support, labels)
        roomy.close()
        default.close()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
