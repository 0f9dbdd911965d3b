"""From a YAML file to a plan: what is to be run, with every number that changes a result.

`load` reads and checks a file (document, schema, resolve); `make_plan` lays out rows x seeds as chains of
stages with keys (plan). Nothing here trains or reads images.
"""
