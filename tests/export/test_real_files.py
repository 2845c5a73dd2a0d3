"""Image files of every format: the served graph, the clients and freeze_model read them as training does."""

import io
import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export import client
from export.limits import MAX_IMAGE_PIXELS
from export.outgoing_files import outgoing_file
from export.preprocessing import decode_images
from tests.export import odd_files
from tests.export.formats import colours, files, saved
from zoo.datasets import image_folder
from zoo.datasets.image_files import read_image

LEVEL = 1.01 / 255  # rounding
HEIGHT, WIDTH = 28, 32
FILES = files()
# What docs/serving.md says that the graph alone reads otherwise, or refuses.
NOT_IN_THE_GRAPH = (
    "PNG, palette with a transparent colour",
    "PNG, EXIF orientation",
    "GIF, transparent",
    "BMP, 1 bit",
    "BMP, palette",
    "WEBP",
    "WEBP, alpha",
)


@pytest.fixture(scope="module", params=[(1, True), (1, False), (3, True), (3, False)], ids=str)
def reading(request):
    """(function from bytes to what the graph reads, function from bytes to what training reads)."""
    channels, invert = request.param
    graph = tf.function(
        lambda file: decode_images(file[None, None], (HEIGHT, WIDTH, channels), invert)[0, 0],
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )
    return lambda file: graph(
        tf.constant(file)
    ).numpy(), lambda file: read_image(file, HEIGHT, WIDTH, channels, invert).astype(np.float32) / 255


@pytest.mark.parametrize("name", FILES)
def test_a_client_sends_what_the_graph_reads_as_training_does(reading, name):
    graph, training = reading
    np.testing.assert_allclose(graph(outgoing_file(FILES[name])), training(FILES[name]), atol=LEVEL)


@pytest.mark.parametrize("name", [name for name in FILES if name not in NOT_IN_THE_GRAPH])
def test_the_graph_reads_a_file_as_training_does(reading, name):
    graph, training = reading
    levels = 2 if "16 bit" in name else 1  # the decoder drops the low byte, before the resizing
    np.testing.assert_allclose(graph(FILES[name]), training(FILES[name]), atol=levels * LEVEL)


@pytest.mark.parametrize("name", NOT_IN_THE_GRAPH)
def test_the_documented_limits_of_the_graph_are_real(name):
    def reads_otherwise(invert):
        try:
            read = decode_images(tf.constant([[FILES[name]]]), (HEIGHT, WIDTH, 3), invert)[0, 0].numpy()
        except tf.errors.InvalidArgumentError:
            return True
        return not np.allclose(read, read_image(FILES[name], HEIGHT, WIDTH, 3, invert) / 255, atol=10 * LEVEL)

    assert reads_otherwise(invert=True) or reads_otherwise(invert=False)


@pytest.mark.parametrize("mode", ["palette", "EXIF"])
def test_training_itself_reads_the_drawing(mode):
    """So that the comparisons above have something right to compare with: against the pixels before they were a file."""
    name = {"palette": "PNG, palette", "EXIF": "PNG, EXIF orientation"}[mode]
    upright = Image.fromarray(colours()) if mode == "palette" else Image.fromarray(np.rot90(colours(), -1))
    expected = np.asarray(upright.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(read_image(FILES[name], HEIGHT, WIDTH, 3, invert=False) - expected).max() <= 16


def test_broken_exif_data_is_no_orientation(reading):
    """Cut, lengthened and scrambled headers: as many as the graph may meet, and none fails."""
    graph, _ = reading
    plain, rng = FILES["JPEG, EXIF orientation 6"], np.random.default_rng(0)
    start = plain.index(b"Exif")
    for _ in range(50):
        changed = bytearray(plain)
        for place in rng.integers(start - 2, start + 40, 4):
            changed[place] = rng.integers(256)
        try:
            finite = np.isfinite(graph(bytes(changed)))
            assert finite.all() or not finite.any()  # where the length of the segment does not fit the file
        except tf.errors.InvalidArgumentError as error:
            assert "JPEG" in str(error)  # where the length leads to what the decoder alone finds wrong


def test_a_client_writes_anew_what_the_graph_would_read_otherwise(reading):
    graph, training = reading
    apart = {
        name: np.abs(graph(outgoing_file(file)) - training(file)).max() for name, file in odd_files.unusual().items()
    }
    assert all(difference < LEVEL for difference in apart.values()), apart  # NaN too


def test_a_client_shrinks_to_what_the_export_decodes(export_of):
    """`export_model --max_image_pixels`: an image between the two limits was sent, and came back as a broken one."""
    with Image.open(io.BytesIO(outgoing_file(FILES["PNG, RGB"], max_pixels=1000))) as image:
        assert 250 < image.width * image.height <= 1000
    folder = export_of("prototypical_network")[1]
    sidecar = json.loads((folder / "adaptation.json").read_text())
    assert client.LocalClient(folder).max_image_pixels == sidecar["limits"]["image_pixels"] == MAX_IMAGE_PIXELS
    sidecar["limits"]["image_pixels"] = 1000
    assert client.RestClient("http://localhost:1", "letters", pad_to=sidecar).max_image_pixels == 1000


def test_plain_files_are_sent_as_they_are():
    for name in ("PNG, RGB", "PNG, alpha", "JPEG, RGB", "JPEG, CMYK", "JPEG, EXIF orientation 6"):
        assert outgoing_file(FILES[name]) == FILES[name]


def test_a_photograph_of_a_telephone_is_shrunk_before_it_is_sent(reading):
    """Twelve million pixels: more than a server decodes."""
    graph, training = reading
    pixels = np.asarray(Image.fromarray(colours()).resize((4032, 3024), Image.Resampling.BICUBIC))
    photograph = saved(Image.fromarray(pixels), "JPEG", quality=90)
    sent = outgoing_file(photograph)
    with Image.open(io.BytesIO(sent)) as image:
        assert image.width * image.height <= 1_000_000 < MAX_IMAGE_PIXELS
    np.testing.assert_allclose(graph(sent), training(photograph), atol=4 * LEVEL)


@pytest.mark.parametrize("data", [b"no image", FILES["PNG, RGB"][:100], FILES["JPEG, RGB"][:300]])
def test_a_broken_file_is_named_before_it_is_sent(tmp_path, data):
    path = tmp_path / "broken.png"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image: \w+: "):
        outgoing_file(path)
    with pytest.raises(ValueError, match="The file cannot be read as an image"):
        outgoing_file(data)


def test_an_empty_file_is_broken_and_no_bytes_are_padding(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.png cannot be read as an image: it is empty \(0 bytes\)"):
        outgoing_file(tmp_path / "empty.png")
    assert outgoing_file(b"") == b""


def test_data_sets_of_folders_read_every_format(tmp_path):
    for extension in ("png", "jpg", "gif", "bmp", "webp"):
        name = "PNG, RGB" if extension == "png" else "JPEG, RGB" if extension == "jpg" else extension.upper()
        file = FILES[name if name in FILES else f"{name}, RGB"]
        for number in range(2):
            (tmp_path / "train" / extension).mkdir(parents=True, exist_ok=True)
            (tmp_path / "train" / extension / f"{number}.{extension}").write_bytes(file)
    classes = image_folder.load("train", tmp_path, image_size=20, channels=3)
    assert classes.names == ("bmp", "gif", "jpg", "png", "webp") and len(classes.images) == 10
    assert all(np.abs(image.astype(int) - classes.images[-4]).mean() < 8 for image in classes.images)


def test_every_client_prepares_what_it_sends():
    class Recording(client.Client):
        def call(self, signature, inputs):
            self.sent = inputs
            return {"probabilities": np.full([1, 1, 2], 0.5, np.float32), "labels": np.zeros([1, 1], np.int64)}

    recording = Recording()
    recording.adapt_and_predict_files([[FILES["GIF"], b""]], [[0, -1]], [[FILES["BMP, palette"]]])
    assert (
        recording.sent["support_image_bytes"][0, 0].startswith(b"\x89PNG")
        and recording.sent["support_image_bytes"][0, 1] == b""
    )
    assert recording.sent["query_image_bytes"][0, 0].startswith(b"\x89PNG")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
