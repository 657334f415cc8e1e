// An empty store: how to get a first trace.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { copy } from "./say.js";
import { emptyNote } from "./states.js";

/** Three ways to a first trace. @param {boolean} emails whether the list is that of emails */
export function firstTrace(emails) {
  if (emails && live.state?.traces > 0) {
    return emptyNote("No email yet", h("p", null, "There are traces, but none of them is an email's."), h("p", null, h("a", { class: "button", href: "/view/traces" }, "All traces")));
  }
  const receiver = live.state?.receiver;
  const address = receiver?.http ?? "127.0.0.1:4318";
  return emptyNote("Nothing stored yet", h("p", null, "This page shows a trace as soon as one arrives; there is no need to load it again."),
    h("div", { class: "ways" },
      way("Send one email through the pipeline", "A real mail, from the gateway to the digest, in about a second.", "otel-autopilot demo"),
      way("Run the pipeline", "Takes mail on port 2525 and over HTTP on 8025.", "otel-autopilot serve"),
      way("Point any OpenTelemetry SDK here", receiver ? "OTLP over HTTP and gRPC, from any language." : "The receiver is not running: start it with otel-autopilot view.",
        `export OTEL_EXPORTER_OTLP_ENDPOINT=http://${address}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`)));
}

function way(title, what, command) {
  return h("div", { class: "way" }, h("div", null, h("h3", null, title), h("p", { class: "muted" }, what), h("pre", null, command)),
    h("button", { type: "button", class: "button", on: { click: () => copy(command) } }, icon("copy"), "Copy"));
}
