"""The services that `cogo dev` runs: those of `dagster dev`, with the daemon in the process that starts the others.

`dagster dev` imports Dagster in one more process, which only starts the code server, the webserver and the daemon. Run
it with the host and the port of the webserver, in the folder of workspace.yaml.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cogo_dagster.imports import quick_imports

with quick_imports():
    import dagster as dg
    from dagster._cli.dev import _temp_grpc_socket_workspace_file
    from dagster._cli.proxy_server_manager import ProxyServerManager
    from dagster._cli.utils import get_possibly_temporary_instance_for_cli
    from dagster._cli.workspace.cli_target import workspace_opts_to_load_target
    from dagster._daemon.cli import _daemon_run_command
    from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
    from dagster._utils.log import configure_loggers
    from dagster_shared.cli import WorkspaceOpts

_WEBSERVER: Final = (
    "from cogo_dagster.imports import quick_imports\n"
    "with quick_imports():\n"
    "    from dagster_webserver.cli import main\n"
    "main()\n"
)
_CODE_SERVER_LOG_LEVEL: Final = "warning"
_CHECK_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 60.0

_log: Final = logging.getLogger("dagster")


class ServiceEnded(Exception):
    """The webserver exited by itself."""


@contextmanager
def running(name: str, command: Sequence[str], seconds: float = _CHECK_SECONDS) -> Iterator[None]:
    """Run a program beside this process, and interrupt this process if it exits.

    Args:
        seconds: How long after its exit this process is interrupted, since Ctrl-C reaches both, in any order.

    Raises:
        ServiceEnded: It exited by itself.
    """
    process = subprocess.Popen(command)  # noqa: S603 - a command of this project
    stopping, ended = threading.Event(), threading.Event()

    def watch() -> None:
        process.wait()
        if not stopping.wait(seconds):
            ended.set()
            os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stopping.set()
        process.send_signal(signal.SIGINT)
        watcher.join(_STOP_SECONDS)
        if watcher.is_alive():
            _log.warning("%s did not terminate cleanly, killing the process", name)
            process.kill()
        if ended.is_set():
            raise ServiceEnded(f"{name} shut down unexpectedly with return code {process.returncode}")


def run(host: str, port: str) -> None:
    """Run the services until SIGINT or SIGTERM.

    Raises:
        ServiceEnded: The webserver exited by itself.
        Exception: The daemon failed.
    """
    os.environ["DAGSTER_IS_DEV_CLI"] = "1"
    configure_loggers(formatter="colored", log_level="INFO")
    setup_interrupt_handlers()
    with suppress(KeyboardInterrupt), get_possibly_temporary_instance_for_cli("cogo dev", logger=_log) as instance:
        target = workspace_opts_to_load_target(WorkspaceOpts(workspace=["workspace.yaml"]))
        with (
            ProxyServerManager(instance, target, _CODE_SERVER_LOG_LEVEL) as code_servers,
            _temp_grpc_socket_workspace_file(code_servers) as workspace,
            running("dagster-webserver", _webserver(instance, workspace, host, port)),
            capture_interrupts(),
        ):
            shared = WorkspaceOpts(workspace=[str(workspace)])
            _daemon_run_command(instance, "info", _CODE_SERVER_LOG_LEVEL, "colored", shared)


def _webserver(instance: dg.DagsterInstance, workspace: Path, host: str, port: str) -> list[str]:
    reference = dg.serialize_value(instance.get_ref())
    options = {"--host": host, "--port": port, "--workspace": str(workspace), "--instance-ref": reference}
    return [sys.executable, "-c", _WEBSERVER, *(word for option in options.items() for word in option)]


if __name__ == "__main__":
    try:
        run(*sys.argv[1:])
    except ServiceEnded as error:
        sys.exit(str(error))
