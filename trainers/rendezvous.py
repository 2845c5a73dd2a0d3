"""The workers of a distributed run wait for each other here, before TensorFlow does it.

TensorFlow connects the workers of TF_CONFIG in C++, for minutes in which no line is printed and no signal gets through.
"""

import json
import os
import re
import socket
import time

from commands.terminal import printable

_ADDRESS = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]+):(?P<port>[0-9]+)")  # IPv6 in brackets
_EVERY = 10.0  # seconds between two lines
_PAUSE = 0.2  # seconds between two tries
_TRY = 2.0  # seconds that one takes at most


def read_cluster(text):
    """(addresses "host:port" or "[IPv6]:port" of all workers, the chief first; place of this process among them) of a TF_CONFIG.

    Raises:
        ValueError: for another text.
    """
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        tasks = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, ())))]
        addresses = [cluster[kind][index] for kind, index in tasks]
        if len(set(addresses)) < len(addresses) or not all(map(_is_address, addresses)):
            raise ValueError(addresses)
        return addresses, tasks.index((task["type"], int(task["index"])))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(
            'TF_CONFIG must be JSON like {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}, each '
            f"address once, with a port from 1 to 65535. Received: {printable(text)}"
        ) from error


def wait_for_workers(addresses, place, seconds):
    """Returns when every other worker listens at its address, as this one does meanwhile.

    Prints a line every ten seconds that says for whom it waits.

    Args:
        addresses: of all workers, as `read_cluster` gives them.
        place: of this process among them.
        seconds: to wait at most.

    Raises:
        ValueError: where the port of this process is taken.
        TimeoutError: where a worker has not come in time.
    """
    missing = {number: address for number, address in enumerate(addresses) if number != place}
    start, said = time.monotonic(), 0.0
    with _listening(addresses[place]):
        while missing:
            for number, address in list(missing.items()):
                if _is_there(address):
                    del missing[number]
            waited = time.monotonic() - start
            names = ", ".join(f"{number} at {address}" for number, address in missing.items())
            if missing and waited > seconds:
                raise TimeoutError(
                    f"Every worker of TF_CONFIG must start within {seconds} seconds (--worker_timeout). Missing: worker {names}"
                )
            if missing and waited >= said + _EVERY:
                said = waited
                print(f"waiting for worker {names}: {waited:.0f} of at most {seconds} seconds", flush=True)
            if missing:
                time.sleep(_PAUSE)


def wait_for_cluster(seconds):
    """`wait_for_workers` of the environment's TF_CONFIG; nothing where there is none."""
    if text := os.environ.get("TF_CONFIG"):
        addresses, place = read_cluster(text)
        wait_for_workers(addresses, place, seconds)


def _is_address(address):
    match = _ADDRESS.fullmatch(address)
    return match is not None and 1 <= int(match["port"]) <= 65535


def _listening(address):
    """A socket that listens as TensorFlow does: by IPv6 too, where there is one."""
    address_families = {"family": socket.AF_INET6, "dualstack_ipv6": True} if socket.has_dualstack_ipv6() else {}
    try:
        return socket.create_server(("", int(_ADDRESS.fullmatch(address)["port"])), backlog=128, **address_families)
    except OSError as error:
        raise ValueError(
            f"The port of this worker in TF_CONFIG must be free. Received: {address}, {error.strerror}"
        ) from error


def _is_there(address):
    match = _ADDRESS.fullmatch(address)
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), timeout=_TRY).close()
    except (OSError, UnicodeError):  # the second for a name that none can have
        return False
    return True
