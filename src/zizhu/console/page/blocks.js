// Blocks: the list, and one block with its certificate and transactions.

import { ask, live } from "./api.js";
import { h, replace } from "./dom.js";
import { ago, bytes, card, facts, head, id, loading, number, show, table, when } from "./parts.js";
import { transactionColumns } from "./transactions.js";
import { t } from "./words.js";

const PAGE = 25;

export function blockColumns({ brief = false } = {}) {
  const columns = [
    {
      title: t("height"),
      cell: (line) => h("a", { href: `#/blocks/${line.height}` }, number(line.height)),
    },
    {
      title: t("block.hash"),
      class: "wide",
      cell: (line) => id(line.hash, { href: `#/blocks/${line.height}`, copy: !brief }),
    },
    { title: t("transactions"), class: "number", cell: (line) => number(line.count) },
    { title: t("block.proposer"), class: "wide", cell: (line) => line.proposer_name || id(line.proposer) },
    { title: t("time"), class: "number", cell: (line) => ago(line.time_ms) },
  ];
  return brief ? columns.filter((_, at) => at !== 3) : columns;
}

export function blocks() {
  const place = h("div", {}, loading());
  const newer = h("div", {});
  const node = h("div", {}, head(t("tab.blocks"), { note: t("blocks.note") }), newer, place);
  let lines = [];
  let next = null;
  let known = 0;

  const load = async () => {
    const page = await ask(`/blocks?limit=${PAGE}${next === null ? "" : `&from=${next}`}`);
    lines = lines.concat(page.blocks);
    next = page.next;
    known = Math.max(known, page.height);
  };
  const draw = () => {
    const list = table(blockColumns(), lines, { empty: t("blocks.none"), caption: t("tab.blocks") });
    const more = next !== null && h("div", { class: "more" }, button(t("older"), () => show(place, load, draw)));
    return h("div", { class: "card" }, list, more);
  };
  const again = () => {
    lines = [];
    next = null;
    replace(newer);
    return show(place, load, draw);
  };
  const stop = live.listen((kind, line) => {
    if (kind !== "block" || known === 0 || line.height <= known) return;
    // Who has read on further down is not moved; at the top of the list the new block just appears.
    if (lines.length <= PAGE && window.scrollY < 200) {
      if (!lines.length || line.height === lines[0].height + 1) {
        lines = [line, ...lines].slice(0, PAGE);
        next = lines.length === PAGE ? lines[PAGE - 1].height - 1 || null : next;
        known = line.height;
        replace(place, draw());
        return;
      }
    }
    const text = t("blocks.newer", { count: line.height - known });
    replace(newer, h("div", { class: "notice" }, button(text, again)));
  });
  show(place, load, draw);
  return { node, title: t("tab.blocks"), leave: stop };
}

export function block(which) {
  const place = h("div", {});
  const load = () => ask(`/blocks/${which}`);
  show(place, load, drawBlock);
  return { node: place, title: t("block.title", { height: which.length < 20 ? which : which.slice(0, 8) }) };
}

function drawBlock(found) {
  const trail = h("a", { href: "#/blocks" }, t("tab.blocks"));
  const steps = h(
    "div",
    { class: "tools" },
    found.height > 1 && h("a", { class: "button", href: `#/blocks/${found.height - 1}` }, `← ${number(found.height - 1)}`),
    h("a", { class: "button", href: `#/blocks/${found.height + 1}` }, `${number(found.height + 1)} →`),
  );
  const parent = found.height > 1 ? { href: `#/blocks/${found.height - 1}` } : {};
  const certificate = found.certificate;
  const signed = t("block.signed", { count: certificate.signers.length, members: certificate.members, needed: certificate.needed });
  const signers = certificate.signers.map((one) => [h("span", { class: "tag good", title: one.member }, one.name), " "]);
  const about = facts([
    [t("block.hash"), id(found.hash, { whole: true })],
    [t("time"), [when(found.time_ms), " · ", ago(found.time_ms)]],
    [t("block.certificate"), [h("div", {}, signers), h("div", { class: "small soft" }, signed)]],
    [t("block.proposer"), found.proposer_name || id(found.proposer)],
    [t("block.view"), `${number(certificate.epoch)} / ${number(certificate.view)}`],
    [t("size"), bytes(found.bytes)],
    [t("block.parent"), id(found.parent, { whole: true, ...parent })],
    [t("block.outcome"), id(found.outcome.hash, { whole: true })],
    [t("block.root"), [id(found.outcome.root), h("span", { class: "soft" }, t("block.root.of", { height: number(found.outcome.root_height) }))]],
    [t("block.transaction_root"), id(found.transaction_root)],
  ]);
  const more = found.count > found.transactions.length && h("p", { class: "more small soft" }, t("block.first", { count: found.transactions.length }));
  const list = table(transactionColumns({ inBlock: true }), found.transactions, {
    empty: t("block.empty"),
    caption: t("transactions"),
  });
  return h(
    "div",
    {},
    head(t("block.title", { height: number(found.height) }), { trail, aside: steps }),
    h("div", { class: "card" }, h("div", { class: "card-body" }, about)),
    card(t("block.transactions", { count: number(found.count) }), null, list, more),
  );
}

function button(text, act) {
  return h("button", { class: "button", type: "button", onclick: act }, text);
}
