"""The payload of browser jobs.

    {"url": "https://example.com",
     "actions": [{"do": "fill", "selector": "#q", "value": "queues"},
                 {"do": "press", "selector": "#q", "key": "Enter"},
                 {"do": "extract", "name": "titles", "selector": "h2", "all": true}]}

Selectors are Playwright's (CSS, `text=…`, `role=…`). No action runs a script given in the payload.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cogo_dagster.executors.browser.artifacts import MAX_FILES
from cogo_dagster.executors.browser.headers import check_cookies_of, check_headers, cookies_of
from cogo_dagster.executors.browser.locales import check_locale, check_timezone
from cogo_dagster.net.addresses import AllowList, BlockedAddress, InvalidAddress, check_url
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import Json
from cogo_dagster.validation import validation_messages

TYPES = ("browser", "browser.pdf")
MAX_ACTIONS = 50
MAX_WAIT_MS = 60_000
MAX_URL_CHARS = 8_192
RESERVED_NAMES = frozenset({"screenshot", "page", "extracted", "trace"})

WaitUntil = Literal["commit", "domcontentloaded", "load", "networkidle"]


def _check_web_url(url: str) -> str:
    if re.match(r"https?://", url, re.IGNORECASE) is None:
        raise ValueError("must start with http:// or https://")
    return url


WebUrl = Annotated[str, Field(max_length=MAX_URL_CHARS), AfterValidator(_check_web_url)]
Selector = Annotated[str, Field(min_length=1, max_length=2_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
TimeoutMs = Annotated[int, Field(ge=1, le=600_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Action(_Strict):
    timeout_ms: TimeoutMs | None = None


class Goto(_Action):
    """Open another page; its HTTP status is checked like that of the first page."""

    do: Literal["goto"]
    url: WebUrl
    wait_until: WaitUntil | None = None


class Click(_Action):
    """Click the first matching element."""

    do: Literal["click"]
    selector: Selector


class Fill(_Action):
    """Replace the text of an input. The value is stored in the job and in traces: do not use passwords."""

    do: Literal["fill"]
    selector: Selector
    value: Annotated[str, Field(max_length=100_000)]


class Press(_Action):
    """Press a key (`Enter`, `Control+A`) on an element or on the page."""

    do: Literal["press"]
    key: Annotated[str, Field(min_length=1, max_length=50)]
    selector: Selector | None = None


class Select(_Action):
    """Select options of a `<select>` by value or label."""

    do: Literal["select"]
    selector: Selector
    value: str | list[str]


class WaitFor(_Action):
    """Wait for an element, a text or a URL (`*` matches anything); exactly one of them."""

    do: Literal["wait_for"]
    selector: Selector | None = None
    text: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARS)] | None = None
    state: Literal["attached", "detached", "visible", "hidden"] = "visible"

    @model_validator(mode="after")
    def _check_one_target(self) -> Self:
        if sum(target is not None for target in (self.selector, self.text, self.url)) != 1:
            raise ValueError("wait_for takes exactly one of selector, text and url")
        return self


class Wait(_Action):
    """Wait a fixed time; prefer `wait_for`."""

    do: Literal["wait"]
    ms: Annotated[int, Field(ge=0, le=MAX_WAIT_MS)]


class Scroll(_Action):
    """Scroll to the end of the page and back to the top, so that lazy-loaded content is loaded."""

    do: Literal["scroll"]


class Screenshot(_Action):
    """Save `<name>.png`: the window, the whole page, or one element."""

    do: Literal["screenshot"]
    name: Name
    full_page: bool = False
    selector: Selector | None = None


class Pdf(_Action):
    """Save `<name>.pdf`."""

    do: Literal["pdf"]
    name: Name


class Extract(_Action):
    """Save the text or an attribute of the first match, or of all matches, as `name` in extracted.json."""

    do: Literal["extract"]
    name: Name
    selector: Selector
    attribute: Annotated[str, Field(pattern=r"^[A-Za-z_:][A-Za-z0-9_:.-]{0,99}$")] | None = None
    all: bool = False


Action = Annotated[
    Goto | Click | Fill | Press | Select | WaitFor | Wait | Scroll | Screenshot | Pdf | Extract,
    Field(discriminator="do"),
]


class Viewport(_Strict):
    """Size of the window in CSS pixels."""

    width: Annotated[int, Field(ge=100, le=4_000)] = 1280
    height: Annotated[int, Field(ge=100, le=4_000)] = 720


class BrowserPayload(_Strict):
    """The payload of `browser` jobs.

    Attributes:
        url: The page to open first; http or https.
        actions: Run in order after the page has loaded; the first failure ends the attempt.
        screenshot: Save screenshot.png of the page at the end.
        html: Save page.html at the end.
        pdf: Save page.pdf at the end; default for the type `browser.pdf`.
        full_page: Whether screenshot.png shows the whole page or only the window.
        scroll: Scroll through every page that is opened, and again at the end, to load lazy content.
        dialogs: Whether alert, confirm and prompt are dismissed or accepted; each dialog is noted in the result.
        trace: Whether attempts are traced and the trace is kept even on success; default `COGO_BROWSER_TRACE`.
        wait_until: When a navigation counts as finished.
        timeout_ms: Timeout of one navigation or action; default `BROWSER_NAV_TIMEOUT_MS`.
        extra_headers: Sent with every request of the page, also to other sites: do not use credentials. The cookies
            of `Cookie` are sent only to the host of `url`, with requests for every path.
    """

    url: WebUrl
    actions: Annotated[tuple[Action, ...], Field(max_length=MAX_ACTIONS)] = ()
    screenshot: bool = True
    html: bool = True
    pdf: bool | None = None
    full_page: bool = False
    scroll: bool = False
    dialogs: Literal["dismiss", "accept"] = "dismiss"
    trace: bool | None = None
    wait_until: WaitUntil = "load"
    timeout_ms: TimeoutMs | None = None
    viewport: Viewport = Viewport()
    user_agent: Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"^[\x20-\x7e]+$")] | None = None
    locale: Annotated[str, Field(max_length=100), AfterValidator(check_locale)] | None = None
    timezone: Annotated[str, Field(max_length=100), AfterValidator(check_timezone)] | None = None
    color_scheme: Literal["light", "dark", "no-preference"] | None = None
    extra_headers: Annotated[dict[str, str], Field(max_length=50), AfterValidator(check_headers)] = {}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies in the extra header `Cookie`."""
        return cookies_of(self.extra_headers) if self.extra_headers else {}

    @property
    def files(self) -> int:
        """The number of files that a successful attempt saves."""
        own = sum(isinstance(action, Screenshot | Pdf) for action in self.actions)
        extracted = any(isinstance(action, Extract) for action in self.actions)
        return own + sum(map(bool, (extracted, self.screenshot, self.html, self.pdf, self.trace)))

    @model_validator(mode="after")
    def _check_cookies(self) -> Self:
        if self.extra_headers:
            check_cookies_of(self.url, self.extra_headers)
        return self

    @model_validator(mode="after")
    def _check_duplicate_headers(self) -> Self:
        sent = {name.lower() for name in self.extra_headers}
        for field, name in (("locale", "accept-language"), ("user_agent", "user-agent")):
            if getattr(self, field) is not None and name in sent:
                raise ValueError(f"{field} and the extra header {name} set the same header: use one of them")
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [
            f"{action.name}.{action.do}" for action in self.actions if isinstance(action, Screenshot | Pdf | Extract)
        ]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two actions are named {name.partition('.')[0]}: use different names")
            if name.partition(".")[0] in RESERVED_NAMES:
                raise ValueError(f"the name {name.partition('.')[0]} is reserved for an artifact of every job")
        return self


def context_options(request: BrowserPayload) -> dict[str, Any]:
    """Return the arguments of `new_context`: those of the payload, and restrictions for every page."""
    headers = {name: value for name, value in request.extra_headers.items() if name.lower() != "cookie"}
    options = {
        "viewport": request.viewport.model_dump(),
        "user_agent": request.user_agent,
        "locale": request.locale,
        "timezone_id": request.timezone,
        "color_scheme": request.color_scheme,
        "extra_http_headers": headers or None,
    }
    return {
        **{name: value for name, value in options.items() if value is not None},
        "accept_downloads": False,
        "service_workers": "block",
        "permissions": [],
    }


def parse_payload(type: str, payload: Json, allowed: AllowList) -> BrowserPayload:
    """Parse and validate a payload.

    Raises:
        InvalidPayload: The payload is invalid; the message names every error.
    """
    if type not in TYPES:
        raise InvalidPayload(f"Unknown type {type}: browser jobs have the type `browser` or `browser.pdf`.")
    if not isinstance(payload, Mapping):
        raise InvalidPayload('The payload must be an object such as {"url": "https://example.com"}.')
    try:
        request = BrowserPayload.model_validate(dict(payload))
    except ValidationError as error:
        raise InvalidPayload(validation_messages(error)) from None
    try:
        place = "url"
        check_url(request.url, allowed)
        place = "actions"
        for action in request.actions:
            if isinstance(action, Goto):
                check_url(action.url, allowed)
    except (InvalidAddress, BlockedAddress) as error:
        raise InvalidPayload(str(error), field=place) from None
    if request.pdf is None:
        request = request.model_copy(update={"pdf": type == "browser.pdf"})
    if request.files > MAX_FILES:
        message = f"The job would save {request.files} files; the limit is {MAX_FILES}."
        raise InvalidPayload(message, field="actions")
    return request


def stored_payload(type: str, payload: Json, allowed: AllowList) -> dict[str, Json]:
    """Validate a payload, and return it as it is stored: as it was given, without defaults.

    Raises:
        InvalidPayload: See `parse_payload`.
    """
    request = parse_payload(type, payload, allowed)
    return request.model_dump(mode="json", include=request.model_fields_set & set(payload), exclude_unset=True)
