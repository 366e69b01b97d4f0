"""Requests to the API, with and without a login: responses match its OpenAPI document, never a 500."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import schemathesis
from hypothesis import assume
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.openapi.loaders import from_url
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import positive_data_acceptance

from cogo_dagster_tests.fuzz.trial import Trial
from cogo_dagster_tests.fuzz.web import USES, site_of
from cogo_dagster_tests.rows import every_row
from cogo_dagster_tests.web.conftest import TOKEN

UNDESCRIBED: Final = ("POST /api/jobs", "POST /api/actions", "GET /api/jobs", "POST /api/alerts/silences")
"""The document cannot describe the payloads that the installed executors accept, the filter language, and which alerts
exist."""

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]


def signed_in(trial: Trial) -> None:
    """With a token: valid and invalid requests, with all of schemathesis' checks of the responses."""
    _described(trial, {"x-admin-token": TOKEN}, tuple(GenerationMode))


def signed_out(trial: Trial) -> None:
    """Without a token: valid requests, which write no row."""
    _described(trial, {}, (GenerationMode.POSITIVE,))


def _described(trial: Trial, headers: Mapping[str, str], modes: Sequence[GenerationMode]) -> None:
    with site_of(trial.surroundings) as (site, owner):
        document = from_url(f"{site.url}/api/openapi.json", timeout=120)
        operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
        assert len(operations) > 20
        before = every_row(owner, but=USES)
        for operation in operations:
            for mode in modes:
                if mode is GenerationMode.NEGATIVE and not _may_be_invalid(operation):
                    continue  # Hypothesis would try hundreds of times to generate one
                _ask(trial, operation, mode, headers, 1 / (len(operations) * len(modes)))
        assert headers or every_row(owner, but=USES) == before


def _may_be_invalid(operation: Operation) -> bool:
    """Whether a request has a part that has invalid values: every text is valid in a header."""
    locations = {parameter.location for parameter in operation.iter_parameters()}
    return bool(operation.body) or bool(locations - {ParameterLocation.HEADER})


def _ask(trial: Trial, operation: Operation, mode: GenerationMode, headers: Mapping[str, str], share: float) -> None:
    def check(case: "schemathesis.Case[Any]") -> None:
        # JSON does not distinguish 5 from 5.0; the generator of invalid values does.
        assume(mode is GenerationMode.POSITIVE or not re.search(r"\d\.0\b", str(case.body)))
        # Without a token on purpose: that makes the request invalid.
        bare = mode is GenerationMode.NEGATIVE and "x-admin-token" not in (case.headers or {})
        excluded: Any = [positive_data_acceptance] if operation.label in UNDESCRIBED else []
        case.call_and_validate(headers={} if bare else dict(headers), timeout=60, excluded_checks=excluded)

    trial.each(operation.as_strategy(generation_mode=mode), check, share=share)
