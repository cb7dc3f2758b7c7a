// What is folded and shown in the matrix: kept for its reader on the server, and in the address for a link.
"use strict";

(() => {
  const grid = document.getElementById("matrix");
  if (!grid) return;
  const SOON = 600; // folding all is one request
  const show = document.getElementById("matrix-show");
  const words = document.querySelector("[data-filter='#matrix tr[data-find]']");
  let waiting = 0;
  let isChosen = false; // then the address says so even of every event: what is kept may be another choice for a moment

  const folded = () => [...grid.tBodies].filter((stage) => stage.classList.contains("is-folded")).map((stage) => stage.id.slice("stage-".length));

  function send() {
    clearTimeout(waiting);
    waiting = 0;
    const body = new URLSearchParams(folded().map((name) => ["folded", name]));
    body.append("show", show.value);
    body.append("csrfmiddlewaretoken", grid.closest("form").elements.csrfmiddlewaretoken.value);
    fetch(grid.dataset.look, { method: "POST", body, keepalive: true }).catch(() => { /* for this page only */ });
  }

  function later() {
    clearTimeout(waiting);
    waiting = setTimeout(send, SOON);
  }

  function filtered() {
    const address = new URL(location.href);
    for (const [name, value] of [["q", words.value.trim()], ["show", show.value]]) {
      if (value || (name === "show" && isChosen)) address.searchParams.set(name, value);
      else address.searchParams.delete(name);
    }
    return address;
  }

  /** What leads on with the filter; the address of the page only when somebody filters. */
  function tellLinks() {
    for (const link of document.querySelectorAll("a[data-with-filter]")) link.search = filtered().search;
  }

  function tell() {
    history.replaceState(history.state, "", filtered());
    tellLinks();
  }

  document.addEventListener("trackstack:fold", later);
  show.addEventListener("change", () => { isChosen = true; later(); tell(); });
  document.addEventListener("trackstack:filter", tell);
  tellLinks();
  window.addEventListener("pagehide", () => { if (waiting) send(); });
})();
