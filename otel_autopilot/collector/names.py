"""What the Collector's components are called in 0.158.0, and what kind of thing each is.

The names come from `type` and `deprecated_type` in the components' metadata.yaml of that version, or, for those that our
builds don't hold, from the renaming that was merged before it (opentelemetry-collector-contrib issue 45339).
"""

from __future__ import annotations

#: Old names that still work, by kind of component.
ALIASES: dict[str, dict[str, str]] = {
    "receivers": {
        "cloudfoundry": "cloud_foundry",
        "envoyals": "envoy_als",
        "filelog": "file_log",
        "flinkmetrics": "flink_metrics",
        "fluentforward": "fluent_forward",
        "hostmetrics": "host_metrics",
        "k8sobjects": "k8s_objects",
        "kafkametrics": "kafka_metrics",
        "kubeletstats": "kubelet_stats",
        "namedpipe": "named_pipe",
        "tcpcheck": "tcp_check",
        "tcplog": "tcp_log",
        "udplog": "udp_log",
        "webhookevent": "webhook_event",
    },
    "processors": {
        "cumulativetodelta": "cumulative_to_delta",
        "deltatocumulative": "delta_to_cumulative",
        "k8sattributes": "k8s_attributes",
        "metricstransform": "metrics_transform",
        "resourcedetection": "resource_detection",
    },
    "exporters": {
        "loadbalancing": "load_balancing",
        "otlp": "otlp_grpc",
        "otlphttp": "otlp_http",
        "prometheusremotewrite": "prometheus_remote_write",
    },
    "connectors": {
        "metricsaslogs": "metrics_as_logs",
        "servicegraph": "service_graph",
        "spanmetrics": "span_metrics",
    },
    "extensions": {},
}

#: Components that were taken out, and what to use instead.
REMOVED: dict[str, dict[str, str]] = {
    "receivers": {"opencensus": "the otlp receiver"},
    "processors": {
        "k8s_tagger": "k8s_attributes",
        "queued_retry": "the exporter's sending_queue and retry_on_failure",
        "routing": "the routing connector",
        "servicegraph": "the service_graph connector",
        "service_graph": "the service_graph connector",
        "spanmetrics": "the span_metrics connector",
        "span_metrics": "the span_metrics connector",
    },
    "exporters": {
        "jaeger": "otlp_grpc, as Jaeger takes OTLP",
        "jaeger_thrift": "otlp_http, as Jaeger takes OTLP",
        "logging": "debug",
        "loki": "otlp_http, as Loki takes OTLP",
        "opencensus": "otlp_grpc",
    },
    "connectors": {},
    "extensions": {"ballast": "GOMEMLIMIT", "memory_ballast": "GOMEMLIMIT"},
}

#: Receivers into which others push, at a pace that the Collector doesn't set.
NETWORK_RECEIVERS = frozenset(
    "aws_firehose awsfirehose aws_xray awsxray carbon collectd datadog fluent_forward influxdb jaeger kafka loki otlp otelarrow "
    "prometheus_remote_write prometheusremotewrite sapm signalfx skywalking splunk_hec statsd syslog tcp_log udp_log "
    "webhook_event zipkin".split()
)
#: Exporters that send to another machine through exporterhelper's queue, which is on unless it is switched off.
QUEUED_EXPORTERS = frozenset("otlp_grpc otlp_http kafka zipkin".split())
#: Exporters that send nothing over a network.
LOCAL_EXPORTERS = frozenset("debug file nop prometheus".split())
#: Exporters of contrib and Jaeger that have no queue, or one that is off unless it is set, or of which we can't tell; without underscores.
UNQUEUED_EXPORTERS = frozenset(
    "alibabacloudlogservice awsemf awss3 awsxray azureblob azuredataexplorer cassandra googlecloudstorage jaegerstorageexporter rabbitmq "
    "sentry tencentcloudlogservice".split()
)
#: Processors that keep some spans and drop the rest.
SAMPLERS = frozenset({"tail_sampling", "probabilistic_sampler"})
#: Connectors that count spans.
COUNTING_CONNECTORS = frozenset({"span_metrics", "service_graph"})
#: Extensions and exporters that listen.
LISTENING_EXPORTERS = frozenset({"prometheus"})


def canonical(kind: str, type_: str) -> str:
    """The present name of a component's type."""
    return ALIASES.get(kind, {}).get(type_, type_)


def queues_by_default(exporter: str) -> bool:
    """Whether an exporter of this type is taken to queue in memory when `sending_queue` isn't set.

    Those of contrib do through exporterhelper, with few exceptions; so most likely does one that isn't known here.
    """
    return (
        exporter not in LOCAL_EXPORTERS | {"load_balancing", "prometheus_remote_write", *REMOVED["exporters"]}
        and exporter.replace("_", "") not in UNQUEUED_EXPORTERS
    )
