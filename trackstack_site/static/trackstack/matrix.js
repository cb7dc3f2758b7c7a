// The matrix by keyboard: one tab stop, arrows from cell to cell, ranges by shift-click, and what to show.
"use strict";

(() => {
  const grid = document.getElementById("matrix");
  if (!grid) return;
  const PAGE_ROWS = 10;
  const SETTLED = 100; // an answer has settled, and the toast before it is gone
  const CONTROL = "button[role]:enabled, a, button[data-fold]";
  let last = null; // the switch that was used last, where a range begins

  const rows = () => [...grid.rows].filter((row) => row.offsetParent !== null);
  // Who may switch nothing goes from cell to cell all the same, to read them.
  const control = (cell) => cell?.querySelector(CONTROL) ?? (cell?.querySelector("button") ? cell : null);
  const cellOf = (element) => element?.closest("#matrix td, #matrix th");

  let currentId = ""; // its element may be replaced by an answer

  function makeCurrent(element) {
    currentId = element.id;
    for (const other of grid.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    element.tabIndex = 0;
  }

  function tidy() {
    // Everything in the grid is reached by arrows; Tab goes through the page, not through a thousand switches.
    const current = grid.querySelector("[tabindex='0']");
    for (const element of grid.querySelectorAll(":is(button, a, [tabindex]):not([tabindex='-1'])")) if (element !== current) element.tabIndex = -1;
    if (!current || !current.isConnected || current.offsetParent === null) {
      const kept = currentId && document.getElementById(currentId);
      const next = kept?.offsetParent ? kept : rows().flatMap((row) => [...row.cells]).map(control).find((element) => element);
      if (next) next.tabIndex = 0;
    }
  }

  function go(cell, down, across) {
    const all = rows();
    let y = all.indexOf(cell.parentElement);
    let x = cell.cellIndex;
    const step = Math.sign(down) || 0;
    if (down) {
      y = Math.max(0, Math.min(all.length - 1, y + down));
      while (all[y] && !control(all[y].cells[x])) {
        y += step;
        if (y < 0 || y >= all.length) return;
      }
    } else {
      const side = Math.sign(across);
      const cells = all[y].cells;
      x = Math.abs(across) > 1 ? (side < 0 ? 0 : cells.length - 1) : x + side;
      while (cells[x] && !control(cells[x])) x += Math.abs(across) > 1 ? -side : side;
    }
    const target = control(all[y]?.cells[x]);
    if (!target) return;
    makeCurrent(target);
    target.focus({ preventScroll: true });
    // The whole cell, clear of what is sticky: the style sheet says how wide that is.
    cellOf(target).scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const MOVES = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    PageUp: [-PAGE_ROWS, 0], PageDown: [PAGE_ROWS, 0], Home: [0, -2], End: [0, 2],
  };

  grid.addEventListener("keydown", (event) => {
    const cell = cellOf(event.target);
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    if (MOVES[event.key]) {
      event.preventDefault();
      go(cell, ...MOVES[event.key]);
    } else if (event.key.toLowerCase() === "m") {
      cell.querySelector("a")?.click();
    }
  });

  grid.addEventListener("focusin", (event) => { if (event.target.matches("button, a, td, th")) makeCurrent(event.target); });

  grid.addEventListener("click", (event) => {
    const target = event.target.closest("button[role=switch]");
    if (!target) return;
    // One that the filter or a folded stage hides begins nothing: nobody would see what lies between.
    const from = last && document.getElementById(last.id)?.offsetParent ? last : null;
    last = target;
    if (!event.shiftKey) return;
    // A browser would open the form's answer in a new window.
    event.preventDefault();
    event.stopPropagation();
    if (!from) return void document.getElementById(target.id).click();
    const [a, b] = [cellOf(document.getElementById(from.id)), cellOf(target)];
    if (a === b) return;
    const wanted = document.getElementById(from.id).getAttribute("aria-checked");
    const all = rows();
    const [top, bottom] = [all.indexOf(a.parentElement), all.indexOf(b.parentElement)].sort((x, y) => x - y);
    const [left, right] = [a.cellIndex, b.cellIndex].sort((x, y) => x - y);
    const between = all.slice(top, bottom + 1).flatMap((row) => [...row.cells].slice(left, right + 1));
    const switches = between.map((cell) => cell.querySelector("button[role=switch]:enabled")).filter((one) => one);
    if (switches.every((one) => one.getAttribute("aria-checked") === wanted)) return;
    // Columns times rows says it all, for what is so already is no change. One change, with one Undo.
    const part = (n) => [...new Set(switches.map((one) => one.value.split(":")[n]))].join(",");
    const set = `${part(0)}:${part(1)}:${wanted === "true" ? 1 : 0}`;
    htmx.ajax("GET", grid.dataset.range, { source: target.form, values: { set }, swap: "none" });
  }, true);

  // --- What to show --------------------------------------------------------------------------------------------
  const show = document.getElementById("matrix-show");
  const count = document.getElementById("matrix-count");
  const everything = count.textContent;
  const events = [...grid.querySelectorAll("tr[data-find]")];
  const MARKED = { on: '[data-marks~="on"]', changed: '[data-marks~="changed"]', problem: '[data-marks~="problem"]', draft: ":has(td > em)" };

  /** The rows of events that filter and view let through, folded or not. */
  const fitting = (within = grid) => events.filter((row) => within.contains(row) && !row.hidden && row.matches(MARKED[show.value] ?? "*"));

  function tellHowMany() {
    const shown = fitting().length;
    count.textContent = shown < events.length ? fill(count.dataset.some, { shown, total: events.length }) : everything;
    document.querySelector("[data-filter-none]").hidden = shown > 0;
  }

  function apply() {
    grid.dataset.show = show.value; // the style sheet hides the rows without that mark
    tellHowMany();
    tidy();
  }
  show.addEventListener("change", apply);
  document.addEventListener("trackstack:filter", () => { tellHowMany(); tidy(); });

  // A stage, a column or a mode is asked about before it is switched: the question says so when the filter hides some.
  document.addEventListener("htmx:configRequest", (event) => {
    const { formData, path } = event.detail;
    if (!/\/(toggle|change)\/(\?|$)/.test(path)) return;
    const set = formData.get("set") ?? new URL(path, location.href).searchParams.get("set") ?? "";
    const stage = document.getElementById(`stage-${set.match(/:@(.+):/)?.[1]}`) ?? grid;
    formData.set("shown", fitting(stage).length);
  });

  // Undo goes with its button; who used it by keyboard goes on in the grid.
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.requestConfig?.path.endsWith("/undo/")) return;
    setTimeout(() => {
      tidy();
      if (document.activeElement === document.body) grid.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
    }, SETTLED);
  });

  // An answer settles piece by piece: once is enough for all of them.
  let isTidied = true;
  document.addEventListener("htmx:afterSettle", () => {
    if (isTidied) requestAnimationFrame(() => { isTidied = true; tidy(); });
    isTidied = false;
  });
  tellHowMany();
  tidy();
})();
