// The first page: how high the chain is, how the members are, and what came last.

import { ask, live } from "./api.js";
import { blockColumns } from "./blocks.js";
import { h, replace } from "./dom.js";
import { ago, card, copyButton, head, id, loading, nodeState, number, problem, state, table } from "./parts.js";
import { transactionColumns, transactionPage } from "./transactions.js";
import { t } from "./words.js";

const LINES = 8;
const PAUSE_MS = 1500;

export function overview() {
  const node = h("div", {});
  const top = h("div", {});
  const figures = h("div", {});
  const members = h("div", {});
  const blocks = h("div", {});
  const transactions = h("div", {});
  replace(node, top, figures, members, h("div", { class: "columns" }, blocks, transactions));
  replace(figures, loading());

  let record = null;
  let shown = { height: 0, newest: 0, place: "" };
  let latest = [];
  let due = 0;
  let timer = null;

  async function load() {
    timer = null;
    due = Date.now() + PAUSE_MS;
    try {
      const parts = await Promise.all([
        ask("/status"),
        ask("/members"),
        ask(`/blocks?limit=${LINES}`),
        transactionPage(LINES, null),
      ]);
      [live.status, record] = parts;
      latest = parts[2].blocks;
      drawStatus(live.status);
      drawBlocks();
      drawTransactions(parts[3].transactions);
    } catch (error) {
      if (!error.code) throw error;
      replace(figures, problem(error, load));
    }
  }

  function drawStatus(status) {
    replace(top, title(status));
    replace(figures, figuresOf(status, record, shown.height));
    replace(members, membersOf(status, record));
    shown.height = status.height;
  }

  function drawBlocks() {
    const newest = shown.newest;
    const all = h("a", { href: "#/blocks" }, t("all"));
    const fresh = (line) => newest > 0 && line.height > newest;
    const options = { empty: t("blocks.none"), fresh, caption: t("blocks.latest") };
    replace(blocks, card(t("blocks.latest"), all, table(blockColumns({ brief: true }), latest, options)));
    shown.newest = latest.length ? latest[0].height : 0;
  }

  function drawTransactions(lines) {
    const all = h("a", { href: "#/transactions" }, t("all"));
    const before = shown.place;
    const fresh = (line) => before !== "" && `${line.height}.${line.index}` !== before && line.height > Number.parseInt(before);
    const options = { empty: t("transactions.none"), fresh, caption: t("transactions.latest") };
    const columns = transactionColumns({ brief: true });
    replace(transactions, card(t("transactions.latest"), all, table(columns, lines, options)));
    shown.place = lines.length ? `${lines[0].height}.${lines[0].index}` : "";
  }

  // Blocks may come many times a second; lists are asked for at most once in PAUSE_MS.
  function soon() {
    timer ??= setTimeout(load, Math.max(0, due - Date.now()));
  }

  const stop = live.listen((kind, value) => {
    if (kind === "block") soon();
    if (kind === "status" && record) drawStatus(value);
    if (kind === "connection" && value) soon();
  });
  load();
  return {
    node,
    title: t("tab.overview"),
    leave() {
      stop();
      clearTimeout(timer);
    },
  };
}

function title(status) {
  const ledger = h(
    "div",
    { class: "ledger" },
    h("span", {}, t("ledger.id")),
    h("span", { class: "mono", title: status.ledger }, status.ledger),
    copyButton(status.ledger, t("copy.ledger")),
  );
  return head(status.ledger_name, {
    note: t("overview.note", { name: status.name, organisation: status.organisation }),
    aside: ledger,
  });
}

function figuresOf(status, record, before) {
  const up = record.members.filter((one) => isUp(one, status)).length;
  const figure = (name, value, note, fresh = false) =>
    h(
      "div",
      { class: "figure" },
      h("dt", {}, name),
      h("dd", {}, h("div", { class: fresh ? "value fresh" : "value" }, value), h("div", { class: "note" }, note)),
    );
  const pool = t("overview.pool.note", { bytes: number(Math.ceil(status.pool_bytes / 1024)) });
  return h(
    "dl",
    { class: "figures" },
    figure(t("overview.height"), number(status.height), [t("overview.last"), " ", ago(status.time_ms)], status.height > before),
    figure(t("overview.members"), `${up} / ${record.members.length}`, t("overview.members.note")),
    figure(t("overview.leader"), status.leader_name || "–", t(status.engine === "raft" ? "overview.term" : "overview.view", { view: number(status.view) })),
    figure(t("overview.pool"), number(status.pool_transactions), pool),
  );
}

const ENGINES = { pbft: "PBFT", raft: "Raft", solo: "solo" };

function isUp(member, status) {
  if (member.me) return true;
  return peerOf(member, status)?.up ?? false;
}

function peerOf(member, status) {
  return status.peers.find((peer) => peer.member === member.member);
}

function membersOf(status, record) {
  const heightOf = (member) => (member.me ? status.height : (peerOf(member, status)?.height ?? 0));
  const stateOf = (member) => {
    if (member.me) return [nodeState(status), status.reason && h("span", { class: "second" }, status.reason)];
    return isUp(member, status) ? state("good", t("link.up")) : state("bad", t("link.down"));
  };
  const nameOf = (member) => [
    h("strong", {}, member.name),
    member.member === status.leader && [" ", h("span", { class: "tag accent" }, t("member.leader"))],
    member.me && [" ", h("span", { class: "tag" }, t("member.me"))],
    h("span", { class: "second" }, member.organisation),
  ];
  const columns = [
    { title: t("member"), class: "name", cell: nameOf },
    { title: t("member.state"), cell: stateOf },
    { title: t("height"), class: "number", cell: (one) => (heightOf(one) ? number(heightOf(one)) : "–") },
    { title: t("member.id"), class: "wide number", cell: (one) => id(one.member) },
  ];
  const note = t("members.note", { engine: ENGINES[record.engine] ?? record.engine, suite: t(`suite.${suiteName(record.suite)}`) });
  const aside = h("span", { class: "small faint" }, note);
  return card(t("members"), aside, table(columns, record.members, { empty: "", caption: t("members") }));
}

function suiteName(suite) {
  return suite === "guomi" || suite === "international" ? suite : "other";
}
