// The frame: the bar, the language, the ledger's name, and which view the address asks for.

import { API, live } from "./api.js";
import { block, blocks } from "./blocks.js";
import { h, replace } from "./dom.js";
import { overview } from "./overview.js";
import { copyButton, head, refreshTimes, short, state } from "./parts.js";
import { transaction, transactions } from "./transactions.js";
import { voucher, vouchers } from "./vouchers.js";
import { choose, language, LANGUAGES, loadWords, t } from "./words.js";

const VIEWS = [
  [/^$/, overview, "overview"],
  [/^blocks$/, blocks, "blocks"],
  [/^blocks\/([0-9a-f]+)$/i, block, "blocks"],
  [/^transactions$/, transactions, "transactions"],
  [/^transactions\/([0-9a-f]{64})$/i, transaction, "transactions"],
  [/^vouchers$/, vouchers, "vouchers"],
  [/^vouchers\/(\d+)$/, voucher, "vouchers"],
];
const TABS = { overview: "#/", blocks: "#/blocks", transactions: "#/transactions", vouchers: "#/vouchers" };

let leave = () => {};
let section = "overview";

function route(event) {
  leave();
  const path = location.hash.replace(/^#\/?/, "").replace(/\/$/, "");
  const found = VIEWS.map(([pattern, view, name]) => ({ match: pattern.exec(path), view, name })).find((one) => one.match);
  const main = document.getElementById("main");
  section = found ? found.name : "";
  const view = found ? found.view(...found.match.slice(1)) : { node: nowhere(path) };
  leave = view.leave ?? (() => {});
  replace(main, view.node);
  document.title = `${view.title ?? t(`tab.${section || "overview"}`)} · 自主链 Zizhu`;
  drawBar();
  if (event) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function nowhere(path) {
  const back = h("a", { class: "button", href: "#/" }, t("tab.overview"));
  return h("div", {}, head(t("nowhere"), { note: t("nowhere.note", { path }) }), back);
}

function drawBar() {
  const tab = ([name, href]) =>
    h("a", { href, "aria-current": name === section ? "page" : null }, t(`tab.${name}`));
  const tongue = ([name, label]) =>
    h("button", { type: "button", "aria-pressed": String(name === language()), lang: name, onclick: () => speak(name) }, label);
  const brand = h(
    "a",
    { class: "brand", href: "#/" },
    h("img", { src: "/page/mark.svg", alt: "", width: 28, height: 28 }),
    h("div", {}, "自主链 ", h("span", {}, "Zizhu")),
  );
  const tools = h(
    "div",
    { class: "tools" },
    h("div", { id: "line", role: "status" }, line()),
    h("div", { class: "switch", role: "group", "aria-label": t("language") }, Object.entries(LANGUAGES).map(tongue)),
  );
  const nav = h("nav", { class: "nav", "aria-label": t("pages") }, Object.entries(TABS).map(tab));
  replace(document.getElementById("top"), h("div", { class: "bar" }, brand, nav, tools));
  document.getElementById("skip").textContent = t("skip");
  drawFoot();
}

function line() {
  if (live.connected === null) return state("", t("live.connecting"));
  return live.connected ? state("good", t("live.on")) : state("warn", t("live.off"));
}

function drawFoot() {
  const status = live.status;
  const ledger = status && [
    h("span", {}, `${t("ledger.id")} `, h("span", { class: "mono", title: status.ledger }, short(status.ledger))),
    copyButton(status.ledger, t("copy.ledger")),
  ];
  const about = status && t("foot.version", { version: status.version, suite: status.suite, engine: status.engine });
  const document_ = h("a", { href: `${API}/openapi.json` }, t("foot.api"));
  replace(
    document.getElementById("foot"),
    h("div", {}, h("span", {}, ledger), h("span", {}, about, " · ", document_)),
  );
}

function speak(name) {
  choose(name);
  const address = new URL(location);
  address.searchParams.delete("lang");
  history.replaceState(null, "", address);
  route();
  document.querySelector(`.switch [lang="${name}"]`).focus();
}

live.listen((kind) => {
  const place = document.getElementById("line");
  if (kind === "connection" && place) replace(place, line());
  if (kind === "status" && !document.querySelector("#foot .mono")) drawFoot();
});

await loadWords();
window.addEventListener("hashchange", route);
route();
live.start();
setInterval(refreshTimes, 1000);
