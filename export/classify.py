"""Classifies your own images with a model that learns their classes from a folder.

python -m export.classify --saved_model=DIR --support=FOLDER --query=PATH [--csv=FILE]
python -m export.classify --saved_model=DIR --query=PATH [--csv=FILE]   (a frozen classifier, of known classes)
python -m export.classify --server=HOST:8500 --model_name=NAME --support=FOLDER --query=PATH [--tls]   (gRPC)
python -m export.classify --server=http://HOST:8501 --model_name=NAME --support=FOLDER --query=PATH    (REST; https:// too)

The support folder holds one folder of images per class; a frozen classifier needs none. The query is one image, or a folder of
images, or again of one folder per class: then the accuracy is printed too. Nothing needs a server with --saved_model. With TLS,
--token_file names a file whose token is sent with each request.
"""

from commands import early  # noqa: F401  Ctrl-C during the other imports says one line

# isort: split
import csv
import pathlib
import sys
import warnings

from absl import app, flags

from commands import launcher, path_flags, sources
from commands.terminal import printable

_SAVED_MODEL = path_flags.define("saved_model", "Version folder of an export, to answer in this process.")
_SERVER = flags.DEFINE_string("server", None, "TensorFlow Serving: host:port for gRPC, http://host:port for REST.")
_MODEL_NAME = flags.DEFINE_string("model_name", "model", "Name of the model on the server.")
_SUPPORT = path_flags.define("support", "Folder with one folder of example images per class.")
_QUERY = path_flags.define("query", "An image, a folder with images, or with one folder of them per class.")
_CSV = path_flags.define("csv", "File for the predictions with the probability of every class.")
_DEADLINE = flags.DEFINE_float("deadline", 30.0, "Seconds until a request to a server is given up.", 0.0)
_TLS = flags.DEFINE_boolean("tls", False, "Whether the gRPC server is asked by TLS.")
_CERTIFICATES = path_flags.define("root_certificates", "PEM file of certificates to trust; the system's if none.")
_TOKEN_FILE = path_flags.define("token_file", "File with the token that the server asks for; needs TLS.")
_PAD_TO = path_flags.define(
    "pad_to", "adaptation.json of the served version, for a server with batching: rows are padded to its sizes."
)


def client_of_flags():
    """The client that the flags name."""
    from export import client

    if _SAVED_MODEL.value:
        return client.LocalClient(_SAVED_MODEL.value)
    token = pathlib.Path(_TOKEN_FILE.value).read_text(encoding="utf-8").strip() if _TOKEN_FILE.value else None
    options = {"deadline": _DEADLINE.value, "root_certificates": _CERTIFICATES.value, "token": token}
    options["pad_to"] = _PAD_TO.value
    if _SERVER.value.startswith(("http://", "https://")):
        return client.RestClient(_SERVER.value, _MODEL_NAME.value, **options)
    return client.GrpcClient(_SERVER.value, _MODEL_NAME.value, tls=_TLS.value, **options)


def write_csv(path, queries, names, probabilities):
    """One line per query: file, predicted class, its probability, and the probability of every class."""
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:  # names may be any bytes
        writer = csv.writer(file)
        writer.writerow(["file", "prediction", "probability", *names])
        for query, row in zip(queries, probabilities):
            writer.writerow([query, names[row.argmax()], f"{row.max():.6f}", *(f"{value:.6f}" for value in row)])


def print_accuracy(names, truth, predicted):
    """Prints the share of right answers among the queries whose folder is a class; warns of folders that are none."""
    others = sorted({folder for folder in truth if folder is not None and folder not in names})
    if others:
        warnings.warn(
            f"folders of --query that are no class of --support have no accuracy: {', '.join(others[:5])}. "
            f"The classes are {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}",
            stacklevel=2,
        )
    right = [name == folder for name, folder in zip(predicted, truth) if folder in names]
    if right:
        print(f"accuracy: {100 * sum(right) / len(right):.1f} % of {len(right)} images")


def answers(client, queries):
    """(names of the classes, predicted name of each query, probabilities) of image files by what --support says."""
    if client.is_frozen == bool(_SUPPORT.value):
        expected = "be left out: a frozen classifier has its classes" if _SUPPORT.value else "name a folder of examples"
        raise ValueError(f"`--support` must {expected}. Received: --support={_SUPPORT.value or ''}")
    if not _SUPPORT.value:
        return client.classify_known(queries)
    from export.folders import class_folders

    support = class_folders(_SUPPORT.value)
    return list(support), *client.classify(support, queries)


def main():
    if (_SAVED_MODEL.value is None) == (_SERVER.value is None):
        raise app.UsageError("Give either --saved_model or --server.")
    if _TLS.value and _SERVER.value and _SERVER.value.startswith("http://"):
        raise app.UsageError(f"By REST, TLS is https:// and not --tls. Received: --server={_SERVER.value}.")
    if _SAVED_MODEL.value:
        sources.check_folder(_SAVED_MODEL.value, "--saved_model", "a version folder of an export")
    if _SUPPORT.value:
        sources.check_there(_SUPPORT.value, "--support")
    sources.check_there(_QUERY.value, "--query")
    if _CSV.value:
        sources.check_output_file(_CSV.value, "--csv")
    with launcher.imports():
        from export.client import ServingError
        from export.folders import query_files

    try:
        found = query_files(_QUERY.value)
        queries = [file for file, _ in found]
        names, predicted, probabilities = answers(client_of_flags(), queries)
    except ServingError as error:
        sys.exit(f"error: {printable(error)}")
    width = max(len(printable(query)) for query in queries)
    for query, name, row in zip(queries, predicted, probabilities):
        print(f"{printable(query):{width}}  {printable(name)}  {row.max():.3f}")
    print_accuracy(names, [folder for _, folder in found], predicted)
    if _CSV.value:
        write_csv(_CSV.value, queries, names, probabilities)


if __name__ == "__main__":
    launcher.run(main, required=["query"])
