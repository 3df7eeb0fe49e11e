const STATUSES = ["open", "mine", "decided", "all"];
let status = "open";
let older = [];
let next = null;

function row(request) {
  const link = el("a", "", clear(request.tool === "human.ask" ? "A question" : request.tool));
  link.href = "/approvals/" + encodeURIComponent(request.request);
  const under = [request.objective || request.skill, request.reason].filter(Boolean).map(clear).join(" · ");
  const who = request.status === "open" ? request.approvers.join(", ") || "anybody" : request.decided_by.join(", ") || "nobody";
  const cells = [
    el("td", "", pill(request.status)),
    el("td", "goal", link, under ? el("div", "", under) : null),
    el("td", "quiet", who),
    el("td", "n", request.approved_by.length + " of " + request.quorum),
    el("td", "n quiet", ago(request.requested_ms)),
    el("td", "n quiet", request.status === "open" ? left(request.expires_ms) : ""),
  ];
  return el("tr", "", ...cells);
}

const FILTERS = { open: "&status=open", mine: "&status=open&mine=true", decided: "&status=decided", all: "" };
const EMPTY = {
  open: "Nothing waits for a person.",
  mine: "Nothing waits for you.",
  decided: "Nothing was decided yet.",
  all: "No call has waited for a person yet. A policy says which do: callboard policy apply FILE",
};
const path = (before) => "/v1/approvals?limit=50" + FILTERS[status] + (before ? "&before=" + before : "");

async function refresh() {
  const wanted = status;
  try {
    const page = await get(path());
    if (wanted !== status) return;
    tell("");
    if (!older.length) next = page.next;
    const known = new Set(page.approvals.map((request) => request.request));
    const all = page.approvals.concat(older.filter((request) => !known.has(request.request)));
    at("requests").replaceChildren(...all.map(row));
    at("empty").textContent = EMPTY[status];
    at("empty").hidden = all.length > 0;
    at("older").hidden = !next;
  } catch (error) {
    tell(error.message);
  }
}

function choose(name) {
  [status, older, next] = [name, [], null];
  for (const button of at("filter").children) button.setAttribute("aria-pressed", button.textContent === name);
  refresh();
}

for (const name of STATUSES) {
  const button = el("button", "", name);
  button.onclick = () => choose(name);
  at("filter").append(button);
}
at("older").onclick = async () => {
  const page = await get(path(next));
  older = older.concat(page.approvals);
  next = page.next;
  refresh();
};
choose("open");
setInterval(() => document.hidden || refresh(), 2000);
