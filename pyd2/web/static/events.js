// The views of the history: hosts, one host, failures. All are tables with a button for the next page.

import { address, link, make, search, table } from "./dom.js";
import { get } from "./api.js";
import { dnsNow } from "./host.js";
import { milliseconds, result, time } from "./format.js";

// Results whose note says what the reason cannot know, such as which records a name has.
const TELLING = new Set(["failed", "expired", "retrying", "unmatched"]);

const when = { title: "Time", show: (event) => time(event.at) };
const host = { title: "Host", kind: "long", show: (event) => link("host", { name: event.name }, event.name) };
const what = { title: "Operation", show: (event) => `${event.operation} ${event.address}` };
const server = { title: "DNS server", show: (event) => event.server || "-" };
const outcome = { title: "Result", show: (event) => {
  const [text, kind] = result(event);
  return make("span", { class: kind }, text);
} };
const took = { title: "Took", kind: "number", show: (event) => milliseconds(event.ms) };
const noted = (event) => (event.note && TELLING.has(event.result) ? make("p", { class: "cause" }, event.note) : null);
const cause = { title: "Why, and mend", show: (event) => (event.why ? [make("p", { class: "cause" }, event.why), noted(event),
  make("p", { class: "cause quiet" }, event.mend)] : "-") };
const changes = { title: "Changes", show: (event) =>
  [["forward", event.forward], ["PTR", event.reverse]].filter(([, state]) => state).map((way) => way.join(" ")).join(", ") || "-" };
const client = { title: "Client", kind: "long", show: (event) => `${event.client}, ${event.mode}` };

export const hosts = {
  title: "Hosts",
  async begin(page, given) {
    page.main.append(search({ q: "Name, address, network or DHCID" }, given, (fields) => page.go("hosts", fields)));
    await pages(page, "hosts", { q: given.q ?? "" }, "hosts", "Hosts, the newest event of each",
      [host, what, outcome, when, server], "No host fits.");
  },
};

export const oneHost = {
  title: "Host",
  async begin(page, given) {
    const name = given.name ?? "";
    page.main.append(make("p", {}, make("strong", {}, name), " ", link("hosts", {}, "All hosts"), " ",
      link("explain", { name }, "What pyd2 would do")));
    if (page.role === "all") page.main.append(dnsNow(page, name));
    await pages(page, `hosts/${encodeURIComponent(name)}`, {}, "events", "What became of its requests, the newest first",
      [when, what, outcome, changes, took, server, cause, client], "The history knows nothing of it.");
  },
};

export const failures = {
  title: "Failures",
  async begin(page, given) {
    const titles = { zone: "Zone", server: "DNS server", fault: "Failure, such as REFUSED" };
    page.main.append(search(titles, given, (fields) => page.go("failures", fields)));
    const fields = Object.fromEntries(Object.keys(titles).map((name) => [name, given[name] ?? ""]));
    await pages(page, "failures", fields, "events", "Requests that did not end well, the newest first",
      [when, host, what, outcome, cause, server, { title: "Zone", kind: "long", show: (event) =>
        (event.zone ? make("a", { href: address("failures", { zone: event.zone }) }, event.zone) : "-") }], "Nothing has failed.");
  },
};

// Shows a page of what `path` has, and a button for the next one.
async function pages(page, path, given, member, caption, columns, none) {
  const shown = make("div", { "aria-live": "polite" });
  page.main.append(shown);
  async function next(before) {
    const answer = await get(path, { ...given, before });
    const entries = answer[member];
    shown.append(entries.length ? table(caption, columns, entries) : make("p", {}, before ? "That was all." : none));
    if (answer.before !== null) {
      const button = make("button", { onclick: () => {
        button.remove();
        page.guard(next(answer.before));
      } }, "More");
      shown.append(button);
    }
  }
  await next();
}
