"""The rules, by name."""

from __future__ import annotations

from otel_autopilot.collector.findings import Rule, rule_name
from otel_autopilot.collector.rules import (
    listening,
    loss,
    memory,
    names,
    order,
    privacy,
    queues,
    sampling,
    secrets,
    series,
    transforms,
    wiring,
)

_ALL: tuple[Rule, ...] = (
    memory.memory_limiter_missing,
    memory.memory_limiter_first,
    memory.memory_limiter_unusable,
    order.processor_order,
    order.batch_processor,
    names.deprecated_name,
    names.removed_component,
    names.telemetry_address_gone,
    names.telemetry_metric_names,
    listening.bind_all,
    listening.insecure_tls,
    listening.insecure_transport,
    secrets.plain_text_secret,
    secrets.missing_file,
    queues.queue_without_storage,
    queues.queue_disabled,
    queues.queue_not_blocking,
    queues.retry_gives_up,
    sampling.sampling_before_span_metrics,
    sampling.exemplars_of_unsampled_traces,
    sampling.unknown_policy,
    sampling.policy_names,
    sampling.policy_settings_missing,
    sampling.tail_sampling_keeps_all,
    series.unbounded_series,
    series.unbounded_dimension,
    series.span_metrics_unit,
    loss.accepted_before_stored,
    loss.lost_component,
    loss.verbatim_include,
    wiring.undefined_component,
    wiring.unused_component,
    wiring.one_sided_connector,
    privacy.redaction_fails_open,
    privacy.redaction_does_nothing,
    transforms.transform_mixed_contexts,
    privacy.detailed_debug,
)

#: Every rule by its name.
RULES: dict[str, Rule] = {rule_name(rule): rule for rule in _ALL}
