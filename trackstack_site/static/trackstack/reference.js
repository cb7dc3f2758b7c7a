// The API reference: Swagger UI in the theme of the page.
"use strict";

(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  function follow() {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    if (root.classList.contains("dark-mode") !== isDark) root.classList.toggle("dark-mode", isDark);
  }
  // Swagger UI sets the class by itself, once; the page's own switch decides.
  new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme", "class"] });
  system.addEventListener("change", follow);
  follow();

  // Names for its selects, and a way with keys into what scrolls: it draws both again and again.
  function name() {
    for (const code of document.querySelectorAll(".reference pre.microlight:not([tabindex])")) code.tabIndex = 0;
    for (const select of document.querySelectorAll(".reference select:not([aria-label])")) {
      if (select.labels.length) continue;
      const label = select.closest("tr")?.dataset.paramName || select.parentElement.querySelector("[class$=label]")?.textContent;
      if (label) select.setAttribute("aria-label", label.replace(":", "").trim());
    }
  }
  document.addEventListener("DOMContentLoaded", () => {
    new MutationObserver(name).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
    name();
  });
})();
