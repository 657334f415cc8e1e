"""How a process emits: providers, stages, propagation, redaction, accounting, logs and runtime metrics."""
