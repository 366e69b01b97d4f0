// Live updates, keyboard shortcuts, theme. Every page works without this script.
"use strict";

const GATHER_MS = 250, POLL_MS = 10_000, AGO_MS = 10_000, RETRY_MS = 5_000;
const $ = (selector) => document.querySelector(selector);

/* Live updates: on an event of the server, the page is fetched again and changed regions are replaced. */
const live = { following: true, source: null, timer: null, mark: null, busy: false, again: false };
const liveButton = $("#live");

function show(state, label) {
  liveButton.hidden = false;
  liveButton.dataset.state = state;
  liveButton.setAttribute("aria-pressed", String(state !== "paused"));
  liveButton.querySelector("span").textContent = label;
}

function isBusy(region) {
  const active = document.activeElement;
  if (active && active !== document.body && region.contains(active) && active.matches("input, select, textarea")) return true;
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && region.contains(selection.anchorNode));
}

function update(fresh) {
  const active = document.activeElement && document.activeElement.closest("[id]");
  const focused = active && active.id;
  const href = document.activeElement && document.activeElement.getAttribute && document.activeElement.getAttribute("href");
  for (const old of document.querySelectorAll("[data-live]")) {
    if (!old.isConnected || old.parentElement.closest("[data-live]")) continue;
    const now = fresh.getElementById(old.id);
    if (!now) { if (!isBusy(old)) old.replaceChildren(); continue; }
    if (old.dataset.was === undefined) old.dataset.was = "";
    const open = [...old.querySelectorAll("details")].map((details) => details.open);
    const html = now.innerHTML;
    if (plain(old) === plain(now) || isBusy(old)) continue;
    old.innerHTML = html;
    old.className = now.className;
    old.querySelectorAll("details").forEach((details, at) => { if (at < open.length) details.open = open[at]; });
  }
  for (const now of fresh.querySelectorAll("main [data-live]")) {
    if (!document.getElementById(now.id) && !now.parentElement.closest("[data-live]")) insert(now);
  }
  if (focused && document.activeElement === document.body) {
    const again = (href && $(`[href="${CSS.escape(href)}"]`)) || document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  }
}

// Relative times change without an event, so they are not compared.
function plain(element) {
  const copy = element.cloneNode(true);
  copy.querySelectorAll("time").forEach((time) => { time.textContent = ""; });
  copy.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = true; button.textContent = ""; });
  copy.querySelectorAll("details").forEach((details) => { details.removeAttribute("open"); });
  return copy.innerHTML;
}

function insert(element) {
  const before = element.previousElementSibling;
  const anchor = before && before.id && document.getElementById(before.id);
  if (anchor) anchor.after(document.importNode(element, true));
}

async function refresh() {
  if (!live.following) return;
  if (live.busy) { live.again = true; return; }
  live.busy = true;
  try {
    const response = await fetch(location.pathname + location.search, { headers: { accept: "text/html" }, redirect: "manual" });
    if (response.type === "opaqueredirect") {  // to the login page
      pause();
      show("lost", "logged out");
      return;
    }
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!live.following) return;  // paused while the response was on its way
    if (response.ok) {
      update(fresh);
      updateAges();
      addLocalTimes();
      showCopyButtons();
      if (live.source && live.source.readyState === EventSource.OPEN) show("live", "live");
    } else {
      show("lost", "no response");
    }
  } catch {
    if (live.following) show("lost", "no response");
  } finally {
    live.busy = false;
    if (live.again) { live.again = false; setTimeout(refresh, GATHER_MS); }
  }
}

function poll() {
  clearInterval(live.timer);
  show("polling", "polling");
  live.timer = setInterval(() => { if (!document.hidden) refresh(); }, POLL_MS);
}

function follow() {
  live.following = true;
  show("polling", "connecting");
  const job = document.body.dataset.job;
  live.source = new EventSource("/dashboard/live" + (job ? `?job=${encodeURIComponent(job)}` : ""));
  live.source.addEventListener("open", () => { clearInterval(live.timer); show("live", "live"); });
  live.source.addEventListener("change", (event) => {
    // Without a mark the first event counts as a change: data may have changed since the page was rendered.
    if (live.mark !== event.data) setTimeout(refresh, GATHER_MS);
    else show("live", "live");
    live.mark = event.data;
  });
  live.source.addEventListener("unavailable", () => show("lost", "no database"));
  live.source.addEventListener("error", () => {
    if (live.following && live.source.readyState === EventSource.CLOSED) poll();
    else if (live.following) show("polling", "connecting");
  });
}

function pause() {
  live.following = false;
  if (live.source) live.source.close();
  clearInterval(live.timer);
  show("paused", "paused");
}

function toggleLive() {
  if (live.following) pause();
  else { live.mark = null; follow(); refresh(); }
}

if (liveButton && $("[data-live]") && !$(".problem") && document.body.dataset.follows !== undefined) {
  liveButton.addEventListener("click", toggleLive);
  live.mark = document.body.dataset.mark || null;
  if (window.EventSource) follow(); else poll();
  // A hidden page needs no stream, and browsers open at most six connections to a server: a seventh page would not load.
  document.addEventListener("visibilitychange", () => {
    if (!live.following) return;
    if (document.hidden) { if (live.source) live.source.close(); return; }
    if (window.EventSource) { live.mark = null; follow(); }
    refresh();
  });
  addEventListener("pagehide", () => { if (live.source) live.source.close(); });
  addEventListener("pageshow", (event) => { if (event.persisted && live.following) { live.mark = null; follow(); refresh(); } });
}

/* A page that could not be read is loaded again when it can. */
if ($(".problem[data-retry]")) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual" });
      if (response.status < 500) location.reload();
    } catch { /* the server does not respond: try again */ }
  }, RETRY_MS);
}

/* Relative times. */
const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
// As `span` of the server: a time in the future is rounded to the nearest number, so that "in 2 d" does not become "in 1 d".
function span(seconds) {
  const unitOf = (length) => UNITS.find(([size]) => length >= size);
  let length = Math.abs(seconds), unit = unitOf(length);
  if (unit && seconds > 0) { length = Math.round(length / unit[0]) * unit[0]; unit = unitOf(length); }
  return unit ? `${Math.floor(length / unit[0])} ${unit[1]}` : "now";
}
function updateAges() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (new Date(time.dateTime) - Date.now()) / 1000;
    const text = span(seconds);
    time.textContent = text === "now" ? text : seconds > 0 ? `in ${text}` : `${text} ago`;
  }
}
setInterval(updateAges, AGO_MS);

/* Times are in UTC; the local time follows if it differs. It is inside the element, whose text `plain` ignores. */
const LOCAL = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });
const LOCAL_DAY = new Intl.DateTimeFormat("en-CA", { dateStyle: "short" });
function addLocalTimes() {
  for (const time of document.querySelectorAll("time[data-local]")) {
    const at = new Date(time.dateTime);
    if (!at.getTimezoneOffset() || time.querySelector("small")) continue;
    const local = document.createElement("small");
    const otherDay = LOCAL_DAY.format(at) !== time.dateTime.slice(0, 10);
    local.textContent = `${time.closest(".timeline") ? " " : " · "}${otherDay ? `${LOCAL_DAY.format(at)} ` : ""}${LOCAL.format(at)}`;
    local.className = "local";
    time.append(local);
  }
}
addLocalTimes();

/* Copy buttons. The clipboard API needs HTTPS or localhost; elsewhere the text is selected. */
function showCopyButtons() {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}
showCopyButtons();
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    document.getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => { button.textContent = label; }, 2_000);
});

/* Theme. */
function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* not available: the theme lasts until the next page */ }
}
$("#theme").hidden = false;
$("#theme").addEventListener("click", toggleTheme);

/* Keyboard shortcuts. */
const help = $("#help");
$("#keys").hidden = false;
$("#keys").addEventListener("click", () => help.showModal());

const PAGES = { o: "local", j: "jobs", d: "dlq", w: "workers", g: "gate", h: "history", k: "weeks", a: "alerts", l: "log", n: "jobs/new" };
let going = 0;

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  const at = rows.indexOf(document.activeElement);
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)];
  if (next) next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) {
    if (event.key === "Escape" && event.target.matches("input")) event.target.blur();
    return;
  }
  const went = Date.now() - going < 1500;
  going = 0;
  if (went && PAGES[event.key]) { location.href = `/dashboard/${PAGES[event.key]}`; return; }
  const search = $("#q");
  if (event.key === "g") going = Date.now();
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "t") toggleTheme();
  else if (event.key === "p" && liveButton && !liveButton.hidden) toggleLive();
  else if (event.key === "?") help.showModal();
  else if (event.key === "/") {
    event.preventDefault();
    if (search) { search.focus(); search.select(); } else location.href = "/dashboard/jobs#q";
  }
});
if (location.hash === "#q" && $("#q")) $("#q").focus();

// A flash message is shown once: without its parameters, a reload or a copied address does not repeat it.
if ($("#flash")) {
  const address = new URL(location.href);
  address.searchParams.delete("did");
  address.searchParams.delete("n");
  history.replaceState(null, "", address);
}
