// Who rests on a cell or an event of the matrix, with the pointer or by keyboard, reads what it says; on a touch screen
// who taps it beside its controls. Escape puts it away.
"use strict";

(() => {
  const grid = document.getElementById("matrix");
  const box = document.getElementById("cell-days");
  if (!grid || !box?.showPopover) return;
  const REST = 350; // crossing a cell asks nothing
  const GRACE = 250; // to move into the box
  const KEPT = 60_000;
  const GAP = 6;
  const EDGE = 8;
  const known = new Map();
  let shown = null;
  let wanted = null;
  let waiting = 0;
  let means = "mouse"; // used last: "keys" too, under which the grid may scroll away from a pointer that rests

  /** Relative to the page. */
  function addressOf(cell) {
    const event = cell.parentElement.querySelector("th[scope=row] a").getAttribute("href");
    if (cell.matches("th")) return `${event}meaning/`;
    return `${grid.tHead.rows[0].cells[cell.cellIndex].id.slice(1)}/${event}days/`;
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

  /** Beside its cell, so that the rows above and below stay in sight; where there is no room, under or over it. */
  function place() {
    if (!shown) return;
    const cell = shown.getBoundingClientRect();
    const { width, height } = box.getBoundingClientRect();
    const toasts = document.querySelector("#toasts > .toast")?.parentElement.getBoundingClientRect();
    const [right, bottom] = [window.innerWidth - EDGE, window.innerHeight - EDGE];
    const isBeside = cell.right + GAP + width <= right || cell.left - GAP - width >= EDGE;
    let left = cell.right + GAP + width <= right ? cell.right + GAP : cell.left - GAP - width;
    let top = cell.top;
    if (!isBeside) {
      left = Math.max(EDGE, Math.min(cell.left, right - width));
      top = cell.bottom + GAP + height <= bottom ? cell.bottom + GAP : cell.top - GAP - height;
    }
    const isOverToast = toasts && left + width > toasts.left && top + height > toasts.top;
    const lowest = (isOverToast ? toasts.top - GAP : bottom) - height;
    if (top > lowest) top = isBeside ? lowest : Math.min(lowest, cell.top - GAP - height);
    box.style.left = `${left}px`;
    box.style.top = `${Math.max(EDGE, top)}px`;
  }

  function hide() {
    clearTimeout(waiting);
    wanted = shown = null;
    if (box.matches(":popover-open")) box.hidePopover();
  }

  async function show(cell, isTold) {
    if (document.querySelector("dialog[open]")) return;
    const text = await textOf(addressOf(cell)).catch(() => "");
    if (!text || wanted !== cell || !cell.isConnected) return;
    box.innerHTML = text;
    shown = cell;
    if (!box.matches(":popover-open")) box.showPopover();
    place();
    if (isTold) say([...box.querySelector("[data-say]").querySelectorAll("p, li, dl > div")].map((part) => part.textContent.trim()).join(" "));
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

  /** A cell; of an event's cell only the name, which is in the way of nothing else. */
  const cellOf = (element) => element.closest?.("#matrix tbody tr[data-find] > td") ?? element.closest?.("#matrix tbody tr[data-find] > th > a")?.parentElement;
  document.addEventListener("pointerdown", (event) => {
    means = event.pointerType;
    if (means === "touch" && shown && !box.contains(event.target) && cellOf(event.target) !== shown) hide();
  }, true);
  document.addEventListener("pointermove", (event) => { if (event.movementX || event.movementY) means = event.pointerType; }, { capture: true, passive: true });
  document.addEventListener("keydown", () => { means = "keys"; }, true);
  const isPointed = (event) => event.pointerType !== "touch" && means !== "keys";
  grid.addEventListener("pointerover", (event) => { const cell = cellOf(event.target); if (cell && isPointed(event)) ask(cell, false); });
  grid.addEventListener("pointerout", (event) => { if (isPointed(event) && cellOf(event.target) && cellOf(event.relatedTarget || grid) !== wanted) leave(); });
  grid.addEventListener("click", (event) => {
    const cell = means === "touch" && !event.target.closest("button, a") && cellOf(event.target);
    if (!cell) return;
    if (cell === shown) hide();
    else { hide(); wanted = cell; show(cell, true); }
  });
  box.addEventListener("pointerenter", () => clearTimeout(waiting));
  box.addEventListener("pointerleave", (event) => { if (isPointed(event)) leave(); });
  grid.addEventListener("focusin", (event) => {
    const cell = cellOf(event.target);
    if (means === "touch") return;
    if (cell && event.target.matches(":focus-visible")) ask(cell, true);
    else hide();
  });
  grid.addEventListener("focusout", () => { if (means !== "touch") leave(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && wanted) hide(); }, true);
  document.addEventListener("scroll", place, { capture: true, passive: true });
  document.addEventListener("htmx:afterSettle", () => {
    known.clear(); // a switch changes what the cells beside it say, too
    if (document.querySelector("dialog[open]")) hide();
    else if (shown) show(shown, false);
  });
})();
