"""Lets an exported model learn new letters from one drawing each, and name other drawings of them.

python -m export.try_export --saved_model=DIR/1 [--picture=letters.png] [--queries=3] [--seed=0]

The letters are glyphs of the test scripts. The model is the SavedModel alone: what it adapts with travels in the request.
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
from absl import flags

from commands import launcher, path_flags, sources
from export.sidecar import read_sidecar

_SAVED_MODEL = path_flags.define("saved_model", "Version folder of an export.")
_PICTURE = path_flags.define("picture", "PNG to write: the drawings learned from, the others and their names.")
_QUERIES = flags.DEFINE_integer("queries", 3, "Drawings to name, per letter.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the choice of letters.", 0)
_SIGNATURE = "serving_default"


def check_export(sidecar):
    """Raises ValueError for an export that takes anything but what letters are drawn as, or does not learn in one call."""
    shape, way = sidecar.get("input_shape"), sidecar.get("way")
    is_square = isinstance(shape, list) and len(shape) == 3 and shape[0] == shape[1] and shape[2] == 1
    if type(way) is not int or not is_square or type(shape[0]) is not int:
        raise ValueError(
            "Expected an export that learns from square grey images, [n, n, 1], as the letters are drawn. "
            f"Received: a {sidecar.get('method')} with input_shape={shape}, way={way}"
        )
    if _SIGNATURE not in sidecar.get("signatures", ()):
        raise ValueError(
            f"Expected an export with the signature {_SIGNATURE!r}. Received: one with {sidecar.get('signatures')}"
        )


def main():
    sources.check_folder(_SAVED_MODEL.value, "--saved_model", "a version folder of an export")
    sidecar = read_sidecar(_SAVED_MODEL.value)
    check_export(sidecar)
    if _PICTURE.value:
        sources.check_output_file(_PICTURE.value, "--picture")
    with launcher.imports():
        import numpy as np
        import tensorflow as tf

        from zoo import datasets
        from zoo.datasets.pictures import plot_episode

    loaded = tf.saved_model.load(_SAVED_MODEL.value)
    letters = datasets.load("glyphs", "test", image_size=sidecar["input_shape"][0])
    drawing = dict(way=sidecar["way"], shot=1, query=_QUERIES.value, seed=_SEED.value)
    episodes = letters.episodes(num_tasks=1, **drawing)
    x, y = next(iter(episodes))
    answer = loaded.signatures[_SIGNATURE](
        support_images=x["support_x"], support_labels=x["support_y"], query_images=x["query_x"]
    )
    right = int(np.sum(answer["labels"].numpy() == y.numpy()))
    print(f"{sidecar['way']} new letters, one drawing each: {right} of {y.numpy().size} right")
    if _PICTURE.value:
        arrays = {key: value.numpy() for key, value in x.items()}
        names = letters.drawn_names(**drawing)
        plot_episode(_PICTURE.value, arrays, y.numpy(), answer["probabilities"].numpy(), names)
        print(f"picture: {_PICTURE.value}")


if __name__ == "__main__":
    launcher.run(main, required=["saved_model"])
