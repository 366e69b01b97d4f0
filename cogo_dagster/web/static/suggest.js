// Completions of the search field: a list below it. The field works without this script.
"use strict";

(() => {
  const field = document.querySelector("#q[data-suggest]");
  const list = document.querySelector("#suggestions"), count = document.querySelector("#suggestions-count");
  if (!field || !list) return;
  const WAIT_MS = 120;
  let timer = 0, asked = 0, active = -1, items = [];

  field.setAttribute("aria-controls", list.id);
  field.setAttribute("aria-autocomplete", "list");
  close();

  function close() {
    list.hidden = true;
    active = -1;
    field.removeAttribute("aria-activedescendant");
  }

  function mark(at) {
    const options = [...list.children];
    active = (at + options.length) % options.length;
    options.forEach((option, n) => option.setAttribute("aria-selected", String(n === active)));
    options[active].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", options[active].id);
  }

  function take(at) {
    field.value = items[at].text;
    field.focus();
    ask();
  }

  function show(found) {
    items = found;
    list.replaceChildren(...found.map((item, n) => {
      const option = document.createElement("li");
      option.id = `suggestion-${n}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      const label = document.createElement("code"), meaning = document.createElement("span");
      label.textContent = item.label;
      meaning.textContent = item.meaning;
      option.append(label, " ", meaning);
      option.addEventListener("pointerdown", (event) => { event.preventDefault(); take(n); });
      return option;
    }));
    active = -1;
    field.removeAttribute("aria-activedescendant");
    list.hidden = !found.length;
    count.textContent = found.length ? `${found.length} completions; use the arrow keys.` : "";
  }

  async function ask() {
    const mine = ++asked;
    try {
      const response = await fetch(`${field.dataset.suggest}?q=${encodeURIComponent(field.value)}`);
      const found = response.ok ? await response.json() : [];
      if (mine === asked && document.activeElement === field) show(found);
    } catch {
      close();
    }
  }

  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, WAIT_MS); });
  field.addEventListener("blur", close);
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && list.hidden) { event.preventDefault(); ask(); return; }
    if (list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(active < 0 ? (event.key === "ArrowDown" ? 0 : -1) : active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      take(active);
    } else if (event.key === "Tab" && active >= 0 && !event.shiftKey) {
      event.preventDefault();
      take(active);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });
})();
