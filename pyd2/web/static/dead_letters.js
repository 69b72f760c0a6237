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
    await show(page, shown);
  },
};

async function show(page, shown) {
  const answer = (await command("pyd2-dead-letter-list", { limit: 100 })).arguments;
  const found = answer["dead-letters"];
  if (!found.length) {
    shown.replaceChildren(make("p", {}, "There is none."));
    return;
  }
  const act = (name, deadLetter, label) => make("button", { "aria-label": `${label} ${deadLetter.number}`, onclick: () =>
    page.guard(command(name, { numbers: [deadLetter.number] }).then(() => show(page, shown))) }, label);
  shown.replaceChildren(table(`The newest of ${answer.total}. Look at the newer requests of a host before you try one again`, [
    { title: "Number", kind: "number", show: (deadLetter) => String(deadLetter.number) },
    { title: "Given up", show: (deadLetter) => time(deadLetter.died) },
    { title: "Request", kind: "long", show: (deadLetter) => deadLetter.request },
    { title: "Reason", kind: "long", show: (deadLetter) => deadLetter.reason },
    { title: "What to do", show: (deadLetter) => [act("pyd2-dead-letter-retry", deadLetter, "Try again"), " ",
      act("pyd2-dead-letter-remove", deadLetter, "Remove")] },
  ], found));
}
