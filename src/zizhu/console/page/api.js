// Asking this member: JSON in and out, errors with their cause and fix, and the stream of new blocks.

import { language, t } from "./words.js";

export const API = "/api/v1";
const RETRY_MS = 2000;

export class ApiError extends Error {
  constructor(status, error) {
    super(error.cause);
    this.status = status;
    this.code = error.code;
    this.fix = error.fix;
  }
}

export async function ask(path, options = {}) {
  const headers = { accept: "application/json", "accept-language": language(), ...options.headers };
  let reply;
  try {
    reply = await fetch(API + path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "page.offline", cause: t("error.offline"), fix: t("error.offline.fix") });
  }
  const body = await reply.json().catch(() => null);
  if (reply.ok && body !== null) return body;
  const unclear = { code: `http.${reply.status}`, cause: t("error.unclear", { status: reply.status }), fix: "" };
  throw new ApiError(reply.status, body?.error ?? unclear);
}

export function sendFile(path, file, headers = {}) {
  return ask(path, { method: "POST", body: file, headers: { "content-type": "application/octet-stream", ...headers } });
}

// What this member says of itself and the chain, as it happens.
export const live = {
  status: null,
  connected: null,
  listeners: new Set(),

  start() {
    const stream = new EventSource(`${API}/events/stream`);
    stream.addEventListener("open", () => this.tell("connection", (this.connected = true)));
    stream.addEventListener("status", (event) => this.tell("status", (this.status = JSON.parse(event.data))));
    stream.addEventListener("block", (event) => this.tell("block", JSON.parse(event.data)));
    stream.addEventListener("error", () => {
      this.tell("connection", (this.connected = false));
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => this.start(), RETRY_MS);
    });
    window.addEventListener("pagehide", () => stream.close(), { once: true });
  },

  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  },

  tell(kind, value) {
    for (const listener of this.listeners) listener(kind, value);
  },
};
