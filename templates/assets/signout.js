// Goes on from the signed-out page once every application's frame has loaded, and
// after four seconds whatever they do. Without script the page goes on by itself
// after five. It is in the head, so that no frame can have loaded before it listens.
"use strict";

let loaded = 0;
let gone = false;

const go = () => {
  const onward = document.getElementById("continue");
  if (gone || !onward) return;
  gone = true;
  location.replace(onward.href);
};

const check = () => {
  if (document.readyState !== "loading" && loaded >= document.getElementsByTagName("iframe").length) go();
};

document.addEventListener("load", (event) => {
  if (event.target.tagName === "IFRAME") loaded += 1;
  check();
}, true);
document.addEventListener("DOMContentLoaded", check);
setTimeout(go, 4000);
