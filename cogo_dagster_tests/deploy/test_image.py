"""The image, built by buildah on a minimal Debian, without a registry of images."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir, mkdtemp

import pytest

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.apt import apt_install
from cogo_dagster_tests.fresh.access import shared_paths, variables
from cogo_dagster_tests.fresh.debian import debian
from cogo_dagster_tests.programs import missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.linux("buildah runs on Linux only"),
    pytest.mark.root("only root builds images without user namespaces"),
    pytest.mark.timeout(1_800),
]

EXTRAS = "s3,gs,az,celery,kubernetes"


@dataclass(frozen=True)
class Buildah:
    """The images and containers of a folder."""

    program: str
    folder: Path

    def __call__(self, *arguments: str | Path) -> str:
        """Run a command; return its output."""
        storage = [f"--root={self.folder}/root", f"--runroot={self.folder}/run", "--storage-driver=overlay"]
        command = [self.program, *storage, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout[-2_000:]}\n{done.stderr[-4_000:]}"
        return done.stdout.strip()


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    """Return buildah with an empty storage."""
    if not shutil.which("buildah"):
        apt_install("buildah")
    program = shutil.which("buildah") or missing("buildah", "`sudo apt-get install buildah`")
    folder = Path(mkdtemp(prefix="cogo-image-"))
    buildah = Buildah(program, folder)
    yield buildah
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def container(buildah: Buildah) -> str:
    """Build the image on a root directory of debootstrap; return a container of it."""
    cache = Path(gettempdir()) / "cogo-fresh"
    cache.mkdir(exist_ok=True)
    base = buildah("from", "scratch")
    buildah("add", base, debian("trixie", cache), "/")
    for path, place in shared_paths("/root").items():
        buildah("add", base, path.resolve(), place)
    buildah("config", *(f"--env={name}={value}" for name, value in variables().items()), base)
    buildah("commit", "--rm", base, "cogo-base")
    arguments = ["--build-arg=BASE=localhost/cogo-base", f"--build-arg=EXTRAS={EXTRAS}"]
    buildah("build", "--isolation=chroot", *arguments, "--file", "deploy/Dockerfile", "--tag", "cogo", PROJECT_ROOT)
    return buildah("from", "localhost/cogo")


def test_the_image_contains_the_programs(buildah: Buildah, container: str) -> None:
    """Its account is not root; Chromium, the init and the packages of all extras can be used."""

    def run(*command: str) -> str:
        return buildah("run", "--isolation=chroot", container, "--", *command)

    assert run("id", "--user") == "10001"
    assert run("cogo", "version")
    assert "Chromium" in run("chromium", "--version")
    assert run("tini", "--version").startswith("tini")
    assert run("python", "-c", "import adlfs, dagster_celery, dagster_k8s, gcsfs, redis, s3fs") == ""
    assert run("fc-list", ":lang=ko")


def test_the_image_runs_a_worker(buildah: Buildah, container: str, dsn: str) -> None:
    """A worker connects to the database and ends when no job is due."""
    # In a chroot no program creates user namespaces, which Chromium's sandbox needs.
    options = ["--isolation=chroot", f"--env=COGO_DATABASE_URL={dsn}", "--env=NO_SANDBOX=true"]
    assert "claimed" in buildah("run", *options, container, "--", "cogo", "worker", "--drain", "--json")


def test_local_files_are_not_in_the_image(buildah: Buildah, container: str) -> None:
    """The folder of the project has no settings, data or history of the machine that built the image."""
    names = buildah("run", "--isolation=chroot", container, "--", "ls", "-A", "/srv/cogo").split()
    assert "dagster.yaml" in names
    assert {".env", ".git", ".cogo", ".venv-uv"} & set(names) == set()
