"""The commands of the README, as they are written there."""

import re
from dataclasses import dataclass

from cogo_dagster.settings import PROJECT_ROOT


@dataclass(frozen=True, slots=True)
class Start:
    """What the section "Start" says to type.

    Attributes:
        install: Gets uv.
        demo: Runs the demo.
        test: Runs the tests.
        packages: What Debian needs before, typed by somebody who may install packages.
        browser: What an account that may not install packages needs on a machine without a browser.
    """

    install: str
    demo: str
    test: str
    packages: str
    browser: str


def start() -> Start:
    """Read them."""
    text = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8").partition("## Start\n")[2]
    block = re.search(r"```bash\n(.*?)```", text, re.DOTALL)
    assert block
    install, demo, test = (re.split(r"\s{2,}#", line)[0] for line in block[1].strip().splitlines())
    packages, browser = re.findall(r"`(sudo apt-get install [^`]+)`", text)[:2]
    return Start(install, demo, test, packages, browser)
