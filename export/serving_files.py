"""What a server reads beside the graph: warm-up requests, and samples of its configuration."""

import json
import pathlib
import shlex

import numpy as np
import tensorflow as tf

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MODELS_FILE = "models.config"
BATCHING_FILE = "batching_params.pbtxt"


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


def write_server_samples(output_dir, model_name):
    """Writes models.config and batching_params.pbtxt beside the version folders; what is there already stays."""
    samples = {
        MODELS_FILE: f"""model_config_list {{
  config {{
    name: {json.dumps(model_name)}
    base_path: {json.dumps(f"/models/{model_name}")}
    model_platform: "tensorflow"
  }}
}}
""",
        # Padding by the server repeats the first element of a tensor: it would add images to support sets.
        BATCHING_FILE: """max_batch_size { value: 16 }
batch_timeout_micros { value: 2000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 100 }
pad_variable_length_inputs: false
""",
    }
    for name, text in samples.items():
        path = pathlib.Path(output_dir) / name
        if not path.exists():
            path.write_text(text, encoding="utf-8")


def docker_command(output_dir, model_name):
    """The command that serves an export with the stock image of TensorFlow Serving, quoted for a shell."""
    path = pathlib.Path(output_dir).resolve()
    mounted = f"/models/{model_name}"
    docker = ["docker", "run", "-p", "8500:8500", "-p", "8501:8501", "-v", f"{path}:{mounted}", "tensorflow/serving"]
    server = [f"--model_name={model_name}", f"--model_base_path={mounted}", "--enable_batching"]
    return shlex.join([*docker, *server, f"--batching_parameters_file={mounted}/{BATCHING_FILE}"])
