"""Addresses, fetched from a server on this machine that behaves well, or as badly as it can."""

import base64
import contextlib
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from lifeiqa import __version__
from lifeiqa.bulk.items import shown_address
from lifeiqa.bulk.reading import http as address
from lifeiqa.bulk.reading.http import fetch
from lifeiqa.errors import ImageError

DATA = bytes(range(256)) * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    """Each method below answers the path of its name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        self.close_connection = True
        with contextlib.suppress(OSError):  # whoever fetched has had enough
            getattr(self, self.path.lstrip("/").partition("?")[0].split(".")[0])()

    def head(self, code=200, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def body(self, data):
        self.head(Content_Length=len(data))
        self.wfile.write(data)

    def image(self):
        self.body(DATA)

    def empty(self):
        self.body(b"")

    def chunked(self):
        self.head(Transfer_Encoding="chunked")
        for start in range(0, len(DATA), 10_000):
            piece = DATA[start : start + 10_000]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def chunked_short(self):
        self.head(Transfer_Encoding="chunked")
        self.wfile.write(b"ff\r\nabc")

    def unstated(self):
        self.head()
        self.wfile.write(DATA)

    def missing(self):
        self.head(404, Content_Length=0)

    def hostile(self):
        self.wfile.write(b"HTTP/1.1 500 \x1b[31m\x85" + b"x" * 9000 + b"\r\n\r\n")

    def to_image(self):
        self.head(302, Location="image")

    def to_file(self):
        self.head(302, Location="file:///etc/hostname")

    def to_ftp(self):
        self.head(301, Location="ftp://user:secret@127.0.0.1/x.png")

    def to_itself(self):
        self.head(307, Location="/to_itself")

    def to_nowhere(self):
        self.head(302)

    def to_other(self):
        self.head(302, Location=f"http://localhost:{self.server.server_port}/image")

    def to_endless(self):
        """A redirection whose own body never ends."""
        self.head(302, Location="/image")
        self.endless_body()

    def endless(self):
        self.head()
        self.endless_body()

    def endless_body(self):
        while True:
            self.wfile.write(DATA)

    def large(self):
        self.head(Content_Length=1 << 50)

    def short(self):
        self.head(Content_Length=len(DATA) + 1)
        self.wfile.write(DATA)

    def long(self):
        self.head(Content_Length=10)
        self.wfile.write(DATA)

    def zipped(self):
        self.head(Content_Encoding="gzip", Content_Length=2)
        self.wfile.write(b"\x1f\x8b")

    def silent(self):
        time.sleep(0.5)

    def drip(self):
        self.head(Content_Length=1000)
        self.dripping()

    def drip_unstated(self):
        self.head()
        self.dripping()

    def drip_head(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        self.dripping()

    def dripping(self):
        while True:
            self.wfile.write(b"a")
            time.sleep(0.05)

    def nonsense(self):
        self.wfile.write(b"\x00\xff nonsense\r\n\r\n")

    def headers_without_end(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.seen = []
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def root(server, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    server.seen.clear()
    return f"http://127.0.0.1:{server.server_port}"


def refusal(url, **bounds):
    with pytest.raises(ImageError) as refused:
        fetch(url, **bounds)
    message = str(refused.value)
    assert message.startswith(f"{shown_address(url)}: ")
    assert message.isprintable()
    return message.removeprefix(f"{shown_address(url)}: ")


@pytest.mark.parametrize("path", ["image", "chunked", "unstated", "to_image", "to_endless"])
def test_an_image_is_fetched_whole(root, path):
    assert fetch(f"{root}/{path}") == DATA


def test_the_server_learns_who_asks_and_that_nothing_may_be_compressed(root, server):
    fetch(f"{root}/image#part")
    ((path, headers),) = server.seen
    assert path == "/image"
    assert headers["User-Agent"] == f"lifeiqa/{__version__}"
    assert headers["Accept-Encoding"] == "identity"


def test_an_address_may_hold_any_character(root, server):
    fetch(f"{root}/image?ü e%20[1]*\udce9")
    assert server.seen[0][0] == "/image?%C3%BC%20e%20[1]*%E9"


def test_a_password_reaches_its_server_and_nothing_else(root, server):
    with_user = root.replace("//", "//user:p%40ss@")
    assert fetch(f"{with_user}/to_other") == DATA
    first, second = (headers for _, headers in server.seen)
    assert base64.b64decode(first["Authorization"].removeprefix("Basic ")) == b"user:p@ss"
    assert "Authorization" not in second
    message = refusal(f"{with_user}/missing")
    assert message == "the server answered 404 Not Found"
    assert shown_address(f"{with_user}/a@b") == f"{root}/a@b"
    assert shown_address("HTTPS://u:p@host") == "HTTPS://host"


def test_an_empty_answer_is_empty(root):
    assert fetch(f"{root}/empty") == b""


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("missing", "the server answered 404 Not Found"),
        ("to_nowhere", "the server answered 302 Found"),
        ("to_file", "redirected to file:///etc/hostname, which is not an http or https address"),
        ("to_ftp", "redirected to ftp://127.0.0.1/x.png, which is not an http or https address"),
        ("to_itself", "redirected more than 10 times"),
        ("large", "has 1,125,899,906,842,624 bytes; at most 268,435,456 are fetched"),
        ("short", "ended after 256,000 of 256,001 bytes"),
        ("zipped", "sent with Content-Encoding gzip; only identity is supported"),
        ("headers_without_end", "got more than 100 headers"),
    ],
)
def test_an_answer_that_is_no_image_is_refused_by_address_and_cause(root, path, cause):
    assert refusal(f"{root}/{path}") == cause


def test_a_body_without_an_end_is_refused_at_the_bound(root):
    for path in ("endless", "chunked", "unstated"):
        assert refusal(f"{root}/{path}", max_bytes=99_999) == (
            "has more than 99,999 bytes, the most that are fetched"
        )


def test_a_body_longer_than_stated_ends_where_it_was_stated(root):
    assert fetch(f"{root}/long") == DATA[:10]


def test_damage_of_the_protocol_is_refused(root):
    assert "bytes read" in refusal(f"{root}/chunked_short")
    assert r"\x00ÿ nonsense" in refusal(f"{root}/nonsense")


def test_what_a_server_says_cannot_move_the_cursor_or_fill_the_screen(root):
    message = refusal(f"{root}/hostile")
    assert message.startswith(r"the server answered 500 \x1b[31m\x85xx")
    assert len(message) == 200


@pytest.mark.parametrize("path", ["drip", "drip_unstated", "drip_head"])
def test_a_byte_now_and_then_does_not_keep_it_waiting(root, path):
    assert refusal(f"{root}/{path}", deadline=0.3) == "not fetched within 0.3 s"


@pytest.fixture
def secure(tmp_path, monkeypatch):
    """A server with a certificate of its own, which nobody trusts yet; and that certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    name = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make.split(), *name.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("no_proxy", "localhost")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.seen = []
        served.socket = context.wrap_socket(served.socket, server_side=True)
        served.handle_error = lambda *arguments: None
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://localhost:{served.server_port}", certificate
        served.shutdown()
        thread.join()


def test_https_is_fetched_from_a_server_that_is_trusted(secure, monkeypatch):
    root, certificate = secure
    assert "certificate verify failed" in refusal(f"{root}/image")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert fetch(f"{root}/image") == DATA
    assert refusal(f"{root}/drip_unstated", deadline=0.3) == "not fetched within 0.3 s"


def test_a_handshake_that_does_not_end_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/x.png"
        assert refusal(url, deadline=0.3) == "not fetched within 0.3 s"


def test_a_server_that_says_nothing_is_given_up(root):
    assert refusal(f"{root}/silent", wait=0.2) == "no answer for 0.2 s"


def test_no_timer_stays_behind(root):
    fetch(f"{root}/image")
    refusal(f"{root}/drip", deadline=0.2)
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/refused.png",
        "http://host.invalid/x.png",
        "http://[::1/x.png",
        "http:///x.png",
        "http://127.0.0.1:port/x.png",
        "http://user:secret@127.0.0.1:port/x.png",
        f"http://{'ü' * 80}.invalid/",
    ],
)
def test_an_address_that_leads_nowhere_is_refused(url):
    assert "secret" not in refusal(url)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/x.png", "data:,x", "/etc/x"])
def test_no_other_scheme_is_opened(url):
    assert not address.is_address(url)
    refusal(url)
