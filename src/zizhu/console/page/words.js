// The language of the page: one table of texts for each, chosen by ?lang=, an earlier choice, or the browser.

export const LANGUAGES = { en: "EN", zh: "中文" };
const KEPT = "zizhu.language";
const tables = {};
let current = "en";

export async function loadWords() {
  const [en, zh] = await Promise.all(Object.keys(LANGUAGES).map(load));
  tables.en = en;
  tables.zh = zh;
  current = preferred();
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
}

export function language() {
  return current;
}

export function locale() {
  return current === "zh" ? "zh-CN" : "en-GB";
}

export function choose(name) {
  current = name;
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  try {
    localStorage.setItem(KEPT, name);
  } catch {
    // A browser that keeps nothing asks again next time.
  }
}

// The text `key`, with {name} filled from `values`; with a `count`, the form `key.one` where the language has it.
export function t(key, values = {}) {
  const table = tables[current];
  const text = (values.count === 1 && table[`${key}.one`]) || table[key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

export function has(key) {
  return tables[current][key] !== undefined;
}

async function load(name) {
  const reply = await fetch(`/page/${name}.json`);
  return reply.json();
}

function preferred() {
  const asked = new URLSearchParams(location.search).get("lang");
  if (asked in LANGUAGES) return asked;
  try {
    const kept = localStorage.getItem(KEPT);
    if (kept in LANGUAGES) return kept;
  } catch {
    // Nothing is kept here.
  }
  return (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
}
