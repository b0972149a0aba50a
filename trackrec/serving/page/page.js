"use strict";
const VERDICTS = {
  supported: "✓ holds",
  contradicted: "✗ does not hold",
  not_checkable: "– not checkable",
  own: "✎ own words",
};
const FEW = 10;  // so many of the judge's answers are shown at once
const state = { id: null, user: null, ranks: null };

const path = (...parts) => "/v1/users/" + parts.map(encodeURIComponent).map((part) => (part === "." || part === ".." ? part.replaceAll(".", "%2E") : part)).join("/");
const titleOf = (event) => (event.item && event.item.title) || "Item " + event.item_id;
const stars = (rating) => (rating === null ? "no rating" : "rated " + Number(rating));

async function show(id) {
  showTrouble(null);
  find("news").textContent = "";
  try {
    const user = await ask(path(id) + "?cards=true");
    state.id = id;
    state.ranks = null;
    draw(user);
    await Promise.all([drawVersions(), rank(), drawJudged()]);
  } catch (error) {
    find("person").hidden = true;
    find("heading").textContent = "No text to show";
    find("facts").textContent = "For the id “" + id.slice(0, 60) + (id.length > 60 ? "…" : "") + "”.";
    showTrouble(error);
  }
}

function draw(user) {
  state.user = user;
  find("person").hidden = false;
  find("some").hidden = true;
  find("heading").textContent = "Person " + user.user_id;
  document.title = "TrackRec: a person's text";
  const changed = user.objections ? ", changed by the person " + (user.objections === 1 ? "once" : user.objections + " times") : "";
  find("facts").textContent = `Written ${ageOf(user.age_seconds)} ago (version ${user.written_in}) from ${user.history.length === user.events ? "all " : user.history.length + " of "}${count(user.events, "event")}` +
    changed + "." + (user.expired ? " Too old to be used." : "");
  find("sentences").replaceChildren(...user.sentences.map(sentence));
  if (!user.sentences.length) find("sentences").append(make("li", {}, make("p", {}, "Nothing is said any more.")));
  find("history-facts").textContent = `${user.history.length} events, the newest first. Sentences point to them by number.`;
  find("history").replaceChildren(...[...user.history].reverse().map(event));
  find("held").hidden = true;
}

function sentence(one, place) {
  const events = state.user.history.filter((event) => one.events.includes(event.number));
  const list = make("ul", { class: "cited", id: "cited-" + place, hidden: true },
    events.map((event) => make("li", {}, make("span", {}, event.number + ". " + titleOf(event)), ratingOf(event))));
  const open = make("button", { class: "plain", type: "button", "aria-expanded": "false", "aria-controls": "cited-" + place },
    count(events.length, "event"));
  const wrong = make("button", { class: "plain", type: "button", "aria-label": "Not true, take it out: " + one.text }, one.verdict === "own" ? "Take it back" : "Not true");
  const item = make("li", {}, make("p", {}, one.text),
    make("div", { class: "tools" }, make("span", { class: "verdict " + (VERDICTS[one.verdict] ? one.verdict : "") }, VERDICTS[one.verdict] || one.verdict), events.length ? open : null, wrong),
    events.length ? list : null);
  open.addEventListener("click", () => {
    list.hidden = !list.hidden;
    open.setAttribute("aria-expanded", String(!list.hidden));
    mark(item, one.events);
  });
  item.addEventListener("mouseenter", () => mark(item, one.events));
  item.addEventListener("mouseleave", () => mark(null, []));
  item.addEventListener("focusin", () => mark(item, one.events));
  item.addEventListener("focusout", () => mark(null, []));
  wrong.addEventListener("click", () => object({ kind: "wrong", sentence: one.text }, wrong));
  return item;
}

function mark(item, numbers) {
  for (const other of find("sentences").children) other.classList.toggle("active", other === item && numbers.length > 0);
  for (const row of find("history").children) row.classList.toggle("active", numbers.includes(Number(row.dataset.number)));
  const panel = find("past"), first = panel.querySelector("li.active");
  if (first && panel.scrollHeight > panel.clientHeight + 1) {  // beside the text: bring the events into view there
    const top = first.getBoundingClientRect().top - panel.getBoundingClientRect().top;
    if (top < 0 || top > panel.clientHeight - 80) panel.scrollTop += top - 80;
  }
}

function ratingOf(event) {
  const level = event.rating === null ? "" : event.rating >= 4 ? " high" : event.rating <= 2 ? " low" : "";
  return make("span", { class: "rating" + level }, stars(event.rating));
}

function event(one) {
  const card = one.item || {};
  const traits = [...(card.genres || []), ...(card.tags || [])];
  const title = card.gist
    ? make("details", {}, make("summary", {}, titleOf(one)), make("p", {}, card.gist), make("p", { class: "tags" }, traits.slice(5).join(" · ")))
    : make("span", {}, titleOf(one));
  const row = make("li", {}, make("span", { class: "number" }, String(one.number)), title, ratingOf(one),
    traits.length ? make("p", { class: "tags" }, traits.slice(0, 5).join(" · ")) : null);
  row.dataset.number = one.number;
  return row;
}

async function rank() {
  try {
    drawRanking(await ask("/v1/rank", { user_id: state.id, top: 20 }), null);
  } catch (error) {
    find("list").replaceChildren();
    find("list-facts").textContent = error instanceof Trouble ? error.message : "";
  }
}

function drawRanking(told, before) {
  const old = before ? Object.fromEntries(before.items.map((one, place) => [String(one.item_id), place])) : null;
  find("list-facts").textContent = told.text === "used"
    ? "How likely each is to be liked; the upright mark shows how likely it would be without the text."
    : "There is no text to go by, so these follow from the events alone.";
  find("list").replaceChildren(...told.items.map((one, place) => {
    const was = old ? old[String(one.item_id)] : place;
    const moved = !old || was === place ? null : was === undefined ? "new" : was > place ? "▲ " + (was - place) : "▼ " + (place - was);
    const title = one.title || "Item " + one.item_id;
    const value = make("i"), mark = make("b");
    value.style.width = 100 * one.probability + "%";
    mark.style.left = 100 * one.without_text + "%";
    const why = make("div", { class: "why", hidden: true });
    const button = make("button", { class: "plain", type: "button", "aria-expanded": "false", "aria-label": "Why " + title + "?" }, "Why?");
    button.addEventListener("click", () => explain(one.item_id, why, button));
    const label = told.text === "used" ? share(one.probability) + " with the text, " + share(one.without_text) + " without" : share(one.probability);
    return make("li", {}, make("span", { class: "number" }, String(place + 1)),
      make("span", {}, title, " ", moved ? make("span", { class: "moved" }, moved) : null, " ", button),
      make("span", { class: "chance" }, share(one.probability), told.text === "used" ? make("small", {}, " / " + share(one.without_text)) : null),
      make("span", { class: "bar", role: "img", "aria-label": label }, value, told.text === "used" ? mark : null), why);
  }));
  return old ? told.items.filter((one, place) => old[String(one.item_id)] !== place).length : 0;
}

/** What the judge of the run held of items that the person met later, with the text and without. */
async function drawJudged() {
  const told = await ask(path(state.id, "judged"));
  find("judged").hidden = !told.items.length;
  find("judged-facts").textContent = "Items met after this history, and how likely the run's judge held each to be liked once it had read the text; the upright mark: without the text." +
    (told.changed ? " It read the text as it was first written." : "");
  find("judged-more").hidden = told.items.length <= FEW;
  find("judged-more").textContent = `Show all ${told.items.length}`;
  find("judged-list").replaceChildren(...told.items.map((one, place) => {
    const value = make("i"), mark = make("b");
    value.style.width = 100 * one.with_text + "%";
    mark.style.left = 100 * one.without_text + "%";
    return make("li", { hidden: place >= FEW }, make("span", { class: "number" }, String(place + 1)),
      make("span", {}, one.title || "Item " + one.item_id, " ", make("span", { class: "verdict " + (one.label ? "supported" : "contradicted") }, one.label ? "liked" : "not liked")),
      make("span", { class: "chance" }, share(one.with_text), make("small", {}, " / " + share(one.without_text))),
      make("span", { class: "bar", role: "img", "aria-label": share(one.with_text) + " with the text, " + share(one.without_text) + " without" }, value, mark));
  }));
}

find("judged-more").addEventListener("click", () => {
  for (const row of find("judged-list").children) row.hidden = false;
  find("judged-more").hidden = true;
  find("judged-list").children[FEW].setAttribute("tabindex", "-1");  // who came by keyboard reads on from here
  find("judged-list").children[FEW].focus();
});

function few(numbers) {
  const shown = numbers.slice(0, 6), left = numbers.length - shown.length;
  return (numbers.length === 1 ? "event " : "events ") + shown.join(", ") + (left ? " and " + left + " more" : "");
}

async function explain(item, place, button) {
  place.hidden = !place.hidden;
  button.setAttribute("aria-expanded", String(!place.hidden));
  if (place.hidden || place.childElementCount) return;
  try {
    const told = await ask(path(state.id, "why", String(item)));
    place.replaceChildren(...told.reasons.map((one) => make("p", {},
      make("strong", {}, one.speaks_for ? "For it: " : "Against it: "), one.sentence,
      ` It shares ${one.shared.join(", ")} with ${few(one.events)}.`)));
    if (!told.reasons.length) place.append(make("p", {}, "No sentence of the text bears on it."));
  } catch (error) { showTrouble(error); }
}

async function object(said, button) {
  button.disabled = true;
  showTrouble(null);
  const started = performance.now();
  try {
    const told = await ask(path(state.id, "objections"), { training: find("training").checked, ...said });
    draw(told.user);
    const moved = told.after ? drawRanking(told.after, told.before) : 0;
    const seconds = Math.round(performance.now() - started);
    find("news").textContent = `${said.kind === "wrong" ? "Taken out" : "Added"}. Text, vector and list were made anew in ${seconds} ms; ${moved} of the first ${told.after ? told.after.items.length : 0} places changed.`;
    await Promise.all([drawVersions(), drawJudged()]);
    find("said-heading").setAttribute("tabindex", "-1");
    find("said-heading").focus({ preventScroll: true });
    return true;
  } catch (error) {
    showTrouble(error);
    button.disabled = false;
    return false;
  }
}

async function drawVersions() {
  const told = await ask("/v1/versions");
  const others = told.versions.filter((one) => one.state === "ready" && one.name !== told.current);
  find("compare-label").hidden = !others.length;
  find("compare").replaceChildren(make("option", { value: "" }, "none"), ...others.map((one) => make("option", { value: one.name }, one.name)));
  await beside("");
}

async function beside(version) {
  const place = find("other");
  place.hidden = !version;
  find("texts").classList.toggle("pair", Boolean(version));
  if (!version) return;
  try {
    const other = await ask(path(state.id) + "?version=" + encodeURIComponent(version));
    const mine = new Set(state.user.sentences.map((one) => one.text)), theirs = new Set(other.sentences.map((one) => one.text));
    const gone = other.sentences.filter((one) => !mine.has(one.text)).length, fresh = state.user.sentences.filter((one) => !theirs.has(one.text)).length;
    place.replaceChildren(make("h3", {}, "Version " + version + ", " + ageOf(other.age_seconds) + " old"),
      make("p", { class: "quiet" }, `Since then ${count(fresh, "sentence")} came and ${count(gone, "sentence")} went.`),
      make("ol", {}, other.sentences.map((one) => make("li", {}, mine.has(one.text) ? one.text : make("del", {}, one.text)))));
  } catch (error) { place.replaceChildren(make("p", {}, error instanceof Trouble ? error.message : "It cannot be read.")); }
}

async function suggest() {
  try {
    const told = await ask("/v1/users?limit=12&prefix=" + encodeURIComponent(find("id").value));
    find("ids").replaceChildren(...told.ids.map((id) => make("option", { value: id })));
    return told.ids;
  } catch (error) { showTrouble(error); return []; }
}

find("search").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const hash = "#" + encodeURIComponent(find("id").value);  // after the #, an id is never sent with an address
  if (location.hash === hash) show(find("id").value); else location.hash = hash;
});
let waiting;
find("id").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(suggest, 150); });
find("add").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const button = find("add").querySelector("button");
  if (await object({ kind: "add", sentence: find("own").value }, button)) find("own").value = "";
  button.disabled = false;
});
find("compare").addEventListener("change", () => beside(find("compare").value));
find("held-button").addEventListener("click", async () => {
  try {
    find("held").textContent = JSON.stringify(await ask(path(state.id, "held")), null, 1);
    find("held").hidden = false;
  } catch (error) { showTrouble(error); }
});

function route() {
  let id = "";
  try { id = decodeURIComponent(location.hash.slice(1)); } catch { id = ""; }
  if (!id || id === "main") return;
  find("id").value = id;
  show(id);
}
window.addEventListener("hashchange", route);

(async () => {
  const ids = await suggest();
  find("some").replaceChildren(...ids.map((id) => make("a", { href: "#" + encodeURIComponent(id) }, id)));
  find("some").hidden = !ids.length || location.hash.length > 1;
  route();
})();
