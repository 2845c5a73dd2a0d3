"""A request to a server that may be slow, broken or hostile: the standard library, within a deadline and a number of bytes."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
import urllib.parse

from export.answers import ServingError


def split_url(url):
    """(whether it is HTTPS, host, port, path) of "http(s)://host[:port][/path]". Raises ValueError for anything else."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"`url` must be http://host:port or https://host:port. Received: {url!r}: {error}") from error
    is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise ValueError(f"`url` must be http://host:port or https://host:port. Received: {url!r}")
    secure = parts.scheme == "https"
    return secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/")


def post(url, body, headers, deadline, max_bytes, tls=None):
    """Posts bytes: (status, bytes of the answer). Redirects are not followed, and proxies of the environment not used.

    Args:
        url: of the resource.
        body: bytes.
        headers: dict.
        deadline: seconds until the whole answer must be there, however it drips in.
        max_bytes: longest answer.
        tls: ssl.SSLContext for HTTPS; the system's certificates when None.

    Raises:
        ServingError: where there is no such answer.
    """
    secure, host, port, path = split_url(url)
    end = time.monotonic() + deadline
    late = ServingError(f"{url}: no whole answer within {deadline:g} seconds")
    try:
        sock = socket.create_connection((host, port), timeout=deadline)
        if secure:
            context = tls or ssl.create_default_context()
            sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        raise ServingError(f"{url}: {error}") from error
    with _cut_off(sock, max(0.001, end - time.monotonic())) as is_cut_off:
        try:
            if secure:
                sock.do_handshake()
            connection = http.client.HTTPConnection(host, port)
            connection.sock = sock
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            answer = response.read(max_bytes + 1)
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            # A socket that is shut down in the middle of things fails in many ways.
            raise late if is_cut_off() else ServingError(f"{url}: {type(error).__name__}: {error}") from error
        if is_cut_off():
            raise late
    if len(answer) > max_bytes:
        raise ServingError(f"{url}: expected an answer of at most {max_bytes} bytes. Received: a longer one")
    if 300 <= response.status < 400:
        raise ServingError(f"HTTP {response.status}: redirects are not followed: {response.getheader('Location')}")
    return response.status, answer


@contextlib.contextmanager
def _cut_off(sock, seconds):
    """Shuts a socket down after so many seconds, whatever waits for it; gives a function that says whether it did."""
    cut_off = threading.Event()

    def shut_down():
        cut_off.set()
        with contextlib.suppress(OSError, ValueError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield cut_off.is_set
    finally:
        timer.cancel()
        sock.close()
