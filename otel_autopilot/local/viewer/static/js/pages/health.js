// What became of the telemetry: everything that was produced is somewhere.

import { get } from "../api.js";
import { h, fill } from "../dom.js";
import { age, bytes, count, counted, percent, timeElement } from "../format.js";
import { icon } from "../icons.js";
import { live } from "../live.js";
import { asking, problemNote, waiting } from "../states.js";
import { line } from "../text.js";

const SIGNALS = ["spans", "metrics", "logs"];

/** @param {import("../router.js").Context} context @returns {import("../router.js").Page} */
export function create({ signal }) {
  const next = asking(signal);
  const body = h("div", { class: "stack fades" });
  const element = h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Telemetry health"), h("p", { class: "muted" }, "Produced = exported + waiting + dropped, for every process and signal.")), body);

  async function load(quietly = false) {
    try {
      const ask = () => get("health", {}, next());
      draw(await (quietly ? ask() : waiting(element, ask)));
    } catch (error) {
      if (error.name !== "AbortError" && !quietly) fill(body, problemNote(error, () => load()));
    }
  }

  function draw({ processes, receiver, services, store }) {
    const lost = processes.reduce((sum, one) => sum + SIGNALS.reduce((all, name) => all + dropped(one.signals[name]), 0), 0);
    const waits = processes.reduce((sum, one) => sum + SIGNALS.reduce((all, name) => all + (one.signals[name]?.waiting ?? 0), 0), 0);
    fill(body,
      h("dl", { class: "tiles" }, tile("Dropped", count(lost), lost > 0), tile("Waiting", count(waits)), tile("Processes", count(processes.length)), tile("Spans stored", count(store.spans)), tile("Traces", count(store.traces)), tile("Logs", count(store.logs)), tile("Metric points", count(store.points))),
      h("div", { class: "grid-cards" },
        processes.map(processCard),
        processes.length === 0 && h("section", { class: "card" }, h("header", null, h("h2", null, "Processes")), h("p", { class: "inside muted" }, "No process has said what it produced. Those that call configure() do.")),
        receiverCard(receiver), storeCard(store), servicesCard(services)));
  }

  const tile = (name, value, bad = false) => h("div", { class: "tile" }, h("dt", null, name), h("dd", { class: bad ? "bad" : "" }, value));

  function processCard(one) {
    const source = { "this process": "this viewer's own", "left behind": "left behind by a process that ended", reported: "as it reported" }[one.source] ?? one.source;
    return h("section", { class: "card" },
      h("header", null, h("h2", { class: "one-line" }, line(one.service, 60)), h("span", { class: "muted" }, [one.pid && `pid ${one.pid}`, one.instance && line(one.instance, 8)].filter(Boolean).join(" · "))),
      h("div", { class: "inside" }, h("p", { class: "muted" }, line(source, 60), one.written_unix_nano ? [", ", timeElement(one.written_unix_nano, { relative: true })] : ", now"),
        SIGNALS.filter((name) => one.signals[name]).map((name) => flow(name, one.signals[name])),
        (one.warnings ?? []).map((text) => h("p", { class: "note warn" }, icon("alert"), h("span", null, line(text, 400))))));
  }

  function flow(name, { produced, exported, waiting: waits, dropped: reasons }) {
    const lost = dropped({ dropped: reasons });
    const known = exported + waits + lost;
    const fits = known === produced;
    return h("div", { class: "flow" },
      h("div", { class: "flow-head" }, h("strong", null, name), h("span", { class: "number" }, `${count(produced)} produced`), h("span", { class: "number muted" }, `${count(exported)} exported`), waits > 0 && h("span", { class: "outcome warn number" }, `${count(waits)} waiting`),
        lost > 0 && h("span", { class: "outcome failed number" }, `${count(lost)} dropped`), produced > 0 && h("span", { class: fits ? "outcome success" : "outcome failed" }, icon(fits ? "check" : "alert"), fits ? "adds up" : `${counted(Math.abs(produced - known), "is", "are")} unaccounted for`)),
      h("div", { class: "flow-bar", "aria-hidden": "true" }, h("i", { class: "exported", style: { "flex-grow": String(exported) } }), h("i", { class: "waits", style: { "flex-grow": String(waits) } }), lost > 0 && h("i", { class: "dropped", style: { "flex-grow": String(lost) } })),
      Object.entries(reasons ?? {}).filter(([, number]) => number > 0).map(([reason, number]) => h("p", { class: "muted" }, `${count(number)} dropped: ${line(reason, 100)}`)));
  }

  function receiverCard(receiver) {
    const at = live.state?.receiver;
    const shown = receiver ? SIGNALS.filter((name) => receiver.signals[name]) : [];
    return h("section", { class: "card" }, h("header", null, h("h2", null, "Receiver"), at && h("span", { class: "muted mono" }, `${at.grpc} · ${at.http}`)),
      receiver ? h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Receiver" }, h("table", { class: "plain" }, h("thead", null, h("tr", null, ["Signal", "Accepted", "Rejected", "Requests", "Refused", "Bytes"].map((name, i) => h("th", { scope: "col", class: i ? "num" : "" }, name)))),
        h("tbody", null, shown.map((name) => {
          const one = receiver.signals[name];
          const [rejected, refused] = [one.rejected, one.refused].map((reasons) => dropped({ dropped: reasons }));
          const told = (reasons, number) => h("td", { class: "num", title: Object.entries(reasons).map(([why, many]) => `${count(many)} ${why}`).join("\n") }, number ? h("span", { class: "outcome failed" }, count(number)) : "0");
          return h("tr", null, h("th", { scope: "row" }, name), h("td", { class: "num" }, count(one.accepted)), told(one.rejected, rejected), h("td", { class: "num" }, count(one.requests)), told(one.refused, refused), h("td", { class: "num" }, bytes(one.bytes)));
        })))) : h("p", { class: "inside muted" }, "No receiver runs beside this viewer: it shows what processes on this machine stored themselves."),
      shown.flatMap((name) => Object.entries(receiver.signals[name].rejected).filter(([, number]) => number > 0).map(([why, number]) => h("p", { class: "inside muted" }, `${count(number)} ${name} rejected: ${line(why, 100)}`))),
      shown.flatMap((name) => Object.entries(receiver.signals[name].refused).filter(([, number]) => number > 0).map(([why, number]) => h("p", { class: "inside muted" }, `${counted(number, "request")} with ${name} refused: ${line(why, 100)}`))));
  }

  function storeCard(store) {
    const share = store.retention_bytes ? store.bytes / store.retention_bytes : null;
    return h("section", { class: "card" }, h("header", null, h("h2", null, "Store"), h("strong", { class: "number" }, bytes(store.bytes))),
      h("div", { class: "inside" }, share !== null && [h("div", { class: "use", role: "img", "aria-label": `${percent(share)} of what it may take`, style: { "--share": `${Math.min(100, 100 * share).toFixed(2)}%` } }), h("p", { class: "muted" }, `${percent(share)} of the ${bytes(store.retention_bytes)} it may take; above that the oldest traces are erased.`)],
        h("dl", { class: "facts" }, h("dt", null, "File"), h("dd", { class: "mono" }, line(store.path, 200)), store.oldest_unix_nano && [h("dt", null, "Oldest"), h("dd", null, timeElement(store.oldest_unix_nano, { relative: true }))], h("dt", null, "Kept for"), h("dd", null, store.retention_days ? counted(store.retention_days, "day") : "as long as there is room"))));
  }

  function servicesCard(services) {
    return services.length > 0 && h("section", { class: "card" }, h("header", null, h("h2", null, "Who sent spans")), h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Services" }, h("table", { class: "plain" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Service"), h("th", { scope: "col", class: "num" }, "Spans"), h("th", { scope: "col", class: "num" }, "Last"))),
      h("tbody", null, services.map((one) => h("tr", null, h("td", null, h("a", { href: `/view/traces?service=${encodeURIComponent(one.service)}` }, line(one.service, 60))), h("td", { class: "num" }, count(one.spans)), h("td", { class: "num" }, age(one.last_unix_nano))))))));
  }

  live.subscribe((event) => event === "changed" && load(true), signal);
  load();
  return { element };
}

const dropped = (signal) => Object.values(signal?.dropped ?? {}).reduce((sum, number) => sum + number, 0);
