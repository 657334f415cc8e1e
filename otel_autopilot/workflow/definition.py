"""What a workflow is: steps in order, each done by an agent. The built-in one is the four stages.

The text of the definition is kept with each run, so that a run goes on as it began whatever the files say later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import yaml

from otel_autopilot.errors import SettingsError

#: The built-in workflow, in the file format of workflows.
EMAIL_DIGEST = """\
workflow:
  name: email-digest
  description: One email to one digest, delivered.
  version: 1.0.0
steps:
  - {id: email, agent: email_agent}
  - {id: ingestion, agent: ingestion_agent, input_from: email}
  - {id: digest, agent: digest_agent, input_from: ingestion}
  - {id: delivery, agent: delivery_agent, input_from: digest}
"""


@dataclass(frozen=True)
class Step:
    """One step: its id (the name of its span) and the agent that does it."""

    id: str
    agent: str


@dataclass(frozen=True)
class Workflow:
    """A named list of steps and the text that it was read from."""

    name: str
    version: str
    steps: tuple[Step, ...]
    text: str


@lru_cache(maxsize=64)
def read_workflow(text: str) -> Workflow:
    """Read the text of a workflow; raises SettingsError naming what was expected."""
    try:
        content = yaml.safe_load(text)
        head, steps = content["workflow"], content["steps"]
        return Workflow(head["name"], str(head["version"]), tuple(Step(step["id"], step["agent"]) for step in steps), text)
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise SettingsError(f"workflow: expected workflow.name, workflow.version and steps with id and agent: {error}") from error


def built_in(name: str) -> Workflow | None:
    """The built-in workflow of that name, or None."""
    workflow = read_workflow(EMAIL_DIGEST)
    return workflow if name == workflow.name else None
