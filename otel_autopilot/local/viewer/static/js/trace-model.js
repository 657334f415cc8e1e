// A trace as the page works with it: who is below whom, what is on the critical path, which rows are shown.

/**
 * @typedef {{type: "span" | "event" | "log", i: number, note?: any, key: string}} Row
 * @typedef {ReturnType<typeof modelOf>} Model
 */

/** @param {any} answer of `traces/{id}`; spans come depth first */
export function modelOf(answer) {
  const { spans } = answer;
  const index = new Map(spans.map((span, i) => [span.span_id, i]));
  const end = new Int32Array(spans.length);
  const parent = new Int32Array(spans.length).fill(-1);
  const kids = spans.map(() => /** @type {number[]} */ ([]));
  const open = [];
  spans.forEach((span, i) => {
    while (open.length && spans[open.at(-1)].depth >= span.depth) end[open.pop()] = i;
    if (open.length) {
      parent[i] = open.at(-1);
      kids[parent[i]].push(i);
    }
    open.push(i);
  });
  while (open.length) end[open.pop()] = spans.length;

  const critical = group(answer.critical_path ?? [], (piece) => piece.span_id);
  const logs = group(answer.logs ?? [], (log) => (index.has(log.span_id) ? log.span_id : ""));
  const errors = spans.flatMap((span, i) => (span.error ? [i] : []));
  // What failed first and deepest says why; those above only pass it on.
  const causes = errors.filter((i) => !hasErrorBelow(i));
  function hasErrorBelow(i) {
    for (let at = i + 1; at < end[i]; at++) if (spans[at].error) return true;
    return false;
  }
  return { ...answer, length: Math.max(1, answer.duration_ns), index, end, parent, kids, critical, logsOf: logs, errors, causes };
}

function group(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
}

/**
 * The rows to show.
 * @param {Model} model
 * @param {{collapsed: Set<string>, notes: boolean, criticalOnly: boolean}} how
 * @returns {Row[]}
 */
export function rowsOf(model, { collapsed, notes, criticalOnly }) {
  const { spans, end, critical, logsOf } = model;
  const wanted = criticalOnly ? withAncestors(model, (i) => critical.has(spans[i].span_id)) : null;
  const rows = [];
  for (let i = 0; i < spans.length; ) {
    if (wanted && !wanted[i]) {
      i = end[i];
      continue;
    }
    const span = spans[i];
    rows.push({ type: "span", i, key: span.span_id });
    if (notes) {
      const below = [
        ...span.events.map((event, place) => ({ type: "event", i, note: event, key: `${span.span_id}e${place}` })),
        ...(logsOf.get(span.span_id) ?? []).map((log, place) => ({ type: "log", i, note: log, key: `${span.span_id}l${place}` })),
      ];
      rows.push(...below.sort((a, b) => a.note.time_ns - b.note.time_ns));
    }
    i = collapsed.has(span.span_id) ? end[i] : i + 1;
  }
  return rows;
}

function withAncestors(model, wanted) {
  const keep = new Uint8Array(model.spans.length);
  model.spans.forEach((_, i) => {
    if (!wanted(i)) return;
    for (let at = i; at >= 0 && !keep[at]; at = model.parent[at]) keep[at] = 1;
  });
  return keep;
}

/** The pieces of a span in which none of its children ran. @returns {[number, number][]} nanoseconds from the trace's start */
export function selfPieces(model, i) {
  const span = model.spans[i];
  const finish = span.start_ns + span.duration_ns;
  const pieces = [];
  let reached = span.start_ns;
  for (const kid of [...model.kids[i]].sort((a, b) => model.spans[a].start_ns - model.spans[b].start_ns)) {
    const child = model.spans[kid];
    if (child.start_ns > reached) pieces.push([reached, Math.min(child.start_ns, finish)]);
    reached = Math.max(reached, Math.min(finish, child.start_ns + child.duration_ns));
    if (reached >= finish) break;
  }
  if (reached < finish) pieces.push([reached, finish]);
  return pieces;
}

/**
 * The pieces of a span's own time, told apart: those in which a child waited in its queue, and the others.
 * @returns {{waiting: [number, number][], own: [number, number][]}} nanoseconds from the trace's start
 */
export function ownTime(model, i) {
  const waits = model.kids[i].map((kid) => model.spans[kid]).filter((span) => span.wait_ns > 0).map((span) => [span.start_ns - span.wait_ns, span.start_ns]).sort(([a], [b]) => a - b);
  const waiting = [];
  const own = [];
  let first = 0;
  for (const [from, to] of selfPieces(model, i)) {
    let reached = from;
    while (first < waits.length && waits[first][1] <= from) first += 1;
    for (let at = first; at < waits.length && waits[at][0] < to; at++) {
      const [begin, end] = [Math.max(reached, waits[at][0]), Math.min(to, waits[at][1])];
      if (end <= begin) continue;
      if (begin > reached) own.push([reached, begin]);
      waiting.push([begin, end]);
      reached = end;
    }
    if (reached < to) own.push([reached, to]);
  }
  return { waiting, own };
}

/** Nanoseconds of a span's own time in which a child waited in its queue. */
export function waitBelow(model, i) {
  return ownTime(model, i).waiting.reduce((sum, [from, to]) => sum + to - from, 0);
}

/** Spans in which all the words stand: name, service, stage, status, facts, events, logs. @returns {number[]} */
export function search(model, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return model.spans.flatMap((span, i) => {
    const all = [span.name, span.service, span.stage, span.status_message, span.facts, span.kind, ...span.events.map((event) => event.name), ...(model.logsOf.get(span.span_id) ?? []).map((log) => log.body)].join("\n").toLowerCase();
    // Short words would stand in many ids by chance.
    return words.every((word) => all.includes(word) || (word.length >= 8 && span.span_id.startsWith(word))) ? [i] : [];
  });
}

/** Nanoseconds of the critical path that a span holds itself. */
export function criticalTime(model, i) {
  return (model.critical.get(model.spans[i].span_id) ?? []).reduce((sum, piece) => sum + piece.to_ns - piece.from_ns, 0);
}
