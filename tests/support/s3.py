"""A server on 127.0.0.1 that speaks as much S3 as exports need: objects, lists, uploads in parts.

It knows one key, refuses requests that were not signed with it, and can lose its bucket.
"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from xml.sax.saxutils import escape

KEY = "AKIAIGDASHTEST000000"
SECRET = "do-not-tell-anybody-tEsT-sEcReT-0000000"
REGION = "eu-central-1"


class FakeS3:
    """What the server has: `objects` by `bucket/key`, the parts of uploads that are under way."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.buckets = {"backup"}
        self.asked: list[str] = []
        """Every request: method and path."""
        self.parts = 0
        """How many parts of uploads were taken."""
        self.refuse = ""
        """A word in paths that may not be put."""
        self.spoil: bytes | None = None
        """What is kept instead of what was sent."""
        self.lock = threading.Lock()
        self.url = ""

    def environment(self) -> Mapping[str, str]:
        """Return the variables with which a program finds it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def names(self, prefix: str = "") -> list[str]:
        """Return the objects whose names begin so."""
        return sorted(name for name in self.objects if name.startswith(prefix))


@contextmanager
def fake_s3() -> Iterator[FakeS3]:
    """Run one on a free port."""
    double = FakeS3()
    handler = type("Handler", (_Handler,), {"s3": double})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    double.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    s3: FakeS3
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    # ------------------------------------------------------------ requests

    def do_PUT(self) -> None:
        body = self._begin()
        if body is None:
            return
        if self.s3.refuse and self.s3.refuse in self.name:
            self._fail(403, "AccessDenied")
        elif "partNumber" in self.query:
            parts = self.s3.uploads.get(self.query["uploadId"])
            if parts is None:
                self._fail(404, "NoSuchUpload")
                return
            parts[int(self.query["partNumber"])] = body
            self.s3.parts += 1
            self._answer(b"", ETag=_tag(body))
        else:
            self.s3.objects[self.name] = body if self.s3.spoil is None else self.s3.spoil
            self._answer(b"", ETag=_tag(body))

    def do_POST(self) -> None:
        body = self._begin()
        if body is None:
            return
        if "uploads" in self.query:
            id_ = f"u{len(self.s3.asked)}"
            self.s3.uploads[id_] = {}
            self._xml(
                f"<InitiateMultipartUploadResult><UploadId>{id_}</UploadId>"
                "</InitiateMultipartUploadResult>"
            )
        elif "uploadId" in self.query:
            parts = self.s3.uploads.pop(self.query["uploadId"], None)
            if parts is None:
                self._fail(404, "NoSuchUpload")
                return
            whole = b"".join(parts[number] for number in sorted(parts))
            self.s3.objects[self.name] = whole
            self._xml(
                f"<CompleteMultipartUploadResult><ETag>{escape(_tag(whole))}</ETag>"
                "</CompleteMultipartUploadResult>"
            )
        elif "delete" in self.query:
            keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
            for key in keys:
                self.s3.objects.pop(f"{self.bucket}/{key}", None)
            told = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            self._xml(f"<DeleteResult>{told}</DeleteResult>")
        else:
            self._fail(400, "InvalidRequest")

    def do_GET(self) -> None:
        if self._begin() is None:
            return
        if "list-type" in self.query:
            self._list(self.query.get("prefix", ""))
            return
        data = self.s3.objects.get(self.name)
        if data is None:
            self._fail(404, "NoSuchKey")
            return
        status, headers = 200, {"ETag": _tag(data), "Last-Modified": _DATE}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            status, data = 206, data[first : last + 1]
        self._answer(data, status, **headers)

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        if self._begin() is None:
            return
        if "uploadId" in self.query:
            self.s3.uploads.pop(self.query["uploadId"], None)
        else:
            self.s3.objects.pop(self.name, None)
        self._answer(b"", 204)

    # ------------------------------------------------------------ inside

    def _begin(self) -> bytes | None:
        """Return the body of a request that is signed and has its bucket, None when answered."""
        split = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        self.name = urllib.parse.unquote(split.path).lstrip("/")
        self.bucket = self.name.partition("/")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.s3.lock:
            self.s3.asked.append(f"{self.command} {self.path}")
        if not self._signed(split):
            self._fail(403, "SignatureDoesNotMatch")
        elif self.bucket not in self.s3.buckets:
            self._fail(404, "NoSuchBucket")
        else:
            return body
        return None

    def _signed(self, split: urllib.parse.SplitResult) -> bool:
        """Whether the request has the signature (AWS version 4) that the secret makes."""
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), ?SignedHeaders=([^,]+), ?"
            r"Signature=([0-9a-f]{64})",
            self.headers.get("Authorization", ""),
        )
        if not found or found[1] != KEY:
            return False
        scope, names, signature = found[2], found[3].split(";"), found[4]
        pairs = urllib.parse.parse_qsl(split.query, keep_blank_values=True)
        query = "&".join(
            f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}"
            for k, v in sorted(pairs)
        )
        lines = [f"{name}:{' '.join(self.headers.get(name, '').split())}\n" for name in names]
        content = self.headers.get("x-amz-content-sha256", "")
        asked = [self.command, split.path, query, "".join(lines), found[3], content]
        digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()
        text = "\n".join(
            ["AWS4-HMAC-SHA256", self.headers.get("x-amz-date", ""), scope, digest]
        ).encode()
        key = b"AWS4" + SECRET.encode()
        for step in scope.split("/"):
            key = hmac.digest(key, step.encode(), "sha256")
        return hmac.compare_digest(hmac.digest(key, text, "sha256").hex(), signature)

    def _list(self, prefix: str) -> None:
        names = self.s3.names(f"{self.bucket}/{prefix}")
        contents = "".join(
            f"<Contents><Key>{escape(name.partition('/')[2])}</Key>"
            f"<LastModified>2026-01-02T03:04:05.000Z</LastModified>"
            f"<ETag>{escape(_tag(self.s3.objects[name]))}</ETag>"
            f"<Size>{len(self.s3.objects[name])}</Size></Contents>"
            for name in names
        )
        self._xml(
            f"<ListBucketResult><Name>{self.bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(names)}</KeyCount><IsTruncated>false</IsTruncated>{contents}"
            "</ListBucketResult>"
        )

    def _xml(self, text: str) -> None:
        self._answer(f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode())

    def _fail(self, status: int, code: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>{code} as the test wants it</Message></Error>"
        self._answer(text.encode(), status)

    def _answer(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


_DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'
