// Django's own pages: names for what its scripts and templates leave without one.
"use strict";

// At `load`, after its scripts, which are there first.
addEventListener("load", () => {
  for (const icon of document.querySelectorAll(".help-tooltip[aria-label]")) icon.setAttribute("role", "img");
  for (const input of document.querySelectorAll("p.datetime input")) {
    const row = input.closest(".form-row")?.querySelector("legend, label")?.textContent ?? "";
    const part = input.previousSibling?.textContent ?? "";
    if (!input.labels?.length) input.setAttribute("aria-label", `${row} ${part}`.replaceAll(":", "").replace(/\s+/g, " ").trim());
  }
});
