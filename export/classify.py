"""Classifies your own images with a model that learns their classes from a folder.

python -m export.classify --saved_model=DIR --support=FOLDER --query=FOLDER [--csv=FILE]
python -m export.classify --server=HOST:8500 --model_name=NAME --support=FOLDER --query=FOLDER       (gRPC)
python -m export.classify --server=http://HOST:8501 --model_name=NAME --support=FOLDER --query=FOLDER

The support folder holds one folder of images per class. The query folder holds images, or again one folder per class: then
the accuracy is printed too. Nothing needs a server with --saved_model.
"""

import csv
import pathlib
import sys

from absl import app, flags

from commands import launcher

_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "Version folder of an export, to answer in this process.")
_SERVER = flags.DEFINE_string("server", None, "TensorFlow Serving: host:port for gRPC, http://host:port for REST.")
_MODEL_NAME = flags.DEFINE_string("model_name", "model", "Name of the model on the server.")
_SUPPORT = flags.DEFINE_string("support", None, "Folder with one folder of example images per class.")
_QUERY = flags.DEFINE_string("query", None, "Folder with the images to classify, or one folder of them per class.")
_CSV = flags.DEFINE_string("csv", None, "File for the predictions with the probability of every class.")
_DEADLINE = flags.DEFINE_float("deadline", 30.0, "Seconds until a request to a server is given up.", 0.0)


def make_client(saved_model=None, server=None, model_name="model", deadline=30.0):
    """The client that the flags name."""
    from export import client

    if saved_model:
        return client.LocalClient(saved_model)
    if server.startswith(("http://", "https://")):
        return client.RestClient(server, model_name, deadline=deadline)
    return client.GrpcClient(server, model_name, deadline=deadline)


def classify(answering, support, queries):
    """Probabilities [len(queries), number of classes] of image files, learned from `support`, {class: files}."""
    files = [file for of_class in support.values() for file in of_class]
    labels = [label for label, of_class in enumerate(support.values()) for _ in of_class]
    probabilities, _ = answering.adapt_and_predict_files([files], [labels], [queries])
    if probabilities.shape[-1] < len(support):
        raise ValueError(
            f"The exported model answers for at most {probabilities.shape[-1]} classes: export it with "
            f"--way={len(support)}, where its method allows. Received: {len(support)} class folders"
        )
    return probabilities[0, :, : len(support)]


def write_csv(path, queries, names, probabilities):
    """One line per query: file, predicted class, its probability, and the probability of every class."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "prediction", "probability", *names])
        for query, row in zip(queries, probabilities):
            writer.writerow([query, names[row.argmax()], f"{row.max():.6f}", *(f"{value:.6f}" for value in row)])


def main():
    if (_SAVED_MODEL.value is None) == (_SERVER.value is None):
        raise app.UsageError("Give either --saved_model or --server.")
    with launcher.imports():
        from export.client import ServingError
        from export.folders import class_folders
        from zoo.datasets.image_files import image_files

    support = class_folders(_SUPPORT.value)
    if len(support) < 2:
        raise ValueError(f"--support must hold at least 2 folders of images. Received: {list(support)}")
    by_class = class_folders(_QUERY.value)
    queries = [file for files in by_class.values() for file in files] or image_files(pathlib.Path(_QUERY.value))
    if not queries:
        raise ValueError(f"--query must hold PNG or JPEG images, or folders of them. Received: {_QUERY.value}")
    try:
        answering = make_client(_SAVED_MODEL.value, _SERVER.value, _MODEL_NAME.value, _DEADLINE.value)
        probabilities = classify(answering, support, queries)
    except ServingError as error:
        sys.exit(f"error: {error}")
    names = list(support)
    if _CSV.value:
        write_csv(_CSV.value, queries, names, probabilities)
    width = max(len(str(query)) for query in queries)
    for query, row in zip(queries, probabilities):
        print(f"{str(query):{width}}  {names[row.argmax()]}  {row.max():.3f}")
    if by_class:
        truth = [name for name, files in by_class.items() for _ in files]
        right = [names[row.argmax()] == name for row, name in zip(probabilities, truth)]
        print(f"accuracy: {100 * sum(right) / len(right):.1f} % of {len(truth)} images")


if __name__ == "__main__":
    launcher.run(main, required=["support", "query"])
