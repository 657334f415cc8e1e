"""The linter has nothing to say of the configurations in collector/: bases, overlays on their bases, whatever variables choose."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_autopilot.collector.check import check

COLLECTOR = Path(__file__).parents[2] / "collector"
OVERLAYS = sorted((COLLECTOR / "overlays").glob("*.yaml"))
#: Whole configurations; the folder also has those of Prometheus, of the builder and of Compose.
BASES = sorted(path for path in COLLECTOR.glob("*.yaml") if re.search(r"^service:", path.read_text("utf-8"), re.MULTILINE))
#: `${file:${env:FOLDER:-.}/fragments/resolver/${env:NAME:-dns}_by_service.yaml}`: a variable that chooses a file.
CHOICE = re.compile(r"\$\{file:\$\{env:\w+:-\.\}/(?P<before>[^${}]*)\$\{env:(?P<name>\w+):-\w+\}(?P<after>[^${}]*)\}")


def bases_of(overlay: Path) -> list[Path]:
    """The bases that the first paragraph of an overlay's comment names: `Base: local.yaml or agent.yaml.`"""
    paragraph = overlay.read_text("utf-8").partition("\n#\n")[0].replace("\n# ", " ")
    match = re.search(r"Base: ([\w-]+\.yaml(?:(?:,| or) [\w-]+\.yaml)*)\.(?: |$)", paragraph)
    return [COLLECTOR / name for name in re.findall(r"[\w-]+\.yaml", match[1])] if match else []


def choices() -> dict[str, list[str]]:
    """The variables that choose files, each with the values for which every such file is there."""
    found: dict[str, set[str]] = {}
    for path in COLLECTOR.rglob("*.yaml"):
        for match in CHOICE.finditer(path.read_text("utf-8")):
            folder, before, after = match["before"].rpartition("/")[0], match["before"].rpartition("/")[2], match["after"]
            file = re.compile(re.escape(before) + r"(\w+)" + re.escape(after))
            here = [each.relative_to(COLLECTOR / folder).as_posix() for each in (COLLECTOR / folder).rglob("*.yaml")]
            values = {value[1] for each in here if (value := file.fullmatch(each))}
            found[match["name"]] = found.get(match["name"], values) & values
    return {name: sorted(values) for name, values in found.items()}


def combinations() -> Iterator[tuple[tuple[Path, ...], dict[str, str]]]:
    """Each base and each overlay on each of its bases, with all that the variables in them may choose."""
    chosen_by = choices()
    for files in [*((base,) for base in BASES), *((base, overlay) for overlay in OVERLAYS for base in bases_of(overlay))]:
        text = "".join(file.read_text("utf-8") for file in files)
        asked = {name: values for name, values in chosen_by.items() if f"env:{name}:" in text}
        for chosen in itertools.product(*asked.values()):
            yield files, dict(zip(asked, chosen, strict=True))


def test_the_bases_and_what_variables_choose_are_found() -> None:
    assert {path.stem for path in BASES} >= {"local", "agent", "gateway", "jaeger"}
    assert {name: set(values) for name, values in choices().items()} == {
        "OTELCOL_PLATFORM": {"host", "kubernetes"},
        "OTELCOL_RESOLVER": {"dns", "static"},
        "OTELCOL_OWN_LOGS": {"otlp", "stderr"},
        "KAFKA_SECURITY": {"none", "scram"},
        "JAEGER_STORAGE": {"badger", "cassandra", "clickhouse", "elasticsearch", "opensearch"},
    }


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_an_overlay_names_the_bases_that_it_is_laid_over(overlay: Path) -> None:
    assert bases_of(overlay), f"expected `Base: NAME.yaml.` in the first paragraph of {overlay.name}'s comment"
    assert set(bases_of(overlay)) <= set(BASES)


@pytest.mark.parametrize(
    ("files", "variables"),
    [
        pytest.param(files, variables, id="-".join([*(file.stem for file in files), *variables.values()]))
        for files, variables in combinations()
    ],
)
def test_the_linter_finds_nothing(files: tuple[Path, ...], variables: dict[str, str]) -> None:
    assert [str(finding) for finding in check([str(file) for file in files], variables=variables)] == []
