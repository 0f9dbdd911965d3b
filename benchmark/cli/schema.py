"""`schema`: the JSON Schema of experiment files, for editors."""

import json
from pathlib import Path

import click

from benchmark.cli.options import plugin_option


@click.command("schema")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it here instead of printing it.")
@plugin_option
def command(out: Path | None, plugins: tuple[Path, ...]) -> None:
    """Print the JSON Schema of experiment files: editors complete settings and mark mistakes with it.

    An experiment file names it in its first line: # yaml-language-server: $schema=schema.json

    \b
    Examples:
      python -m benchmark schema --out experiments/schema.json
      python -m benchmark schema --plugin my_net.py --out schema.json
    """
    from benchmark.experiment.json_schema import experiment_schema
    from benchmark.files import write_json
    from benchmark.registry import Registry

    schema = experiment_schema(Registry(plugins))
    if out:
        write_json(out, schema)
    else:
        click.echo(json.dumps(schema, indent=1, ensure_ascii=False))
