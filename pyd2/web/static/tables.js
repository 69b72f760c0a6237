// The views of the configuration: DNS servers and zones, with what was counted of them.

import { link, make, replace, search, table } from "./dom.js";
import { get } from "./api.js";
import { count, duration, milliseconds, time } from "./format.js";

const AGAIN_SECONDS = 5;

const listed = (counts) => Object.entries(counts).map(([name, value]) => `${name} ${count(value)}`).join(", ") || "-";
const STATES = { up: ["up", "good"], silent: ["does not answer", "warn"], down: ["down", "bad"] };

const OF_SERVERS = [
  { title: "Server", show: (server) => link("failures", { server: server.text }, server.name) },
  { title: "State", show: (server) => {
    const [word, kind] = STATES[server.state];
    const since = server.down_for === null ? "" : ` for ${duration(server.down_for)}`;
    return make("span", { class: kind }, `${word}${since}`);
  } },
  { title: "In flight", kind: "number", show: (server) => `${count(server.in_flight)} of ${count(server.window)}` },
  { title: "Waiting", kind: "number", show: (server) => count(server.waiting) },
  { title: "p50 / p95", kind: "number", show: (server) => `${milliseconds(server.p50_ms)} / ${milliseconds(server.p95_ms)}` },
  { title: "Replies", show: (server) => listed({ ...server.rcodes, ...server.bad }) },
  { title: "Timeouts", kind: "number", show: (server) => count(server.timeouts) },
  { title: "Key", show: key },
  { title: "Transport", show: (server) => server.transport },
  { title: "Batches", only: (server) => server.batches !== null, show: (server) => (server.batches === null ? "off"
    : `${count(server.batches.sent)} with ${count(server.batches.updates)} updates`) },
];

function key({ keys, gss }) {
  if (gss === null) return keys.join(", ") || "none";
  if (!gss.expires) return make("span", { class: "bad" }, "GSS-TSIG, no usable key");
  return `GSS-TSIG until ${time(gss.expires)}`;
}

const OF_ZONES = [
  { title: "Zone", kind: "long", show: (zone) => zone.name },
  { title: "Direction", show: (zone) => zone.direction },
  { title: "Done", kind: "number", show: (zone) => count(zone.done) },
  { title: "Failed", kind: "number", show: (zone) => count(zone.failed + zone.expired) },
  { title: "Last failure", show: (zone) => (zone.last_failure === null ? "-"
    : link("failures", { zone: zone.name }, `${time(zone.last_failure.at)} ${zone.last_failure.fault}`)) },
  { title: "DNS servers", show: (zone) => zone.servers.join(", ") },
];

export const servers = {
  title: "Servers",
  begin: (page) => pages(page, "servers", {}, "DNS servers, since the page or metrics are on", OF_SERVERS),
};

export const zones = {
  title: "Zones",
  begin(page, given) {
    page.main.append(search({ q: "Part of the name" }, given, (fields) => page.go("zones", fields)));
    return pages(page, "zones", { q: given.q ?? "" }, "Zones of the configuration, and what became of their requests", OF_ZONES);
  },
};

// Shows a page with buttons for others, and asks again every few seconds while it is shown.
async function pages(page, name, given, caption, columns) {
  const shown = make("div", {});
  page.main.append(shown);
  let offset = 0;
  async function show() {
    const answer = await get(name, { ...given, offset });
    const first = answer.total ? offset + 1 : 0;
    const text = `${caption}: ${count(first)} to ${count(offset + answer[name].length)} of ${count(answer.total)}`;
    const turn = (to, label) => make("button", { id: `${name}-${label}`, disabled: to === null, onclick: () => {
      offset = to;
      page.guard(show());
    } }, label);
    const before = offset ? Math.max(0, offset - 50) : null;
    // Columns that say something of few servers are there if it is so of one of them.
    const wanted = columns.filter((column) => !column.only || answer[name].some(column.only));
    replace(shown, table(text, wanted, answer[name]),
      ...(answer.next === null && !offset ? [] : [turn(before, "Back"), " ", turn(answer.next, "More")]));
  }
  await show();
  page.every(AGAIN_SECONDS, show);
}
