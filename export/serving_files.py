"""What a server reads beside the graph: warm-up requests, and samples of its configuration."""

import json
import pathlib
import shlex

import numpy as np
import tensorflow as tf

from export.padding import QUERY_ROWS, SUPPORT_ROWS

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MODELS_FILE = "models.config"
BATCHING_FILE = "batching_params.pbtxt"
MAX_TASKS, MAX_IMAGES = 16, 128  # a batch of adaptations, and one of single images


def write_warmup(folder, model_name, requests, examples=()):
    """Writes one request per signature, which the server answers before it takes real ones: the slow first call is over then.

    Args:
        folder: version folder of an export.
        model_name: name of the model on the server.
        requests: {signature: {input: array}}; each must be answered, since a record that fails, fails the load.
        examples: serialized tf.Examples for the Classify signature `classify`; none where the model has no such signature.
    """
    from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_log_pb2

    path = pathlib.Path(folder) / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in sorted(requests.items()):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
        for example in examples:
            request = classification_pb2.ClassificationRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = "classify"
            request.input.example_list.examples.add().ParseFromString(example)
            log = prediction_log_pb2.PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=request))
            writer.write(log.SerializeToString())


def read_warmup(folder):
    """The warm-up requests of a version folder: {signature: {input: array}}; `inputs` are serialized tf.Examples."""
    from tensorflow_serving.apis import prediction_log_pb2

    requests = {}
    for record in tf.data.TFRecordDataset(str(pathlib.Path(folder) / WARMUP_FILE)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.classify_log.request if log.HasField("classify_log") else log.predict_log.request
        if log.HasField("classify_log"):
            examples = [example.SerializeToString() for example in request.input.example_list.examples]
            inputs = {"inputs": np.array(examples, dtype=object)}
        else:
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        requests[request.model_spec.signature_name] = inputs
    return requests


def batch_size_of(has_images, limits, pad_to=None):
    """The most that a server may merge, a power of 2: of single images (of `embed`, of a classifier) more than of adaptations.

    A request of more than that is refused by a server with batching. What it merges, of clients that pad to `pad_to`, stays
    within the limits.
    """
    tasks = limits.most_tasks(pad_to[SUPPORT_ROWS], pad_to[QUERY_ROWS]) if pad_to else limits.rows
    return 1 << (min(MAX_IMAGES if has_images else MAX_TASKS, tasks).bit_length() - 1)


def write_server_samples(output_dir, model_name, max_batch_size=MAX_IMAGES, version_folder=None):
    """Writes models.config and batching_params.pbtxt beside the version folders; what is there already stays.

    The second is written into `version_folder` too, for servers that read it there (--enable_per_model_batching_parameters).
    """
    samples = {
        MODELS_FILE: f"""model_config_list {{
  config {{
    name: {_quoted(model_name)}
    base_path: {_quoted("/models/" + model_name)}
    model_platform: "tensorflow"
  }}
}}
""",
        BATCHING_FILE: _batching_sample(max_batch_size),
    }
    paths = {pathlib.Path(output_dir) / name: text for name, text in samples.items()}
    if version_folder is not None:
        paths[pathlib.Path(version_folder) / BATCHING_FILE] = samples[BATCHING_FILE]
    for path, text in paths.items():
        if not path.exists():
            path.write_text(text, encoding="utf-8")


def _batching_sample(max_batch_size):
    sizes = [1 << power for power in range(max_batch_size.bit_length())]  # few shapes; the last one is max_batch_size
    allowed = "".join(f"allowed_batch_sizes: {size}\n" for size in sizes)
    # Padding by the server repeats the first element of a tensor: it would add images to support sets.
    return f"""max_batch_size {{ value: {max_batch_size} }}
batch_timeout_micros {{ value: 2000 }}
num_batch_threads {{ value: 2 }}
max_enqueued_batches {{ value: 100 }}
{allowed}pad_variable_length_inputs: false
"""


def _quoted(text):
    """A string of a text protocol buffer."""
    return json.dumps(text, ensure_ascii=False)


def docker_command(output_dir, model_name, batching=False, one_thread_per_op=False):
    """The command that serves an export with the stock image of TensorFlow Serving, quoted for a shell.

    Args:
        output_dir: folder of the version folders.
        model_name: name of the model on the server.
        batching: whether the server merges requests: only where every client pads to the sizes of the sidecar.
        one_thread_per_op: whether an operation has one thread and several run side by side: `one_thread_per_op` of the method.
            Methods whose operations are small answer faster so, see docs/serving.md.
    """
    path = pathlib.Path(output_dir).resolve()
    target = f"/models/{model_name}"
    command = ["docker", "run", "-p", "8500:8500", "-p", "8501:8501", "-v", f"{path}:{target}", "tensorflow/serving"]
    command += [f"--model_name={model_name}", f"--model_base_path={target}"]
    if batching:
        command += ["--enable_batching", f"--batching_parameters_file={target}/{BATCHING_FILE}"]
    if one_thread_per_op:
        command.append("--tensorflow_intra_op_parallelism=1")
    return shlex.join(command)
