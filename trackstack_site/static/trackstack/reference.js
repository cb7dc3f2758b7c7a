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
})();
