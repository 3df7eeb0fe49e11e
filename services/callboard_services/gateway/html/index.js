const STATUSES = ["all", "running", "waiting", "paused", "completed", "failed", "unachievable", "cancelled", "refused"];
let status = "all";
let older = [];
let next = null;

function row(run) {
  const link = el("a", "", run.objective || (run.skill ? "Skill " + run.skill : run.run));
  link.href = "/runs/" + encodeURIComponent(run.run);
  const labels = Object.entries(run.labels).map(([name, value]) => name + ": " + value);
  const under = [run.objective ? run.skill : "", run.reason, ...labels].filter(Boolean).join(" · ");
  const cells = [
    el("td", "", pill(run.status)),
    el("td", "goal", link, under ? el("div", "", under) : null),
    el("td", "quiet", run.model),
    el("td", "n", count(run.turns)),
    el("td", "n", count(run.calls)),
    el("td", "n", usd(run.tree_cost_micro_usd) + (run.unpriced ? " +?" : "")),
    el("td", "n", lasted((run.ended_ms || Date.now()) - run.accepted_ms)),
    el("td", "n quiet", ago(run.accepted_ms)),
  ];
  return el("tr", "", ...cells);
}

const path = (before) =>
  "/v1/runs?limit=50" + (status === "all" ? "" : "&status=" + status) + (before ? "&before=" + before : "");

async function refresh() {
  const wanted = status;
  try {
    const page = await get(path());
    if (wanted !== status) return;
    tell("");
    if (!older.length) next = page.next;
    const known = new Set(page.runs.map((run) => run.run));
    const all = page.runs.concat(older.filter((run) => !known.has(run.run)));
    at("runs").replaceChildren(...all.map(row));
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
  older = older.concat(page.runs);
  next = page.next;
  refresh();
};
choose("all");
setInterval(() => document.hidden || refresh(), 2000);
