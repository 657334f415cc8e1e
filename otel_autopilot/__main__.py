"""``python -m otel_autopilot``."""

from otel_autopilot.cli import main

if __name__ == "__main__":
    main()
