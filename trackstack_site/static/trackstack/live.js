// Live follows: every two seconds, while the box is ticked, the page is looked at and nobody works within the list.
"use strict";

const EVERY_SECONDS = 2;

setInterval(() => {
  const isBusy = document.activeElement?.closest("#live a, #live button") || !window.getSelection().isCollapsed;
  if (document.hidden || isBusy || !document.getElementById("live-on")?.checked) return;
  document.getElementById("live-refresh")?.click();
}, EVERY_SECONDS * 1000);
