// Dead letters of the durable queue: what failed for good. Only where the page may operate the daemon.

import { make, table } from "./dom.js";
import { command } from "./api.js";
import { time } from "./format.js";

export const deadLetters = {
  title: "Dead letters",
  async begin(page) {
    if (!page.operate) throw new Error("This socket, or your role, does not allow it.");
    const shown = make("div", { "aria-live": "polite" });
    page.main.append(shown);
    await show(page, shown, new Set());
  },
};

// Shows those that there are. `ended` has the numbers of those that the disk may still have for a moment.
async function show(page, shown, ended) {
  const answer = (await command("pyd2-dead-letter-list", { limit: 100 })).arguments;
  const found = answer["dead-letters"].filter((deadLetter) => !ended.has(deadLetter.number));
  const total = answer.total - (answer["dead-letters"].length - found.length);
  if (!found.length) {
    shown.replaceChildren(make("p", {}, "There is none."));
    return;
  }
  async function act(name, number) {
    await command(name, { numbers: [number] });
    await show(page, shown, ended.add(number));
    page.main.focus();
  }
  const button = (name, deadLetter, label) => make("button", { "aria-label": `${label} ${deadLetter.number}`,
    onclick: (event) => {
      event.target.disabled = true;
      page.guard(act(name, deadLetter.number));
    } }, label);
  shown.replaceChildren(table(`The newest of ${total}. Look at the newer requests of a host before you try one again`, [
    { title: "Number", kind: "number", show: (deadLetter) => String(deadLetter.number) },
    { title: "Given up", show: (deadLetter) => time(deadLetter.died) },
    { title: "Request", kind: "long", show: (deadLetter) => deadLetter.request },
    { title: "Reason", kind: "long", show: (deadLetter) => deadLetter.reason },
    { title: "What to do", show: (deadLetter) => [button("pyd2-dead-letter-retry", deadLetter, "Try again"), " ",
      button("pyd2-dead-letter-remove", deadLetter, "Remove")] },
  ], found));
}
