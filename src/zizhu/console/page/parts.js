// Parts that several views are made of: ids with a copy button, times, states, tables, notices.

import { h, icon, replace, toast } from "./dom.js";
import { has, locale, t } from "./words.js";

export function number(value) {
  return new Intl.NumberFormat(locale()).format(value);
}

export function bytes(value) {
  if (value < 1024) return t("unit.bytes", { count: number(value) });
  if (value < 1024 * 1024) return `${(value / 1024).toFixed(1)} KiB`;
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

export function short(hex) {
  return hex.length <= 16 ? hex : `${hex.slice(0, 8)}…${hex.slice(-6)}`;
}

// The time of a block: how long ago, kept up to date, and exactly when one points at it.
export function ago(ms) {
  const node = h("time", { datetime: new Date(ms).toISOString(), title: when(ms), "data-ms": String(ms) });
  node.textContent = distance(ms);
  return node;
}

export function when(ms) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium" }).format(ms);
}

export function refreshTimes() {
  for (const node of document.querySelectorAll("time[data-ms]")) {
    const text = distance(Number(node.dataset.ms));
    if (node.textContent !== text) node.textContent = text;
  }
}

const STEPS = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86400, 3600, "hour"],
  [86400 * 30, 86400, "day"],
];

function distance(ms) {
  const seconds = Math.round((Date.now() - ms) / 1000);
  if (seconds < 2) return t("time.now");
  const step = STEPS.find(([below]) => seconds < below);
  if (!step) return when(ms);
  const format = new Intl.RelativeTimeFormat(locale(), { numeric: "always", style: "narrow" });
  return format.format(-Math.floor(seconds / step[1]), step[2]);
}

// A text in which `backticks` mark what one types.
export function withCode(text) {
  return text.split("`").map((part, at) => (at % 2 ? h("code", { class: "mono" }, part) : part));
}

export function copyButton(text, label) {
  const copy = async (event) => {
    event.preventDefault();
    event.stopPropagation();
    await navigator.clipboard.writeText(text).then(
      () => toast(t("copied")),
      () => toast(t("copied.not")),
    );
  };
  return h("button", { class: "copy", type: "button", onclick: copy, title: label, "aria-label": label }, icon("copy"));
}

// An id: shortened unless `whole`, a link when `href` says where to, with a button that copies all of it.
export function id(hex, { href = null, whole = false, copy = true } = {}) {
  const shown = whole ? hex : short(hex);
  const text = href
    ? h("a", { class: "mono", href, title: hex }, shown)
    : h("span", { class: "mono", title: hex }, shown);
  return h("span", {}, text, copy && copyButton(hex, t("copy.id")));
}

export function state(kind, text) {
  return h("span", { class: `state ${kind}` }, text);
}

export function result(line) {
  if (line.status === "succeeded") return state("good", t("transaction.succeeded"));
  return h("span", {}, state("bad", t("transaction.failed")), h("span", { class: "second mono" }, line.code));
}

export function nodeState(status) {
  const key = `state.${status.state}`;
  const kind = status.state === "voting" ? "good" : status.state === "silent" ? "bad" : "warn";
  return state(kind, has(key) ? t(key) : status.state);
}

// A table of `columns` [{title, cell(row), class}] and rows; `empty` is said when there are none.
export function table(columns, rows, { empty, fresh = () => false, caption }) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  const head = columns.map((one) => h("th", { scope: "col", class: one.class }, one.title));
  const body = rows.map((row) =>
    h("tr", { class: fresh(row) ? "new" : null }, columns.map((one) => h("td", { class: one.class }, one.cell(row)))),
  );
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)),
  );
}

export function card(title, aside, ...body) {
  return h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, title), aside), body);
}

export function head(title, { trail = null, note = null, aside = null } = {}) {
  const words = h("div", {}, trail && h("p", { class: "trail" }, trail), h("h1", {}, title), note && h("p", {}, note));
  return h("div", { class: "head" }, words, aside);
}

export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value != null && value !== false);
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

export function loading() {
  const lines = [1, 2, 3, 4].map(() => h("div", { class: "ghost" }));
  return h("div", { class: "card", "aria-busy": "true" }, h("span", { class: "hidden-text" }, t("loading")), lines);
}

export function problem(error, retry = null) {
  const button = retry && h("button", { class: "button", type: "button", onclick: retry }, t("again"));
  const code = error.code && h("span", { class: "mono small faint" }, error.code);
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", {}, error.message),
    error.fix && h("p", { class: "soft" }, withCode(error.fix)),
    code,
    button && h("div", {}, button),
  );
}

export function pretty(value) {
  return h("pre", {}, JSON.stringify(value, null, 2));
}

// Shows `load()` in `place`: ghosts while it runs, the problem with a way to try again when it fails.
export async function show(place, load, draw) {
  if (!place.childNodes.length) replace(place, loading());
  try {
    replace(place, draw(await load()));
  } catch (error) {
    if (!error.code) throw error;
    replace(place, problem(error, () => show(replace(place), load, draw)));
  }
}
