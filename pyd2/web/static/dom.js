// Elements from names, attributes and children. Text is always text: nothing is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

// Replaces what is in an element. What had the focus in it has it again afterwards, if it is still there: the
// link of the same address, of several the one at the same place, or the button of the same id.
export function replace(part, ...children) {
  const key = (each) => each.getAttribute("href") ?? each.id;
  const alike = (wanted) => [...part.querySelectorAll("a, button")].filter((each) => key(each) === wanted);
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const place = focused === null ? -1 : alike(key(focused)).indexOf(focused);
  part.replaceChildren(...children);
  if (place >= 0) alike(key(focused)).slice(0, place + 1).pop()?.focus({ preventScroll: true });
}

// A table. A column has a title, and a function from an entry to a text or elements; a kind, for columns of
// numbers, or of long texts that may be broken anywhere.
// The roles are given again because a narrow window shows the cells as blocks.
export function table(caption, columns, entries) {
  const head = columns.map((column) => make("th", { scope: "col", role: "columnheader", class: column.kind }, column.title));
  const rows = entries.map((entry) => make("tr", { role: "row" }, columns.map((column) =>
    make("td", { role: "cell", class: column.kind, "data-column": column.title }, make("span", {}, column.show(entry))))));
  return make("table", { role: "table" }, make("caption", {}, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, head)), make("tbody", { role: "rowgroup" }, rows));
}

// A form of text fields; they have the names and values of `fields`, whose titles are in `titles`.
export function search(titles, fields, onsubmit) {
  const inputs = Object.entries(titles).map(([name, title]) =>
    make("label", {}, title, make("input", { name, value: fields[name] ?? "", autocomplete: "off", spellcheck: "false" })));
  return make("form", { role: "search", onsubmit: (event) => {
    event.preventDefault();
    onsubmit(Object.fromEntries(new FormData(event.target)));
  } }, inputs, make("button", {}, "Search"));
}

export function link(view, parameters, text) {
  return make("a", { href: address(view, parameters) }, text);
}

export function address(view, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `#${view}?${new URLSearchParams(given)}` : `#${view}`;
}
