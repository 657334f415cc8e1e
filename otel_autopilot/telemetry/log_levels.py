"""Which level is written of which module."""

from __future__ import annotations

from dataclasses import dataclass, field

from loguru import logger

from otel_autopilot.errors import SettingsError


@dataclass(frozen=True)
class Levels:
    """The lowest level that is written: one for everything, and others for modules and what lies below them."""

    default: int
    modules: dict[str, int] = field(default_factory=dict)

    @property
    def lowest(self) -> int:
        """The lowest of all."""
        return min([self.default, *self.modules.values()])

    def of(self, module: str) -> int:
        """The level of a module: its own, else that of the nearest package above it, else the default."""
        while module:
            if module in self.modules:
                return self.modules[module]
            module = module.rpartition(".")[0]
        return self.default


def parse_levels(text: str) -> Levels:
    """Read ``INFO,otel_autopilot.local=DEBUG``: a level for everything (default INFO) and ``module=LEVEL`` pairs, in any order.

    Levels are loguru's names in upper or lower case, or numbers. Raises SettingsError for anything else.
    """
    default = _level("INFO")
    modules = {}
    for item in filter(None, (piece.strip() for piece in text.split(","))):
        module, equals, name = item.rpartition("=")
        if equals and not module.strip():
            raise SettingsError(f"AUTOPILOT_LOG_LEVEL: expected LEVEL or module=LEVEL, got {item!r}")
        if equals:
            modules[module.strip()] = _level(name.strip())
        else:
            default = _level(name)
    return Levels(default, modules)


def _level(name: str) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return logger.level(name.upper()).no
    except ValueError:
        raise SettingsError(
            f"AUTOPILOT_LOG_LEVEL: expected TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL or a number, got {name!r}"
        ) from None
