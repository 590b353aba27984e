// Transactions: the list, and one with what it asked for and what it did.

import { API, ask } from "./api.js";
import { h } from "./dom.js";
import { ago, bytes, card, facts, head, id, loading, number, pretty, result, show, state, table, when } from "./parts.js";
import { has, t } from "./words.js";

const PAGE = 25;
const WAIT_MS = 20000;
const PAGES_MAX = 12;

export function transactionColumns({ brief = false, inBlock = false } = {}) {
  const columns = [
    { key: "id", title: t("transaction"), cell: (line) => id(line.id, { href: `#/transactions/${line.id}`, copy: !brief }) },
    { key: "call", title: t("transaction.call"), cell: call },
    { key: "result", title: t("transaction.result"), cell: result },
    { key: "sender", title: t("transaction.sender"), class: "wide", cell: (line) => id(line.sender) },
    { key: "steps", title: t("transaction.steps"), class: "number wide", cell: (line) => number(line.steps) },
    { key: "height", title: t("height"), class: "number wide", cell: (line) => h("a", { href: `#/blocks/${line.height}` }, number(line.height)) },
    { key: "time", title: t("time"), class: "number wide", cell: (line) => ago(line.time_ms) },
  ];
  const left = brief ? ["id", "call", "result", "time"] : inBlock ? ["id", "call", "result", "sender", "steps"] : null;
  return left ? columns.filter((one) => left.includes(one.key)) : columns;
}

function call(line) {
  if (line.kind === "deploy") return t("transaction.deploy");
  const contract = line.contract_name ?? line.contract.slice(0, 8);
  return [h("span", {}, line.method), h("span", { class: "second" }, contract)];
}

// At least one line, if there is one: the member looks through some hundred blocks at a time, and many may be empty.
export async function transactionPage(limit, before) {
  let page = { transactions: [], next: before };
  for (let turn = 0; turn < PAGES_MAX && !page.transactions.length; turn += 1) {
    page = await ask(`/transactions?limit=${limit}${page.next === null ? "" : `&before=${page.next}`}`);
    if (page.next === null) break;
  }
  return page;
}

export function transactions() {
  const place = h("div", {}, loading());
  const node = h("div", {}, head(t("tab.transactions"), { note: t("transactions.note") }), place);
  let lines = [];
  let next = null;
  const load = async () => {
    const page = await transactionPage(PAGE, next);
    lines = lines.concat(page.transactions);
    next = page.next;
  };
  const draw = () => {
    const list = table(transactionColumns(), lines, { empty: t("transactions.none"), caption: t("tab.transactions") });
    const older = h("button", { class: "button", type: "button", onclick: () => show(place, load, draw) }, t("older"));
    return h("div", { class: "card" }, list, next !== null && h("div", { class: "more" }, older));
  };
  show(place, load, draw);
  return { node, title: t("tab.transactions") };
}

export function transaction(hex) {
  const place = h("div", {});
  const stopped = new AbortController();
  const load = async () => {
    const found = await ask(`/transactions/${hex}`);
    if (found.state === "waiting") follow();
    return found;
  };
  const follow = () =>
    show(place, () => ask(`/transactions/${hex}?wait_ms=${WAIT_MS}`, { signal: stopped.signal }), draw).catch((error) => {
      if (error.name !== "AbortError") throw error;
    });
  show(place, load, draw);
  return { node: place, title: t("transaction.title"), leave: () => stopped.abort() };
}

function draw(found) {
  const trail = h("a", { href: "#/transactions" }, t("tab.transactions"));
  const title = head(t("transaction.title"), { trail, note: id(found.id, { whole: true }) });
  if (found.state !== "final") {
    const kind = found.state === "waiting" ? "" : " bad";
    const words = [h("strong", {}, t(`transaction.${found.state}`)), t(`transaction.${found.state}.note`)];
    return h("div", {}, title, h("div", { class: `notice${kind}`, role: "status" }, words));
  }
  return h("div", {}, title, outcome(found), asked(found), events(found.receipt.events));
}

function outcome(found) {
  const receipt = found.receipt;
  const good = receipt.status === "succeeded";
  const proof = h("a", { href: `${API}/proofs/receipts/${found.id}`, download: "" }, t("transaction.proof"));
  return h(
    "div",
    { class: "card" },
    h(
      "div",
      { class: "card-body" },
      facts([
        [t("transaction.result"), good ? state("good", t("transaction.succeeded")) : state("bad", t("transaction.failed"))],
        [t("transaction.code"), !good && [h("span", { class: "mono" }, receipt.code), reason(receipt.code)]],
        [t("block"), [h("a", { href: `#/blocks/${found.height}` }, number(found.height)), ` · ${t("transaction.place", { index: number(found.index) })}`]],
        [t("time"), [when(found.time_ms), " · ", ago(found.time_ms)]],
        [t("transaction.steps"), number(receipt.steps)],
        [t("transaction.returned"), good && receipt.result_json !== null && pretty(receipt.result_json)],
        [t("proof"), proof],
      ]),
    ),
  );
}

function reason(code) {
  const key = `code.${code}`;
  return has(key) && h("span", { class: "soft" }, ` · ${t(key)}`);
}

function asked(found) {
  const body = found.transaction;
  const contract = body.contract && [
    h("strong", {}, body.contract_name ?? ""),
    " ",
    id(body.contract),
  ];
  const about = facts([
    [t("transaction.kind"), t(`transaction.${body.kind}`)],
    [t("contract"), contract],
    [t("transaction.method"), body.method && h("span", { class: "mono" }, body.method)],
    [t("transaction.name"), body.name],
    [t("transaction.engine"), body.engine],
    [t("transaction.source"), body.source_bytes && bytes(body.source_bytes)],
    [t("transaction.sender"), id(body.sender, { whole: true })],
    [t("transaction.nonce"), number(body.nonce)],
    [t("transaction.until"), number(body.valid_until_height)],
    [t("transaction.steps_max"), number(body.steps_max)],
    [t("size"), bytes(body.bytes)],
    [t("transaction.arguments"), body.arguments_json === null ? null : pretty(body.arguments_json)],
  ]);
  return card(t("transaction.asked"), null, h("div", { class: "card-body" }, about));
}

function events(list) {
  if (!list.length) return null;
  const shown = list.map((event) => [h("span", { class: "mono" }, event.name), pretty(event.data_json)]);
  return card(t("transaction.events"), null, h("div", { class: "card-body" }, facts(shown)));
}

