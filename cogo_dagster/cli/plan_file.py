"""Plan files of bulk commands."""

import json
from pathlib import Path

from cogo_dagster.cli.command import BadInput
from cogo_dagster.queue.bulk_plan import BulkPlan
from cogo_dagster.text import load_json


def write_plan(file: Path, plan: BulkPlan) -> None:
    """Write a plan.

    Raises:
        BadInput: The file cannot be written.
    """
    try:
        file.write_text(json.dumps(plan.to_json(), indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"The plan cannot be written to {file} ({error.strerror}): choose a writable folder.") from None


def read_plan(file: Path) -> BulkPlan:
    """Read a plan.

    Raises:
        BadInput: The file cannot be read, or is not JSON.
        InvalidArgument: The file does not hold a plan.
    """
    try:
        return BulkPlan.from_json(load_json(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(
            f"The plan cannot be read from {file} ({error.strerror}): create one with --plan FILE."
        ) from None
    except ValueError:
        raise BadInput(f"{file} is not a plan because it is not JSON: create one with --plan FILE.") from None
