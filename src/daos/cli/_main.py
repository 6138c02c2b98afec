"""The entry point of `daos`."""

from __future__ import annotations

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Store and fetch objects."""


@main.command()
def version() -> None:
    """Print the version of the tool and its core."""
    from daos import build_info

    click.echo(f"daos version {build_info().version}")
