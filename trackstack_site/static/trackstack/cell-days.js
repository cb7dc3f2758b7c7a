// Who rests on a cell of the matrix, with the pointer or by keyboard, sees its last seven days. Escape puts it away.
"use strict";

(() => {
  const grid = document.getElementById("matrix");
  const box = document.getElementById("cell-days");
  if (!grid || !box?.showPopover) return;
  const REST = 350; // crossing a cell asks nothing
  const GRACE = 250; // to move into the box
  const KEPT = 60_000;
  const known = new Map();
  let shown = null;
  let wanted = null;
  let waiting = 0;

  /** Relative to the page; nothing where nothing was delivered. */
  function addressOf(cell) {
    const destination = grid.tHead.rows[0].cells[cell.cellIndex]?.id.slice(1);
    const event = cell.parentElement.querySelector("th[scope=row] a")?.getAttribute("href");
    return destination && event && cell.querySelector(":scope > b") ? `${destination}/${event}days/` : "";
  }

  async function textOf(address) {
    const held = known.get(address);
    if (held && Date.now() - held.at < KEPT) return held.text;
    const answer = await fetch(address);
    if (!answer.ok || answer.redirected) return "";
    const text = await answer.text();
    known.set(address, { text, at: Date.now() });
    return text;
  }

  function place() {
    if (!shown) return;
    const cell = shown.getBoundingClientRect();
    const size = box.getBoundingClientRect();
    const below = cell.bottom + 4 + size.height < window.innerHeight;
    box.style.left = `${Math.max(8, Math.min(cell.left, window.innerWidth - size.width - 8))}px`;
    box.style.top = `${below ? cell.bottom + 4 : Math.max(8, cell.top - size.height - 4)}px`;
  }

  function hide() {
    clearTimeout(waiting);
    wanted = shown = null;
    if (box.matches(":popover-open")) box.hidePopover();
  }

  async function show(cell, isTold) {
    const address = addressOf(cell);
    if (!address || document.querySelector("dialog[open]")) return;
    const text = await textOf(address).catch(() => "");
    if (!text || wanted !== cell || !cell.isConnected) return;
    box.innerHTML = text;
    shown = cell;
    if (!box.matches(":popover-open")) box.showPopover();
    place();
    if (isTold) say(box.querySelector("[data-say]").textContent);
  }

  function ask(cell, isTold) {
    if (cell === wanted) { clearTimeout(waiting); waiting = 0; if (cell === shown) return; }
    if (cell !== shown) hide();
    wanted = cell;
    waiting = setTimeout(() => show(cell, isTold), REST);
  }

  function leave() {
    clearTimeout(waiting);
    waiting = setTimeout(hide, GRACE);
  }

  const cellOf = (element) => element.closest?.("#matrix tbody tr[data-find] > td");
  grid.addEventListener("pointerover", (event) => { const cell = cellOf(event.target); if (cell && event.pointerType !== "touch") ask(cell, false); });
  grid.addEventListener("pointerout", (event) => { if (cellOf(event.target) && cellOf(event.relatedTarget || grid) !== wanted) leave(); });
  box.addEventListener("pointerenter", () => clearTimeout(waiting));
  box.addEventListener("pointerleave", leave);
  grid.addEventListener("focusin", (event) => {
    const cell = cellOf(event.target);
    if (cell && event.target.matches(":focus-visible")) ask(cell, true);
    else hide();
  });
  grid.addEventListener("focusout", leave);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && wanted) hide(); }, true);
  document.addEventListener("scroll", place, { capture: true, passive: true });
  document.addEventListener("htmx:afterSettle", () => { if (document.querySelector("dialog[open]")) hide(); });
})();
