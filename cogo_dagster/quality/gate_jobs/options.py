"""Options of gate jobs: COGO_GATE_COMMANDS defines the commands; a payload can only select a repository."""

import glob
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cogo_dagster.executors.errors import ExecutorUnavailable
from cogo_dagster.text import load_json
from cogo_dagster.validation import mistakes

EXAMPLE: Final = (
    '{"shop": {"checkout": "/srv/shop", "lint": "npx eslint -f json -o eslint.json .", "test": "npm test"}}'
)

_REPORT_SUFFIXES: Final = frozenset({".xml", ".json", ".sarif", ".info", ".lcov", ".out", ".gz"})

Step = Literal["fix", "build", "lint", "test"]
STEPS: Final[tuple[Step, ...]] = ("fix", "build", "lint", "test")


def _split_command(command: Any) -> Any:
    return shlex.split(command) if isinstance(command, str) else command


def _as_list(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


Command = Annotated[list[str], BeforeValidator(_split_command), Field(min_length=1)]


ReportNames = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]


class Repository(BaseModel):
    """A repository and the commands that evaluate a commit.

    Attributes:
        checkout: A Git checkout or bare clone on this machine. It is cloned for each job and not modified, except that
            `fetch` updates it from its `origin` first.
        reports: Paths of the reports inside the clone: `{"eslint": "eslint.json"}`; a file, a folder, a pattern such
            as `build/**/TEST-*.xml`, or a list of them.
        env: Environment variables of the commands besides PATH, HOME, LANG, TMPDIR and CI.
        read: Folders and files that the commands may read besides the system and its toolchains.
        ports: TCP ports that the commands may use besides 53, 80, 443, proxies in `env`, and free ones.
        unrestricted_network: Whether the commands may reach everything that the worker can, such as services without
            a login.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkout: Path
    fetch: bool = False
    fix: Command | None = None
    build: Command | None = None
    lint: Command | None = None
    test: Command | None = None
    reports: dict[Literal["eslint", "coverage", "junit"], ReportNames] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)
    timeout_seconds: float = Field(1_800, gt=0, le=86_400)
    read: list[Path] = Field(default_factory=list)
    ports: list[Annotated[int, Field(ge=1, le=65_535)]] = Field(default_factory=list)
    unrestricted_network: bool = False

    def command(self, step: Step) -> list[str] | None:
        """Return the command of a step, if there is one."""
        arguments: list[str] | None = getattr(self, step)
        return arguments


class GatePayload(BaseModel):
    """The payload of gate jobs.

    Attributes:
        repository: A name in COGO_GATE_COMMANDS; optional if there is only one.
        branch: The branch of the gate run; its newest commit is evaluated unless `commit` is given.
        path: The folder inside the repository in which the commands run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str | None = None
    branch: str = Field(min_length=1, max_length=255)
    commit: str | None = Field(None, pattern=r"^[0-9a-f]{7,64}$")
    pull_request: int | None = Field(None, ge=1)
    path: str = Field(".", max_length=1_000)


def repositories(text: str) -> Mapping[str, Repository]:
    """Parse COGO_GATE_COMMANDS.

    Raises:
        ExecutorUnavailable: The setting is invalid.
    """
    try:
        setting = load_json(text)
        if not isinstance(setting, dict) or not setting:
            raise ValueError("it must be an object with at least one repository")  # noqa: TRY301 - one message for both
        return {name: Repository.model_validate(repository) for name, repository in setting.items()}
    except ValidationError as error:
        first = mistakes(error)[0]
        raise ExecutorUnavailable(f"COGO_GATE_COMMANDS: {first.path}: {first.reason}. Example: {EXAMPLE}") from None
    except ValueError as error:
        raise ExecutorUnavailable(f"COGO_GATE_COMMANDS is invalid ({error}). Example: {EXAMPLE}") from None


def is_branch(name: str) -> bool:
    """Return whether a name can be a Git branch, and is not an option, pattern or revision expression."""
    plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./+#@-]*", name) is not None
    return (
        plain and not any(part in name for part in ("..", "//", "@{", "/.")) and not name.endswith((".lock", "/", "."))
    )


def inside(folder: Path, path: str) -> Path | None:
    """Return the resolved path in a folder, or None if it is outside, also through a link."""
    found = (folder / path).resolve()
    return found if found.is_relative_to(folder.resolve()) else None


def files_at(folder: Path, name: str) -> Path | tuple[Path, ...] | None:
    """Return a file in a folder, or the files of a subfolder or a pattern; None if there are none.

    Paths outside the folder, also through a link, are excluded.
    """
    path = inside(folder, name)
    if path is not None and path.is_file():
        return path
    if path is not None and path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _REPORT_SUFFIXES)
    elif path is not None and not Path(name).is_absolute():
        found = sorted(folder.glob(name)) if glob.has_magic(name) else []
    else:
        found = []
    kept = tuple(real for file in found if (real := inside(folder, str(file))) is not None and real.is_file())
    return kept or None
