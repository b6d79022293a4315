"""Fetch an image from an http or https address.

No other scheme is opened, not even after a redirection. The size, the time of each wait and the
total time are bounded, whatever the server does.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import string
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import quote, unquote, unquote_to_bytes, urljoin, urlsplit, urlunsplit

from lifeiqa import __version__
from lifeiqa.bulk.items import is_address, shown_address
from lifeiqa.errors import ImageError
from lifeiqa.text import printable

MAX_BYTES = 256 << 20
"""The largest image that is fetched, in bytes."""
_BLOCK = 1 << 16
_REDIRECTIONS = 10


def fetch(
    url: str, *, max_bytes: int = MAX_BYTES, wait: float = 10.0, deadline: float = 60.0
) -> bytes:
    """The bytes at an address.

    A user name and password in the address are sent to its server, but not to redirection targets.
    Proxies come from the environment: ``http_proxy``, ``https_proxy``, ``no_proxy``.

    Args:
        url: begins with ``http://`` or ``https://``.
        max_bytes: the largest answer that is accepted.
        wait: seconds that connecting, or each wait for more bytes, may take.
        deadline: seconds that everything may take, except the look-up of the host.

    Raises:
        ImageError: there is no answer, or it is incomplete or out of bounds. The message names the
            address and the cause.
    """
    with _Deadline(deadline) as limit:
        try:
            data = _read(_opened(url, limit, wait), max_bytes)
        except Exception as error:  # servers can answer almost anything
            if not limit.over:
                raise ImageError(f"{shown_address(url)}: {_cause(error, wait)}") from error
        if limit.over:
            raise ImageError(f"{shown_address(url)}: not fetched within {deadline:g} s")
        return data


def _opened(url: str, limit: _Deadline, wait: float) -> http.client.HTTPResponse:
    """The answer after all redirections."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Connections(limit),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    # Not urllib's redirections: they read the whole answer, of any length, before they continue.
    for _ in range(_REDIRECTIONS):
        try:
            return cast(http.client.HTTPResponse, opener.open(_request(url), timeout=wait))
        except urllib.error.HTTPError as error:
            error.close()
            target = error.headers.get("Location")
            if error.code not in (301, 302, 303, 307, 308) or target is None:
                raise
        url = urljoin(url, quote(target, safe=string.punctuation, encoding="latin-1"))
        if not is_address(url):
            raise ImageError(
                f"redirected to {shown_address(url)}, which is not an http or https address"
            )
    raise ImageError(f"redirected more than {_REDIRECTIONS} times")


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(quote(url, safe=string.punctuation, errors="surrogateescape"))
    user, at, host = parts.netloc.rpartition("@")
    if "%" in host:
        host = unquote(host).encode("idna").decode()
    request = urllib.request.Request(
        urlunsplit(parts._replace(netloc=host, fragment="")),
        headers={"User-Agent": f"lifeiqa/{__version__}", "Accept-Encoding": "identity"},
    )
    if at:
        name, _, password = user.partition(":")
        secret = base64.b64encode(unquote_to_bytes(name) + b":" + unquote_to_bytes(password))
        request.add_header("Authorization", f"Basic {secret.decode()}")
    return request


def _read(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    with response:
        stated = response.length  # None for a chunked answer, or one without a length
        coding = response.headers.get("Content-Encoding", "identity")
        if coding.lower() != "identity":
            raise ImageError(f"sent with Content-Encoding {coding}; only identity is supported")
        if stated is not None and stated > max_bytes:
            raise ImageError(f"has {stated:,} bytes; at most {max_bytes:,} are fetched")
        data = bytearray()
        while block := response.read1(_BLOCK):
            data += block
            if len(data) > max_bytes:
                raise ImageError(f"has more than {max_bytes:,} bytes, the most that are fetched")
        if stated is not None and len(data) < stated:
            raise ImageError(f"ended after {len(data):,} of {stated:,} bytes")
        return bytes(data)


def _cause(error: BaseException, wait: float) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return printable(f"the server answered {error.code} {error.reason}".rstrip())[:200]
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _cause(error.reason, wait)
    if isinstance(error, TimeoutError):
        return f"no answer for {wait:g} s"
    cause = error.strerror if isinstance(error, OSError) else None
    return printable(cause or str(error) or type(error).__name__)[:200]


class _Deadline:
    """Shuts connections down when the time is over, wherever their reader waits.

    The timeout of a socket bounds a single wait. A server that sends a byte now and then never
    reaches it.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for connection in self._connections:
            connection.close()

    def watch(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.append(connection.dup())  # TLS takes over the socket itself
            if self.over:
                self._shut()

    def _end(self) -> None:
        with self._lock:
            self.over = True
            self._shut()

    def _shut(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):  # the server closed it first
                connection.shutdown(socket.SHUT_RDWR)


class _Plain(http.client.HTTPConnection):
    limit: _Deadline

    def connect(self) -> None:
        super().connect()
        self.limit.watch(self.sock)


class _Secure(http.client.HTTPSConnection, _Plain):
    """With this order of bases the connection is watched before the TLS handshake."""


class _Connections(urllib.request.HTTPSHandler):
    """Opens http and https connections with a deadline."""

    def __init__(self, limit: _Deadline) -> None:
        super().__init__()
        self._limit = limit

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._watched(_Plain), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._watched(_Secure), request)

    http_request = urllib.request.HTTPSHandler.do_request_

    def _watched(self, kind: type[_Plain]) -> Callable[..., _Plain]:
        def connection(host: str, **options: Any) -> _Plain:
            opened = kind(host, **options)
            opened.limit = self._limit
            return opened

        return connection
