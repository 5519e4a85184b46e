// Light or dark, before anything is drawn: as the system has it, unless a person chose otherwise here.
"use strict";
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("homeostat.theme");
  } catch {
    // Without storage it is as the system has it.
  }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
})();
