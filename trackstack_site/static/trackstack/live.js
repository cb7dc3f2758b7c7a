// Live follows: every two seconds, while the box is ticked, the page is looked at and nobody works within the list.
"use strict";

const EVERY_SECONDS = 2;
const TELL_SECONDS = 10; // a screen reader is told how many came, not each

const keysShown = () => [...document.querySelectorAll("#live [data-key]")].map((row) => Number(row.dataset.key));
const said = () => document.getElementById("live-trouble").dataset; // what the page says, translated by its template
let newest = 0;
let untold = 0;
let toldAt = 0;

function isWanted() {
  const isBusy = document.activeElement?.closest("#live a, #live button") || !window.getSelection().isCollapsed;
  return !document.hidden && !isBusy && document.getElementById("live-on")?.checked;
}

setInterval(() => { if (isWanted()) document.getElementById("live-refresh")?.click(); }, EVERY_SECONDS * 1000);

// words: "one|many", with {count} for the number
function newEvents(count, words) {
  const [one, many] = words.split("|");
  return (count === 1 ? one : many).replace("{count}", count);
}

function countNew() {
  const keys = keysShown();
  const came = keys.filter((key) => key > newest).length;
  newest = Math.max(newest, ...keys);
  untold += came;
  if (!untold || Date.now() - toldAt < TELL_SECONDS * 1000) return;
  say(newEvents(untold, untold === keys.length ? said().newAtLeast : said().new));
  untold = 0;
  toldAt = Date.now();
}

// One sentence that stays instead of a toast every two seconds.
function trouble(event, text) {
  if (event.target.id !== "live-refresh") return;
  event.stopPropagation();
  document.getElementById("live-trouble").textContent = text;
}

document.addEventListener("DOMContentLoaded", () => {
  newest = Math.max(0, ...keysShown());
  const link = document.getElementById("live-refresh");
  link.addEventListener("htmx:sendError", (event) => trouble(event, said().unreachable));
  link.addEventListener("htmx:responseError", (event) => trouble(event, said().answered.replace("{status}", event.detail.xhr.status)));
  link.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) trouble(event, ""); });
});
document.addEventListener("htmx:afterSettle", (event) => { if (event.target.id === "live") countNew(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "p" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea, dialog[open]")) return;
  const box = document.getElementById("live-on");
  box.checked = !box.checked;
  say(box.checked ? said().following : said().paused);
});
