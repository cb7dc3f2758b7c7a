// The ids of events: beside each the name that the account has for it, once its list was loaded.
"use strict";

(() => {
  function tell() {
    const names = new Map([...document.querySelectorAll("#id-choices option")].map((option) => [option.value, option.label]));
    for (const place of document.querySelectorAll("[data-id-name]")) {
      const { value } = document.getElementById(place.dataset.idName);
      const name = names.get(value.trim()) ?? "";
      place.textContent = name === value ? "" : name;
    }
  }

  document.addEventListener("input", tell);
  document.addEventListener("htmx:afterSettle", tell);
})();
