"""Exports as a server sees them: through TensorFlow's C API, with and without sense in the request."""

import json
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from export import saved_model
from tests.descriptors import IMAGE_SHAPE, METHODS, WAY, episode
from tests.export.formats import files

OK, INVALID_ARGUMENT = 0, 3
RUNNER = pathlib.Path(__file__).with_name("c_api_runner.py")
# One method of each family; `make test-all` takes all of them, and more requests.
QUICK = ("prototypical_network", "mann", "maml")
MALFORMED = [300, pytest.param(2000, marks=pytest.mark.slow)]  # requests per signature
FILES = [b"", b"no image", *files().values()]


def marked(method):
    return pytest.param(method, marks=() if method.name in QUICK else pytest.mark.slow, id=method.name)


@pytest.fixture(params=[marked(method) for method in METHODS], scope="module")
def exported(request, export_of):
    return export_of(request.param)


def tensor_names(folder):
    """{signature: {"inputs": {name: tensor}, "outputs": {name: tensor}}} of a SavedModel."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return {
        name: {
            "inputs": {key: info.name for key, info in definition.inputs.items()},
            "outputs": {key: info.name for key, info in definition.outputs.items()},
        }
        for name, definition in content.meta_graphs[0].signature_def.items()
        if not name.startswith("__")
    }


def run(folder, calls, requests, tmp_path):
    plan = {"library": tf.sysconfig.get_lib(), "signatures": tensor_names(folder), "calls": calls}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with open(tmp_path / "requests.pickle", "wb") as file:  # strings of bytes, which NumPy would cut at their last zero
        pickle.dump(requests, file)
    command = [sys.executable, "-I", str(RUNNER), str(folder), "plan.json", "requests.pickle", "answers.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "answers.npz") as answers:
        return dict(answers)


def images(name):
    return {f"{name}_images": f"{name}_images", **({"support_labels": "labels"} if name == "support" else {})}


def test_every_signature_answers_as_the_python_model_does(exported, tmp_path):
    model, folder = exported
    x, _ = episode(num_tasks=2)
    requests = {"support_images": x["support_x"].numpy(), "labels": x["support_y"].numpy()}
    requests["query_images"] = x["query_x"].numpy()
    calls = [
        ["adapt", images("support")],
        ["predict", {"task_state": "0/task_state", **images("query")}],
        ["adapt_and_predict", {**images("support"), **images("query")}],
        ["adapt_and_predict", {**images("support"), **images("query")}],
    ]
    answers = run(folder, calls, requests, tmp_path)
    assert (answers["codes"] == OK).all()
    expected = tf.nn.softmax(model(x)).numpy()
    for number in (1, 2):
        np.testing.assert_allclose(answers[f"{number}/probabilities"], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(answers[f"{number}/labels"], answers[f"{number}/probabilities"].argmax(axis=-1))
    np.testing.assert_allclose(answers["3/probabilities"], answers["2/probabilities"], rtol=1e-4, atol=1e-6)


def test_a_task_is_not_changed_by_its_neighbours(exported, tmp_path):
    """Alone, beside another task, and beside a task of NaN."""
    _, folder = exported
    x, _ = episode(num_tasks=2)
    requests = {"support_images": x["support_x"].numpy(), "labels": x["support_y"].numpy()}
    requests["query_images"] = x["query_x"].numpy()
    calls = []
    for case in ("both", "alone", "nan"):
        chosen = {name: value[:1] if case == "alone" else value.copy() for name, value in list(requests.items())[:3]}
        if case == "nan":
            chosen["support_images"][1] = np.nan
        requests.update({f"{case}_{name}": value for name, value in chosen.items()})
        inputs = {"support_images": f"{case}_support_images", "support_labels": f"{case}_labels"}
        calls.append(["adapt_and_predict", {**inputs, "query_images": f"{case}_query_images"}])
    answers = run(folder, calls, requests, tmp_path)
    assert (answers["codes"] == OK).all()
    for number in (1, 2):
        expected = answers["0/probabilities"][0]
        np.testing.assert_allclose(answers[f"{number}/probabilities"][0], expected, rtol=1e-3, atol=1e-5)


def well_formed(rng, state_size):
    """{signature: its inputs}, of few tasks and rows, some of them none; files are no images, or whole ones."""
    tasks, rows, queries = rng.integers(0, 3), rng.integers(0, 4), rng.integers(0, 3)
    support = {
        "support_images": rng.random((tasks, rows, *IMAGE_SHAPE), np.float32),
        "support_labels": rng.integers(-3, WAY + 3, (tasks, rows)),
    }
    query = {"query_images": rng.random((tasks, queries, *IMAGE_SHAPE), np.float32)}
    size = max(0, state_size + rng.integers(-2, 3))
    files = [FILES[i] for i in rng.integers(0, len(FILES), tasks * (rows + queries))]
    files = np.array([*files, None], object)[:-1].reshape(tasks, rows + queries)
    return {
        "adapt": support,
        "predict": {"task_state": rng.standard_normal((tasks, size)).astype(np.float32), **query},
        "adapt_and_predict": {**support, **query},
        "adapt_and_predict_image_bytes": {
            "support_image_bytes": files[:, :rows],
            "support_labels": support["support_labels"],
            "query_image_bytes": files[:, rows:],
        },
        "embed": {"images": rng.random((rows, *IMAGE_SHAPE), np.float32)},
    }


def malformed(rng, inputs):
    """The inputs, wrong in one to three ways."""
    inputs = dict(inputs)
    for _ in range(rng.integers(1, 4)):
        name = rng.choice(list(inputs))
        value = inputs[name]
        change = rng.integers(0, 6)
        if change == 0 and value.ndim:  # a rank too low
            value = value.reshape(-1)
        elif change == 1:  # a rank too high
            value = value[None]
        elif change == 2 and value.dtype != object:  # another dtype
            with np.errstate(invalid="ignore"):
                value = value.astype(rng.choice([np.float64, np.int32]))
        elif change == 3 and value.ndim:  # one size changed
            axis = rng.integers(0, value.ndim)
            value = np.repeat(value, 2, axis=axis) if rng.random() < 0.5 else np.delete(value, slice(0, 1), axis=axis)
        elif change == 4 and value.dtype == np.float32:  # values that are no pixels
            value = np.full_like(value, rng.choice([np.nan, np.inf, -1e30, 1e30]))
        elif change == 4 and value.dtype == object:  # a file that is broken: cut off, or of bytes drawn at random
            value = np.array([broken(rng, file) for file in value.ravel()] + [None], object)[:-1].reshape(value.shape)
        elif change == 5 and value.dtype == np.int64:  # labels far out of range
            value = rng.integers(-(2**62), 2**62, value.shape)
        inputs[name] = value
    return inputs


def broken(rng, file):
    return file[: rng.integers(0, len(file) + 1)] if rng.random() < 0.7 else rng.bytes(rng.integers(1, 60))


@pytest.mark.parametrize("count", MALFORMED)
def test_malformed_requests_end_no_process(exported, count, tmp_path):
    """Each is answered or refused with a code; a well-formed request after them is answered as before."""
    _, folder = exported
    rng = np.random.default_rng(0)
    sidecar = json.loads((folder / saved_model.SIDECAR_FILE).read_text())
    size = sidecar["task_state"]["fixed_size"] + sidecar["task_state"]["size_per_support_row"] * 2
    x, _ = episode(num_tasks=1)
    requests = {"support_images": x["support_x"].numpy(), "labels": x["support_y"].numpy()}
    requests["query_images"] = x["query_x"].numpy()
    good = ["adapt_and_predict", {**images("support"), **images("query")}]
    calls = [good]
    signatures = sorted(set(sidecar["signatures"]) - {"serving_default"})
    for number in range(count):
        for signature in signatures:
            inputs = malformed(rng, well_formed(rng, size)[signature])
            keys = {name: f"{number}_{signature}_{name}" for name in inputs}
            requests.update({keys[name]: value for name, value in inputs.items()})
            calls.append([signature, keys])
    answers = run(folder, [*calls, good], requests, tmp_path)
    codes = answers["codes"]
    assert len(codes) == 2 + count * len(signatures) and codes[0] == codes[-1] == OK
    assert set(codes) == {OK, INVALID_ARGUMENT}
    for place, signature in enumerate(signatures):
        refused = (codes[1 + place : -1 : len(signatures)] == INVALID_ARGUMENT).mean()
        assert 0.3 < refused < 1, (signature, refused)
    last = len(codes) - 1
    np.testing.assert_allclose(answers[f"{last}/probabilities"], answers["0/probabilities"], rtol=1e-4, atol=1e-6)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
