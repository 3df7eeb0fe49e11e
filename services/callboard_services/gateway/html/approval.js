const REQUEST = decodeURIComponent(location.pathname.split("/")[2]);
let seen = null;
let mode = "";

const json = (value) => el("pre", "", clear(JSON.stringify(value, null, 2)));
const block = (title, ...inside) => [el("h2", "", title), ...inside];
const lines = (rows) => el("ul", "plain", ...rows.map((row) => el("li", "", row)));

function question(asked) {
  const parts = [el("p", "question", clear(String(asked.question || "")))];
  if (asked.choices) parts.push(el("p", "quiet", "One of: " + clear(asked.choices.join(" · "))));
  if (asked.schema) parts.push(el("p", "quiet", "As JSON that fits:"), json(asked.schema));
  if (asked.context) parts.push(el("p", "", clear(String(asked.context))));
  return parts;
}

function head(request) {
  const what = request.question ? "A question" : request.tool + " " + request.version;
  at("status").replaceChildren(pill(request.status));
  at("what").textContent = what;
  document.title = what + " · Callboard";
  const run = el("a", "id", request.run);
  run.href = "/runs/" + encodeURIComponent(request.run);
  const words = [clear(request.objective), request.skill && request.skill !== "_" ? "skill " + request.skill : "", request.principal ? "started by " + request.principal : ""];
  at("about").replaceChildren(run, " · " + words.filter(Boolean).join(" · "));
  const who = request.approvers.join(", ") || "whoever has a key";
  const rows = [
    ["Who may decide", who],
    ...(request.question ? [] : [["Approvals", request.approved_by.length + " of " + request.quorum]]),
    ["Asked", ago(request.requested_ms)],
    ["Expires", request.status === "open" ? left(request.expires_ms) : "–"],
  ];
  if (!request.question) rows.unshift(["Effect", request.effect], ["Costs at most", usd(request.worst_micro_usd)]);
  at("facts").replaceChildren(...rows.map(([name, value]) => el("div", "", el("dt", "", name), el("dd", "", value))));
}

function body(request) {
  const open = request.status === "open";
  at("title").textContent = request.question ? "The question" : open ? "What would run, exactly" : "What was asked for";
  const told = Boolean(request.decision && request.decision.edited);
  const inside = request.question ? question(request.arguments || {}) : [json(told ? request.proposed : request.arguments)];
  if (request.arguments === null && request.arguments_ref) inside.push(el("p", "quiet", count(request.arguments_bytes) + " bytes, stored as " + request.arguments_ref));
  if (request.edited_by && !told) inside.push(el("p", "quiet", "Edited by " + request.edited_by + ". Proposed was:"), json(request.proposed));
  at("run").replaceChildren(...inside);
  at("decided").hidden = open;
  if (!open) at("decided").replaceChildren(...decision(request.decision));
  at("decide").hidden = !open;
}

function decision(made) {
  const by = made.by && made.by.length ? " by " + made.by.join(", ") : "";
  const inside = [el("p", "", made.outcome + by + (made.reason ? ": " + clear(made.reason) : ""))];
  if (made.edited) inside.push(el("p", "quiet", "With these arguments:"), json(made.arguments));
  if (made.outcome === "answered") inside.push(json(made.answer));
  return block("The decision", ...inside);
}

function vote(said) {
  const when = new Date(said.at_ms).toLocaleString();
  const what = said.counted ? said.vote + (said.to ? " to " + said.to : "") : "did not count: " + said.message;
  return when + " · " + said.principal + ": " + what + (said.reason ? " · " + clear(said.reason) : "");
}

function step(done) {
  const what = done.tool === "model" ? "model" : done.tool + "(" + clear(done.arguments) + ")";
  return what + " · " + done.status + (done.message ? ": " + clear(done.message) : "");
}

function context(request) {
  const why = request.policy ? (request.reason || "A rule asks for it") + " (rule " + request.rule + " of " + request.policy + ")" : "The agent asks.";
  const parts = block("Why a person", el("p", "", clear(why)));
  if (request.votes.length) parts.push(...block("Votes", lines(request.votes.map(vote))));
  if (request.steps.length) parts.push(...block("What the run did lately", lines(request.steps.map(step))));
  parts.push(el("p", "quiet id", "digest " + request.digest));
  at("context").replaceChildren(...parts);
}

function buttons(request) {
  const choices = request.question ? ["answer", "deny", "delegate"] : ["approve", "deny", "edit", "delegate"];
  const made = choices.map((name) => {
    const button = el("button", name, name);
    button.onclick = () => decide(name);
    return button;
  });
  at("buttons").replaceChildren(...made);
  at("answered").hidden = !request.question;
}

// What was seen is no more what would run: nothing can be decided until the person says to have looked.
function again() {
  tell("What would run was edited meanwhile.");
  const button = el("button", "", "I have looked at the change");
  button.onclick = () => (tell(""), buttons(seen));
  at("buttons").replaceChildren(button);
}

// Some choices need a field first: the first press shows it, the second sends it.
function ready(name) {
  const field = { edit: "edited", delegate: "passed" }[name];
  if (!field || mode === name) return true;
  mode = name;
  at("edited").hidden = name !== "edit";
  at("passed").hidden = name !== "delegate";
  if (name === "edit" && !at("arguments").value) at("arguments").value = JSON.stringify(seen.arguments, null, 2);
  return false;
}

function ballot(name) {
  const said = { decision: name, digest: seen.digest, reason: at("reason").value };
  if (name === "edit") said.arguments = JSON.parse(at("arguments").value);
  if (name === "delegate") said.to = at("to").value.trim();
  if (name === "answer") said.answer = wanted(at("answer").value);
  return said;
}

// An answer is a text, unless its question wants something else that the text is JSON of.
function wanted(text) {
  const schema = (seen.arguments || {}).schema;
  if (!schema || schema.type === "string") return text;
  return JSON.parse(text);
}

async function decide(name) {
  if (!ready(name)) return;
  for (const button of at("buttons").children) button.disabled = true;
  try {
    const headers = { "Content-Type": "application/json", Accept: "application/json", "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") };
    if (at("key").value) headers.Authorization = "Bearer " + at("key").value.trim();
    const answer = await fetch("/v1/approvals/" + encodeURIComponent(REQUEST) + "/votes", { method: "POST", headers, body: JSON.stringify(ballot(name)) });
    const told = await answer.json();
    await look();
    tell(answer.ok ? "" : [told.title, told.detail, told.advice].filter(Boolean).join(" · "));
  } catch (error) {
    tell(error.message);
  }
  for (const button of at("buttons").children) button.disabled = false;
}

async function look() {
  const request = await get("/v1/approvals/" + encodeURIComponent(REQUEST));
  const first = !seen;
  const moved = seen && seen.digest !== request.digest;
  seen = request;
  head(request);
  body(request);
  context(request);
  if (first) buttons(request);
  if (moved) again();
}

async function main() {
  for (;;) {
    try {
      if (!document.hidden) await look();
    } catch (error) {
      tell(error.message);
    }
    if (seen && seen.status !== "open") return;
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
}
main();
