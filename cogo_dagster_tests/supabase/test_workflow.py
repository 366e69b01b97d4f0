"""The workflow that tests a real project: its steps are skipped without secrets; here they run against the stand-in."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from cogo_dagster.settings import PROJECT_ROOT
from cogo_dagster_tests.cli.slow_site import slow_site
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.programs import required
from cogo_dagster_tests.supabase.keys import ANON, SERVICE_ROLE
from cogo_dagster_tests.supabase.server import StandIn

SECRETS: Final = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY")


@pytest.fixture
def steps() -> list[Any]:
    """Return the steps of the workflow's one job."""
    text = (PROJECT_ROOT / ".github" / "workflows" / "db-mode-integration.yml").read_text()
    found: list[Any] = yaml.safe_load(text)["jobs"]["worker"]["steps"]
    return found


def run(steps: list[Any], name: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a step's script as the runner does; return its exit code, what it prints, and its outputs."""
    [script] = [step["run"] for step in steps if step.get("name") == name]
    output = folder / "output"
    output.touch()
    # `uv run` would search for the project; use the installed program.
    script = script.replace("uv run cogo", str(Path(sys.executable).with_name("cogo")))
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GITHUB_OUTPUT": str(output), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, output.read_text()


def test_the_gate_names_each_missing_secret(steps: list[Any], tmp_path: Path) -> None:
    """Each missing secret gives one warning, and the step succeeds."""
    code, said, output = run(steps, "Check for the secrets", tmp_path, {"SUPABASE_URL": "https://x.supabase.co"})
    assert (code, output) == (0, "ready=false\n")
    assert [name for name in SECRETS if f"::warning title=DB mode integration::The secret {name} is" in said] == [
        "SUPABASE_ANON_KEY",
        "SUPABASE_SERVICE_ROLE_KEY",
    ]


def test_the_gate_opens_with_all_secrets(steps: list[Any], tmp_path: Path) -> None:
    """It prints nothing and sets the output `ready`."""
    assert run(steps, "Check for the secrets", tmp_path, dict.fromkeys(SECRETS, "x")) == (0, "", "ready=true\n")


def test_every_other_step_waits_for_the_gate(steps: list[Any]) -> None:
    """Each step has the condition, and only the first one has all secrets."""
    assert {step.get("if") for step in steps[1:]} == {"steps.secrets.outputs.ready == 'true'"}
    assert set(steps[0]["env"]) == set(SECRETS)


@pytest.mark.timeout(170)
def test_the_steps_pass_against_a_project(steps: list[Any], stand_in: StandIn, tmp_path: Path) -> None:
    """The schema is checked, and a job runs over REST with its artifact in Storage."""
    required("jq", "curl")
    (tmp_path / ".env").touch()
    with slow_site() as site:
        site.answer.set()
        environment = {
            "SUPABASE_URL": stand_in.url,
            "SUPABASE_SERVICE_ROLE_KEY": SERVICE_ROLE,
            "EXECUTOR_ID": "ci-1-1",
            "WORKER_MODE": "db",
            "BROWSER_REAL_MODE": "false",
            "BROWSER_TEST_URL": site.url,
            "BROWSER_ALLOWED_HOSTS": site.authority,
        }
        for name in ("Check the release of the schema", "Execute a job"):
            code, said, _ = run(steps, name, tmp_path, environment)
            assert code == 0, said
    assert len(stand_in.addresses()) == 1


@pytest.fixture
def keys(stand_in: StandIn) -> dict[str, str]:
    """Return the environment of the step for the anon key."""
    required("jq", "curl")
    return {"SUPABASE_URL": stand_in.url, "SUPABASE_ANON_KEY": ANON, "EXECUTOR_ID": "ci-1-1"}


def test_existing_functions_reject_the_anon_key(steps: list[Any], keys: dict[str, str], tmp_path: Path) -> None:
    """Each call has the real signature, so it gets 401 and not the 404 of an unknown function."""
    code, said, _ = run(steps, "Check that the anon key is rejected", tmp_path, keys)
    assert code == 0, said
    assert said.splitlines() == [
        f"{name}: HTTP 401" for name in ("queue_stats", "list_jobs", "claim_one_job", "list_secrets")
    ]


def test_a_key_with_rights_fails_the_step(steps: list[Any], keys: dict[str, str], tmp_path: Path) -> None:
    """The step fails if a key may call the functions."""
    keys["SUPABASE_ANON_KEY"] = SERVICE_ROLE
    assert run(steps, "Check that the anon key is rejected", tmp_path, keys)[0] == 1


def test_a_missing_function_fails_the_step(
    steps: list[Any], keys: dict[str, str], owner: Owner, tmp_path: Path
) -> None:
    """A 404 does not show that the rights are correct."""
    owner.execute("alter function public.list_secrets(text, integer) rename to list_others")
    code, said, _ = run(steps, "Check that the anon key is rejected", tmp_path, keys)
    assert (code, "::error::list_secrets does not reject the anon key (HTTP 404)" in said) == (1, True), said
