"""The terminal's rim: commands read options, call what bootstrap built, and report. They decide nothing.

One module per noun; `app` lists them and imports only the one that is called.
"""

from cogo_dagster.cli.app import main

__all__ = ["main"]
