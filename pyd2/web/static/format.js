// How values are shown.

export const count = (value) => (value ?? 0).toLocaleString("en");

export const milliseconds = (value) => (value === null || value === undefined ? "-" : `${value.toPrecision(3)} ms`);

export function time(seconds) {
  const at = new Date(seconds * 1000);
  const pad = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ` +
    `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

export function duration(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  let rest = Math.floor(seconds);
  return parts.slice(first, first + 2).map(([size, unit]) => {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    return `${whole} ${unit}`;
  }).join(" ");
}

const WORDS = { failed: "failed", expired: "given up", unmatched: "no zone", retrying: "failed, is tried again" };
const BAD = new Set(["failed", "expired", "unmatched"]);

export function result(event) {
  const word = WORDS[event.result] ?? event.result;
  const fault = event.fault && event.result !== "superseded" && event.result !== "unmatched" ? `: ${event.fault}` : "";
  return [`${word}${fault}`, BAD.has(event.result) ? "bad" : event.result === "retrying" ? "warn" : "good"];
}
