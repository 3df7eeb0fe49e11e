"use strict";
// Text from runs only ever becomes text nodes: nothing here writes markup.
const at = (id) => document.getElementById(id);

function el(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const pill = (status) => el("span", "pill " + String(status).replace(/[^a-z]/g, ""), status);
const usd = (micro) => {
  const dollars = micro / 1e6;
  if (!micro) return "$0";
  return "$" + (dollars < 1 ? dollars.toFixed(6).replace(/(\.\d\d\d*?)0+$/, "$1") : dollars.toFixed(2));
};
const count = (number) => Number(number || 0).toLocaleString("en");
const lasted = (ms) => {
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 60000) return (ms / 1000).toFixed(1) + " s";
  if (ms < 3600000) return Math.floor(ms / 60000) + " min " + Math.round((ms % 60000) / 1000) + " s";
  return (ms / 3600000).toFixed(1) + " h";
};
const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
const brief = (value) => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text === undefined ? "" : text.length > 160 ? text.slice(0, 160) + "…" : text;
};

const ago = (ms) => {
  const passed = Date.now() - ms;
  if (passed < 60000) return "just now";
  if (passed < 3600000) return Math.floor(passed / 60000) + " min ago";
  if (passed < 86400000) return Math.floor(passed / 3600000) + " h ago";
  return new Date(ms).toLocaleDateString();
};
const left = (ms) => {
  const days = (ms - Date.now()) / 86400000;
  return days <= 0 ? "now" : "in " + (days > 2 ? Math.round(days) + " days" : lasted(days * 86400000));
};
// Whatever does not print, or turns the writing around, is shown as its code: nothing that would run is hidden.
const clear = (text) => String(text).replace(/(?![\n ])[\p{C}\p{Zl}\p{Zp}\p{Zs}]/gu, (letter) => "\\u{" + letter.codePointAt(0).toString(16) + "}");

function tell(problem) {
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
}

async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw new Error([body.title, body.detail, body.advice].filter(Boolean).join(" · "));
  return body;
}
