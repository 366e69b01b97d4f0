"""Page that enqueues a job: a form for each type, filled from another job if one is given."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.executors.registry import JobType, job_types
from cogo_dagster.queue.errors import DuplicateJob, InvalidArgument
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster.web.actions import copy_of, enqueue, run_again, validated
from cogo_dagster.web.commands import enqueue_command, enqueue_curl
from cogo_dagster.web.dependencies import ApplicationDep, require_reader, web_of
from cogo_dagster.web.job_requests import JobOptions
from cogo_dagster.web.lookups import base_url, find_job
from cogo_dagster.web.pages.forms import Form, LongFormDep, Operator, back, form_of
from cogo_dagster.web.payload_form import WHOLE, FormField, fields_of, model_errors, read_form, write_form

router = APIRouter(prefix="/dashboard", include_in_schema=False)

PREFIX: Final = "payload."

_OPTIONS: Final = fields_of(JobOptions)
_JSON: Final = (FormField(WHOLE, "json", "A JSON object.", required=True),)


@dataclass(frozen=True, slots=True)
class NewJobForm:
    """The form of one type.

    Attributes:
        fields: The payload's fields; a single field with the whole payload if there is no model, or on request.
        texts: What was entered, by the names of the form.
        errors: A message for each invalid field; WHOLE for the whole payload.
        source: The job that the form was filled from.
    """

    job_type: str
    model: type[BaseModel] | None
    fields: tuple[FormField, ...]
    texts: Mapping[str, str]
    errors: Mapping[str, str]
    source: str | None = None

    @classmethod
    def of(cls, kind: JobType, *, as_json: bool = False) -> Self:
        """Return the empty form of a type."""
        fields = fields_of(kind.model) if kind.model and not as_json else _JSON
        flags = {f"{PREFIX}{field.name}": "yes" for field in fields if field.kind == "flag" and field.default}
        return cls(kind.name, kind.model, fields, flags, {})

    @property
    def is_json(self) -> bool:
        """Whether the payload is entered as JSON."""
        return self.fields == _JSON

    @property
    def options(self) -> tuple[FormField, ...]:
        """The fields that do not belong to the payload."""
        return _OPTIONS

    @property
    def shows_more(self) -> bool:
        """Whether an optional field has a value or an error, so that these fields are shown at once."""
        optional = [f"{PREFIX}{field.name}" for field in self.fields if not field.required and field.kind != "flag"]
        optional += [field.name for field in _OPTIONS]
        return any(self.texts.get(name) or name.removeprefix(PREFIX) in self.errors for name in optional)

    def filled_from(self, job: NewJob, source: str) -> Self:
        """Return the form with the values of a job; as JSON if it has no field for one of them."""
        form, texts = self, write_form(self.fields, job.payload, PREFIX)
        if self.is_json or texts is None:
            form = replace(self, fields=_JSON)
            texts = write_form(_JSON, {WHOLE: dict(job.payload)}, PREFIX)
        values = {field.name: getattr(job, field.name) for field in _OPTIONS}
        given = {name: value for name, value in values.items() if value != getattr(_DEFAULTS, name)}
        return replace(form, texts={**(texts or {}), **(write_form(_OPTIONS, given) or {})}, source=source)

    def read(self, entered: Form) -> tuple[NewJob, Self]:
        """Return the job that was entered, and the form with what is wrong with it."""
        payload, errors = read_form(self.fields, entered, PREFIX)
        if self.is_json:
            given = payload.get(WHOLE, {})
            if not isinstance(given, dict):
                errors[WHOLE] = "must be a JSON object"
            payload = given if isinstance(given, dict) else {}
        options, option_errors = read_form(_OPTIONS, entered)
        option_errors |= {} if option_errors else model_errors(JobOptions, options)
        if not errors and self.model:
            errors = self._by_field(model_errors(self.model, payload))
        values = options if not option_errors else {}
        shown = replace(self, texts=entered, errors=errors | option_errors, source=entered.get("source") or None)
        return NewJob(self.job_type, payload, **values), shown

    def _by_field(self, errors: dict[str, str]) -> dict[str, str]:
        """Return errors under the names of the fields that are shown."""
        if not self.is_json:
            return errors
        found = [text if name == WHOLE else f"{name} {text}" for name, text in errors.items()]
        return {WHOLE: "; ".join(found)} if found else {}


_DEFAULTS: Final = JobOptions()


@router.get("/jobs/new", dependencies=[Depends(require_reader)])
def new_job(
    request: Request,
    application: ApplicationDep,
    type: Annotated[str | None, Query(max_length=100)] = None,
    source: Annotated[UUID | None, Query(alias="from")] = None,
    *,
    json: bool = False,
) -> Response:
    """Form of a type; filled with the values of a job, to run it with changes."""
    copied = None if source is None else copy_of(find_job(application, source))
    kinds = _kinds(copied.type if copied else type)
    chosen = next(kind for kind in kinds if kind.name == (copied.type if copied else type or kinds[0].name))
    form = NewJobForm.of(chosen, as_json=json)
    return _page(request, kinds, form.filled_from(copied, str(source)) if copied else form)


@router.post("/jobs/new")
def add_job(request: Request, application: ApplicationDep, form: LongFormDep, actor: Operator) -> Response:
    """Enqueue the job that was entered, or show the form with its errors."""
    kinds = _kinds(form.get("type"))
    chosen = next(kind for kind in kinds if kind.name == (form.get("type") or kinds[0].name))
    job, entered = NewJobForm.of(chosen, as_json="as_json" in form).read(form)
    if not entered.errors:
        done, entered = _perform(application, job, actor, entered, only_show="show" in form)
        if isinstance(done, Response):
            return done
        if done is not None:
            return _page(request, kinds, entered, shown=done)
    return _page(request, kinds, entered, 422)


@router.post("/jobs/{job_id}/again", dependencies=[Depends(form_of)])
def again(application: ApplicationDep, actor: Operator, job_id: UUID) -> Response:
    """Enqueue a copy of a job, and show it."""
    enqueued = run_again(application, find_job(application, job_id), actor)
    return back(f"/dashboard/jobs/{enqueued.job_id}", "enqueued")


def _perform(
    application: Application, job: NewJob, actor: str, form: NewJobForm, *, only_show: bool
) -> tuple[Response | NewJob | None, NewJobForm]:
    """Enqueue a job and return the redirect to it, or return the job that would be enqueued; None if it is invalid."""
    try:
        if only_show:
            return validated(application, job), form
        enqueued = enqueue(application, job, actor)
    except InvalidPayload as error:
        name = error.field if error.field in {field.name for field in form.fields} else WHOLE
        return None, replace(form, errors={name or WHOLE: str(error)})
    except DuplicateJob as error:
        return None, replace(form, errors={"idempotency_key": str(error)})
    except InvalidArgument as error:
        return None, replace(form, errors={WHOLE: str(error)})
    return back(f"/dashboard/jobs/{enqueued.job_id}", "enqueued" if enqueued.created else "existing"), form


def _kinds(wanted: str | None) -> list[JobType]:
    """Return the installed types, and the wanted one, whose payload is entered as JSON if it is not installed."""
    kinds = job_types()
    if wanted and wanted not in {kind.name for kind in kinds}:
        kinds.append(JobType(wanted, None))
    return kinds


def _page(
    request: Request, kinds: list[JobType], form: NewJobForm, status: int = 200, shown: NewJob | None = None
) -> Response:
    fields: dict[str, Json] = {"required": [], "optional": []}
    for field in form.fields:
        fields["required" if field.required else "optional"].append(field)
    return web_of(request).pages.page(
        request,
        "new_job.html",
        status,
        title="New job",
        kinds=kinds,
        form=form,
        prefix=PREFIX,
        whole=WHOLE,
        command=enqueue_command(shown) if shown else None,
        curl=enqueue_curl(shown, base_url(request)) if shown else None,
        **fields,
    )
