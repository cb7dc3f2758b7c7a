// The little the pages need beyond HTML and htmx: theme, dialog, toasts, filter box, keys. Everything works without it.
"use strict";

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const say = (text) => { $("#status").textContent = text; };
// What is said stands in the page, in its language; `fill` puts values for the names in braces.
const texts = $("#words").dataset;
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// --- Theme: auto → light → dark ---------------------------------------------------------------------
const THEMES = ["auto", "light", "dark"];
const theme = () => document.documentElement.dataset.theme || "auto";

function showTheme() {
  for (const button of $$("[data-theme-switch]")) $("span", button).textContent = button.dataset[theme()];
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* kept for this page only */ }
  showTheme();
}

// --- Toasts: those without an action leave by themselves -----------------------------------------------
function toast(text, level = "info") {
  const box = document.createElement("div");
  box.className = `toast is-${level}`;
  box.append(Object.assign(document.createElement("p"), { textContent: text }));
  box.append(Object.assign(document.createElement("button"), { type: "button", className: "toast-close", textContent: "×" }));
  box.lastChild.setAttribute("aria-label", texts.dismiss);
  box.lastChild.dataset.dismiss = "";
  $("#toasts").append(box);
  tendToasts();
}

function tendToasts() {
  for (const box of $$("#toasts > .toast:not([data-tended])")) {
    box.dataset.tended = "";
    if (box.matches(".is-error, .is-warning")) continue;
    const leave = () => (box.matches(":hover, :focus-within") ? setTimeout(leave, 2000) : box.remove());
    setTimeout(leave, $("form", box) ? 15000 : 6000);
  }
  for (const box of $$("#toasts > .toast:has(form)").slice(0, -1)) box.remove(); // only the last change can be undone
  for (const box of $$("#toasts > .toast").slice(0, -3)) box.remove();
}

// --- Dialog: what htmx puts into #dialog-body opens it, emptiness closes it -----------------------------
let opener = ""; // id of what was focused before: it may be swapped while the dialog is open
function tendDialog() {
  const dialog = $("#dialog");
  const isFilled = $("#dialog-body").childElementCount > 0;
  if (isFilled && !dialog.open) {
    const from = document.activeElement;
    opener = from.id || from.closest("td, th")?.querySelector("[id]")?.id || "";
    dialog.showModal();
  }
  if (!isFilled && dialog.open) dialog.close();
}

// --- Filter box: [data-filter="selector"] hides rows whose data-find lacks the words ---------------------
function filter(box) {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = $$(box.dataset.filter);
  let shown = 0;
  for (const row of rows) {
    const text = row.dataset.find.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    if (!row.hidden) shown += 1;
  }
  for (const group of $$("[data-filter-group]")) {
    group.classList.toggle("is-filtered", words.length > 0);
    group.hidden = words.length > 0 && !$$("[data-find]", group).some((row) => !row.hidden);
  }
  for (const note of $$("[data-filter-none]")) note.hidden = shown > 0;
  document.dispatchEvent(new CustomEvent("trackstack:filter"));
  if (words.length) say(fill(texts.shown, { shown, total: rows.length }));
}

// [data-filter-kept]: the words stand in the address too, for a reload, a link and the way back.
function keepFilter(box) {
  const address = new URL(location.href);
  if (box.value.trim()) address.searchParams.set(box.name, box.value.trim());
  else address.searchParams.delete(box.name);
  history.replaceState(history.state, "", address);
}

// --- Fold: a button with aria-expanded and aria-controls folds a group; the page may keep it ---------------
function fold(button, isOpen) {
  button.setAttribute("aria-expanded", String(isOpen));
  document.getElementById(button.getAttribute("aria-controls")).classList.toggle("is-folded", !isOpen);
  document.dispatchEvent(new CustomEvent("trackstack:fold"));
}

// --- Events -----------------------------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  const target = event.target.closest("button, a");
  if (!target) {
    if (event.target.id === "dialog") event.target.close();
    return;
  }
  if (target.matches("[data-theme-switch]")) nextTheme();
  else if (target.matches("[data-show-keys]")) showKeys();
  else if (target.matches("[data-dismiss]")) target.closest(".toast").remove();
  else if (target.matches("#dialog [data-close]")) { event.preventDefault(); $("#dialog").close(); }
  else if (target.matches("button[data-fold]")) fold(target, target.getAttribute("aria-expanded") !== "true");
  else if (target.matches("[data-tick]")) {
    for (const box of $$("[type=checkbox]", target.closest("fieldset"))) box.checked = target.dataset.tick === "all";
  } else if (target.matches("[data-fold-all]")) {
    const buttons = $$("button[data-fold]");
    const isOpen = buttons.every((button) => button.getAttribute("aria-expanded") === "false");
    for (const button of buttons) fold(button, isOpen);
  } else if (target.matches("[data-dialog], #matrix td > a") && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    htmx.ajax("GET", target.getAttribute("href"), { source: target, target: "#dialog-body", swap: "innerHTML" });
  } else if (target.matches("[data-copy]")) {
    navigator.clipboard.writeText($(target.dataset.copy).textContent.trim()).then(() => toast(texts.copied, "success"));
  }
});

// A form that downloads leaves the page as it is: the dialog it stood in is done with.
document.addEventListener("submit", (event) => { if (event.target.matches("#dialog form[method=get]:not([hx-get])")) setTimeout(() => $("#dialog").close()); });
document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-filter]")) return;
  filter(event.target);
  if (event.target.matches("[data-filter-kept]")) keepFilter(event.target);
});

// --- Keys: single letters, outside fields and dialogs; `?` lists them ---------------------------------------
const LIST_ROW = "main :is(table.table > tbody > tr:not([hidden]), .lanes > li)";
const rowLink = (row) => $("th[scope=row] a[href], a[href]", row);

/** Focus on the main link of the next or previous row, from the row with the focus or from the top. */
function goRow(step) {
  const links = $$(LIST_ROW).filter((row) => row.offsetParent !== null).map(rowLink).filter(Boolean);
  if (!links.length) return;
  const row = document.activeElement.closest(LIST_ROW);
  const at = row ? links.indexOf(rowLink(row)) : -1;
  const link = links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + step))];
  link.focus();
  link.scrollIntoView({ block: "nearest" });
}

/** What data-test or data-replay says: of the place with the focus, else of the page when it is the only one. */
function goTo(mark) {
  const within = document.activeElement.closest(`[data-${mark}]`);
  const all = $$(`main [data-${mark}]`).filter((one) => !one.parentElement.closest(`[data-${mark}]`));
  const found = within || (all.length === 1 ? all[0] : null);
  if (found) location.assign(found.dataset[mark]);
  else say(all.length ? texts.chooseRow : texts.noSuchKey);
}

function showKeys() {
  $("#dialog-body").replaceChildren($("#keys").content.cloneNode(true));
  $("#dialog").showModal();
}

const KEYS = {
  "/": () => { const box = $("[data-search-key]"); box?.focus(); box?.select(); return Boolean(box); },
  j: () => goRow(1),
  k: () => goRow(-1),
  t: () => goTo("test"),
  r: () => goTo("replay"),
  "?": showKeys,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const box = $("[data-search-key]");
  if (event.key === "Escape" && event.target === box && box.value) {
    box.value = "";
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  // A dialog that was just closed has the focus for a moment longer.
  if (event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable], dialog[open], .reference")) return;
  if (KEYS[event.key] && KEYS[event.key]() !== false) event.preventDefault();
});

// --- Answer at once: a switch shows what was asked, and goes back when the server refuses or asks first -----
document.addEventListener("htmx:beforeRequest", ({ detail: { requestConfig, xhr } }) => {
  const button = requestConfig.triggeringEvent?.submitter;
  if (!button?.matches("button[role=switch]")) return;
  const was = button.getAttribute("aria-checked");
  button.setAttribute("aria-checked", was === "true" ? "false" : "true");
  xhr.addEventListener("loadend", () => {
    const isFine = xhr.status >= 200 && xhr.status < 300 && !xhr.getResponseHeader("HX-Reswap");
    if (!isFine && button.isConnected) button.setAttribute("aria-checked", was);
  });
});

// --- Pieces that ask for themselves: quietly, and [data-calm] not while somebody is in them ------------------
const isPoll = ({ elt, requestConfig }) => elt.matches('[hx-trigger^="every"]') && !requestConfig?.triggeringEvent;
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt } = event.detail;
  if (isPoll(event.detail) && elt.matches("[data-calm]") && elt.contains(document.activeElement)) event.preventDefault();
});

document.addEventListener("htmx:afterSettle", () => { tendDialog(); tendToasts(); });
document.addEventListener("htmx:beforeSwap", (event) => {
  // Logged out meanwhile: the answer is the log-in page, which belongs into the window and not into a cell.
  if (!new URL(event.detail.xhr.responseURL || location.href, location.href).pathname.endsWith("/login/")) return;
  event.detail.shouldSwap = false;
  location.reload();
});
document.addEventListener("htmx:responseError", (event) => {
  if (isPoll(event.detail)) return; // nobody asked for it, and it is asked again
  const status = event.detail.xhr.status;
  toast(status === 403 ? texts.denied : fill(texts.failed, { status }), "error");
});
document.addEventListener("htmx:sendError", (event) => isPoll(event.detail) || toast(texts.unreachable, "error"));

document.addEventListener("DOMContentLoaded", () => {
  $("#dialog")?.addEventListener("close", () => {
    $("#dialog-body").replaceChildren();
    if (document.activeElement === document.body) document.getElementById(opener)?.focus();
  });
  showTheme();
  tendToasts();
  const box = $("[data-filter]");
  if (box?.value) filter(box);
});
