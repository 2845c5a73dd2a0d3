"""Exports in other engines than TensorFlow, where their wheels are installed: LiteRT on devices, OpenVINO on servers."""

import json
import sys

import numpy as np
import pytest

from export import litert
from tests import descriptors
from tests.binaries import run
from tests.descriptors import WAY, arrays

METHODS = (
    "prototypical_network",
    "matching_network",
    "matching_network_fce",
    "siamese_network",
    "relation_network",
    "mann",
    "lstm_baseline",
)


@pytest.mark.parametrize("name", METHODS)
def test_openvino_answers_as_the_python_model_does(export_of, name):
    openvino = pytest.importorskip("openvino")
    model, folder = export_of(name)
    support_x, support_y, query_x = arrays(num_tasks=2)
    inputs = {"support_images": support_x, "support_labels": support_y, "query_images": query_x}
    compiled = openvino.Core().compile_model(str(folder), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    named = {
        port.get_any_name(): next(n for n in inputs if n in " ".join(port.get_names())) for port in compiled.inputs
    }
    answers = compiled({port: inputs[name] for port, name in named.items()})
    (probabilities,) = (value for port, value in answers.items() if "probabilities" in port.get_names())
    expected = model({"support_x": support_x, "support_y": support_y, "query_x": query_x}).numpy()
    expected = np.exp(expected - expected.max(-1, keepdims=True))
    np.testing.assert_allclose(probabilities, expected / expected.sum(-1, keepdims=True), atol=2.5e-5)


@pytest.mark.parametrize("name", METHODS)
def test_litert_answers_as_the_python_model_does(tmp_path, name):
    """A task alone, with a padded row, from the file that was written."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model = descriptors.build(name)
    folder, size, milliseconds = litert.export_litert(model, tmp_path, 2 * WAY, 6, metadata={"note": "mine"})
    content = (folder / litert.MODEL_FILE).read_bytes()
    assert folder == tmp_path / "1" and size == len(content) and milliseconds > 0
    assert json.loads((folder / "adaptation.json").read_text())["note"] == "mine"
    loaded = interpreter.Interpreter(model_content=content)
    loaded.allocate_tensors()
    support_x, support_y, query_x = arrays(num_tasks=1)
    support_y[0, 3] = -1
    logits = model({"support_x": support_x, "support_y": support_y, "query_x": query_x}).numpy()
    expected = np.exp(logits - logits.max(-1, keepdims=True))
    inputs = {"support_images": support_x, "support_labels": support_y, "query_images": query_x}
    answered = litert.answer(loaded, inputs)
    np.testing.assert_allclose(answered, expected / expected.sum(-1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("name", ["maml", "anil"])
def test_methods_that_need_more_than_built_in_ops_are_named(tmp_path, name):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(ValueError, match=r"LiteRT's built-in ops must hold what a \w+ does. Received: .*Conv2D"):
        litert.export_litert(descriptors.build(name), tmp_path, 2 * WAY, 6)
    assert not list(tmp_path.iterdir())


def test_litert_answers_that_differ_are_refused(tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    original = litert.answer
    monkeypatch.setattr(litert, "answer", lambda *arguments: original(*arguments) + 0.01)
    with pytest.raises(litert.ExportError, match="LiteRT's probabilities must be the model's within"):
        litert.export_litert(descriptors.build("prototypical_network"), tmp_path, WAY, 1)
    assert not list(tmp_path.iterdir())


def test_without_the_wheel_the_flag_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match="pip install ai-edge-litert"):
        litert.export_litert(descriptors.build("prototypical_network"), tmp_path, WAY, 1)


def test_the_binary_writes_a_file_for_devices(tmp_path):
    pytest.importorskip("ai_edge_litert")
    flags = ["--preset=prototypical_network_conv4_glyphs_30way_1shot", "--way=3", "--format=litert", "--query_rows=2"]
    done = run("export.export_model", *flags, f"--output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "1" / "model.tflite").is_file() and "3 support images, 2 to classify" in done.stdout


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
