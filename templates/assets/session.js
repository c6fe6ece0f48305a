// The OP frame of OpenID Connect Session Management 1.0 section 3.2: an
// application's page asks whether the browser is still in the state it was told
// (session_state), and is told "unchanged", "changed" or, where nobody can tell,
// "error". No page but this one, not even ours, sees the cookie by way of it.
"use strict";

const cookie = (location.protocol === "https:" ? "__Host-" : "") + "gk_bs=";

const browserState = () =>
  document.cookie.split("; ").filter((c) => c.startsWith(cookie)).map((c) => c.slice(cookie.length))[0] || "";

const hash = async (text) => {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return btoa(String.fromCharCode(...sum)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
};

// A browser that keeps our cookie from us says "error": "changed" would send the
// application round in circles.
const answer = async (asked, origin) => {
  const parts = /^(\S{1,200}) ([\w-]{43})\.(\w{1,64})$/.exec(asked);
  const state = browserState();
  if (!parts || !state || !crypto.subtle) return "error";
  const [, client, want, salt] = parts;
  return (await hash(`${client} ${origin} ${state} ${salt}`)) === want ? "unchanged" : "changed";
};

addEventListener("message", async (event) => {
  if (!event.source || event.source === window || !/^https?:/.test(event.origin)) return;
  event.source.postMessage(await answer(String(event.data), event.origin), event.origin);
});
