// Building the document: elements from names, attributes and children; texts are never read as markup.

const SVG = "http://www.w3.org/2000/svg";

export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function replace(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

export function icon(name) {
  const node = document.createElementNS(SVG, "svg");
  node.setAttribute("viewBox", "0 0 24 24");
  node.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  for (const [key, value] of STROKE) path.setAttribute(key, value);
  node.append(path);
  return node;
}

export function toast(text) {
  const node = document.getElementById("toast");
  node.textContent = text;
  node.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => node.classList.remove("shown"), 2200);
}

const STROKE = [
  ["fill", "none"],
  ["stroke", "currentColor"],
  ["stroke-width", "1.8"],
  ["stroke-linecap", "round"],
  ["stroke-linejoin", "round"],
];

const ICONS = {
  copy: "M9 9h10v10H9zM15 9V5H5v10h4",
  file: "M14 3H6v18h12V7zM14 3v4h4M12 18v-7M9 13.5l3-3 3 3",
  seek: "M14 3H6v18h6M14 3v4h4v4M14 3l4 4M16.2 19a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM18.4 18.4 21 21",
  yes: "M12 21.5a9.5 9.5 0 1 0 0-19 9.5 9.5 0 0 0 0 19zM7.5 12.3l3.1 3.1 6-6.4",
  no: "M12 21.5a9.5 9.5 0 1 0 0-19 9.5 9.5 0 0 0 0 19zM8.5 8.5l7 7M15.5 8.5l-7 7",
};

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}
