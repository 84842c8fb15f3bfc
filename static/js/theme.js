// Runs before the first paint, so the page never flashes in the wrong theme. A plain script, not a module, for that.
(() => {
  const root = document.documentElement;
  const stored = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // Storage is off: the system's theme it is.
    }
  };
  const store = (name, value) => {
    try {
      localStorage.setItem(name, value);
    } catch {
      // The choice holds for this page.
    }
  };

  const darkSystem = matchMedia("(prefers-color-scheme: dark)");
  let theme = stored("theme") ?? "system";
  let density = stored("density") ?? "normal";

  function apply() {
    const shown = theme === "system" ? (darkSystem.matches ? "dark" : "light") : theme;
    root.dataset.bsTheme = shown === "dark" ? "dark" : "light";
    root.dataset.density = density === "compact" ? "compact" : "normal";
  }

  function showChoice() {
    for (const button of document.querySelectorAll("[data-theme-set]"))
      button.setAttribute("aria-pressed", String(button.dataset.themeSet === theme));
    for (const button of document.querySelectorAll("[data-density-set]"))
      button.setAttribute("aria-pressed", String(button.dataset.densitySet === density));
  }

  function change() {
    apply();
    showChoice();
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  apply();
  darkSystem.addEventListener("change", change);
  document.addEventListener("DOMContentLoaded", showChoice);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-theme-set], [data-density-set]");
    if (!button) return;
    if (button.dataset.themeSet) store("theme", (theme = button.dataset.themeSet));
    else store("density", (density = button.dataset.densitySet));
    change();
  });
  // Another tab changed it.
  window.addEventListener("storage", (event) => {
    if (event.key === "theme") theme = event.newValue ?? "system";
    else if (event.key === "density") density = event.newValue ?? "normal";
    else return;
    change();
  });
})();
