const ROOT = decodeURIComponent(location.pathname.split("/")[2]);
const runs = new Map();
const calls = new Map();
let totals = { cost: 0, tokens: 0, calls: 0, turns: 0, start: 0, end: 0, budget: null };

function runBox(id) {
  let box = runs.get(id);
  if (box) return box;
  const node = el("div", "run", el("h2", "", id === ROOT ? "" : "Sub-agent"));
  box = { node, turns: new Map() };
  runs.set(id, box);
  const asked = calls.get(id);
  (asked ? asked.inside : at("tree")).append(node);
  if (asked) asked.node.open = true;
  return box;
}

function turnBox(run, turn) {
  const box = runBox(run);
  if (!box.turns.has(turn)) {
    const inside = el("div", "calls");
    box.node.append(el("div", "turn", el("b", "", String(turn)), inside));
    box.turns.set(turn, inside);
  }
  return box.turns.get(turn);
}

function callBox(id, tool) {
  let box = calls.get(id);
  if (box) return box;
  const parts = id.split("-");
  const turn = Number(parts[parts.length - 2]);
  box = {
    state: el("span", "state"), tool: el("span", "tool", tool || ""), brief: el("span", "brief"), sum: el("span", "sum"),
    body: el("div", "body"), inside: el("div", ""), live: null,
  };
  box.node = el("details", "call", el("summary", "", box.state, box.tool, box.brief, box.sum), box.body);
  box.body.append(box.inside);
  calls.set(id, box);
  turnBox(parts.slice(0, -2).join("-"), turn).append(box.node);
  return box;
}

function part(box, title, text) {
  box.body.insertBefore(el("h3", "", title), box.inside);
  box.body.insertBefore(el("pre", "", text), box.inside);
}

const mark = (box, status) => box.state.replaceChildren(pill(status));

function outputOf(taken) {
  if (taken.output !== undefined) return taken.output;
  if (taken.output_head) return taken.output_head + "… (" + count(taken.output_bytes) + " bytes)";
  return taken.output_ref ? "stored as " + taken.output_ref : "";
}

function answerBrief(output) {
  if (output && output.type === "model.summary.v1") return "the first " + output.answers + " turns summed up: " + brief(output.text);
  if (!output || output.type !== "model.answer.v1") return brief(output);
  const asks = (output.asks || []).map((ask) => ask.tool + " " + brief(ask.arguments));
  if (asks.length) return [output.text, "→ " + asks.join(", ")].filter(Boolean).join(" ");
  return output.finished ? "answers: " + brief(output.output) : output.give_up || output.text || "";
}

function took(taken) {
  const box = callBox(taken.call, taken.tool);
  const output = outputOf(taken);
  const tokens = (taken.input_tokens || 0) + (taken.output_tokens || 0);
  if (box.live) box.live.parentNode.removeChild(box.live);
  box.live = null;
  mark(box, taken.status);
  box.brief.textContent = taken.message || answerBrief(output) || box.brief.textContent;
  const cost = (taken.cost_micro_usd || 0);
  box.sum.textContent = [
    taken.model, tokens ? count(tokens) + " tok" : "", taken.unpriced ? "unpriced" : cost ? usd(cost) : "",
    taken.duration_ms ? lasted(taken.duration_ms) : "",
  ].filter(Boolean).join(" · ");
  if (taken.message && taken.status !== "refused") part(box, taken.code || "Message", taken.message);
  if (output !== "") part(box, "Result", shown(output));
  totals.cost += cost;
  totals.tokens += tokens;
}

const EVENTS = {
  "run.accepted.v1"(event, data) {
    if (data.run === ROOT) head(event, data);
    else runBox(data.run).node.firstChild.textContent = "Sub-agent: " + (event.goal.objective || event.skill || data.run);
  },
  "run.called.v1"(event) {
    for (const call of event.calls) {
      const box = callBox(call.id, call.tool);
      mark(box, "proposed");
      box.brief.textContent = call.tool === "model" ? "" : brief(call.arguments);
      if (call.arguments) part(box, "Arguments", shown(call.arguments));
      totals.calls += 1;
      totals.turns += call.tool === "model" && !(call.arguments || {}).summarise && call.id.startsWith(ROOT + "-") && call.id.split("-").length === ROOT.split("-").length + 2;
    }
  },
  "guard.granted.v1": (event) => mark(callBox(event.call.id, event.call.tool), "granted"),
  "guard.refused.v1"(event) {
    const box = callBox(event.call, event.tool);
    mark(box, "refused");
    box.brief.textContent = event.message;
    part(box, event.code, event.message);
  },
  "run.took.v1": (event) => event.results.forEach(took),
  "approval.requested.v1": (event) => waits(event.request),
  "approval.voted.v1"(event, data) {
    if (event.vote === "edit" || event.vote === "delegate") part(callBox(data.run), "Vote", event.principal + ": " + event.vote + (event.to ? " to " + event.to : ""));
  },
  "approval.decided.v1"(event, data) {
    const by = event.by && event.by.length ? " by " + event.by.join(", ") : "";
    mark(callBox(data.run), event.outcome);
    part(callBox(data.run), "Decision", event.outcome + by + (event.reason ? ": " + event.reason : ""));
  },
  "run.noted.v1": (event, data) => runBox(data.run).node.append(el("p", "note ending", event.text)),
  "run.deferred.v1": (event, data) => runBox(data.run).node.append(el("p", "note ending", "Waits: " + (event.message || event.code))),
  "run.paused.v1": (event, data) => said(event, data, "Paused", event.reason, "paused"),
  "run.resumed.v1": (event, data) => said(event, data, "Resumed", "", "running"),
  "run.steered.v1": (event, data) => said(event, data, "Steered", event.text),
  "run.retried.v1": (event, data) => said(event, data, "Made again", event.tool + " for " + event.call),
  "run.refused.v1": (event, data) => ended({ status: "refused", reason: event.message, code: event.code }, data),
  "run.ended.v1": (event, data) => ended(event, data),
};

// A person must decide about a call, which then says so and leads to where that is done.
function waits(request) {
  const box = callBox(request.id, request.tool);
  const link = el("a", "", "a person must decide");
  link.href = "/approvals/" + encodeURIComponent(request.id);
  mark(box, "waits");
  box.brief.replaceChildren(link, " " + brief(request.rule.reason || (request.arguments || {}).question || ""));
}

// What a person said to the run, and the status that it has from then on.
function said(event, data, what, text, status) {
  const by = event.principal ? " by " + event.principal : "";
  runBox(data.run).node.append(el("p", "note ending", what + by + (text ? ": " + text : "")));
  if (status && data.run === ROOT) at("status").replaceChildren(pill(status));
}

function head(event, data) {
  const goal = event.goal;
  at("objective").textContent = goal.objective || "Skill " + event.skill;
  document.title = at("objective").textContent + " · Callboard";
  const words = [goal.objective && event.skill ? "skill " + event.skill : "", event.model, goal.principal ? "by " + goal.principal : ""];
  const labels = Object.entries(goal.labels || {}).map(([name, value]) => name + ": " + value);
  if (goal.retry) words.push("takes up " + (goal.retry.turn ? "" : "anew what was ") + goal.retry.of);
  at("about").replaceChildren(el("span", "id", ROOT), " · " + [...words, ...labels].filter(Boolean).join(" · "));
  totals.start = Date.parse(data.time);
  const limits = goal.limits || {};
  totals.budget = limits.budget_micro_usd === undefined ? 1e6 : limits.budget_micro_usd;
  at("status").replaceChildren(pill("running"));
}

function ended(event, data) {
  if (data.run !== ROOT) {
    const line = el("p", "ending", pill(event.status), " ", event.reason || brief(event.output));
    runBox(data.run).node.append(line);
    return;
  }
  totals.end = Date.parse(data.time);
  if (!totals.start) totals.start = totals.end;
  at("status").replaceChildren(pill(event.status));
  const box = at("outcome");
  const output = event.output_ref ? "stored as " + event.output_ref : event.output;
  const text = event.status === "completed" ? shown(output === undefined ? null : output) : event.reason || event.code;
  const content = typeof output === "string" || event.status !== "completed" ? el("p", "", text) : el("pre", "", text);
  box.replaceChildren(el("h2", "", event.status === "completed" ? "Output" : "Why it ended"), content);
  box.hidden = false;
}

function facts() {
  const rows = [
    ["Turns", count(totals.turns)], ["Calls", count(totals.calls)], ["Tokens", count(totals.tokens)],
    ["Cost", usd(totals.cost) + (totals.budget ? " of " + usd(totals.budget) : "")],
    ["Took", totals.start ? lasted((totals.end || Date.now()) - totals.start) : "–"],
  ];
  at("facts").replaceChildren(...rows.map(([name, value]) => el("div", "", el("dt", "", name), el("dd", "", value))));
  at("budget").hidden = !totals.budget;
  if (totals.budget) at("budget").firstElementChild.style.width = Math.min(100, (100 * totals.cost) / totals.budget) + "%";
}

function chunk(data) {
  const box = callBox(data.call, "");
  if (!box.live) {
    box.live = el("pre", "");
    box.body.insertBefore(box.live, box.inside);
  }
  box.live.textContent = (box.live.textContent + data.text).slice(-4000);
  box.brief.textContent = box.live.textContent.slice(-160);
}

function take(kind, data) {
  if (kind === "chunk") return chunk(data);
  if (kind === "progress") return (callBox(data.call, "").brief.textContent = data.message);
  for (const event of data.events) {
    const handle = EVENTS[event.type];
    if (handle) handle(event, data);
  }
}

// Reads the stream with fetch, so that every kind of event arrives without being named beforehand.
let last = "";
let over = false;

function frame(text) {
  let kind = "";
  let data = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("id: ")) last = line.slice(4);
    else if (line.startsWith("event: ")) kind = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (!data) return;
  const found = JSON.parse(data);
  take(kind, found);
  over = over || (found.actor === "run" && found.run === ROOT && (kind === "ended" || kind === "refused"));
}

async function follow() {
  const headers = last ? { "Last-Event-ID": last } : {};
  const answer = await fetch("/v1/runs/" + encodeURIComponent(ROOT) + "/events?stream=tokens", { headers });
  if (answer.status === 204) return (over = true);
  if (!answer.ok) {
    const body = await answer.json();
    over = answer.status < 500;
    throw new Error([body.title, body.detail, body.advice].filter(Boolean).join(" · "));
  }
  tell("");
  at("connection").textContent = "live";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    frames.forEach(frame);
    facts();
  }
}

async function main() {
  facts();
  const clock = setInterval(facts, 1000);
  while (!over) {
    try {
      await follow();
    } catch (error) {
      tell(error.message);
    }
    at("connection").textContent = over ? "" : "connecting…";
    if (!over) await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  clearInterval(clock);
  facts();
}
main();
