// Vouchers: register a file, verify a file, the list, and one voucher's life.

import { API, ask, sendFile } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { ago, bytes, card, facts, head, id, loading, number, problem, show, state, table, when, withCode } from "./parts.js";
import { has, language, t } from "./words.js";

const PAGE = 20;
const USUAL = "document";

export function vouchers() {
  const place = h("div", {}, loading());
  const list = h("div", {});
  const node = h("div", {}, head(t("tab.vouchers"), { note: t("vouchers.note") }), place, list);
  const load = async () => {
    const [service, issuer] = await Promise.all([ask("/vouchers/service"), ask("/issuer")]);
    return { service, issuer };
  };
  const draw = (found) => {
    const again = () => fillList(list, found.service.types);
    again();
    return h("div", { class: "columns loose" }, registerCard(found, again), verifyCard());
  };
  show(place, () => load().catch(absent), draw);
  return { node, title: t("tab.vouchers") };
}

// A member without an issuer account serves no vouchers: that is no fault of who asks.
function absent(error) {
  if (error.status !== 404) throw error;
  error.message = t("vouchers.absent");
  error.fix = t("vouchers.absent.fix");
  throw error;
}

function registerCard({ service, issuer }, done) {
  const answers = h("div", { "aria-live": "polite" });
  const kinds = service.types.map((one) =>
    h("option", { value: one.type, selected: one.type === USUAL }, `${kindName(one.type, service.types)} · ${algorithm(one.algorithm)}`),
  );
  const choice = h("select", { id: "kind" }, kinds);
  const act = async (file) => {
    tooLong(file, service.file_bytes_max);
    const found = await sendFile("/vouchers", file, { "x-zizhu-type": choice.value });
    done();
    return registered(file, found);
  };
  const signer = h(
    "p",
    { class: "below" },
    t("vouchers.signer", { member: service.member, name: issuer.name ?? "–" }),
    " ",
    id(service.account),
  );
  const field = h("div", { class: "field" }, h("label", { class: "soft", for: "kind" }, t("voucher.type")), choice);
  return card(
    t("vouchers.register"),
    null,
    h("div", { class: "card-body" }, field, drop("register", "file", answers, act), signer, answers),
  );
}

function verifyCard() {
  const answers = h("div", { "aria-live": "polite" });
  const act = async (file) => verified(file, await sendFile("/vouchers/verify", file));
  return card(
    t("vouchers.verify"),
    null,
    h(
      "div",
      { class: "card-body" },
      h("p", { class: "field soft" }, t("vouchers.verify.note")),
      drop("verify", "seek", answers, act),
      h("p", { class: "below" }, withCode(t("vouchers.verify.below"))),
      answers,
    ),
  );
}

function tooLong(file, most) {
  if (file.size <= most) return;
  const error = new Error(t("vouchers.too_long", { name: file.name, most: bytes(most) }));
  error.code = "voucher.too_long";
  throw error;
}

// A place that takes files: dropped, chosen, or by the keyboard. They are sent one after the other.
function drop(name, picture, answers, act) {
  const input = h("input", { type: "file", multiple: true, "aria-describedby": `${name}-note`, id: `${name}-files` });
  const label = h(
    "label",
    { class: "drop", for: `${name}-files` },
    input,
    icon(picture),
    h("strong", {}, t(`vouchers.${name}.drop`)),
    h("span", { class: "small faint", id: `${name}-note` }, t("vouchers.drop.note")),
  );
  const take = async (files) => {
    if (label.classList.contains("busy")) return;
    label.classList.add("busy");
    replace(answers);
    for (const file of files) {
      const place = h("div", {}, h("div", { class: "answer" }, waiting(file)));
      answers.append(place);
      try {
        replace(place, await act(file));
      } catch (error) {
        if (!error.code) throw error;
        replace(place, h("div", { class: "answer" }, problem(error)));
      }
    }
    label.classList.remove("busy");
    input.value = "";
  };
  input.addEventListener("change", () => take([...input.files]));
  label.addEventListener("dragover", (event) => {
    event.preventDefault();
    label.classList.add("over");
  });
  label.addEventListener("dragleave", () => label.classList.remove("over"));
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    label.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  return label;
}

function waiting(file) {
  const words = h("div", {}, h("strong", {}, t("vouchers.sending")), h("span", { class: "small soft" }, `${file.name} · ${bytes(file.size)}`));
  return h("div", { class: "answer-head" }, words);
}

function answerHead(kind, text, file) {
  const words = h("div", {}, h("strong", {}, text), h("span", { class: "small soft" }, `${file.name} · ${bytes(file.size)}`));
  return h("div", { class: "answer-head" }, icon(kind), words);
}

function registered(file, found) {
  const one = found.voucher;
  const text = t(found.created ? "vouchers.registered" : "vouchers.registered.before", { index: number(one.index) });
  return h("div", { class: "answer yes" }, answerHead("yes", text, file), about(one), asOf(found));
}

function verified(file, found) {
  const yes = found.answer === "yes";
  return h(
    "div",
    { class: `answer ${yes ? "yes" : "no"}`, role: "status" },
    answerHead(yes ? "yes" : "no", found.text.charAt(0).toUpperCase() + found.text.slice(1), file),
    found.lines.length ? h("ul", {}, found.lines.map((line) => h("li", {}, line))) : null,
    found.voucher && about(found.voucher),
  );
}

function asOf(found) {
  const text = t("vouchers.as_of", { height: number(found.height), time: when(found.time_ms) });
  return h("p", { class: "small faint more" }, text);
}

function about(one) {
  return facts([
    [t("voucher.index"), h("a", { href: `#/vouchers/${one.index}` }, number(one.index))],
    [algorithm(one.algorithm), id(one.digest, { whole: true })],
    [t("block"), h("a", { href: `#/blocks/${one.height}` }, number(one.height))],
    [t("time"), when(one.time_ms)],
    [t("transaction"), id(one.transaction, { href: `#/transactions/${one.transaction}` })],
    [t("voucher.first"), one.first !== null && h("a", { href: `#/vouchers/${one.first}` }, number(one.first))],
  ]);
}

function kindName(type, types) {
  const found = types.find((one) => one.type === type);
  const name = !found ? type : language() === "zh" ? found.name_zh : found.name_en;
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function algorithm(name) {
  return { sm3: "SM3", sha256: "SHA-256" }[name] ?? name;
}

async function fillList(place, types) {
  let lines = [];
  let next = 0;
  const load = async () => {
    const page = await ask(`/vouchers?limit=${PAGE}&after=${next}`);
    lines = lines.concat(page.vouchers);
    next = page.next;
  };
  const columns = [
    { title: t("voucher.index"), cell: (one) => h("a", { href: `#/vouchers/${one.index}` }, number(one.index)) },
    { title: t("voucher.digest"), cell: (one) => [id(one.digest), h("span", { class: "second" }, algorithm(one.algorithm))] },
    { title: t("voucher.type"), class: "wide", cell: (one) => h("span", { class: "tag" }, kindName(one.type, types)) },
    { title: t("voucher.state"), cell: voucherState },
    { title: t("voucher.holder"), class: "wide", cell: (one) => id(one.holder) },
    { title: t("height"), class: "number wide", cell: (one) => h("a", { href: `#/blocks/${one.height}` }, number(one.height)) },
    { title: t("time"), class: "number wide", cell: (one) => ago(one.time_ms) },
  ];
  const draw = () => {
    const shown = table(columns, lines, { empty: t("vouchers.none"), caption: t("vouchers.list") });
    const more = h("button", { class: "button", type: "button", onclick: () => show(place, load, draw) }, t("more"));
    return card(t("vouchers.list"), null, shown, next !== null && h("div", { class: "more" }, more));
  };
  await show(place, load, draw);
}

function voucherState(one) {
  const key = `voucher.state.${one.state}`;
  const kind = one.state === "revoked" ? "bad" : "good";
  return state(kind, has(key) ? t(key) : one.state);
}

export function voucher(index) {
  const place = h("div", {});
  const load = async () => {
    const paths = [`/vouchers/${index}`, `/vouchers/${index}/history`, "/vouchers/service"];
    const [found, history, service] = await Promise.all(paths.map((path) => ask(path)));
    return { found, history, types: service.types };
  };
  show(place, load, drawVoucher);
  return { node: place, title: t("voucher.title", { index }) };
}

function drawVoucher({ found, history, types }) {
  const one = found.voucher;
  const trail = h("a", { href: "#/vouchers" }, t("tab.vouchers"));
  const proof = h("a", { class: "button", href: `${API}/vouchers/${one.index}/proof`, download: `voucher-${one.index}.zproof` }, t("voucher.proof"));
  const file = found.hosted_here && h("a", { class: "button", href: `${API}/vouchers/${one.index}/file`, download: "" }, t("voucher.file"));
  const details = facts([
    [t("voucher.state"), voucherState(one)],
    [t("voucher.revoked"), one.revoked && `${one.revoked.reason} · ${when(one.revoked.time_ms)}`],
    [t("voucher.type"), h("span", { class: "tag" }, kindName(one.type, types))],
    [algorithm(one.algorithm), id(one.digest, { whole: true })],
    [t("voucher.issuer"), id(one.issuer, { whole: true })],
    [t("voucher.holder"), id(one.holder, { whole: true })],
    [t("time"), [when(one.time_ms), " · ", ago(one.time_ms)]],
    [t("block"), h("a", { href: `#/blocks/${one.height}` }, number(one.height))],
    [t("transaction"), id(one.transaction, { href: `#/transactions/${one.transaction}`, whole: true })],
    [t("voucher.first"), one.first !== null && h("a", { href: `#/vouchers/${one.first}` }, number(one.first))],
    [t("voucher.copies"), t("voucher.copies.value", { count: found.copies })],
  ]);
  const columns = [
    { title: t("voucher.act"), cell: (act) => (has(`act.${act.action}`) ? t(`act.${act.action}`) : act.action) },
    { title: t("voucher.actor"), class: "wide", cell: (act) => id(act.actor) },
    { title: t("transaction"), cell: (act) => id(act.transaction, { href: `#/transactions/${act.transaction}` }) },
    { title: t("height"), class: "number", cell: (act) => h("a", { href: `#/blocks/${act.height}` }, number(act.height)) },
    { title: t("time"), class: "number", cell: (act) => ago(act.time_ms) },
  ];
  return h(
    "div",
    {},
    head(t("voucher.title", { index: number(one.index) }), { trail, aside: h("div", { class: "tools" }, file, proof) }),
    h("div", { class: "card" }, h("div", { class: "card-body" }, details)),
    card(t("voucher.history"), null, table(columns, history.acts, { empty: "", caption: t("voucher.history") })),
  );
}
