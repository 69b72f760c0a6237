// The overview: counts, the last hour, what is wrong, and failures as they come.

import { address, draw, link, make, replace } from "./dom.js";
import { command } from "./api.js";
import { count, duration, time } from "./format.js";

const WIDTH = 600;
const HEIGHT = 100;
const MOST_FAILURES = 20;

export const title = "Overview";

export function begin(page) {
  const parts = ["counts", "chart", "problems", "operations", "live"].map((name) => make("div", { id: name }));
  page.main.append(...parts);
  if (page.status !== null) showStatus(page, page.status);
  showFailures(page);
}

export function onevent(page, name) {
  if (name === "status") showStatus(page, page.status);
  else showFailures(page);
}

function place(id, ...children) {
  const part = document.getElementById(id);
  if (part !== null) replace(part, ...children);
}

function section(id, heading, ...children) {
  return make("section", { "aria-labelledby": `${id}-heading` }, make("h2", { id: `${id}-heading` }, heading), children);
}

function showStatus(page, status) {
  const { requests, queue, retries } = status;
  const shown = { ...requests, "waiting for a retry": retries.waiting };
  if (queue.type === "durable") shown["in the durable queue"] = queue.entries;
  place("counts", section("counts", "Requests", make("dl", { class: "counts" }, Object.entries(shown).map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, count(value)))))),
  make("p", { class: "quiet" }, `Up for ${duration(status.uptime)}; configuration of ${time(status.config.loaded)}; ` +
    `${count(status.zones)} zones, ${count(status.servers)} DNS servers.`),
  ...besides(status).map((text) => make("p", {}, text)));
  place("chart", section("chart", "The last hour", chart(status.minutes)));
  place("problems", section("problems", "Problems", problems(status)));
  if (page.operate && retries.waiting > 0 && document.getElementById("again") === null) place("operations", ...again());
}

// What is there in some configurations only: a queue that several machines share, and policies.
function besides({ site, policies }) {
  const found = [];
  if (site !== null) {
    const late = site.late ? `, ${count(site.late)} of them late` : "";
    const owner = { owner: `this node owns it, and has ${count(site.waiting)} requests to carry out${late}`,
      paused: "this node owns it, but its lease is over", standby: site.owner ? `${site.owner} owns it` : "no owner is known",
    }[site.state] ?? "this machine only receives";
    const oldest = site.unacknowledged ? `, the oldest for ${duration(site.oldest_unacknowledged)}` : "";
    found.push(`Shared queue of ${site.name}, seen by ${site.node}: ${owner}. ${count(site.unacknowledged)} requests wait ` +
      `for its servers on this machine${oldest}. ${site.server ? `Connected to ${site.server}.` : "Not connected."}`);
  }
  if (Object.values(policies).some((value) => value)) {
    found.push(`Policies: ${count(policies.asked)} names asked for, ${count(policies.joined)} joined, ` +
      `${count(policies.adopted)} adopted, ${count(policies.kept)} kept.`);
  }
  return found;
}

function problems(status) {
  if (!status.problems.length) return make("p", { class: "good" }, "No problem is known.");
  const more = status.more_problems ? [make("li", {}, `And ${status.more_problems} more.`)] : [];
  return make("ul", { class: "problems" }, status.problems.map((problem) => make("li", { class: "bad" },
    make("p", {}, problem.text), make("p", {}, problem.mend),
    problem.view === "overview" ? [] : make("p", {}, link(problem.view, {}, `More: ${problem.view}`)))), more);
}

function chart(minutes) {
  if (minutes.length < 2) return make("p", { class: "quiet" }, "The chart begins after two minutes.");
  const most = Math.max(1, ...minutes.map(([, received]) => received));
  const points = (column) => minutes.map((minute, place) =>
    `${(place * WIDTH / (minutes.length - 1)).toFixed(1)},${(HEIGHT - minute[column] * HEIGHT / most).toFixed(1)}`).join(" ");
  const last = minutes[minutes.length - 1];
  const text = `Requests a minute: ${count(last[1])} received and ${count(last[3])} failed in the last one, ` +
    `at most ${count(most)} received.`;
  return [draw("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": text }, draw("polyline", { class: "received", points: points(1) }),
  draw("polyline", { class: "failed", points: points(3) })),
  make("p", { class: "quiet" }, make("span", { class: "key" }, "received"), " ", make("span", { class: "key failed" }, "failed"),
    ` ${text}`)];
}

function showFailures(page) {
  const items = page.failures.map((failure) => make("li", {}, make("p", {}, `${time(failure.at)} `,
    make("a", { href: address("host", { name: failure.name }) }, failure.name),
    ` ${failure.operation} ${failure.address}: ${failure.fault || failure.result}`), make("p", { class: "quiet" }, `${failure.why} ${failure.note}`)));
  place("live", section("live", "Failures since this page is open", items.length ? make("ul", { class: "problems" }, items)
    : make("p", { class: "quiet" }, "None.")));
}

export function keep(failures, failure) {
  return [failure, ...failures].slice(0, MOST_FAILURES);
}

function again() {
  const said = make("span", { role: "status" });
  return [make("button", { id: "again", onclick: async (event) => {
    event.target.disabled = true;
    try {
      said.textContent = ` ${(await command("pyd2-retry-now")).text}`;
    } catch (error) {
      said.textContent = ` ${error.message}`;
    }
    event.target.disabled = false;
  } }, "Try again now"), said];
}
