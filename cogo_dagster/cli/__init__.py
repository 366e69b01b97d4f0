"""Entry points of the command line: commands read options, call the services that bootstrap builds, and print reports.

There is one module per noun; `app` lists the modules and imports only the one whose command is called.
"""

from cogo_dagster.cli.app import main

__all__ = ["main"]
