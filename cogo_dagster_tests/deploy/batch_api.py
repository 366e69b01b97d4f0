"""A stand-in for the API of Kubernetes that dagster-k8s calls: it runs the command of each job on this machine."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]

VERSION: Final = "1.35.0"
_JOBS: Final = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/?]+))?(?:/status)?(?:\?.*)?$")


@dataclass
class BatchApi:
    """The jobs of a cluster.

    Attributes:
        environment: The environment of the commands.
        programs: The folder with the programs of the image.
        manifests: Each created job by name.
    """

    environment: Mapping[str, str]
    programs: Path
    output: Path
    url: str = ""
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    def create(self, manifest: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Validate a job as strictly as `kubectl apply --validate=strict`, and start its command."""
        try:
            kubernetes_validate.validate(manifest, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return 422, {"kind": "Status", "status": "Failure", "message": str(error)}
        name = manifest["metadata"]["name"]
        container: dict[str, Any] = manifest["spec"]["template"]["spec"]["containers"][0]
        command: list[str] = [*container.get("command", []), *container["args"]]
        given = {pair["name"]: pair["value"] for pair in container.get("env", ()) if "value" in pair}
        with self.output.open("ab") as output:
            self.processes[name] = subprocess.Popen(
                [self.programs / command[0], *command[1:]],
                env={**given, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.manifests[name] = manifest
        return 201, manifest

    def status(self, name: str) -> tuple[int, dict[str, Any]]:
        """Return a job with its status."""
        if name not in self.manifests:
            return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound"}
        code = self.processes[name].poll()
        status = {"active": 1} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}
        return 200, {**self.manifests[name], "status": status}

    def delete(self, name: str) -> tuple[int, dict[str, Any]]:
        """Delete a job: its command gets SIGTERM."""
        if self.manifests.pop(name, None) is None:
            return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound"}
        self.processes[name].terminate()
        return 200, {"kind": "Status", "status": "Success"}

    def kubeconfig(self, folder: Path) -> Path:
        """Write a configuration for clients; return its path."""
        path = folder / "kubeconfig"
        named = {"name": "test"}
        clusters = [{**named, "cluster": {"server": self.url}}]
        contexts = [{**named, "context": {"cluster": "test", "user": "test"}}]
        document = {"clusters": clusters, "contexts": contexts, "users": [{**named, "user": {}}]}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "test", **document}))
        return path


def _handler(api: BatchApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _reply(self, code: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _name(self) -> str | None:
            found = _JOBS.match(self.path)
            return found[2] if found else None

        def do_POST(self) -> None:
            manifest = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._reply(*api.create({**manifest, "apiVersion": "batch/v1", "kind": "Job"}))

        def do_GET(self) -> None:
            name = self._name()
            self._reply(*(api.status(name) if name else (200, {"kind": "PodList", "items": []})))

        def do_DELETE(self) -> None:
            self._reply(*api.delete(self._name() or ""))

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return Handler


@contextmanager
def batch_api(environment: Mapping[str, str], programs: Path, output: Path) -> Iterator[BatchApi]:
    """Run the server in a thread; commands that still run are killed at the end."""
    api = BatchApi({**environment, "PATH": os.environ["PATH"]}, programs, output)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    api.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        for process in api.processes.values():
            process.kill()
            process.wait()
