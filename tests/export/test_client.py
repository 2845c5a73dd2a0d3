"""The clients against a local SavedModel, a loopback gRPC servicer and a loopback REST server."""

import base64
import http.server
import json
import pathlib
import re
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from export import client, saved_model
from export.editable_states import EditableStates
from tests import descriptors
from tests.descriptors import WAY, arrays
from tests.export.loopback import Servicer, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = descriptors.build("prototypical_network")
    return saved_model.export(model, tmp_path_factory.mktemp("served"), invert=True)


def decoded(value):
    """JSON of a request as arrays: {"b64": ...} are bytes."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return [decoded(item) for item in value] if isinstance(value, list) else value


def make_handler(local):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kinds = {"labels": np.int64, "bytes": object}
            inputs = {
                name: np.array(decoded(value), kinds.get(name.rpartition("_")[2], np.float32))
                for name, value in body["inputs"].items()
            }
            try:
                outputs = local.call(body["signature_name"], inputs)
                lists = {name: value.tolist() for name, value in outputs.items()}
                status, answer = 200, {"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}
            except client.ServingError as error:
                status, answer = 400, {"error": str(error)}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    return Handler


@pytest.fixture(scope="module")
def clients(folder):
    servicer = Servicer(folder)
    local = servicer.local
    rest_server = http.server.ThreadingHTTPServer(("localhost", 0), make_handler(local))
    threading.Thread(target=rest_server.serve_forever, daemon=True).start()
    with serving(servicer) as address:
        yield {
            "local": local,
            "grpc": client.GrpcClient(address, "letters"),
            "rest": client.RestClient(f"http://localhost:{rest_server.server_port}", "letters"),
            "small": client.GrpcClient(address, "letters", max_message_bytes=1 << 12),
        }
    rest_server.shutdown()


@pytest.mark.parametrize("kind", ["local", "grpc", "rest"])
def test_adapt_then_predict_is_adapt_and_predict(clients, kind):
    support_x, support_y, query_x = arrays()
    state = clients[kind].adapt(support_x, support_y)
    probabilities, labels = clients[kind].predict(state, query_x)
    at_once, same_labels = clients[kind].adapt_and_predict(support_x, support_y, query_x)
    expected, _ = clients["local"].adapt_and_predict(support_x, support_y, query_x)
    np.testing.assert_allclose(probabilities, at_once, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(at_once, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(labels, same_labels)


def files_of(images):
    return [[tf.io.encode_png(tf.cast(255 * image, tf.uint8)).numpy() for image in task] for task in images]


@pytest.mark.parametrize("kind", ["local", "grpc", "rest"])
def test_files_are_read_in_the_graph(clients, kind):
    support_x, support_y, query_x = (values[:1] for values in arrays())
    images = [1 - np.floor(255 * x / x.max()) / 255 for x in (support_x, query_x)]  # the export inverts
    expected, _ = clients["local"].adapt_and_predict(images[0], support_y, images[1])
    files = [files_of(x / x.max()) for x in (support_x, query_x)]
    probabilities, _ = clients[kind].adapt_and_predict_files(files[0], support_y, files[1])
    np.testing.assert_allclose(probabilities, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["local", "grpc", "rest"])
def test_a_refused_request_says_why(clients, kind):
    support_x, support_y, _ = arrays()
    with pytest.raises(client.ServingError, match="one label for each row"):
        clients[kind].adapt(support_x, support_y[:, :-1])


def test_wrong_names_in_this_process_are_errors_of_the_client(clients):
    """With no server in between, TensorFlow's own complaint was a traceback."""
    support_x, support_y, _ = arrays()
    with pytest.raises(client.ServingError, match=r"\['support_images', 'support_labels'\]. Received: \['images'\]"):
        clients["local"].call("adapt", {"images": support_x})
    with pytest.raises(client.ServingError, match="signatures .*Received: learn"):
        clients["local"].call("learn", {"support_images": support_x, "support_labels": support_y})


def test_a_message_over_the_limit_is_an_error_of_the_client(clients):
    with pytest.raises(client.ServingError, match="RESOURCE_EXHAUSTED"):
        clients["small"].adapt(*arrays()[:2])


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(client.ServingError, match="UNAVAILABLE|DEADLINE_EXCEEDED"):
        client.GrpcClient("localhost:1", "letters", deadline=2.0).adapt(*arrays()[:2])
    with pytest.raises(client.ServingError, match="http://localhost:1/v1/models/letters:predict"):
        client.RestClient("http://localhost:1", "letters").adapt(*arrays()[:2])
    with pytest.raises(client.ServingError, match="Expected the version folder of an export"):
        client.LocalClient("/nowhere")


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_documented_line_for_curl_takes_large_files(clients, tmp_path):
    """200 kB and more: beyond what one argument of a command may have."""
    text = pathlib.Path("docs/serving.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"```sh\n([^`]*curl[^`]*)```", text)
    server = re.match(r"http://(.*?)/", clients["rest"]._url).group(1)
    rng, files = np.random.default_rng(0), []
    for name in ("a", "b", "which"):
        files.append(tf.io.encode_png(rng.integers(0, 256, (280, 280, 3), np.uint8)).numpy())
        (tmp_path / f"{name}.png").write_bytes(files[-1])
    assert min(map(len, files)) > 200_000
    command = ["bash", "-c", line.replace("localhost:8501", server)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    expected, _ = clients["local"].adapt_and_predict_files([files[:2]], [[0, 1]], [files[2:]])
    np.testing.assert_allclose(json.loads(done.stdout)["outputs"]["probabilities"], expected, rtol=1e-3, atol=1e-5)


# ---- states that are edited


@pytest.fixture(scope="module", params=["prototypical_network", "matching_network", "siamese_network"])
def editable(request, export_of):
    _, folder = export_of(request.param)
    return client.LocalClient(folder), EditableStates.of_export(folder)


def test_a_removed_class_answers_as_if_it_had_no_support(editable):
    local, states = editable
    support_x, support_y, query_x = (values[:1] for values in arrays())
    removed = states.remove_class(local.adapt(support_x, support_y)[0], 1)
    np.testing.assert_array_equal(states.classes(removed), [2, 0, 2])
    expected, _ = local.adapt_and_predict(support_x, np.where(support_y == 1, -1, support_y), query_x)
    np.testing.assert_allclose(local.predict(removed[None], query_x)[0], expected, rtol=1e-4, atol=1e-5)


def test_an_added_class_answers_as_if_its_images_had_been_in_the_support_set(editable):
    local, states = editable
    support_x, support_y, query_x = arrays()
    first, second = local.adapt(support_x, support_y)
    changed = states.add_class(first, 0, second, 2)
    other = support_x[1][support_y[1] == 2]
    images = np.concatenate([support_x[0][support_y[0] != 0], other])[None]
    labels = np.concatenate([support_y[0][support_y[0] != 0], [0] * len(other)])[None]
    expected, _ = local.adapt_and_predict(images, labels, query_x[:1])
    np.testing.assert_allclose(local.predict(changed[None], query_x[:1])[0], expected, rtol=1e-4, atol=1e-5)


def test_what_is_no_state_of_the_export_is_refused(editable):
    local, states = editable
    state = local.adapt(*arrays()[:2])[0]
    with pytest.raises(ValueError, match="fingerprint of this export"):
        states.remove_class(state + np.eye(1, len(state), dtype=np.float32)[0], 0)
    with pytest.raises(ValueError, match="Received: "):
        states.remove_class(state[:-1], 0)
    with pytest.raises(ValueError, match=f"`label` must be from 0 to {WAY - 1}. Received: label=3"):
        states.remove_class(state, 3)
    with pytest.raises(ValueError, match="`source_state` must hold class 1"):
        states.add_class(state, 0, states.remove_class(state, 1), 1)


def test_states_of_whole_support_sets_refuse(tmp_path, unproven):
    """The class maps of a Relation Network with batch statistics depend on the other classes."""
    model = descriptors.build("relation_network_transductive")
    folder = saved_model.export(model, tmp_path, allow_transductive=True)
    with pytest.raises(ValueError, match="Received: RelationNetwork, whose state is of the whole support set"):
        EditableStates.of_export(folder)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
