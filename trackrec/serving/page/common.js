"use strict";
// Everything shown is made of text nodes: nothing that comes from the service is ever read as HTML.

/** An element with properties and children; text children become text nodes. */
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "onclick") element.addEventListener("click", value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
  return element;
}

function find(id) { return document.getElementById(id); }

class Trouble extends Error {}

/** Ask the service; a token is asked of the person once, and kept for this tab alone. */
async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = "Bearer " + token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 401) {
    const given = prompt("This service wants a token:");
    if (given) { sessionStorage.setItem("token", given.trim()); return ask(path, body); }
  }
  const told = await answer.json().catch(() => ({ detail: "The service gave no readable answer." }));
  if (!answer.ok) throw new Trouble(told.detail || "The service refused.");
  return told;
}

function showTrouble(error) {
  const place = find("trouble");
  place.hidden = !error;
  place.textContent = error ? (error instanceof Trouble ? error.message : "The service cannot be reached just now.") : "";
}

function day(seconds) { return seconds ? new Date(seconds * 1000).toISOString().slice(0, 10) : "unknown"; }

function share(value, places = 0) { return value === null || value === undefined ? "none" : (100 * value).toFixed(places) + "%"; }

function count(number, what) { return number + " " + what + (number === 1 ? "" : "s"); }

function ageOf(seconds) {
  const days = Math.floor(seconds / 86400);
  if (days >= 1) return count(days, "day");
  const hours = Math.floor(seconds / 3600);
  return hours > 1 ? hours + " hours" : "less than 2 hours";
}
