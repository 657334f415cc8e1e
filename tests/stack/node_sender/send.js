// Sends one span with its log record and metrics. node send.js grpc|proto|http ENDPOINT gzip|none; prints the trace id.
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const [protocol, endpoint, compression] = process.argv.slice(2);

async function exporter(signal, name) {
  const exporters = await import(`@opentelemetry/exporter-${signal}-otlp-${protocol}`);
  const path = { trace: "traces", logs: "logs", metrics: "metrics" }[signal];
  return new exporters[name]({ url: protocol === "grpc" ? endpoint : `${endpoint}/v1/${path}`, compression });
}

const resource = resourceFromAttributes({ "service.name": `node-${protocol}` });
const tracers = new TracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor({ exporter: await exporter("trace", "OTLPTraceExporter") })] });
const loggers = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter: await exporter("logs", "OTLPLogExporter") })] });
const reader = new PeriodicExportingMetricReader({ exporter: await exporter("metrics", "OTLPMetricExporter"), exportIntervalMillis: 3600000 });
const meters = new MeterProvider({ resource, readers: [reader] });

const span = tracers.getTracer("lib", "1.0").startSpan("from node", {
  kind: SpanKind.CLIENT,
  attributes: { text: "ann.miller@example.org", whole: 7, real: 0.5, yes: true, list: ["a", "b"], "http.route": "/api/{id}" },
});
span.addEvent("happened", { n: 1 });
span.setStatus({ code: SpanStatusCode.ERROR, message: "broken" });
loggers.getLogger("lib").emit({
  severityNumber: 9, severityText: "INFO", body: "hello to ann.miller@example.org", attributes: { k: "v" }, context: trace.setSpan(ROOT_CONTEXT, span),
});
meters.getMeter("lib").createHistogram("h", { unit: "s" }).record(0.25, { k: "v" });
meters.getMeter("lib").createCounter("c").add(3);
span.end();
for (const provider of [tracers, loggers, meters]) {
  await provider.shutdown();
}
console.log(span.spanContext().traceId);
