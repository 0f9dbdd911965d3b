"""`schema`: the JSON Schema of experiment files, for editors."""

import json
from pathlib import Path

import click


@click.command("schema")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead of printing it.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
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
