// The charts of Health, drawn from data-plot ([times, values, …] as JSON), and "every 20 seconds".
// The same numbers stand in the table beside them.
"use strict";

const KEEP_SECONDS = 20;
const HEIGHT = 170;
const plots = new Map();
let isPrinted = false; // paper is light, whatever the screen is
const sync = () => uPlot.sync("health");

const count = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const time = (seconds, options) => new Intl.DateTimeFormat("en-GB", { timeZone: globalThis.readerZone?.name || "UTC", ...options }).format(seconds * 1000);
const CLOCK = { hour: "2-digit", minute: "2-digit" };
const DAY = { day: "numeric", month: "short" };

function figure(value, unit) {
  if (value == null) return "–";
  if (unit !== "s" || value < 90) return count.format(value) + (unit ? ` ${unit}` : "");
  return value < 5400 ? `${Math.round(value / 60)} min` : `${count.format(value / 3600)} h`;
}

// Custom properties hold light-dark(…): only a real element knows what they come to.
function colours(box) {
  const probe = document.createElement("i");
  probe.style.colorScheme = isPrinted ? "light" : "";
  box.append(probe);
  const found = {};
  for (const name of ["line", "fill", "second", "ink", "grid"]) {
    probe.className = `probe is-${name}`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

function draw(box) {
  plots.get(box)?.destroy();
  box.replaceChildren();
  const data = JSON.parse(box.dataset.plot);
  const unit = box.dataset.unit || "";
  const paint = colours(box);
  const isLong = data[0].at(-1) - data[0][0] > 86400;
  const font = `12px ${getComputedStyle(box).fontFamily}`;
  const axis = { stroke: paint.ink, font, grid: { stroke: paint.grid, width: 1 }, ticks: { show: false } };
  const looks = [
    { stroke: paint.line, fill: paint.fill, width: 2 },
    { stroke: paint.second, width: 2, dash: [6, 4] },
  ];
  const series = box.dataset.labels.split("|").map((label, number) => ({
    label, ...looks[number], points: { show: false }, value: (_, value) => figure(value, unit),
  }));
  plots.set(box, new uPlot({
    width: box.clientWidth,
    height: HEIGHT,
    cursor: { sync: { key: sync().key }, drag: { x: false, y: false }, y: false },
    scales: { y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.08] } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((at) => time(at, isLong ? DAY : CLOCK)), space: 64 },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((value) => (unit || Number.isInteger(value) ? figure(value, unit) : "")) },
    ],
    series: [{ label: globalThis.readerZone?.label || "UTC", value: (_, at) => (at == null ? "–" : time(at, isLong ? { ...DAY, ...CLOCK } : CLOCK)) }, ...series],
  }, data, box));
}

function drawAll() {
  for (const box of plots.keys()) if (!box.isConnected) { plots.get(box).destroy(); plots.delete(box); }
  for (const box of document.querySelectorAll("[data-plot]")) draw(box);
}

// --- Every 20 seconds, for those who asked -------------------------------------------------------------
const keepBox = () => document.getElementById("health-keep");
const isKept = () => { try { return localStorage.getItem("health-keep") === "1"; } catch { return keepBox()?.checked; } };
const restoreKeep = () => { if (keepBox()) keepBox().checked = isKept(); };

let isUnasked = false;

function keep() {
  // Not while somebody works with the page, whose place would be lost.
  const at = document.activeElement;
  const isBusy = at?.closest("#health") && !["health-keep", "health-refresh"].includes(at.id);
  if (document.hidden || isBusy || !isKept()) return;
  isUnasked = true;
  document.getElementById("health-refresh")?.click();
}

// An unattended screen needs no notice every 20 seconds; "As of" says how old it is.
for (const name of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(name, (event) => {
    if (isUnasked && event.detail.elt.id === "health-refresh") event.stopImmediatePropagation();
  }, true);
}
document.addEventListener("htmx:afterRequest", () => { isUnasked = false; });

document.addEventListener("change", (event) => {
  if (event.target !== keepBox()) return;
  try {
    if (event.target.checked) localStorage.setItem("health-keep", "1");
    else localStorage.removeItem("health-keep");
  } catch { /* for this page only */ }
});

let isOpen = null;
let hadFocus = "";
document.addEventListener("htmx:beforeSwap", () => {
  isOpen = document.querySelector("#health details")?.open;
  hadFocus = document.activeElement?.closest("#health") ? document.activeElement.id : "";
});
document.addEventListener("htmx:afterSettle", () => {
  const details = document.querySelector("#health details");
  if (details && isOpen !== null) details.open = isOpen;
  restoreKeep();
  drawAll();
  if (hadFocus) document.getElementById(hadFocus)?.focus();
});
document.addEventListener("DOMContentLoaded", () => {
  restoreKeep();
  drawAll();
  setInterval(keep, KEEP_SECONDS * 1000);
  let waiting;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { for (const [box, plot] of plots) if (box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: HEIGHT }); }, 100);
  }).observe(document.getElementById("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  for (const name of ["beforeprint", "afterprint"]) addEventListener(name, () => { isPrinted = name === "beforeprint"; drawAll(); });
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
});
