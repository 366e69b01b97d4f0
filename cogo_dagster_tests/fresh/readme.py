"""The commands of the README, extracted unchanged."""

import re
from dataclasses import dataclass

from cogo_dagster.settings import PROJECT_ROOT


@dataclass(frozen=True, slots=True)
class Start:
    """The commands of the section "Start".

    Attributes:
        install: Installs uv.
        demo: Runs the demo.
        test: Runs the tests.
        packages: Installs the required Debian packages, as an account that may.
        browser: Installs a browser for an account that must not install packages.
    """

    install: str
    demo: str
    test: str
    packages: str
    browser: str


def start() -> Start:
    """Return the commands."""
    text = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8").partition("## Start\n")[2]
    block = re.search(r"```bash\n(.*?)```", text, re.DOTALL)
    assert block
    install, demo, test = (re.split(r"\s{2,}#", line)[0] for line in block[1].strip().splitlines())
    packages, browser = re.findall(r"`(sudo apt-get install [^`]+)`", text)[:2]
    return Start(install, demo, test, packages, browser)
