"""Exports in other engines than TensorFlow, where their wheels are installed: LiteRT on devices, OpenVINO on servers."""

import json
import sys

import numpy as np
import pytest

from export import litert, litert_anil
from tests import descriptors
from tests.binaries import run
from tests.descriptors import WAY, arrays

METHODS = (
    "prototypical_network",
    "simple_shot",
    "baseline_plus_plus",
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


@pytest.mark.parametrize("name", [*METHODS, "anil"])
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
    if name != "anil":
        support_y[0, 3] = -1
    logits = model({"support_x": support_x, "support_y": support_y, "query_x": query_x}).numpy()
    expected = np.exp(logits - logits.max(-1, keepdims=True))
    inputs = {"support_images": support_x, "support_labels": support_y, "query_images": query_x}
    answered = litert.answer(loaded, inputs)
    np.testing.assert_allclose(answered, expected / expected.sum(-1, keepdims=True), atol=1e-5)


def test_litert_anil_leaves_no_row_out(tmp_path):
    """Its features depend on all rows: a padded one is answered NaN, and the file says that it takes none."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    folder, _, _ = litert.export_litert(descriptors.build("anil"), tmp_path, 2 * WAY, 6)
    assert json.loads((folder / "adaptation.json").read_text())["padded_support"] is False
    loaded = interpreter.Interpreter(model_content=(folder / litert.MODEL_FILE).read_bytes())
    loaded.allocate_tensors()
    support_x, support_y, query_x = arrays(num_tasks=1)
    support_y[0, 3] = -1
    inputs = {"support_images": support_x, "support_labels": support_y, "query_images": query_x}
    assert np.isnan(litert.answer(loaded, inputs)).all()


def test_the_unrolled_head_of_anil_is_that_of_the_model():
    """Without the wheel too: the function that is converted, with a class that has no row."""
    model, (x, _) = descriptors.build("anil"), descriptors.episode(num_tasks=1)
    support_y = np.where(x["support_y"] == 1, 0, x["support_y"])
    expected = model.answer(x["support_x"], support_y, x["query_x"]).numpy()
    logits = litert_anil.anil_logits(model, x["support_x"], support_y, x["query_x"]).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    moved = model.answer(x["support_x"], np.roll(support_y, 1, axis=1), x["query_x"]).numpy()
    assert np.abs(moved - expected).max() > 1e-2  # the head learned from the labels


def test_a_transductive_model_is_converted_only_when_asked_for(tmp_path):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(ValueError, match="--allow_transductive .* Received: RelationNetwork"):
        litert.export_litert(descriptors.build("relation_network_transductive"), tmp_path, WAY, 1)


@pytest.mark.parametrize("name", ["maml", "reptile"])
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
