// The keyboard: search, help, going places, moving through rows. Keys do nothing while somebody is typing.

const PLACES = { h: "/", p: "/portfolio/", t: "/tasks/", n: "/kpis/", i: "/imports/" };
let goingUntil = 0;

const isTyping = (element) =>
  element instanceof Element && (element.isContentEditable || element.matches("input:not([type=checkbox], [type=radio]), textarea, select"));

const openDialog = (key) => {
  const dialog = document.getElementById(key);
  if (dialog && !dialog.open) dialog.showModal();
};

const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.checkVisibility());
const currentRow = () => document.querySelector("[data-row].is-current");

function moveBy(step) {
  const all = rows();
  if (!all.length) return;
  const now = currentRow();
  const place = now ? all.indexOf(now) + step : step > 0 ? 0 : all.length - 1;
  const next = all[Math.min(Math.max(place, 0), all.length - 1)];
  now?.classList.remove("is-current");
  next.classList.add("is-current");
  // The focus moves too, so that a screen reader reads the row and Enter opens it.
  const link = next.matches("a") ? next : next.querySelector("[data-row-link], a[href]");
  link?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openDialog("search");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;

  if (event.target instanceof Element && event.target.closest("#search") && ["ArrowDown", "ArrowUp"].includes(event.key)) {
    const links = [...document.querySelectorAll("#search-results a")];
    const box = document.getElementById("search-box");
    const stops = [box, ...links];
    const place = stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    if (stops[place]) {
      event.preventDefault();
      stops[place].focus();
    }
    return;
  }
  if (event.key === "Enter" && event.target.id === "search-box") {
    const first = document.querySelector("#search-results a");
    if (first) {
      event.preventDefault();
      first.click();
    }
    return;
  }

  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;

  if (performance.now() < goingUntil && PLACES[event.key]) {
    goingUntil = 0;
    location.assign(PLACES[event.key]);
    return;
  }

  switch (event.key) {
    case "/":
      event.preventDefault();
      openDialog("search");
      break;
    case "?":
      event.preventDefault();
      openDialog("help");
      break;
    case "g":
      goingUntil = performance.now() + 1200;
      break;
    case "j":
      moveBy(1);
      break;
    case "k":
      moveBy(-1);
      break;
    case "x":
      currentRow()?.querySelector("input[data-select]")?.click();
      break;
    default: {
      // A button or link with data-key="c" is pressed by that key: the page says so in its help.
      const pressed = [...document.querySelectorAll("[data-key]")].find((el) => el.dataset.key === event.key && el.checkVisibility());
      const inRow = currentRow()?.querySelector(`[data-row-key="${CSS.escape(event.key)}"]`);
      const target = inRow ?? pressed;
      if (target) {
        event.preventDefault();
        target.click();
      }
    }
  }
});

document.addEventListener("focusin", (event) => {
  const row = event.target.closest?.("[data-row]");
  if (!row || row.classList.contains("is-current")) return;
  currentRow()?.classList.remove("is-current");
  row.classList.add("is-current");
});
