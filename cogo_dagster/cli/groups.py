"""What all groups of commands have in common."""

import typer


def group(summary: str, *, epilog: str | None = None) -> typer.Typer:
    """Make a group of commands; called without one, it prints its help."""
    return typer.Typer(
        help=summary,
        epilog=epilog,
        callback=_help_when_nothing_is_called,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )


def _help_when_nothing_is_called(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
