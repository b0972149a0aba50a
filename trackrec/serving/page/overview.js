"use strict";

function tile(name, figure, note) {
  return make("div", { class: "tile" }, make("p", { class: "quiet" }, name), make("p", { class: "figure" }, figure), make("p", { class: "quiet" }, note));
}

function span(quantiles, unit) {
  return quantiles ? `${Math.round(quantiles.p50)}${unit} (${Math.round(quantiles.p5)} to ${Math.round(quantiles.p95)})` : "none";
}

function useful(monitor, name) {
  const use = monitor && monitor.version === name ? monitor.usefulness : null;
  return use ? (use.gain >= 0 ? "+" : "−") + Math.abs(use.gain).toFixed(4) : "not measured";
}

function minus(told) { return told.replace(/-(?=\d)/g, "−"); }

function age(quantiles, published) {
  if (!quantiles) return "none";
  const days = Math.round(quantiles.p50 + (Date.now() / 1000 - published) / 86400);
  return days < 1 ? "today" : count(days, "day");
}

(async () => {
  let told;
  try { told = await ask("/v1/overview"); } catch (error) { showTrouble(error); return; }
  const current = told.versions.find((one) => one.name === told.current);
  if (!current) { find("facts").textContent = "The store serves no version yet."; return; }
  const facts = current.summary;
  find("tiles").replaceChildren(
    tile("People", facts.people.toLocaleString("en"), "in version " + current.name),
    tile("Coverage", share(facts.people ? facts.with_vector / facts.people : null, 1), "have a vector"),
    tile("Contradicted", share(facts.contradicted, 1), "of the sentences that can be checked"),
    tile("Age", age(facts.age_days, current.published), "median since the text was written"),
    tile("Length", facts.characters ? Math.round(facts.characters.p50) : "none", "characters, median"),
    tile("Objected", String(facts.objected), "people changed their text"));
  const head = ["Version", "", "Loaded", "People", "With vector", "Expired", "Characters (5\u2060–\u206095%)", "Contradicted", "Not checkable", "Gain in AUC"];
  find("versions").replaceChildren(make("thead", {}, make("tr", {}, head.map((name) => make(name ? "th" : "td", { scope: name ? "col" : null }, name)))),
    make("tbody", {}, [...told.versions].reverse().map((one) => {
      const total = Object.values(one.summary.sentences).reduce((left, right) => left + right, 0);
      return make("tr", {}, make("th", { scope: "row" }, one.name), make("td", { class: "text" }, one.name === told.current ? make("span", { class: "state" }, "served") : ""),
        [day(one.published), one.summary.people.toLocaleString("en"), share(one.summary.people ? one.summary.with_vector / one.summary.people : null, 1), String(one.summary.expired), span(one.summary.characters, ""),
          share(one.summary.contradicted, 1), total ? share((one.summary.sentences.not_checkable || 0) / total, 1) : "none", useful(told.monitor, one.name)].map((value) => make("td", {}, value)));
    })));
  const monitor = told.monitor;
  if (!monitor) { find("watch-facts").textContent = "It has not run on this store yet: trackrec monitor --store STORE."; return; }
  find("watch-facts").textContent = `On ${day(monitor.time)}, version ${monitor.version}` + (monitor.against ? `, compared with ${monitor.against}.` : ".");
  find("watch").hidden = false;
  find("watch").replaceChildren(make("thead", {}, make("tr", {}, [["Check", "text"], ["Found", ""], ["Limit", ""], ["", "text"]].map(([name, kind]) => make(name ? "th" : "td", { scope: name ? "col" : null, class: kind }, name)))),
    make("tbody", {}, monitor.checks.map((one) => make("tr", {}, make("th", { scope: "row" }, one.says), make("td", {}, minus(one.found)), make("td", {}, minus(one.limit)),
      make("td", { class: "text" }, make("span", { class: "state" + (one.alert ? " alert" : "") }, one.alert ? "✗ look at it" : "✓ fine"))))));
})();
