// The page: asks the server that sent it, every few seconds and when told to, and shows what it says.
"use strict";

const REFRESH_MS = 3000;
const FIND_SECONDS = 10;
const byId = (id) => document.getElementById(id);
let overview = null;
let lastRecall = null;

// ---- asking

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const reply = await fetch(path, options);
  const value = await reply.json();
  if (!reply.ok) {
    const fields = (value.violations ?? []).map((one) => `${one.field}: ${one.description}`);
    throw new Error(fields.length ? fields.join("\n") : value.message);
  }
  return value;
}

// ---- showing

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const number = (value, digits = 0) => Number(value).toLocaleString([], { maximumFractionDigits: digits, minimumFractionDigits: digits });
const percent = (value) => `${number(value * 100, 1)}%`;

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.9995) return `${number(seconds * 1000, seconds < 0.00995 ? 1 : 0)} ms`;
  if (seconds < 100) return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7200) return `${number(seconds / 60)} min`;
  if (seconds < 172800) return `${number(seconds / 3600)} h`;
  return `${number(seconds / 86400)} days`;
}

function card(name, value, { more, tone } = {}) {
  return element("div", { class: `card ${tone ?? ""}` },
    element("div", { class: "name" }, name), element("div", { class: "value" }, value), element("div", { class: "more" }, more ?? ""));
}

function problem(place, error) {
  place.replaceChildren(element("p", { class: "notice bad" }, error.message));
}

// ---- overview

async function refresh() {
  const pill = byId("health");
  try {
    overview = await ask("api/overview");
    byId("offline").hidden = true;
  } catch (error) {
    pill.className = "pill bad";
    pill.textContent = "no answer";
    byId("offline").textContent = `The server does not answer: ${error.message}`;
    byId("offline").hidden = false;
    return;
  }
  pill.className = overview.serving ? "pill good" : "pill";
  pill.textContent = overview.serving ? "serving" : "not serving";
  byId("no-writes").hidden = overview.can_write;
  byId("write-form").hidden = !overview.can_write;
  if (!overview.serving) return;
  byId("served").textContent = `model ${overview.status.model_id.slice(0, 12)} · snapshot ${overview.status.snapshot}`;
  showCards();
  showCharts();
  showFacts();
  showFeatureFields();
}

function showCards() {
  const { status, canary } = overview, audit = status.audit;
  const lag = Number(status.lag_seconds);
  const parts = `${number(status.num_base)} base · ${number(status.num_fresh)} fresh · ${number(status.num_deleted)} deleted`;
  const interval = audit ? `${percent(audit.low)} to ${percent(audit.high)}, ${number(audit.num_recalls)} recalls` : "no recall audited yet";
  byId("cards").replaceChildren(
    card("Items", number(status.num_items), { more: parts }),
    card("Audited recall", audit ? percent(audit.recall) : "–", { more: interval, tone: overview.audit_is_low ? "bad" : audit ? "good" : "" }),
    card("Freshness", canary ? duration(canary.last_seconds) : "off", {
      more: canary ? `${number(canary.found)} found, ${number(canary.failed)} failed` : "canary_interval_seconds = 0",
      tone: canary && canary.last_error ? "bad" : canary && canary.found ? "good" : "",
    }),
    card("Writes reflected", number(status.sequence), { more: lag ? `behind by ${duration(lag)}` : `of ${number(status.catalog_sequence)}`, tone: lag > 10 ? "bad" : lag > 1 ? "warn" : "" }),
    card("Snapshot", duration(overview.snapshot_seconds), { more: `old · ${number(overview.switches)} switches since the start` }),
    card("Recalls", number(overview.recalls), { more: "since the start" }),
    card("Index", status.index_kind, { more: `${status.dim} dimensions` }),
    card("Rebuild", status.advice.rebuild ? "advised" : "not needed", { more: status.advice.reason, tone: status.advice.rebuild ? "warn" : "" }),
  );
  const notices = [];
  if (status.last_switch_error) notices.push(`The current snapshot is not served: ${status.last_switch_error}`);
  if (canary && canary.last_error) notices.push(`Freshness canary: ${canary.last_error}`);
  if (overview.audit_is_low) notices.push("The audited recall is below its floor: rebuild the index.");
  if (status.num_skipped > 0) notices.push(`${number(status.num_skipped)} stored items cannot be retrieved.`);
  byId("notices").replaceChildren(...notices.map((text) => element("p", { class: "notice bad" }, text)));
}

function rates(points, name) {
  return points.slice(1).map((point, place) => {
    const before = points[place], seconds = point.time - before.time;
    const change = point[name] - before[name];
    return { time: point.time, value: seconds > 0.5 && change >= 0 ? change / seconds : null };
  });
}

function showCharts() {
  const points = overview.points;
  const series = (name, low, high) => points.map((point) => ({ time: point.time, value: point[name], low: low && point[low], high: high && point[high] }));
  drawChart(byId("chart-audit"), series("audit", "audit_low", "audit_high"), {
    format: percent, least: 0.02, ceiling: 1, nothing: "No recall was audited yet." });
  drawChart(byId("chart-fresh"), series("fresh_seconds"), {
    format: duration, least: 0.002, floor: 0, nothing: overview.canary ? "No probe was made yet." : "The canary is off: set canary_interval_seconds in [live]." });
  drawChart(byId("chart-recalls"), rates(points, "recalls"), {
    format: (value) => number(value, value < 10 ? 1 : 0), least: 1, floor: 0, nothing: "Two readings are needed." });
  drawChart(byId("chart-items"), series("items"), { format: (value) => number(value), least: 4, whole: true, nothing: "" });
}

function showFacts() {
  const rows = [];
  for (const [name, value] of Object.entries(overview.status)) {
    if (value === "" || (Array.isArray(value) && value.length === 0)) continue;
    rows.push(element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, factText(value)));
  }
  byId("status").replaceChildren(...rows);
}

function factText(value) {
  if (Array.isArray(value)) return value.map((one) => (one.name ? `${one.name} (${one.kind})` : factText(one))).join(", ");
  if (value !== null && typeof value === "object") return Object.entries(value).map(([name, one]) => `${name} ${factText(one)}`).join(" · ");
  return String(value);
}

// ---- lists of items

function resultList(reply, { rank, actions }) {
  const ids = reply.item_ids ?? [], scores = reply.scores ?? [];
  const top = Math.max(...scores.map(Math.abs), 1e-9);
  const rows = ids.map((id, place) => {
    const title = reply.labels?.[id];
    const bar = element("i");
    bar.style.width = `${Math.max(0, scores[place] / top) * 100}%`;
    return element("li", { "data-item": id },
      element("span", { class: "rank" }, rank === false ? "" : String(place + 1)),
      element("span", { class: "title" }, title ?? "", element("span", { class: "id" }, id)),
      element("span", { class: "score", title: "score" }, bar, element("span", {}, number(scores[place], 3))),
      element("span", { class: "what" }, ...actions.map(([name, act]) => element("button", { class: "small", type: "button", onclick: () => act(id) }, name))));
  });
  const about = [reply.answered_from ? `answered from ${reply.answered_from.replace("ANSWERED_FROM_", "").toLowerCase()}` : "", reply.short_reason ?? "", `as of write ${number(reply.sequence)}`];
  return element("div", { class: "panel" },
    element("div", { class: "quiet about" }, about.filter(Boolean).join(" · ")),
    ids.length ? element("ol", { class: "results" }, ...rows) : element("p", {}, "No item."));
}

async function submitRecall(event) {
  event.preventDefault();
  const request = { limit: Number(byId("recall-limit").value) || 10, exact: byId("recall-exact").checked };
  const user = byId("recall-user").value.trim(), history = byId("recall-history").value.split(",").map((id) => id.trim()).filter(Boolean);
  if (user) request.user_id = user;
  if (history.length) request.history = { item_ids: history };
  byId("explanation").replaceChildren();
  try {
    const reply = await ask("api/Recall", request);
    lastRecall = request;
    byId("explain-form").hidden = false;
    byId("recall-result").replaceChildren(resultList(reply, { actions: [["Explain", showExplanation], ["Similar", showSimilar]] }));
  } catch (error) {
    problem(byId("recall-result"), error);
  }
}

async function showExplanation(itemId) {
  const place = byId("explanation");
  try {
    const reply = await ask("api/ExplainItem", { recall: lastRecall, item_id: itemId });
    const facts = [];
    const fact = (name, value) => value === undefined || facts.push(element("dt", {}, name), element("dd", {}, value));
    fact("returned", reply.is_returned ? "yes" : "no");
    fact("rank", reply.rank === undefined ? undefined : `${number(reply.rank)} of ${number(reply.num_eligible)} that may be returned`);
    fact("exact score", reply.score === undefined ? undefined : number(reply.score, 4));
    fact("of it by vectors", reply.score === undefined ? undefined : number(reply.vector_score, 4));
    fact("by words in common", reply.score === undefined ? undefined : number(reply.content_score, 4));
    fact("score of the last returned", reply.last_score === undefined ? undefined : number(reply.last_score, 4));
    fact("held by", (reply.part ?? "").replace("INDEX_PART_", "").toLowerCase() || undefined);
    fact("seen in training", reply.is_trained ? "yes" : "no");
    for (const one of reply.missing ?? []) fact(one.reason.replace("MISSING_REASON_", "").replaceAll("_", " ").toLowerCase(), one.message);
    const title = reply.labels?.[itemId];
    place.replaceChildren(element("div", { class: "panel", id: "explained" },
      element("h2", {}, title ? `${title} ` : "", element("span", { class: "id" }, itemId)), element("dl", { class: "facts" }, ...facts)));
    place.scrollIntoView({ block: "nearest" });
  } catch (error) {
    problem(place, error);
  }
}

// ---- one item

async function showSimilar(itemId) {
  select("items");
  byId("similar-item").value = itemId;
  await submitSimilar();
}

async function submitSimilar(event) {
  event?.preventDefault();
  const place = byId("similar-result"), itemId = byId("similar-item").value.trim();
  try {
    const stored = await ask("api/GetItem", { item_id: itemId });
    const shown = [itemPanel(stored, itemId)];
    try {
      const request = { item_id: itemId, limit: Number(byId("similar-limit").value) || 10, by: byId("similar-by").value };
      shown.push(resultList(await ask("api/SimilarItems", request), { actions: [["Similar", showSimilar]] }));
    } catch (error) {
      shown.push(element("p", { class: "notice bad" }, error.message));
    }
    place.replaceChildren(...shown);
  } catch (error) {
    problem(place, error);
  }
}

function itemPanel(stored, itemId) {
  const facts = [], all = { ...stored.item.attributes, ...stored.item.features };
  for (const name of Object.keys(all).sort()) facts.push(element("dt", {}, name), element("dd", {}, valueText(all[name])));
  const retrievable = stored.retrievable ? "retrievable" : "stored, but not retrievable";
  return element("div", { class: "panel" },
    element("h2", {}, stored.labels?.[itemId] ? `${stored.labels[itemId]} ` : "", element("span", { class: "id" }, itemId)),
    element("div", { class: "quiet" }, `${retrievable} · write ${number(stored.item_sequence)}`),
    element("dl", { class: "facts" }, ...facts));
}

function valueText(value) {
  if (value.string_list) return (value.string_list.values ?? []).join(", ");
  if (value.float_list) {
    const values = value.float_list.values ?? [];
    return `${values.length} numbers: ${values.slice(0, 4).map((one) => number(one, 3)).join(", ")}${values.length > 4 ? ", …" : ""}`;
  }
  return String(value.string_value ?? value.number_value ?? "");
}

// ---- writing

function showFeatureFields() {
  const box = byId("write-features");
  const specs = overview.status.item_features ?? [];
  const key = JSON.stringify(specs);
  if (box.dataset.specs === key) return;
  box.dataset.specs = key;
  box.replaceChildren(...specs.map((spec) => {
    const hint = { set: "values, separated by commas", vector: "numbers, separated by commas", number: "a number" }[spec.kind] ?? spec.kind;
    const name = spec.kind === "text" ? "textarea" : "input";
    return element("label", {}, `${spec.name} (${spec.kind})`, element(name, { "data-feature": spec.name, "data-kind": spec.kind, placeholder: hint, autocomplete: "off" }));
  }));
}

const listed = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

function featureValue(kind, text) {
  if (kind === "number") return { number_value: Number(text) };
  if (kind === "set") return { string_list: { values: listed(text) } };
  if (kind === "vector") return { float_list: { values: listed(text).map(Number) } };
  return { string_value: text };
}

function writtenFeatures() {
  const features = {};
  for (const field of document.querySelectorAll("[data-feature]")) {
    if (field.value.trim()) features[field.dataset.feature] = featureValue(field.dataset.kind, field.value.trim());
  }
  return features;
}

async function fillIn() {
  try {
    const stored = await ask("api/GetItem", { item_id: byId("write-item").value.trim() });
    for (const field of document.querySelectorAll("[data-feature]")) {
      const value = stored.item.features?.[field.dataset.feature];
      field.value = value === undefined ? "" : value.float_list ? value.float_list.values.join(", ") : valueText(value);
    }
    byId("write-result").replaceChildren();
  } catch (error) {
    problem(byId("write-result"), error);
  }
}

async function submitWrite(event) {
  event.preventDefault();
  const steps = byId("write-steps"), itemId = byId("write-item").value.trim(), features = writtenFeatures();
  const step = (tone, ...text) => steps.append(element("li", { class: tone }, ...text));
  steps.replaceChildren();
  byId("write-result").replaceChildren();
  const start = performance.now();
  const since = () => element("b", {}, `${number(performance.now() - start, 0)} ms`);
  try {
    const reply = await ask("api/UpsertItems", { items: [{ item_id: itemId, features }] });
    step("good", since(), ` acknowledged as write ${number(reply.sequence)}`);
    for (const warning of reply.warnings ?? []) step("", warning.message);
    const found = await untilFound(itemId, reply.sequence);
    if (!found) {
      step("bad", since(), ` not retrievable after ${FIND_SECONDS} seconds`);
      return;
    }
    step("good", since(), " retrievable: searches return it from now on");
    byId("write-result").replaceChildren(element("h2", {}, "Its neighbours"), resultList(found, { actions: [["Similar", showSimilar]] }));
  } catch (error) {
    step("bad", error.message);
  }
}

async function untilFound(itemId, sequence) {
  const end = performance.now() + FIND_SECONDS * 1000;
  while (performance.now() < end) {
    const stored = await ask("api/GetItem", { item_id: itemId });
    if (stored.retrievable && Number(stored.sequence) >= Number(sequence)) return ask("api/SimilarItems", { item_id: itemId, limit: 5 });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return null;
}

// ---- tabs

function select(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (location.hash !== `#/${name}`) history.replaceState(null, "", `#/${name}`);
  if (name === "overview" && overview?.serving) showCharts();
}

function moveBetweenTabs(event) {
  const tabs = [...document.querySelectorAll("[role=tab]")], step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
  next.focus();
  select(next.getAttribute("aria-controls"));
}

for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => select(tab.getAttribute("aria-controls")));
  tab.addEventListener("keydown", moveBetweenTabs);
}
byId("recall-form").addEventListener("submit", submitRecall);
byId("explain-form").addEventListener("submit", (event) => { event.preventDefault(); showExplanation(byId("explain-item").value.trim()); });
byId("similar-form").addEventListener("submit", submitSimilar);
byId("write-form").addEventListener("submit", submitWrite);
byId("write-load").addEventListener("click", fillIn);
window.addEventListener("resize", () => overview?.serving && showCharts());
const wanted = location.hash.slice(2); // behind "#/": a hash that is an id would make the browser scroll to it
select(["overview", "users", "items", "write"].includes(wanted) ? wanted : "overview");
refresh();
setInterval(() => document.hidden || refresh(), REFRESH_MS);
