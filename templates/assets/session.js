// The OP frame of OpenID Connect Session Management 1.0 section 3.2: an
// application's page asks whether the browser is still in the state it was told
// (session_state), and is told "unchanged", "changed" or, where nobody can tell,
// "error". No page but this one, not even ours, sees the cookie by way of it.
"use strict";

// Its name says whose it is: __Host-gk_bs, and below a path of the host
// __Secure-gk_bs-… with a mark of that path. The browser sends no other here.
const cookie = /^(__Host-|__Secure-)?gk_bs(-[0-9a-f]{8})?=/;

const browserState = () =>
  document.cookie.split("; ").filter((c) => cookie.test(c)).map((c) => c.slice(c.indexOf("=") + 1))[0] || "";

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
