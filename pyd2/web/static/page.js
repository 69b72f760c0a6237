// The page: which view is shown, and the stream of events that continues while views change.

import { address, make } from "./dom.js";
import { listen } from "./stream.js";
import * as overview from "./overview.js";
import { failures, hosts, oneHost } from "./events.js";
import { explained } from "./host.js";
import { servers, zones } from "./tables.js";
import { deadLetters } from "./dead_letters.js";

const VIEWS = { overview, hosts, host: oneHost, explain: explained, failures, servers, zones, "dead-letters": deadLetters };
const PARENTS = { host: "hosts", explain: "hosts" };

const page = {
  main: document.getElementById("main"),
  operate: document.body.dataset.operate === "yes",
  role: document.body.dataset.role,
  status: null,
  failures: [],
  go(view, parameters) {
    const wanted = address(view, parameters);
    if (location.hash === wanted) show();
    else location.hash = wanted;
  },
  // Shows what went wrong in a view, unless another one has come in its place.
  async guard(promise) {
    const number = shown;
    try {
      await promise;
    } catch (error) {
      if (number === shown) page.main.append(make("p", { class: "bad", role: "alert" }, error.message));
    }
  },
  // Calls a function again and again while the view is shown; what fails is tried again.
  every(seconds, call) {
    const number = shown;
    const timer = setInterval(async () => {
      if (number !== shown) clearInterval(timer);
      else if (connected && !document.hidden) await call().catch(() => {});
    }, seconds * 1000);
  },
};

let shown = 0;
let current = overview;
let connected = false;
let wasLost = false;

function show({ focus = true } = {}) {
  const [name, query] = location.hash.slice(1).split("?");
  const view = Object.hasOwn(VIEWS, name) ? name : "overview";
  current = VIEWS[view];
  shown += 1;
  document.title = `${current.title} - pyd2`;
  for (const each of document.querySelectorAll("#views a")) {
    if (each.hash === `#${PARENTS[view] ?? view}`) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  page.main.replaceChildren(make("h1", {}, current.title));
  if (focus) page.main.focus();
  page.guard(Promise.resolve(current.begin(page, Object.fromEntries(new URLSearchParams(query ?? "")))));
}

function onevent(name, value) {
  if (name === "status") page.status = value;
  else page.failures = overview.keep(page.failures, value);
  current.onevent?.(page, name);
}

function onstate(state) {
  connected = state;
  document.getElementById("connection").textContent = state ? "Live." : "Not connected; it is tried again.";
  if (state && wasLost) show({ focus: false });
  wasLost = !state;
}

if (page.operate) {
  document.getElementById("views").append(make("li", {}, make("a", { href: "#dead-letters" }, "Dead letters")));
}
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  page.main.focus();
});
window.addEventListener("hashchange", () => show());
show({ focus: false });
listen(onevent, onstate);
