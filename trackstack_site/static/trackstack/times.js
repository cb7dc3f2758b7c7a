// Times in the reader's own zone. The server writes UTC; the title, and words for screen readers, keep both.
"use strict";

(() => {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  if (/^(Etc\/)?(UTC|UCT|GMT|Universal|Zulu|Greenwich)$/.test(name)) return;
  const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const here = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: name, timeZoneName: "short" });
  const utc = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" });
  const partsOf = (format, at) => Object.fromEntries(format.formatToParts(at).map((part) => [part.type, part.value]));
  // "Berlin time" holds in summer and winter; a zone without a place is named by its distance from UTC.
  const zone = name.includes("/") && !name.startsWith("Etc/") ? document.getElementById("words").dataset.placeTime.replace("{place}", name.split("/").at(-1).replaceAll("_", " ")) : partsOf(here, Date.now()).timeZoneName;

  function words(parts, precision) {
    const day = `${parts.year}-${parts.month}-${parts.day}`;
    const minute = `${parts.hour}:${parts.minute}`;
    return { second: `${day} ${minute}:${parts.second}`, minute: `${day} ${minute}`, day, clock: `${minute}:${parts.second}` }[precision];
  }

  function show(element) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) return;
    const [precision, isBare] = element.dataset.at.split(" ");
    const [mine, theirs] = [partsOf(here, at), partsOf(utc, at)];
    const full = precision === "minute" ? "minute" : "second";
    element.title = `${words(mine, full)} ${mine.timeZoneName} (${name}), ${words(theirs, full)} UTC`;
    element.textContent = words(mine, precision) + (isBare || precision === "day" ? "" : ` ${mine.timeZoneName}`);
    const aside = document.createElement("span");
    aside.className = "visually-hidden time-aside";
    const isSameDay = mine.day === theirs.day;
    aside.textContent = `${isBare ? ` ${mine.timeZoneName}` : ""}, ${words(theirs, precision === "second" && isSameDay ? "clock" : precision)} UTC`;
    element.append(aside);
    delete element.dataset.at;
  }

  // A field shows the reader's zone, and its form sends UTC with a Z: in an address it is right for everybody.
  const local = (at) => { const parts = partsOf(here, at); return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}${at.getUTCSeconds() ? `:${parts.second}` : ""}`; };

  function toLocal(input) {
    let at = new Date(`${input.defaultValue}Z`); // not what a browser restored: that is local already
    if (input.dataset.tomorrowAt) {
      at = new Date(); // the reader's morning, on the day after the reader's today
      at.setDate(at.getDate() + 1);
      at.setHours(...input.dataset.tomorrowAt.split(":"), 0, 0);
    }
    if (input.defaultValue && !Number.isNaN(at.getTime())) input.value = local(at);
  }

  function sendUtc(event) {
    for (const input of event.target.querySelectorAll("input[data-utc][name]")) {
      const at = new Date(input.value); // without a zone, JavaScript takes it for local
      if (input.value && !Number.isNaN(at.getTime())) event.formData.set(input.name, `${at.toISOString().slice(0, at.getUTCSeconds() ? 19 : 16)}Z`);
    }
  }

  function showAll() {
    for (const element of document.querySelectorAll("time[data-at]")) show(element);
    for (const element of document.querySelectorAll("[data-zone]")) { element.textContent = zone; element.title = name; element.removeAttribute("data-zone"); }
    for (const input of document.querySelectorAll("input[data-utc]:not([data-seen])")) { input.dataset.seen = ""; toLocal(input); }
  }

  globalThis.readerZone = { name, label: zone };
  document.addEventListener("formdata", sendUtc, true);
  for (const moment of ["DOMContentLoaded", "htmx:afterSwap", "htmx:oobAfterSwap"]) document.addEventListener(moment, showAll);
})();
