"""Image files in, names out: from Python, from the binary, and the folders that both binaries read."""

import os
import re
import sys
import warnings

import numpy as np
import pytest

from export import client, folders, saved_model
from tests import descriptors
from tests.binaries import run
from tests.descriptors import arrays, episode
from tests.export.formats import files
from tests.export.image_files import write_folder

NAMES = ["letter 0", "letter 1", "letter 2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = descriptors.build("prototypical_network")
    return saved_model.export(model, tmp_path_factory.mktemp("served"), invert=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with the folders support and query, each with one folder of files per class."""
    root = tmp_path_factory.mktemp("images")
    support_x, support_y, query_x = (values[0] for values in arrays())
    write_folder(root / "support", support_x, support_y)
    write_folder(root / "query", query_x, episode()[1].numpy()[0])
    return root


@pytest.fixture
def classes(tmp_path):
    """Two class folders with one image each."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(files()["PNG, RGB"])
    return tmp_path


# ---- in Python


def test_files_are_classified_by_examples(folder, images):
    support = {path.name: sorted(path.iterdir()) for path in sorted((images / "support").iterdir())}
    queries = sorted((images / "query").rglob("*.png"))
    answering = client.LocalClient(folder)
    names, probabilities = answering.classify(support, queries)
    support_files = [file for of_class in support.values() for file in of_class]
    expected, labels = answering.adapt_and_predict_files([support_files], [[0, 0, 1, 1, 2, 2]], [queries])
    np.testing.assert_array_equal(probabilities, expected[0])
    assert names == [NAMES[label] for label in labels[0]] and list(support) == NAMES
    two = {name: [file.read_bytes() for file in support[name]] for name in NAMES[1:]}
    names, probabilities = answering.classify(two, [str(queries[0])])
    assert probabilities.shape == (1, 2) and names == [NAMES[1 + probabilities[0].argmax()]]
    assert answering.classify(two, [])[0] == []


@pytest.mark.parametrize(
    "support, queries, message",
    [
        (["a.png"], [], "`support` must be {name of a class: list of image files}"),
        ({"cat": ["a.png"]}, [], "at least 2 classes"),
        ({"cat": [], "dog": ["a.png"]}, [], "`support['cat']` must hold at least one image file. Received: none"),
        ({"cat": "a.png", "dog": ["a.png"]}, [], "`support['cat']` must be a list of image files"),
        ({"cat": [b"x"], "dog": [None]}, [], "`support['dog']` must hold paths of image files, or their bytes"),
        ({"cat": [b"x"], "dog": [b""]}, [], "`support['dog']` must hold paths of image files, or their bytes"),
        ({"cat": [b"x"], "dog": [b"y"]}, "which.png", "`queries` must be a list of image files"),
        ({"cat": [b"x"], "dog": [b"y"]}, [], "The file cannot be read as an image"),
        ({"cat": ["/no/a.png"], "dog": [b"y"]}, [], "/no/a.png"),
    ],
)
def test_examples_that_are_none_are_named(support, queries, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        client.Client().classify(support, queries)


def test_more_classes_than_the_model_has_are_refused(folder):
    one = [files()["PNG, RGB"]]
    with pytest.raises(ValueError, match="answers for at most 3 classes: export it with --way=4.*Received: 4 classes"):
        client.LocalClient(folder).classify(dict.fromkeys("abcd", one), one)


def test_a_file_that_the_server_cannot_read_is_no_class():
    class Refusing(client.Client):
        def call(self, signature, inputs):
            return {"probabilities": np.full([1, 1, 2], np.nan, np.float32), "labels": np.array([[-1]])}

    one = [files()["PNG, RGB"]]
    with pytest.raises(client.ServingError, match=r"Expected an answer for each query. .* or among \['queries\[0\]'\]"):
        Refusing().classify({"cat": one, "dog": one}, one)


# ---- folders


def test_a_class_has_the_images_of_all_its_folders(classes):
    (classes / "cat" / "more").mkdir()
    (classes / "cat" / "more" / "1.WEBP").write_bytes(files()["WEBP"])
    (classes / ".git").mkdir()
    found = folders.class_folders(classes)
    assert {name: [path.name for path in of_class] for name, of_class in found.items()} == {
        "cat": ["0.png", "1.WEBP"],
        "dog": ["0.png"],
    }


@pytest.mark.parametrize(
    "contents, received", [([], "no files"), (["a.tif", "b.tif", "notes"], "only 2 .tif, 1 without")]
)
def test_a_class_without_usable_images_is_named(classes, contents, received):
    (classes / "eel").mkdir()
    for name in contents:
        (classes / "eel" / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=f"Class 'eel' has no images: expected files .png, .* Received: {received}"):
        folders.class_folders(classes)


def test_one_class_is_too_few(classes):
    with pytest.raises(ValueError, match=r"must have at least 2 folders of images, one per class. Received: \[\]"):
        folders.class_folders(classes / "cat")


def test_what_is_left_out_is_said(classes):
    (classes / "cat" / "notes.txt").write_text("no image")
    (classes / "loose.png").write_bytes(files()["PNG, RGB"])
    with pytest.warns(UserWarning) as warned:
        folders.class_folders(classes)
    texts = sorted(str(warning.message).partition(": ")[2] for warning in warned)
    assert texts == [
        "files that are no images are left out: 1 .txt",
        "images in no class folder are left out: loose.png",
    ]


def test_queries_are_a_file_or_all_images_of_a_folder(classes):
    assert folders.query_files(classes / "cat" / "0.png") == [(classes / "cat" / "0.png", None)]
    (classes / "beside.gif").write_bytes(files()["GIF"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [(path.name, name) for path, name in folders.query_files(classes)] == [
            ("beside.gif", None),
            ("0.png", "cat"),
            ("0.png", "dog"),
        ]
    (classes / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no images: expected files .png"):
        folders.query_files(classes / "empty")
    with pytest.raises(ValueError, match="Expected an image file, a folder of images, .* Received: /nowhere"):
        folders.query_files("/nowhere")


# ---- the binary


def classify(folder, support, query, *flags):
    return run("export.classify", f"--saved_model={folder}", f"--support={support}", f"--query={query}", *flags)


def test_folders_in_predictions_out(folder, images, tmp_path):
    done = classify(folder, images / "support", images / "query", f"--csv={tmp_path / 'answers.csv'}")
    assert done.returncode == 0, done.stderr
    num_queries = len(list((images / "query").rglob("*.png")))
    assert f"of {num_queries} images" in done.stdout and done.stdout.count("letter") >= 2 * num_queries
    lines = (tmp_path / "answers.csv").read_text().splitlines()
    assert lines[0] == "file,prediction,probability,letter 0,letter 1,letter 2" and len(lines) == 1 + num_queries
    assert all(abs(sum(map(float, line.split(",")[3:])) - 1) < 1e-4 for line in lines[1:])


def test_queries_of_no_class_are_answered_with_a_warning(folder, images, tmp_path):
    """Folders that are no class had an accuracy of 0 %, images beside folders no answer, and their names reach the terminal."""
    image = next((images / "query").rglob("*.png")).read_bytes()
    (tmp_path / "unknown").mkdir()
    for name in ("unknown/0.png", "beside\x1b[2J.png", os.fsdecode(b"\xff.png")):
        (tmp_path / name).write_bytes(image)
    done = classify(folder, images / "support", tmp_path, f"--csv={tmp_path / 'answers.csv'}")
    assert done.returncode == 0, done.stderr
    assert "warning: folders of --query that are no class of --support have no accuracy: unknown" in done.stderr
    assert "accuracy" not in done.stdout and len(done.stdout.splitlines()) == 3
    assert b"/\xff.png,letter" in (tmp_path / "answers.csv").read_bytes()
    assert r"beside\x1b[2J.png" in done.stdout and "\x1b" not in done.stdout
    one = classify(folder, images / "support", tmp_path / "unknown" / "0.png")
    assert one.returncode == 0 and len(one.stdout.splitlines()) == 1 and "warning: " not in one.stderr


@pytest.mark.parametrize(
    "changes, message",
    [
        (["--support=/nowhere"], "error: `--support` must be a file or folder that is there. Received: /nowhere"),
        (["--saved_model=/nowhere"], "error: `--saved_model` must be a version folder of an export"),
        (["--support="], "error: `--support` must name a folder of examples. Received: --support="),
        (["--server=localhost:1"], "Give either --saved_model or --server"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(folder, images, changes, message):
    done = classify(folder, images / "support", images / "query", *changes)
    assert done.returncode != 0 and message in done.stderr + done.stdout and "Traceback" not in done.stderr


def test_tls_is_not_left_out_in_silence():
    """By REST the flag was ignored, and images went through the open."""
    done = run("export.classify", "--server=http://localhost:1", "--tls", "--support=s", "--query=q")
    assert done.returncode != 0 and "error: By REST, TLS is https:// and not --tls" in done.stderr


@pytest.mark.parametrize("content, reason", [(b"", "it is empty (0 bytes)"), (b"no image", "UnidentifiedImageError")])
@pytest.mark.parametrize("binary", ["export.classify", "export.freeze_model"])
def test_a_broken_file_is_one_line_that_names_it(folder, classes, tmp_path_factory, binary, content, reason):
    broken = classes / "dog" / "broken.png"
    broken.write_bytes(content)
    flags = [f"--saved_model={folder}", f"--query={classes / 'cat'}"]
    if binary == "export.freeze_model":
        output_dir = tmp_path_factory.mktemp("frozen")
        flags = ["--preset=prototypical_network_conv4_glyphs_30way_1shot", f"--output_dir={output_dir}"]
    done = run(binary, f"--support={classes}", *flags)
    assert done.returncode != 0 and f"error: {broken} cannot be read as an image: {reason}" in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
