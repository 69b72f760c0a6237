// What can be asked about a host beside its history: what the DNS holds of it, and what pyd2 would do.

import { make, search, table } from "./dom.js";
import { get } from "./api.js";
import { count } from "./format.js";

const WHOSE = { same: "this client", other: "another client", "": "-" };

const RECORDS = [
  { title: "Name", kind: "long", show: (record) => record.name },
  { title: "Type", show: (record) => record.type },
  { title: "Data", kind: "long", show: (record) => record.data },
  { title: "TTL", kind: "number", show: (record) => (record.ttl === null ? "-" : count(record.ttl)) },
  { title: "Whose", show: (record) => WHOSE[record.client] },
];

// Returns a button that has the DNS servers asked, and what they say below it.
export function dnsNow(page, name) {
  const shown = make("div", { "aria-live": "polite" });
  const button = make("button", { id: "dns-now", onclick: () => {
    button.disabled = true;
    page.guard(ask().finally(() => {
      button.disabled = false;
    }));
  } }, "Ask the DNS servers");
  async function ask() {
    shown.replaceChildren(make("p", {}, "They are asked, for a few seconds at most."));
    try {
      const answer = await get(`hosts/${encodeURIComponent(name)}`, { dns: 1, limit: 1 });
      shown.replaceChildren(...answer.dns.map(held));
    } catch (error) {
      shown.replaceChildren();
      throw error;
    }
  }
  return make("div", {}, make("p", {}, button), shown);
}

function held(answer) {
  const faults = answer.faults.map((fault) => make("p", { class: "bad" }, fault));
  if (!answer.server) return make("div", {}, faults);
  const rows = answer.answers.flatMap((each) => {
    const text = each.fault ? `not to be trusted: ${each.fault}` : `none (${each.rcode})`;
    const nothing = { name: answer.name, type: each.type, data: text, ttl: null, client: "" };
    return each.records.length && !each.fault ? each.records : [nothing];
  });
  return make("div", {}, faults, table(`${answer.server} says now`, RECORDS, rows));
}

export const explained = {
  title: "What pyd2 would do",
  async begin(page, given) {
    const titles = { name: "Name", address: "Address", mode: "Mode", remove: "Remove: true or false" };
    const fields = { mode: "check-with-dhcid", remove: "false", ...given };
    page.main.append(search(titles, fields, (wanted) => page.go("explain", wanted)));
    if (!given.name || !given.address) return;
    const answer = await get("explain", fields);
    const what = `${answer.operation} ${answer.name} ${answer.address}, ${answer.mode}`;
    page.main.append(make("p", {}, what), make("p", { class: "quiet" }, "Nothing was sent. The DHCID is an example."));
    if (answer.text) page.main.append(make("pre", { class: "bad" }, answer.text));
    if (answer.policy) page.main.append(make("p", {}, answer.policy));
    page.main.append(...answer.directions.map(direction));
    if (answer.hooks) page.main.append(make("p", {}, "Hook libraries may skip a server or choose another key."));
  },
};

function direction(found) {
  const title = make("h2", {}, `${found.direction === "forward" ? "Forward" : "Reverse"}: ${found.name}`);
  const servers = found.servers.map((server) => make("li", {}, `${server.text}, ${server.key || "unsigned"}`));
  return make("section", {}, title, found.domain ? make("p", {}, `In ${found.domain}`) : null,
    found.note ? make("p", { class: "warn" }, found.note) : null,
    servers.length ? make("ol", {}, servers) : null, found.steps.map(step));
}

function step(found) {
  const asks = Object.entries(found.asks).map(([holds, to]) => `if ${holds}: ${to}`);
  const lines = found.zone ? [`zone  ${found.zone}`, ...found.prerequisites.map((line) => `if    ${line}`),
    ...found.updates.map((line) => `then  ${line}`)] : ["asks the server for the DHCIDs of the name", ...asks];
  const leads = Object.entries(found.leads_to).map(([rcode, to]) => `${rcode} leads to ${to}`);
  return make("div", {}, make("h3", {}, found.name),
    make("pre", {}, [...lines, ...leads, ...found.otherwise, ...found.batch].join("\n")));
}
