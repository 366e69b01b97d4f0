"""A server with the API of S3 that stores objects on disk (s3rver, from npm); moto stores them in memory."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cogo_dagster.queue.artifacts import ArtifactStore
from cogo_dagster.queue.artifacts.remote import file_system
from cogo_dagster.queue.artifacts.s3 import S3Objects
from cogo_dagster_tests.npm import npm_packages
from cogo_dagster_tests.ports import reserved_port, wait_for_response
from cogo_dagster_tests.programs import required

S3RVER: Final = "@20minutes/s3rver@5.0.0"
BUCKET: Final = "artifacts"

_KEY: Final = "S3RVER"
_START: Final = "require(process.argv[1]).parseAsync(process.argv)"


@contextmanager
def disk_server(folder: Path) -> Iterator[str]:
    """Run a server that stores its bucket below a folder; yield its endpoint."""
    [node] = required("node")
    program = npm_packages("s3rver-5.0.0", [S3RVER]) / "@20minutes/s3rver/lib/cli.js"
    with reserved_port() as port:
        options = ["-d", str(folder), "-p", str(port), "--silent", "--configure-bucket", BUCKET]
        process = subprocess.Popen([node, "--eval", _START, str(program), "s3rver", *options])
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for_response(url)
        yield url
    finally:
        process.terminate()
        process.wait()


def disk_store(url: str, prefix: str) -> ArtifactStore:
    """Open a prefix of the server's bucket."""
    options = {"key": _KEY, "secret": _KEY, "endpoint_url": url, "client_kwargs": {"region_name": "us-east-1"}}
    return ArtifactStore(S3Objects(file_system("s3", options), f"{BUCKET}/{prefix}"))
