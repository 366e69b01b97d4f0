// Runs before the first paint, so that a dark page does not flash white.
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* localStorage is not available: the system's theme applies */ }
