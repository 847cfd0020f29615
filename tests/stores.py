"""A store that speaks S3, on 127.0.0.1: moto's server, its requests counted, with faults."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET = "bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST", "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests"}


@dataclass
class Store:
    """What was asked of it, and how it fails."""

    url: str = ""
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and range of every request."""
    fault: Callable[[str], tuple[int, str] | None] = lambda _: None
    """Of a path: the status and the code that are answered instead."""

    def put(self, key: str, data: bytes) -> str:
        """Keep a file; return its address."""
        import boto3

        client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")
        client.put_object(Bucket=BUCKET, Key=key, Body=data)
        self.seen.clear()
        return f"s3://{BUCKET}/{key}"

    def fetched(self) -> list[str]:
        """Keys of which bytes were asked for."""
        start = f"/{BUCKET}/"
        asked = [path for method, path, _ in self.seen if method == "GET"]
        return [path.removeprefix(start) for path in asked if len(path) > len(start)]


@contextmanager
def serve() -> Iterator[Store]:
    """Serve an empty bucket until the block ends."""
    import boto3
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    store = Store()

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        store.seen.append((method, path, environ.get("HTTP_RANGE", "")))
        fault = store.fault(path)
        if fault is None:
            return application(environ, start_response)
        status, code = fault
        start_response(f"{status} {code}", [("Content-Type", "application/xml")])
        told = f"the key {KEYS['AWS_ACCESS_KEY_ID']} will not do"
        return [f"<Error><Code>{code}</Code><Message>{told}</Message></Error>".encode()]

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    store.url = f"http://127.0.0.1:{server.port}"
    try:
        client = boto3.client("s3", endpoint_url=store.url, region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield store
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def known() -> Iterator[Store]:
    """Serve, and have the libraries find the server and its keys, and nothing of the machine's."""
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patched.delenv(name)
        patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patched.setenv("AWS_CONFIG_FILE", os.devnull)
        patched.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patched.setenv("AWS_MAX_ATTEMPTS", "1")
        for name, value in KEYS.items():
            patched.setenv(name, value)
        with serve() as served:
            patched.setenv("AWS_ENDPOINT_URL", served.url)
            yield served
