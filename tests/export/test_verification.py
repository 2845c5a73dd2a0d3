"""The proof that an export answers as its model: what rounding explains passes, a wrong graph does not."""

import sys

import pytest

from export import sidecar, try_export, verification
from export.saved_model import export
from export.signatures import ServedModel
from tests import descriptors


@pytest.fixture(scope="module")
def served():
    model = descriptors.build("maml_without_norm")
    return model, ServedModel(model)


def answering(change):
    """In place of a fresh process: the model's own answers, changed."""

    def reload_and_answer(_, requests):
        model, served = answering.model
        answers = verification.python_answers(model, served, requests)
        return {name: change(name, value) for name, value in answers.items()}

    return reload_and_answer


@pytest.mark.parametrize("row", [0, -1], ids=["an ordinary task", "the padded task"])
def test_a_difference_that_rounding_does_not_explain_is_refused(served, row, monkeypatch):
    def change(name, value):
        value = value.copy()
        if name.startswith("predict"):
            value[row] += 0.01
        return value

    answering.model = served
    monkeypatch.setattr(verification, "reload_and_answer", answering(change))
    message = "predict/probabilities must be the model's within .*: the graph is wrong, please report it. Received: difference 0.01"
    with pytest.raises(verification.ExportError, match=message):
        verification.verify(*served, "folder")


def test_what_noise_of_the_size_of_rounding_moves_too_is_no_fault(served, monkeypatch):
    """A task at a kink of its ReLUs: the export falls on the other side of it, as the model does with a little noise."""
    model, _ = served
    original = verification.python_answers

    def at_a_kink(model, served, requests, noise=None):
        answers = original(model, served, requests, noise)
        if noise is not None:
            answers["predict/probabilities"][0] += 0.01
        return answers

    def change(name, value):
        value = value.copy()
        if name.startswith("predict"):
            value[0] += 0.02
        return value

    answering.model = served
    monkeypatch.setattr(verification, "reload_and_answer", answering(change))
    with pytest.raises(verification.ExportError):
        verification.verify(*served, "folder")
    monkeypatch.setattr(verification, "python_answers", at_a_kink)
    requests = verification.verify(*served, "folder")
    assert requests["support_images"].shape[2:] == model.input_shape


def test_a_model_whose_answers_are_rounding_says_what_to_do(served, monkeypatch):
    original = verification.python_answers

    def chaotic(model, served, requests, noise=None):
        answers = original(model, served, requests, noise)
        if noise is not None:
            answers["predict/probabilities"] += 0.5
        return answers

    answering.model = served
    monkeypatch.setattr(verification, "python_answers", chaotic)
    monkeypatch.setattr(
        verification, "reload_and_answer", lambda *_: {k: v + 0.3 for k, v in original(*served, _[1]).items()}
    )
    with pytest.raises(
        verification.ExportError, match="cannot be compared: rounding alone .* fewer inner steps|must be the model's"
    ):
        verification.verify(*served, "folder")


def test_an_export_that_answers_otherwise_leaves_nothing(served, monkeypatch, tmp_path):
    answering.model = served
    monkeypatch.setattr(verification, "reload_and_answer", answering(lambda _, value: value + 1))
    with pytest.raises(verification.ExportError):
        export(served[0], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        {"method": "MAML", "way": 5, "input_shape": [84, 84, 3]},
        {"method": "MAML", "way": 5, "input_shape": [28, 30, 1]},
        {"method": "MAML", "frozen": True, "classes": ["a", "b"], "input_shape": [28, 28, 1]},
        {"method": "MAML", "way": [5], "input_shape": [28, 28, 1]},
        {"method": "MAML", "way": 5, "input_shape": "281"},
    ],
)
def test_try_export_refuses_at_once_what_it_cannot_draw_for(content):
    with pytest.raises(
        ValueError, match=r"learns from square grey images, \[n, n, 1\].* Received: a MAML with input_shape="
    ):
        try_export.check_export(content)
    without = {"way": 5, "input_shape": [28, 28, 1], "signatures": ["adapt"]}
    with pytest.raises(ValueError, match=r"with the signature 'serving_default'. Received: one with \['adapt'\]"):
        try_export.check_export(without)


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "null", "[" * 100_000])
def test_a_sidecar_that_is_none_is_named(content, tmp_path):
    if content is not None:
        (tmp_path / "adaptation.json").write_text(content)
    with pytest.raises(ValueError, match="Expected the adaptation.json of an export. Received: .*adaptation.json: "):
        sidecar.read_sidecar(tmp_path)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
