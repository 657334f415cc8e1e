"""Checks of OpenTelemetry Collector configurations (0.158.0) for what the Collector's own `validate` lets pass.

`reading` turns YAML into nodes that know their lines, `merging` lays one file over another as `--config A --config B` does,
`expansion` resolves variables and includes, `configuration` names components and pipelines, `flow` follows data through them,
and each function in `rules` finds one kind of mistake. `check` puts them together.
"""
