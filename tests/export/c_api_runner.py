"""Runs a SavedModel through TensorFlow's C API, as a server does: no TensorFlow Python, no XLA, every dtype as it is sent.

python -I c_api_runner.py SAVED_MODEL plan.json requests.pickle answers.npz

plan.json: {"library": folder of libtensorflow_cc, "signatures": {name: {"inputs": {name: tensor}, "outputs": {...}}},
"calls": [[signature, {input: key in requests.pickle or "call number/output"}], ...]}. answers.npz gets "number/output" of each
call that was answered, and `codes`, the C API's status code of each call, 0 for OK and 3 for INVALID_ARGUMENT.
"""

import ctypes
import glob
import json
import pickle
import sys

import numpy as np

_DTYPES = {np.dtype(np.float32): 1, np.dtype(np.float64): 2, np.dtype(np.int32): 3, np.dtype(np.int64): 9}
_STRING = 7
_STRING_SIZE = 24
_NAMES = {number: dtype for dtype, number in _DTYPES.items()}


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Session:
    """One loaded SavedModel."""

    def __init__(self, library_folder, saved_model):
        ctypes.CDLL(glob.glob(f"{library_folder}/libtensorflow_framework.so.2")[0])
        self.library = library = ctypes.CDLL(glob.glob(f"{library_folder}/libtensorflow_cc.so.2")[0])
        for name in (
            "TF_NewStatus TF_NewGraph TF_NewSessionOptions TF_LoadSessionFromSavedModel TF_GraphOperationByName "
            "TF_AllocateTensor TF_TensorData"
        ).split():
            getattr(library, name).restype = ctypes.c_void_p
        library.TF_Message.restype = ctypes.c_char_p
        library.TF_Dim.restype = ctypes.c_int64
        library.TF_StringGetDataPointer.restype = ctypes.c_void_p
        library.TF_StringGetSize.restype = ctypes.c_size_t
        library._ZN10tensorflow21DisableXlaCompilationEv()
        self.status, self.graph = (ctypes.c_void_p(f()) for f in (library.TF_NewStatus, library.TF_NewGraph))
        options = ctypes.c_void_p(library.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = ctypes.c_void_p(
            library.TF_LoadSessionFromSavedModel(
                options, None, saved_model.encode(), tags, 1, self.graph, None, self.status
            )
        )
        code, message = self.code()
        if code:
            raise SystemExit(f"cannot load {saved_model}: {message}")

    def code(self):
        return self.library.TF_GetCode(self.status), self.library.TF_Message(self.status).decode(errors="replace")

    def run(self, inputs, outputs):
        """(status code, arrays): `inputs` {tensor name: array}, `outputs` tensor names."""
        fed = [self._output(name) for name in inputs]
        tensors = [self._tensor(value) for value in inputs.values()]
        wanted = [self._output(name) for name in outputs]
        answers = (ctypes.c_void_p * len(outputs))()
        self.library.TF_SessionRun(
            self.session,
            None,
            (Output * len(fed))(*fed),
            (ctypes.c_void_p * len(fed))(*tensors),
            len(fed),
            (Output * len(wanted))(*wanted),
            answers,
            len(wanted),
            None,
            0,
            None,
            self.status,
        )
        code, _ = self.code()
        values = [] if code else [self._array(ctypes.c_void_p(answer)) for answer in answers]
        for tensor in [*tensors, *([] if code else answers)]:
            self.library.TF_DeleteTensor(ctypes.c_void_p(tensor))
        return code, values

    def _output(self, tensor_name):
        operation, index = tensor_name.split(":")
        return Output(self.library.TF_GraphOperationByName(self.graph, operation.encode()), int(index))

    def _tensor(self, value):
        library, dims = self.library, (ctypes.c_int64 * value.ndim)(*value.shape)
        if value.dtype.kind in "SO":
            size = _STRING_SIZE * value.size
            tensor = library.TF_AllocateTensor(_STRING, dims, value.ndim, ctypes.c_size_t(size))
            data = library.TF_TensorData(ctypes.c_void_p(tensor)) or 0
            for number, item in enumerate(value.ravel()):
                place = ctypes.c_void_p(data + number * _STRING_SIZE)
                library.TF_StringInit(place)
                library.TF_StringCopy(place, bytes(item), ctypes.c_size_t(len(item)))
            return tensor
        value = np.ascontiguousarray(value)
        tensor = library.TF_AllocateTensor(_DTYPES[value.dtype], dims, value.ndim, ctypes.c_size_t(value.nbytes))
        if value.nbytes:
            ctypes.memmove(library.TF_TensorData(ctypes.c_void_p(tensor)), value.ctypes.data, value.nbytes)
        return tensor

    def _array(self, tensor):
        library = self.library
        shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
        value = np.empty(shape, _NAMES[library.TF_TensorType(tensor)])
        if value.nbytes:
            ctypes.memmove(value.ctypes.data, library.TF_TensorData(tensor), value.nbytes)
        return value


def main(saved_model, plan_path, requests_path, answers_path):
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    session = Session(plan["library"], saved_model)
    answers, codes = {}, []
    with open(requests_path, "rb") as file:
        requests = pickle.load(file)
    for number, (signature, inputs) in enumerate(plan["calls"]):
        names = plan["signatures"][signature]
        fed = {names["inputs"][name]: answers.get(key, requests.get(key)) for name, key in inputs.items()}
        code, values = session.run(fed, list(names["outputs"].values()))
        codes.append(code)
        answers.update({f"{number}/{name}": value for name, value in zip(names["outputs"], values)})
    assert "tensorflow" not in sys.modules
    np.savez(answers_path, codes=np.array(codes), **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
