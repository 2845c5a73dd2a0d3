"""Clients against servers that are broken or mean harm: each answer that no export gives is a ServingError."""

import concurrent.futures
import contextlib
import http.server
import json
import pathlib
import socket
import ssl
import sys
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from export import client

STATE, QUERIES = np.zeros([1, 3], np.float32), np.zeros([1, 2, 4, 4, 1], np.float32)
PROBABILITIES, LABELS = [[[0.25, 0.75], [1.0, 0.0]]], [[1, 0]]
RIGHT = {"probabilities": PROBABILITIES, "labels": LABELS}
PEM = pathlib.Path(__file__).with_name("localhost.pem")  # a certificate of "localhost" that signs itself, with its key

WRONG_OUTPUTS = {
    "other keys": {"probs": PROBABILITIES, "labels": LABELS},
    "no labels": {"probabilities": PROBABILITIES},
    "fewer rows": {"probabilities": [[[0.25, 0.75]]], "labels": [[1]]},
    "more rows": {"probabilities": [[[0.25, 0.75]] * 3], "labels": [[1] * 3]},
    "more tasks": {"probabilities": PROBABILITIES * 2, "labels": LABELS * 2},
    "another rank": {"probabilities": PROBABILITIES[0], "labels": LABELS},
    "no classes": {"probabilities": [[[], []]], "labels": LABELS},
    "NaN with a label": {"probabilities": [[[float("nan")] * 2, [1.0, 0.0]]], "labels": [[0, 0]]},
    "half NaN": {"probabilities": [[[float("nan"), 1.0], [1.0, 0.0]]], "labels": [[-1, 0]]},
    "a label that is not the largest": {"probabilities": PROBABILITIES, "labels": [[0, 0]]},
    "a label of no class": {"probabilities": PROBABILITIES, "labels": [[1, 2]]},
    "a refusal with probabilities": {"probabilities": PROBABILITIES, "labels": [[-1, -1]]},
    "no probabilities": {"probabilities": [[[2.0, 3.0], [1.0, 0.0]]], "labels": [[1, 0]]},
    "negative": {"probabilities": [[[-1.0, 2.0], [1.0, 0.0]]], "labels": [[1, 0]]},
    "infinite": {"probabilities": [[[float("inf"), 0.0], [1.0, 0.0]]], "labels": [[0, 0]]},
}


# ---- REST: a server that sends bytes


def answer_of(content, status="200 OK"):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.contextmanager
def sending(send, tls=False):
    """A server that calls `send(connection)` when a request has come; gives its address."""
    listening = socket.create_server(("localhost", 0))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(PEM)
        listening = context.wrap_socket(listening, server_side=True)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    received = b""
                    while b"}}" not in received:
                        received += connection.recv(1 << 16)
                    send(connection)

    threading.Thread(target=serve, daemon=True).start()
    yield f"{'https' if tls else 'http'}://localhost:{listening.getsockname()[1]}"
    listening.close()


def ask_rest(send, **options):
    with sending(send if callable(send) else lambda connection: connection.sendall(send)) as url:
        return client.RestClient(url, "letters", **{"deadline": 5.0, **options}).predict(STATE, QUERIES)


def test_a_right_answer_is_taken():
    probabilities, labels = ask_rest(answer_of({"outputs": RIGHT}))
    np.testing.assert_array_equal(probabilities, np.array(PROBABILITIES, np.float32))
    np.testing.assert_array_equal(labels, LABELS)
    refused = {"probabilities": [[[float("nan")] * 2, [1.0, 0.0]]], "labels": [[-1, 0]]}
    assert np.isnan(ask_rest(answer_of({"outputs": refused}))[0][0, 0]).all()


@pytest.mark.parametrize("name", WRONG_OUTPUTS)
def test_outputs_that_no_export_gives(name):
    with pytest.raises(client.ServingError, match="Received: "):
        ask_rest(answer_of({"outputs": WRONG_OUTPUTS[name]}))


@pytest.mark.parametrize("value", [None, "0.5", True, {}, [[["0.25", "0.75"], ["1", "0"]]], [[[None, 1], [1, 0]]], [[[1], [1, 0]]],
                                   [[[10**400, 0], [1, 0]]], [[[True, False], [True, False]]], 0])  # fmt: skip
def test_probabilities_that_are_no_numbers(value):
    with pytest.raises(client.ServingError, match="Expected 'probabilities'"):
        ask_rest(answer_of({"outputs": {**RIGHT, "probabilities": value}}))


@pytest.mark.parametrize("value", [[[1.0, 0.0]], [["1", "0"]], [[2**70, 0]], [[True, False]], [[None, 0]]])
def test_labels_that_are_no_int64(value):
    with pytest.raises(client.ServingError, match="Expected 'labels'"):
        ask_rest(answer_of({"outputs": {**RIGHT, "labels": value}}))


@pytest.mark.parametrize(
    "sent",
    [
        answer_of([]),
        answer_of(b"null"),
        answer_of({"answers": RIGHT}),
        answer_of({"outputs": [1.0]}),
        answer_of(b'{"outputs": ' + b"[" * 200_000),
        answer_of(b'{"outputs": {"probabilities": ' + b"[" * 60 + b"]" * 60 + b', "labels": [[1, 0]]}}'),
        answer_of(b'{"outputs": {"labels": [[' + b"9" * 6000 + b"]]}}"),
        answer_of(b"\xff\xfe\x00"),
        answer_of(b""),
        answer_of(b"<html>a proxy</html>"),
        answer_of({"outputs": RIGHT})[:-10],
        answer_of({"outputs": RIGHT}).replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX"),
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    ],
    ids=lambda sent: str(len(sent)),
)
def test_bytes_that_are_no_answer(sent):
    with pytest.raises(client.ServingError):
        ask_rest(sent)


def test_millions_of_lists_and_names_are_refused_before_they_are_made():
    """64 MB of them took 2.4 GB and a minute, past any deadline."""
    for inside in (b'"labels": [' + b"[]," * 1_000_001 + b"[]]", b'"": 1, ' * 1001 + b'"labels": 1'):
        with pytest.raises(client.ServingError, match="expected at most 1000000 lists and 1000 names"):
            ask_rest(answer_of(b'{"outputs": {' + inside + b"}}"))


def test_an_answer_over_the_limit_is_not_read():
    with pytest.raises(client.ServingError, match="at most 1024 bytes"):
        ask_rest(answer_of({"outputs": RIGHT, "more": "x" * 10_000}), max_answer_bytes=1024)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_redirects_are_not_followed(status):
    asked = []

    def other(connection):
        asked.append(1)
        connection.sendall(answer_of({"outputs": RIGHT}))

    with sending(other) as elsewhere:
        redirect = f"HTTP/1.1 {status}\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        with pytest.raises(client.ServingError, match=f"HTTP {status[:3]}: redirects are not followed: {elsewhere}"):
            ask_rest(redirect)
    assert not asked


@pytest.mark.parametrize("start", [0, 30, 60])
@pytest.mark.parametrize("header", [b"Content-Length", b"Connection: close\r\nX"])
def test_a_dripping_answer_ends_at_the_deadline(start, header):
    """Each byte comes in time, and the whole never does: in the status line, the headers or the body."""
    sent = answer_of({"outputs": RIGHT, "more": "x" * 10_000}).replace(b"Content-Length", header)

    def drip(connection):
        connection.sendall(sent[:start])
        for byte in sent[start:]:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    begin = time.monotonic()
    with pytest.raises(client.ServingError, match="no whole answer within 0.5 seconds"):
        ask_rest(drip, deadline=0.5)
    assert time.monotonic() - begin < 3


def test_what_a_server_says_is_printed_without_control_characters():
    nasty = "\x1b[2J\x1b]0;owned\x07 \u202e line\r\nerror: forged"
    with pytest.raises(client.ServingError) as raised:
        ask_rest(answer_of({"error": nasty}, "400 Bad").replace(b"\\u001b", b"\x1b"))
    assert "HTTP 400" in str(raised.value) and str(raised.value).isprintable()
    with pytest.raises(client.ServingError) as raised:
        ask_rest(answer_of(b"x" * 100_000, "500 Oops"))
    assert len(str(raised.value)) < 2000


def test_a_url_that_is_none_is_named():
    for url in (
        "localhost:8501",
        "ftp://localhost",
        "http://",
        "http://host:port",
        "http://user:secret@host",
        "http://h/?a",
    ):
        with pytest.raises(ValueError, match="`url` must be http://host:port or https://host:port"):
            client.RestClient(url, "letters")


@pytest.mark.parametrize("version", [0, -1, 2**63, "1", "1:predict/../x", 1.0, True])
def test_a_version_that_is_none_is_named(version):
    for build in (client.GrpcClient, client.RestClient):
        with pytest.raises(
            ValueError, match="`version` must be an int from 1 to 9223372036854775807, or None. Received: "
        ):
            build("http://localhost:1", "letters", version=version)


def test_the_name_of_a_model_stays_one_part_of_the_path():
    paths = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(client.ServingError, match="HTTP 404"):
            client.RestClient(f"http://localhost:{server.server_port}", "my model/../x", 3).predict(STATE, QUERIES)
    assert paths == ["/v1/models/my%20model%2F..%2Fx/versions/3:predict"]


# ---- gRPC: a servicer that answers what it is told


class Fixed(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, outputs=None, details=""):
        self.outputs, self.details, self.metadata = outputs, details, []

    def Predict(self, request, context):
        self.metadata.append(dict(context.invocation_metadata()))
        if self.outputs is None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.details)
        response = predict_pb2.PredictResponse()
        for name, value in self.outputs.items():
            response.outputs[name].CopyFrom(value)
        return response


@contextlib.contextmanager
def answering(servicer, tls=False):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    if tls:
        pem = PEM.read_bytes()
        key = pem[pem.index(b"-----BEGIN PRIVATE") :]
        port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, pem)]))
    else:
        port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(0)


def protos(outputs):
    kinds = {"labels": np.int64}
    return {name: tf.make_tensor_proto(np.array(value, kinds.get(name, np.float32))) for name, value in outputs.items()}


def ask_grpc(servicer, **options):
    with answering(servicer) as address:
        asked = client.GrpcClient(address, "letters", **{"deadline": 20.0, **options})
        try:
            return asked.predict(STATE, QUERIES)
        finally:
            asked.close()


@pytest.mark.parametrize("name", WRONG_OUTPUTS)
def test_outputs_that_no_export_gives_by_grpc(name):
    with pytest.raises(client.ServingError, match="Received: "):
        ask_grpc(Fixed(protos(WRONG_OUTPUTS[name])))


def changed(**fields):
    proto = protos(RIGHT)["probabilities"]
    for name, value in fields.items():
        if name == "shape":
            del proto.tensor_shape.dim[:]
            for size in value:
                proto.tensor_shape.dim.add(size=size)
        else:
            setattr(proto, name, value)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        changed(shape=[1, 2, 1 << 40]),  # one number in the message, terabytes when it is unpacked
        changed(shape=[1, -2, 2]),
        changed(shape=[1, 2, 3]),
        changed(dtype=tf.string.as_datatype_enum),
        changed(dtype=tf.float64.as_datatype_enum),
        changed(dtype=999),
        changed(tensor_content=b"abc"),
    ],
)
def test_tensors_that_are_no_probabilities(proto):
    with pytest.raises(client.ServingError, match="Expected 'probabilities'"):
        ask_grpc(Fixed({**protos(RIGHT), "probabilities": proto}))


def test_what_a_grpc_server_says_is_printed_without_control_characters():
    with pytest.raises(client.ServingError) as raised:
        ask_grpc(Fixed(details="\x1b[2J red"))
    assert str(raised.value) == r"INVALID_ARGUMENT: \x1b[2J red"


def test_states_that_are_no_states():
    for state in ([[float("nan")] * 3], [[1.0] * 3] * 2, [1.0]):
        with answering(Fixed({"task_state": tf.make_tensor_proto(np.array(state, np.float32))})) as address:
            with pytest.raises(client.ServingError, match="Expected "):
                client.GrpcClient(address, "letters").adapt(QUERIES, np.zeros([1, 2], np.int64))


# ---- credentials


def test_grpc_by_tls_with_a_token():
    servicer = Fixed(protos(RIGHT))
    with answering(servicer, tls=True) as address:
        trusting = client.GrpcClient(address, "letters", tls=True, root_certificates=PEM, token="secret-1")
        np.testing.assert_array_equal(trusting.predict(STATE, QUERIES)[1], LABELS)
        assert servicer.metadata[0]["authorization"] == "Bearer secret-1"
        with pytest.raises(
            client.ServingError, match="UNAVAILABLE|DEADLINE"
        ):  # the system does not know the certificate
            client.GrpcClient(address, "letters", tls=True, deadline=3.0).predict(STATE, QUERIES)


def test_rest_by_tls_with_a_token():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(self.headers["Authorization"])
            self.wfile.write(answer_of({"outputs": RIGHT}))

        def log_message(self, *_):
            pass

    seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://localhost:{server.server_port}"
        trusting = client.RestClient(url, "letters", root_certificates=PEM, token="secret-1")
        np.testing.assert_array_equal(trusting.predict(STATE, QUERIES)[1], LABELS)
        with pytest.raises(client.ServingError, match="CERTIFICATE_VERIFY_FAILED"):
            client.RestClient(url, "letters").predict(STATE, QUERIES)
        server.shutdown()
    assert seen == ["Bearer secret-1"]


def test_a_tls_server_that_drips_its_handshake_ends_at_the_deadline():
    def drip(listening):
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)

    with socket.create_server(("localhost", 0)) as listening:
        threading.Thread(target=drip, args=(listening,), daemon=True).start()
        begin = time.monotonic()
        with pytest.raises(client.ServingError, match="within 0.5 seconds"):
            client.RestClient(f"https://localhost:{listening.getsockname()[1]}", "letters", deadline=0.5).predict(
                STATE, QUERIES
            )
    assert time.monotonic() - begin < 3


def test_secrets_do_not_travel_in_the_open(tmp_path):
    for build in (
        lambda **options: client.GrpcClient("localhost:1", "letters", **options),
        lambda **options: client.RestClient("http://localhost:1", "letters", **options),
    ):
        for options in ({"token": "secret"}, {"root_certificates": PEM}):
            with pytest.raises(ValueError, match="need TLS") as raised:
                build(**options)
            assert "secret" not in str(raised.value)
    for token in ("", "two words", "line\r\nX-Other: header", "über"):
        with pytest.raises(ValueError, match="`token` must be printable ASCII without spaces"):
            client.RestClient("https://localhost:1", "letters", token=token)
    (tmp_path / "no.pem").write_text("nothing")
    for path in (tmp_path / "no.pem", tmp_path / "nowhere.pem"):
        with pytest.raises(ValueError, match="`root_certificates` must be a PEM file"):
            client.RestClient("https://localhost:1", "letters", root_certificates=path)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
