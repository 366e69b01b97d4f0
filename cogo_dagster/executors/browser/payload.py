"""What a browser job may ask for.

    {"url": "https://example.com",
     "actions": [{"do": "fill", "selector": "#q", "value": "queues"},
                 {"do": "press", "selector": "#q", "key": "Enter"},
                 {"do": "extract", "name": "titles", "selector": "h2", "all": true}]}

Selectors are Playwright's (CSS, `text=…`, `role=…`). There is no action that runs a script of the payload's own.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cogo_dagster.executors.browser.places import real_locale, real_timezone
from cogo_dagster.net.addresses import AllowList, BlockedAddress, InvalidAddress, check_url
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import Json
from cogo_dagster.validation import validation_messages

MAX_ACTIONS = 50
MAX_WAIT_MS = 60_000
RESERVED_NAMES = frozenset({"screenshot", "page", "extracted", "trace"})

_CONNECTION_HEADERS = re.compile(
    r"host|connection|content-length|transfer-encoding|upgrade|te|trailers?|keep-alive|proxy-.*", re.IGNORECASE
)
_BROWSER_HEADERS = re.compile(r"set-cookie2?|cookie2|accept|referer", re.IGNORECASE)
_COOKIES = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=[!#-+\--:<-\[\]-~]*(; [!#$%&'*+.^_`|~0-9A-Za-z-]+=[!#-+\--:<-\[\]-~]*)*"
)
"""RFC 6265, 4.2.1."""

WaitUntil = Literal["commit", "domcontentloaded", "load", "networkidle"]


def _web_url(url: str) -> str:
    if re.match(r"https?://", url, re.IGNORECASE) is None:
        raise ValueError("must begin with http:// or https://")
    return url


def _headers_that_are_sent(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is None or re.fullmatch(r"[\t\x20-\x7e]*", value) is None:
            raise ValueError(f"{name!r} is not a valid header: names and values are printable ASCII")
        if _CONNECTION_HEADERS.fullmatch(name):
            raise ValueError(f"{name} belongs to the connection and cannot be set")
        if _BROWSER_HEADERS.fullmatch(name):
            raise ValueError(f"{name} is set by the browser itself and would not be sent")
        if name.lower() == "cookie" and _COOKIES.fullmatch(value) is None:
            raise ValueError(f"{name} is not of the form name=value; name=value")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header is given twice, in different case")
    return headers


WebUrl = Annotated[str, Field(max_length=8_192), AfterValidator(_web_url)]
Selector = Annotated[str, Field(min_length=1, max_length=2_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
TimeoutMs = Annotated[int, Field(ge=1, le=600_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Action(_Strict):
    timeout_ms: TimeoutMs | None = None


class Goto(_Action):
    """Open another page; its HTTP status counts like the first one's."""

    do: Literal["goto"]
    url: WebUrl
    wait_until: WaitUntil | None = None


class Click(_Action):
    """Click the first element that matches."""

    do: Literal["click"]
    selector: Selector


class Fill(_Action):
    """Replace the text of an input. The value is kept in the job and in a failure's trace: no passwords."""

    do: Literal["fill"]
    selector: Selector
    value: Annotated[str, Field(max_length=100_000)]


class Press(_Action):
    """Press a key (`Enter`, `Control+A`) on an element, or on the page."""

    do: Literal["press"]
    key: Annotated[str, Field(min_length=1, max_length=50)]
    selector: Selector | None = None


class Select(_Action):
    """Choose options of a `<select>` by value or label."""

    do: Literal["select"]
    selector: Selector
    value: str | list[str]


class WaitFor(_Action):
    """Wait for exactly one of: an element, a text, an address (`*` matches anything)."""

    do: Literal["wait_for"]
    selector: Selector | None = None
    text: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    url: Annotated[str, Field(min_length=1, max_length=8_192)] | None = None
    state: Literal["attached", "detached", "visible", "hidden"] = "visible"

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if sum(target is not None for target in (self.selector, self.text, self.url)) != 1:
            raise ValueError("wait_for takes exactly one of selector, text and url")
        return self


class Wait(_Action):
    """Wait a fixed time; `wait_for` is nearly always better."""

    do: Literal["wait"]
    ms: Annotated[int, Field(ge=0, le=MAX_WAIT_MS)]


class Scroll(_Action):
    """Scroll to the end of the page and back to its top, so that what loads when it comes into view has loaded."""

    do: Literal["scroll"]


class Screenshot(_Action):
    """Keep `<name>.png`: the window, the whole page, or one element."""

    do: Literal["screenshot"]
    name: Name
    full_page: bool = False
    selector: Selector | None = None


class Pdf(_Action):
    """Keep `<name>.pdf`."""

    do: Literal["pdf"]
    name: Name


class Extract(_Action):
    """Keep the text, or an attribute, of the first match or of all, under `name` in extracted.json."""

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
    """Window size in CSS pixels."""

    width: Annotated[int, Field(ge=100, le=4_000)] = 1280
    height: Annotated[int, Field(ge=100, le=4_000)] = 720


class BrowserPayload(_Strict):
    """The payload of `browser` jobs.

    Attributes:
        url: Opened first; http or https.
        actions: Run in order after the page has loaded; the first that fails ends the attempt.
        screenshot: Keep screenshot.png of the page as it is at the end.
        html: Keep page.html likewise.
        pdf: Keep page.pdf likewise; on by default for the type `browser.pdf`.
        full_page: Whether screenshot.png shows the whole page rather than the window.
        scroll: Scroll through every page that is opened, and before what is kept at the end, for what loads lazily.
        dialogs: What happens to alert, confirm and prompt; each is noted in the result.
        trace: Whether the attempts are traced, and the trace kept however they end; default `COGO_BROWSER_TRACE`.
        wait_until: When a navigation counts as done.
        timeout_ms: Longest wait of one navigation or action; default `BROWSER_NAV_TIMEOUT_MS`.
        extra_headers: Sent with every request of the page, to other sites too: no credentials. Only the cookies of
            `Cookie` go to the host of `url` alone.
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
    locale: Annotated[str, Field(max_length=100), AfterValidator(real_locale)] | None = None
    timezone: Annotated[str, Field(max_length=100), AfterValidator(real_timezone)] | None = None
    color_scheme: Literal["light", "dark", "no-preference"] | None = None
    extra_headers: Annotated[dict[str, str], Field(max_length=50), AfterValidator(_headers_that_are_sent)] = {}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the extra header `Cookie`."""
        values = [value for name, value in self.extra_headers.items() if name.lower() == "cookie"]
        pairs = [pair.partition("=") for value in values for pair in value.split("; ")]
        return {name: value for name, _, value in pairs}

    @model_validator(mode="after")
    def _one_value_per_header(self) -> Self:
        sent = {name.lower() for name in self.extra_headers}
        for field, name in (("locale", "accept-language"), ("user_agent", "user-agent")):
            if getattr(self, field) is not None and name in sent:
                raise ValueError(f"{field} and the extra header {name} both set it: give one of them")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [
            f"{action.name}.{action.do}" for action in self.actions if isinstance(action, Screenshot | Pdf | Extract)
        ]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two actions are named {name.partition('.')[0]}: give each its own name")
            if name.partition(".")[0] in RESERVED_NAMES:
                raise ValueError(f"the name {name.partition('.')[0]} is taken by a file every job may leave")
        return self


def parse_payload(type: str, payload: Json, allowed: AllowList) -> BrowserPayload:
    """Read and check a payload.

    Raises:
        InvalidPayload: One sentence per mistake.
    """
    if type not in ("browser", "browser.pdf"):
        raise InvalidPayload(f"There is no type {type}: browser jobs are `browser` or `browser.pdf`.")
    if not isinstance(payload, Mapping):
        raise InvalidPayload('The payload must be an object such as {"url": "https://example.com"}.')
    try:
        request = BrowserPayload.model_validate(dict(payload))
    except ValidationError as error:
        raise InvalidPayload(validation_messages(error)) from None
    try:
        for url in (request.url, *(action.url for action in request.actions if isinstance(action, Goto))):
            check_url(url, allowed)
    except (InvalidAddress, BlockedAddress) as error:
        raise InvalidPayload(str(error)) from None
    return request if request.pdf is not None else request.model_copy(update={"pdf": type == "browser.pdf"})
